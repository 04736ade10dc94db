"""The explorer's page in Chromium: clicks, keys and the slider; at a phone's width, dark and light; with no network."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mvnp.visualize import hidden_attention_of, internals
from mvnp.visualize.arrays.token_to_token import tokens_of
from mvnp.visualize.pages.explorer import Subject, figures, write_explorer
from mvnp.visualize.pages.explorer.data import blocks_of
from mvnp.visualize.pages.explorer.packing import unpack
from support.browser import Browser, find_chromium
from support.checks import normal
from support.explorer import data_of
from support.figures import image
from support.tiny import tiny
from support.tiny_vim import tiny_vim
from support.tolerance import shown

pytestmark = [
    pytest.mark.slow(reason="Chromium opens the page, and scripts run in it"),
    pytest.mark.skipif(
        find_chromium() is None, reason="no Chromium here (Debian: apt-get install chromium; or set CHROMIUM to its path)"
    ),
]

SCAN, ATTENTION, DEEPER = 0, 1, 2  # blocks of the page: two of level 2, with 5x5 tokens in windows of 2, and one of level 3


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "ENTRIES", figures.ENTRIES[:2])
        return write_explorer(tmp_path_factory.mktemp("one"), [Subject("tiny", tiny(), ("cat", "dog", "sea"))], image())


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    subjects = [Subject("before", tiny()), Subject("after", tiny(seed=2, padding="masked"))]
    return write_explorer(tmp_path_factory.mktemp("two"), subjects, image(), figures=False)


@pytest.fixture
def browser(page):
    with Browser() as opened:
        opened.open(page)
        yield opened
        assert_quiet(opened)


def assert_quiet(browser):
    """No error in the console, and nothing asked for but the page itself and what it has within."""
    assert browser.errors == []
    assert [address for address in browser.requests if not address.startswith(("file://", "data:"))] == []
    assert sum(address.startswith("file://") for address in browser.requests) == 1


def token(browser):
    return [int(browser.one(f"#{name}", "one.value")) for name in ("row", "column")]


def readout(browser):
    return browser.one("#readout", "one.textContent")


def pictures(browser):
    """What is drawn on each canvas: first the picture on which one chooses, then the panels."""
    return browser.all("canvas", "one.toDataURL()")


def labels(browser):
    return browser.all("#panels canvas", "one.getAttribute('aria-label')")


def on_map(row, column):
    """Where a token of level 2's padded map, 6x6, is, as shares of the picture's sides."""
    return {"x": (column + 0.5) / 6, "y": (row + 0.5) / 6}


def number(text):
    """0.0123, −0.5 and 9.4·10⁻⁵ as the page writes them."""
    digits, _, exponent = text.replace("−", "-").partition("·10")
    return float(digits) * 10.0 ** int(exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


def test_a_click_on_a_token_changes_the_maps(browser):
    assert token(browser) == [2, 2]
    before = pictures(browser)
    browser.click("#map", **on_map(3, 1))
    assert token(browser) == [3, 1]
    assert readout(browser).startswith("Row 3, column 1.")
    after = pictures(browser)
    assert all(now != then for now, then in zip(after, before, strict=True))
    browser.click("#panels canvas", **on_map(2, 2))  # panels take clicks too
    assert token(browser) == [2, 2]
    assert pictures(browser) == before


@pytest.mark.parametrize("others", [True, False], ids=["others", "all"])
@pytest.mark.parametrize("index", [SCAN, ATTENTION])
def test_every_map_tells_what_the_arrays_say(page, browser, index, others):
    """The script decodes and indexes by itself; here it is held to Python, for both directions."""
    block = data_of(page)["blocks"][index]
    windows = tokens_of(list(blocks_of(internals(tiny(), image())).values())[index])
    browser.set("#block", index)
    if not others:
        browser.click("#others")
    for direction in ("from", "by"):
        browser.set("#direction", direction)
        for row, column in ((0, 0), (3, 2), (4, 4), (1, 3)):
            browser.click("#map", **on_map(row, column))
            window, t = windows.find(row, column)
            expected = []
            for maps in (unpack(view["rows"][0]) for view in block["views"]):
                for rows in maps[:, window]:
                    links = (rows[t] if direction == "from" else rows[:, t]).copy()
                    links[t] *= not others
                    best = abs(links).argmax()
                    place = tuple(windows.positions[window, best].tolist())
                    expected.append((*place, shown(links[best], digits=3)) if links[best] else None)
            said = [re.search(r": most is (?:taken from|given to) (.+)", text) for text in labels(browser)]
            found = [re.fullmatch(r"row (\d+), column (\d+) \((.+)\)|no other token", match[1]) for match in said if match]
            assert [match[1] and (int(match[1]), int(match[2]), number(match[3])) for match in found] == expected


def test_quantities_are_told_as_the_arrays_say(page, browser):
    block = data_of(page)["blocks"][SCAN]
    browser.click("#map", **on_map(3, 2))
    window, t = tokens_of(list(blocks_of(internals(tiny(), image())).values())[SCAN]).find(3, 2)
    norm, step = (unpack(quantity["values"][0])[0, window, t] for quantity in block["tokens"])
    itself = unpack(block["views"][0]["rows"][0])[0, window, t, t]
    told = re.search(r"and takes (\S+) from itself; ‖h‖ (\S+), mean Δ (\S+)\.$", readout(browser))
    assert [number(part) for part in told.groups()] == [shown(value, digits=3) for value in (itself, norm, step)]


def test_by_keyboard_alone(browser):
    reached = []
    while True:
        browser.press("Tab")
        active = browser.run("document.activeElement.id || document.activeElement.tagName")
        if active in reached or len(reached) > 40:
            break
        reached.append(active)
        assert browser.one(":focus", "getComputedStyle(one).outlineStyle + getComputedStyle(one).outlineWidth") == "solid3px", (
            active
        )
        if active == "later":
            browser.press("Enter")
            assert browser.one("#block", "one.selectedOptions[0].textContent") == "levels.2.blocks.1 · attention"
            browser.press(" ")
            assert browser.one("#block", "one.value") == str(DEEPER)
        if active == "map":
            browser.set("#block", SCAN)
            for keys, place in (
                (["ArrowDown", "ArrowRight", "ArrowRight"], [3, 4]),
                (["ArrowUp", "ArrowLeft"], [2, 3]),
                (["Home"], [2, 0]),
                (["ArrowLeft"], [2, 0]),  # at the edge it stays
                (["End"], [2, 5]),
            ):
                browser.press(*keys)
                assert token(browser) == place
            assert readout(browser).startswith("Row 2, column 5, in the padding.")
        if active == "position":
            before = browser.one("#where", "one.textContent")
            browser.press("ArrowRight")
            assert browser.one("#where", "one.textContent") != before
    wanted = {"block", "later", "map", "row", "column", "play", "position", "direction", "others", "scale", "matrix", "SUMMARY"}
    assert wanted <= set(reached)


def test_another_level_keeps_the_place_on_the_picture(browser):
    browser.click("#map", **on_map(4, 2))
    browser.set("#block", DEEPER)  # tokens of 32 pixels
    assert token(browser) == [2, 1]
    browser.set("#block", SCAN)
    assert token(browser) == [4, 2]


def test_the_scan_plays_and_pauses(browser):
    browser.click("#map", **on_map(0, 0))
    browser.one("#map", "one.focus()")
    browser.press(" ")
    assert browser.one("#play", "one.textContent") == "Pause"
    assert browser.one("#readout", "one.getAttribute('aria-live')") == "off"
    browser.until("document.getElementById('play').textContent === 'Play'")  # it stops at the window's last token
    assert token(browser) == [1, 1]
    browser.click("#play")
    browser.until("document.getElementById('position').value === '1'")
    browser.click("#play")
    assert browser.one("#play", "one.textContent") == "Play"


def test_without_motion_it_goes_step_by_step(page):
    with Browser(still=True) as browser:
        browser.open(page)
        browser.click("#map", **on_map(0, 0))
        for place in ([0, 1], [1, 0], [1, 1], [0, 0]):
            browser.click("#play")
            assert token(browser) == place
        assert browser.one("#play", "one.textContent") == "Next token"


def pixel(browser, panel, x, y):
    """The colour on a panel's canvas at shares of its width and height."""
    with Image.open(io.BytesIO(base64.b64decode(pictures(browser)[panel + 1].partition(",")[2]))) as opened:
        return opened.getpixel((round(x * opened.width), round(y * opened.height)))


def test_the_map_of_the_state_fills_up_along_the_path(browser):
    panel = [label.startswith("State along") for label in labels(browser)].index(True)
    seen = []
    for t in range(4):
        browser.set("#position", t)
        seen.append(pixel(browser, panel, **on_map(1, 0)))  # position 2 of a window in which nothing is chosen
    assert seen[0] == seen[1]
    assert seen[1] != seen[2] == seen[3]


def test_squares_grow_with_the_weight(page, browser):
    """At seven tenths of the way from a token's middle to its edge there is a square only where the weight is large."""
    browser.set("#block", ATTENTION)
    browser.click("#map", **on_map(3, 2))
    windows = list(blocks_of(internals(tiny(), image())).values())[ATTENTION].windows
    window, t = windows.find(3, 2)
    heads = unpack(data_of(page)["blocks"][ATTENTION]["views"][0]["rows"][0])[:, window, t]
    share = heads / heads.max()
    browser.click("#others")
    assert (share > 0.9).any()
    assert (share < 0.3).any()
    for head, s in zip(*np.nonzero((share > 0.9) | (share < 0.3)), strict=True):
        middle = on_map(*windows.positions[window, s])
        edge = {"x": middle["x"] + 0.35 / 6 * 0.8, "y": middle["y"] + 0.35 / 6 * 0.8}
        assert (pixel(browser, head, **middle) == pixel(browser, head, **edge)) == (share[head, s] > 0.9)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_readable_at_any_width_dark_and_light(page, both, width, dark):
    for each in (page, both):
        with Browser(width, 800, dark=dark) as browser:
            browser.open(each)
            for index in (SCAN, ATTENTION):
                browser.set("#block", index)
                assert browser.run("document.documentElement.scrollWidth") <= width
                assert min(browser.all("canvas", "one.clientWidth")) >= 140
            assert min(browser.all("button, select, input", "one.offsetHeight")) >= 40
            browser.all("details", "(one.open = true)")
            assert browser.run("document.documentElement.scrollWidth") <= width
            worst = browser.run(CONTRAST)
            assert worst["contrast"] >= 4.5, worst
            assert (browser.one("body", "getComputedStyle(one).backgroundColor") == "rgb(20, 24, 30)") == dark
            assert_quiet(browser)


# The least of all texts' contrasts (WCAG 2, 1.4.3), each with the first ground below it that is not transparent.
CONTRAST = """
(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => sum + share * linear(colour[i] / 255), 0);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let worst = {contrast: 99};
  for (const one of document.body.querySelectorAll("*:not(script, noscript, option, :disabled)")) {
    const text = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || !one.offsetParent) continue;
    const [a, b] = [light(channels(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < worst.contrast) worst = {contrast: (a + 0.05) / (b + 0.05), text, tag: one.tagName};
  }
  return worst;
})()
"""


def test_two_models_share_their_scales(both):
    with Browser() as browser:
        browser.open(both)
        view = data_of(both)["blocks"][SCAN]["views"][0]
        browser.click("#map", **on_map(3, 2))
        window, t = tokens_of(list(blocks_of(internals(tiny(), image())).values())[SCAN]).find(3, 2)
        most = [shown(unpack(rows)[0, window, t, :t].max(), digits=3) for rows in view["rows"]]
        first = labels(browser)[:2]
        told = [number(label.partition("(")[2].rstrip(")")) for label in first]
        assert told == most
        assert number(browser.one(".bar span:last-child", "one.textContent")) == max(told)
        assert "Hidden attention, A:" in first[0]
        assert "Hidden attention, B:" in first[1]
        drawn = pictures(browser)
        assert drawn[1] != drawn[2]
        assert set(browser.all(".pair", "one.children.length")) == {2}
        browser.press("Tab")
        assert_quiet(browser)


def test_padding_that_a_model_leaves_out(both):
    """Model B masks its padding: there it has no state, and takes no step."""
    with Browser() as browser:
        browser.open(both)
        browser.click("#map", **on_map(5, 5))
        assert readout(browser).startswith("Row 5, column 5, in the padding.")
        assert readout(browser).endswith("‖h‖ none, mean Δ none.")
        assert_quiet(browser)


def test_small_weights_are_shown_on_request(browser):
    browser.click("#map", **on_map(3, 3))
    before = pictures(browser)
    browser.set("#scale", "root")
    assert pictures(browser)[1] != before[1]


def test_a_class_token_stands_above_the_picture(tmp_path):
    """Vim reads the whole map as one sequence: the same maps by click, by row -1, and by the arrays."""
    model = tiny_vim(class_token="double", dtype="float64")
    x = normal((1, 2, 12, 10), 4)
    page = write_explorer(tmp_path, [Subject("vim", model)], x, figures=False)
    scans = internals(model, x).routes["layers.0.mixer"]
    tokens = scans[0].tokens
    alphas = [hidden_attention_of(scans), *(hidden_attention_of([scan]) for scan in scans)]
    with Browser() as browser:
        browser.open(page)
        assert token(browser) == [1, 1]
        assert browser.one("#block", "one.selectedOptions[0].textContent") == "layers.0 · 2 scans"
        for row, column, name in ((2, 0, "Row 2, column 0"), (-1, 0, "Class token 1"), (-1, 1, "Class token 2")):
            browser.set("#row", row)
            browser.set("#column", column)
            assert readout(browser).startswith(f"{name}.")
            t = tokens.find(row, column)[1] if row >= 0 else [0, 10][column]
            assert browser.one("#position", "Number(one.value)") == t
            for label, alpha in zip(labels(browser), alphas, strict=False):
                links = abs(alpha[0, :, t]).mean(axis=0)
                links[t] = 0
                best = int(links.argmax())
                place = tuple(tokens.positions[0, best].tolist())
                named = f"class token {1 + best // 10}" if place[0] < 0 else f"row {place[0]}, column {place[1]}"
                assert f": most is taken from {named} (" in label if links.any() else label.endswith("from no other token")
        browser.click("#map", x=0.3, y=0.05)  # in the cells above the picture
        assert token(browser)[0] == -1
        browser.press("ArrowDown")
        assert token(browser)[0] == 0
        assert_quiet(browser)
