"""The explorables of the site in Chromium: their numbers are mvnp's, and they can be used by keyboard, on a phone, at night."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvnp.layers.cross_scan import cross_scan
from mvnp.layers.linear_recurrence import linear_recurrence_forward
from mvnp.layers.selective_scan import selective_scan_forward
from mvnp.visualize.arrays.hidden_attention import hidden_attention
from support.browser import Browser, find_chromium
from support.tolerance import assert_close

pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e '.[docs]'")
pytestmark = [
    pytest.mark.slow(reason="Chromium opens the page, and scripts run in it"),
    pytest.mark.skipif(
        find_chromium() is None, reason="no Chromium here (Debian: apt-get install chromium; or set CHROMIUM to its path)"
    ),
]

DOCS = Path(__file__).parents[2] / "docs"
NAMES = sorted(path.stem for path in (DOCS / "_static" / "explorables").glob("*.js") if path.stem != "kit")
CONF = f"""
extensions = ["myst_parser", "sphinxcontrib.katex", "explorable"]
katex_prerender = False
katex_css_path = "katex/katex.min.css"
myst_enable_extensions = ["dollarmath"]
html_theme = "furo"
html_static_path = [{str(DOCS / "_static")!r}]
html_css_files = ["site.css"]
"""

# What is pressed on a control of each kind. A slider may stand at either end, so there it goes both ways.
KEYS = {
    "slider": ("ArrowUp", "ArrowRight"),
    "range": ("ArrowLeft", "ArrowRight", "ArrowRight"),
    "checkbox": (" ",),
    "select-one": ("ArrowDown",),
    "button": ("Enter",),
}


def blocks():
    """Every directive of the documentation, by the explorable's name; of one that stands on several pages, that of the last."""
    found = {}
    for page in sorted(DOCS.rglob("*.md")):
        for block in re.findall(r"```\{explorable\}.*?```", page.read_text(encoding="utf-8"), re.DOTALL):
            found[block.split()[1]] = block
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A page with every explorable of the documentation, as its directives say."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    source, said = tmp_path_factory.mktemp("explorables"), io.StringIO()
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    (source / "index.md").write_text("# Page\n\n" + "\n\n".join(blocks().values()), encoding="utf-8")
    moves = "```{explorable} paths\n:title: Moves\n:alt: It moves.\n:play:\n\nLook.\n```\n"
    (source / "moves.md").write_text(f"---\norphan: true\n---\n# Moves\n\n{moves}", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, docutils_namespace():
        patch.syspath_prepend(str(DOCS / "_ext"))
        folders = (source, source, source / "html", source / "trees")
        Sphinx(*folders, "html", status=None, warning=said, freshenv=True).build()
    assert "explorable" not in said.getvalue()
    return source / "html" / "index.html"


def opened(browser, site):
    browser("Page.navigate", url=site.absolute().as_uri())
    browser.until("document.readyState === 'complete' && document.querySelectorAll('.alive').length > 0")
    browser.settle()
    return browser


@pytest.fixture(scope="module")
def tab(site):
    """A tab in which nothing is changed but by `compute`."""
    with Browser() as browser:
        yield opened(browser, site)


@pytest.fixture
def page(site):
    with Browser() as browser:
        yield opened(browser, site)
        assert_quiet(browser)


def assert_quiet(browser):
    assert browser.errors == []
    assert [address for address in browser.requests if not address.startswith(("file://", "data:"))] == []


def compute(tab, name, **inputs):
    """What the script makes of its inputs. Numbers go over as JSON, which keeps every digit."""
    return tab.run(f"mvnp[{json.dumps(name)}].compute({json.dumps(inputs)})")


def rng():
    return np.random.default_rng(19)


def test_each_is_on_a_page():
    assert sorted(blocks()) == NAMES


def test_still_pictures_are_what_the_scripts_draw(tmp_path, monkeypatch):
    """For readers without scripts. Where this fails: python docs/still_pictures.py"""
    monkeypatch.syspath_prepend(str(DOCS))
    from still_pictures import FOLDER, drawn

    with Browser() as browser:
        stills = drawn(browser, tmp_path / "stills.html")
    assert {path.name for path in FOLDER.glob("*.svg")} == set(stills)
    for file, text in stills.items():
        assert (FOLDER / file).read_text(encoding="utf-8") == text, file


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_any_width_dark_and_light(site, width, dark):
    with Browser(width, 800, dark=dark) as browser:
        opened(browser, site)
        assert len(browser.all(".explorable.alive", "1")) == len(NAMES)
        assert browser.run("document.documentElement.scrollWidth") <= width
        inner = browser.all(".explorable", "one.querySelector('.explorable-place').scrollWidth - one.clientWidth")
        assert max(inner) <= 0
        assert (
            min(browser.all(".explorable button, .explorable select, .explorable input[type=range]", "one.offsetHeight")) >= 40
        )
        cut = browser.all(
            ".explorable svg text", "((t, s) => t.right > s.right + 1 || t.left < s.left - 1 ? one.textContent : '')"
            "(one.getBoundingClientRect(), one.closest('svg').getBoundingClientRect())"
        )  # fmt: skip
        assert [words for words in cut if words] == []
        assert_quiet(browser)


@pytest.mark.parametrize("name", NAMES)
def test_by_keyboard_alone(page, name):
    """Tab reaches every control in turn and leaves again; each says its name, shows its focus, and keys change what is told."""
    figure = f'[data-explorable="{name}"]'
    wanted = page.run(
        f"document.querySelectorAll('{figure} :is(button, select, input, [tabindex=\"0\"])').length"
    )  # those of a roving group count once
    page.run(f"document.querySelector('{figure}').setAttribute('tabindex', '-1'), document.querySelector('{figure}').focus()")
    reached, changed = 0, False
    while True:
        page.press("Tab")
        if not page.run(f"document.activeElement.closest('{figure}') !== null"):
            break
        reached += 1
        assert reached <= wanted, "the focus goes in circles"
        label = "(one.getAttribute('aria-label') || one.textContent || one.labels?.[0]?.textContent || '').trim()"
        assert page.one(":focus", label)
        assert page.run("document.activeElement.matches(':focus-visible')")
        kind = page.one(":focus", "one.type || one.getAttribute('role')")
        told = f"['.explorable-tells', 'svg'].map((part) => document.querySelector(`{figure} ${{part}}`).innerHTML).join()"
        before = page.run(told)
        page.press(*KEYS[kind])
        assert page.run(f"document.activeElement.closest('{figure}') !== null"), "a key takes the focus away"
        changed |= page.run(told) != before
        if page.run(f"document.querySelector('{figure} .explorable-play')?.textContent === 'Pause'"):
            page.press("Enter")
    assert reached == wanted
    assert changed


def test_drag_with_a_finger(page):
    """A bar follows what is down on it, and stays where it is left."""
    bar = '[data-explorable="state"] [data-handle="x-3"]'
    page.click(bar, 0.5, 0.2)
    up = float(page.one(bar, "one.getAttribute('aria-valuenow')"))
    page.click(bar, 0.5, 0.8)
    down = float(page.one(bar, "one.getAttribute('aria-valuenow')"))
    assert up > 0.5
    assert down < -0.5
    assert "At token 3:" in page.one('[data-explorable="state"] .explorable-tells', "one.textContent")


def test_one_that_moves_by_itself(site):
    """From its start to its end, once; a reader can stop it."""
    with Browser() as browser:
        opened(browser, site.with_name("moves.html"))
        browser.until("document.querySelector('.explorable-play').textContent === 'Pause'")
        browser.until("/token [3-9] of 48/.test(document.querySelector('.explorable-count').textContent)")
        browser.click(".explorable-play")
        at = browser.one(".explorable-count", "one.textContent")
        browser.run("new Promise((done) => setTimeout(done, 400))")
        assert browser.one(".explorable-count", "one.textContent") == at
        assert browser.one(".explorable-play", "one.textContent") == "Play"
        assert_quiet(browser)


def test_without_motion_nothing_plays(site):
    with Browser(still=True) as browser:
        opened(browser, site.with_name("moves.html"))
        assert browser.all(".explorable-play", "1") == []
        assert browser.one(".explorable-count", "one.textContent") == "token 30 of 48"
        browser.click(".explorable-player button:last-of-type")
        assert browser.one(".explorable-count", "one.textContent") == "token 31 of 48"
        assert_quiet(browser)


# The numbers of each beside mvnp's.


@pytest.mark.parametrize("exact", [False, True], ids=["Euler", "exact"])
def test_state(tab, exact):
    x, (delta, B, C) = rng().standard_normal(9), rng().uniform(0.2, 2.0, 3)
    A = -2 * delta
    js = compute(tab, "state", x=x.tolist(), delta=delta, A=A, B=B, C=C, exact=exact)
    row = np.ones((1, len(x), 1))
    if exact:
        hold = np.expm1(delta * A) / A * B
        h, _ = linear_recurrence_forward(np.full(len(x), np.exp(delta * A)), hold * x)
        gate = hold / delta
    else:
        h, _ = selective_scan_forward(x[None, :, None], delta * row, np.array([[A]]), B * row, row, np.zeros(1), softplus=False)
        h, gate = h.ravel(), B
    assert_close(js["h"], h)
    assert_close(js["y"], C * h)
    alpha = hidden_attention(delta * row, np.array([[A]]), gate * row, C * row)[0, 0]
    assert_close(js["alpha"], alpha)
    assert_close(alpha @ x, js["y"])
    assert_close(np.add(js["before"], js["entered"]), h)


@pytest.mark.parametrize(("family", "routes"), [("mambavision", (0,)), ("vim", (0, 2)), ("vmamba", (0, 1, 2, 3))])
def test_paths(tab, family, routes):
    height, width = 3, 5
    x, delta = rng().standard_normal(height * width), float(rng().uniform(0.1, 1.0))
    js = compute(tab, "paths", x=x.tolist(), height=height, width=width, family=family, delta=delta)
    read = cross_scan(np.arange(float(height * width)).reshape(1, height, width, 1), routes)[:, 0, :, 0].astype(int)
    assert [each["route"] for each in js["routes"]] == list(routes)
    for each, order in zip(js["routes"], read, strict=True):
        assert each["order"] == order.tolist()
        one = np.ones((1, len(x), 1))
        h, _ = selective_scan_forward(x[order][None, :, None], delta * one, -one[:, 0], one, one, np.zeros(1), softplus=False)
        assert_close(each["h"], h.ravel())
        assert [each["place"][token] for token in order] == list(range(len(x)))


def test_the_picture_of_the_paths(tab):
    """The picture is a test image of Fashion-MNIST, and the numbers that are scanned are its means."""
    from demo_model import picture

    address = tab.one('[data-explorable="paths"] image', "one.getAttribute('href')")
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        np.testing.assert_array_equal(np.asarray(image), picture(1))
    means = picture(1).reshape(7, 4, 7, 4).mean(axis=(1, 3)).ravel()
    np.testing.assert_array_equal(np.asarray(tab.run("mvnp.paths.start.x")) * 255, np.rint(means))
