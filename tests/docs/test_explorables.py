"""The explorables of the site in Chromium: their numbers are mvnp's, and they can be used by keyboard, on a phone, at night."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mvnp
from mvnp.layers.conv2d import Conv2d, conv2d_backward, conv2d_forward
from mvnp.layers.cross_scan import cross_scan
from mvnp.layers.layernorm import layernorm_backward, layernorm_forward
from mvnp.layers.linear_recurrence import linear_recurrence_forward
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward
from mvnp.layers.softmax import softmax_backward, softmax_forward
from mvnp.layers.window import window_mask, window_partition
from mvnp.layers.winograd import matrices, winograd_forward
from mvnp.visualize.arrays.hidden_attention import hidden_attention
from support.browser import Browser, find_chromium
from support.patience import HANGS
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
extensions = ["myst_parser", "sphinxcontrib.katex", "explorable", "explorer"]
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
    frame = "Far above it.\n\n" * 100 + "```{explorer} Bag, Ankle boot\n```\n"
    for name, text in {"moves": moves, "frame": frame}.items():
        (source / f"{name}.md").write_text(f"---\norphan: true\n---\n# Page\n\n{text}", encoding="utf-8")
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


def test_two_ways_to_a_number_are_shown_alike(tab):
    """By a tile and by the definition, half of a last digit comes out a bit apart."""
    assert tab.run("[0.4375 - 1e-16, 0.4375, 0.4375 + 1e-16].map((one) => mvnp.kit.shown(one))") == ["0.438"] * 3


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


def test_a_bar_is_dragged(page):
    """It comes to where the mouse is, and what is told follows."""
    bar = '[data-explorable="state"] [data-handle="x-3"]'
    page.click(bar, 0.5, 0.2)
    up = float(page.one(bar, "one.getAttribute('aria-valuenow')"))
    page.click(bar, 0.5, 0.8)
    down = float(page.one(bar, "one.getAttribute('aria-valuenow')"))
    assert up > 0.5
    assert down < -0.5
    assert "At token 3:" in page.one('[data-explorable="state"] .explorable-tells', "one.textContent")


def test_a_bar_follows_a_finger(site):
    """On a phone, also beyond its own column; the page does not scroll away under it."""
    with Browser(390, 800) as browser:
        browser("Emulation.setTouchEmulationEnabled", enabled=True)
        opened(browser, site)
        bar = '[data-explorable="state"] [data-handle="x-3"]'
        browser.one(bar, "one.scrollIntoView({block: 'center', behavior: 'instant'})")
        browser.settle()
        x, y, height = browser.one(bar, "((box) => [box.x + box.width / 2, box.y, box.height])(one.getBoundingClientRect())")
        scrolled = browser.run("scrollY")
        values = []
        for kind, share in (("touchStart", 0.5), ("touchMove", 0.3), ("touchMove", 0.1), ("touchMove", 0.95)):
            browser(
                "Input.dispatchTouchEvent",
                type=kind,
                touchPoints=[{"x": x + 60 * (kind == "touchMove"), "y": y + share * height}],
            )
            browser.settle()
            values.append(float(browser.one(bar, "one.getAttribute('aria-valuenow')")))
        browser("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        assert values[0] < values[1] < values[2]
        assert values[3] < -1.5
        assert browser.run("scrollY") == scrolled
        assert_quiet(browser)


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


def test_without_scripts_there_is_a_picture_in_words(site):
    with Browser(390) as browser:
        browser("Emulation.setScriptExecutionDisabled", value=True)
        browser("Page.navigate", url=site.absolute().as_uri())
        browser.until("document.readyState === 'complete'")
        assert browser.all(".alive, .explorable button, .explorable input", "1") == []
        pictures = browser.all(".explorable svg", "[one.getAttribute('role'), one.getAttribute('aria-label').length > 80]")
        assert pictures == [["img", True]] * len(NAMES)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        assert_quiet(browser)


def test_the_explorer_is_loaded_when_it_is_seen(site):
    with Browser() as browser:
        browser("Page.navigate", url=site.with_name("frame.html").absolute().as_uri())
        browser.until("document.readyState === 'complete'")
        browser.settle()
        assert not any("/explorer/" in address for address in browser.requests)
        browser.one("iframe", "one.scrollIntoView({behavior: 'instant'})")
        wait_for_request(browser, "/explorer/bag.html")
        browser.click(".explorer a:nth-of-type(2)")
        wait_for_request(browser, "/explorer/ankle-boot.html")
        assert_quiet(browser)


def wait_for_request(browser, ending):
    end = time.monotonic() + HANGS
    while not any(address.endswith(ending) for address in browser.requests):
        assert time.monotonic() < end, f"{ending} was never asked for"
        browser.settle()


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


def test_remember(tab):
    x, delta = rng().standard_normal(6), rng().uniform(0.0, 2.0, 6)
    A, row = -0.9, np.ones((1, 6, 1))
    js = compute(tab, "remember", x=x.tolist(), delta=delta.tolist(), A=A, target=2)
    step = delta[None, :, None]
    h, _ = selective_scan_forward(x[None, :, None], step, np.array([[A]]), row, row, np.zeros(1), softplus=False)
    assert_close(js["h"], h.ravel())
    written = hidden_attention(step, np.array([[A]]), row, row)[0, 0, -1] * x
    assert_close(js["written"], written)
    assert_close(js["share"], np.abs(written[2]) / np.abs(written).sum())


def test_remember_can_be_solved(page):
    """By keyboard: a large step for token 4, none for those behind it."""
    page.one('[data-handle="delta-0"]', "one.focus()")
    page.press(*["ArrowUp"] * 33)
    for _ in range(3):
        page.press("ArrowRight", *["ArrowDown"] * 7)
    assert "Done" in page.one('[data-explorable="remember"] .explorable-tells', "one.textContent")


@pytest.mark.parametrize("forget", [False, True], ids=["right", "without the factor"])
def test_adjoint(tab, forget):
    L = 6
    x, dy, delta, (B, C) = *rng().standard_normal((2, L)), rng().uniform(0.2, 1.0, L), rng().standard_normal(2)
    A, row = -1.1, np.ones((1, L, 1))
    js = compute(tab, "adjoint", x=x.tolist(), dy=dy.tolist(), delta=delta.tolist(), A=A, B=B, C=C, forget=forget)
    gates = (np.array([[A]]), B * row, C * row, np.zeros(1))
    y, cache = selective_scan_forward(x[None, :, None], delta[None, :, None], *gates, softplus=False)
    dx, ddelta, dA, dB, dC, *_ = (each.ravel() for each in selective_scan_backward(dy[None, :, None], cache)[:-1])
    assert_close(C * np.asarray(js["h"]), y.ravel())
    for name, value in {"dx": dx, "dB": dB, "dC": dC}.items():
        assert_close(js[name], value)
    decay = np.exp(delta * A)
    if forget:
        assert_close(np.sum(js["terms"] * decay), dA[0])
        assert abs(js["dA"] - dA[0]) > 0.01
    else:
        assert_close(js["ddelta"], ddelta)
        assert_close(js["dA"], dA[0])
        assert_close(np.sum(js["terms"]), dA[0])
    assert_close(js["difference"], dA[0], noise=1e-9)


@pytest.mark.parametrize("way", ["loop", "simple", "tree"])
@pytest.mark.parametrize("k", [2, 5, 8, 13, 16])
def test_tree(tab, way, k):
    a, u = rng().uniform(0.2, 1.0, k), rng().standard_normal(k)
    js = compute(tab, "tree", a=a.tolist(), u=u.tolist(), way=way)
    h, _ = linear_recurrence_forward(a, u)
    assert_close(js["states"], h)
    assert {map_["first"] for map_ in js["rounds"][-1]} == {0}
    for number, joins in enumerate(js["joins"]):  # what is joined at once: neighbours, none of them twice into
        before = js["rounds"][number]
        assert len({into for _, into in joins}) == len(joins)
        assert all(before[into]["first"] == origin + 1 for origin, into in joins)
    log = int(np.ceil(np.log2(k)))
    work = {"loop": k - 1, "simple": sum(k - 2**j for j in range(log)), "tree": joins_of_the_tree(k)}
    assert js["work"] == work[way]
    assert js["depth"] <= {"loop": k - 1, "simple": log, "tree": 2 * log - 1}[way]


def joins_of_the_tree(k):
    """As `_associative` calls itself: pairs, half as long a recurrence, and the states between, but for the first."""
    return k // 2 + joins_of_the_tree(k // 2) + (k + 1) // 2 - 1 if k > 1 else 0


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("H", "W", "P"), [(5, 7, 4), (4, 4, 4), (3, 9, 2), (2, 2, 5)])
def test_windows(tab, H, W, P, masked):
    token = int(rng().integers(H * W))
    js = compute(tab, "windows", H=H, W=W, P=P, token=token, masked=masked)
    numbers = np.arange(1.0, H * W + 1).reshape(1, H, W, 1)
    windows = window_partition(numbers, P)[..., 0] - 1
    np.testing.assert_array_equal(js["windows"], windows)
    assert windows[js["window"], js["place"]] == token
    mask = window_mask(numbers, 1, H, W, P)
    mask = np.ones_like(windows, bool) if mask is None else mask
    scores = np.where(mask[js["window"]] | (not masked), 0.0, -np.inf)
    weights, _ = softmax_forward(scores[None])
    assert_close(js["weights"], weights[0])
    assert_close(js["lost"], weights[0][~mask[js["window"]]].sum(), scale=1.0)
    assert js["pairs"] == len(windows) * P**4


@pytest.mark.parametrize("layer", ["softmax", "layernorm"])
def test_cotangent(tab, layer):
    x, dy = rng().standard_normal((2, 7))
    for cotangent in (dy, np.ones(7)):
        js = compute(tab, "cotangent", layer=layer, x=x.tolist(), dy=cotangent.tolist())
        if layer == "softmax":
            y, cache = softmax_forward(x)
            dx = softmax_backward(cotangent, cache)
        else:
            y, cache = layernorm_forward(x, np.ones(7), np.zeros(7))
            dx, *_ = layernorm_backward(cotangent, cache)
        assert_close(js["y"], y)
        assert_close(js["dx"], dx, scale=1.0)
        assert_close(js["along"]["one"], 0.0, scale=1.0)
        if layer == "softmax":
            assert_close(js["along"]["y"], dx @ y, scale=1.0)


def test_a_cotangent_of_ones_leaves_nothing(page):
    for layer in ("softmax", "layernorm"):
        page.set('[data-explorable="cotangent"] select', layer)
        page.click('[data-explorable="cotangent"] button')
        assert "dx is 0" in page.one('[data-explorable="cotangent"] .explorable-tells', "one.textContent")


def test_winograd(tab):
    tile, kernel = rng().standard_normal((6, 6)), rng().standard_normal((3, 3))
    js = compute(tab, "winograd", tile=tile.tolist(), kernel=kernel.tolist())
    _, G, T = matrices()
    assert_close(js["U"], G @ kernel @ G.T)
    assert_close(js["V"], T @ tile @ T.T)
    assert_close(js["M"], (G @ kernel @ G.T) * (T @ tile @ T.T))
    y, _ = winograd_forward(tile[None, :, :, None], kernel[None, None], None, (0, 0))
    direct, _ = conv2d_forward(tile[None, :, :, None], kernel[None, None], None)
    scale = float(np.abs(js["M"]).max())
    assert_close(js["y"], y[0, :, :, 0], scale=scale)
    assert_close(js["direct"], direct[0, :, :, 0])


def test_receptive(tab):
    """By how many ways a pixel reaches a position: the gradient through convolutions whose weights are all one."""
    layers = tab.run("mvnp.receptive.start.layers")
    for depth in (1, 2, 5, 8):
        kernels, strides = ([layer[i] for layer in layers[:depth]] for i in (1, 2))
        js = compute(tab, "receptive", kernels=kernels, strides=strides)
        size = js["sizes"][-1]
        x, caches = np.zeros((1, size, size, 1)), []
        for kernel, stride in zip(kernels, strides, strict=True):
            x, cache = conv2d_forward(x, np.ones((1, 1, kernel, kernel)), None, (stride, stride))
            caches.append(cache)
        assert x.shape == (1, 1, 1, 1)  # so that the field is as large as the image
        dx = x + 1
        for cache in reversed(caches):
            dx, *_ = conv2d_backward(dx, cache)
        ways = dx[0, :, :, 0] / dx.sum()
        assert_close(np.outer(js["ways"], js["ways"]), ways)
        assert js["jumps"][-1] == np.prod(strides)
        across, middle = ways.sum(axis=0), (size - 1) // 2
        inside = [across[middle - reach : middle + reach + 1].sum() for reach in range(middle + 1)]
        assert js["held"] == 2 * int(np.argmax(np.array(inside) >= 0.95)) + 1


def test_the_layers_of_the_receptive_field_are_those_of_the_model(tab):
    convolutions = [
        layer
        for path, layer in mvnp.create_model("mamba_vision_T", allocate=False).named_layers()
        if isinstance(layer, Conv2d) and path.startswith(("patch_embed", "levels.0", "levels.1"))
    ]
    expected = [[layer.weight.shape[-1], layer.stride[0]] for layer in convolutions]
    assert [layer[1:] for layer in tab.run("mvnp.receptive.start.layers")] == expected
