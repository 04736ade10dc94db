"""The explorer's page in Chromium: clicks, keys, the slider; a phone's width, dark and light; nothing is asked of the network."""

import re

import numpy as np
import pytest

from mvnp.visualize.explorer import Subject, write_explorer
from mvnp.visualize.explorer.data import blocks_of
from mvnp.visualize.explorer.packing import unpack
from mvnp.visualize.internals import internals
from support.browser import Browser, find_chromium
from support.explorer import data_of
from support.figures import image
from support.tiny import tiny

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium on this machine (Debian: apt-get install chromium; or set CHROMIUM to its path)"
)

SCAN, ATTENTION = 0, 1  # the first blocks of the page, levels.2.blocks.0 and levels.2.blocks.1


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_explorer(tmp_path_factory.mktemp("one"), [Subject("tiny", tiny(), ("cat", "dog", "sea"))], image())


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    subjects = [Subject("before", tiny()), Subject("after", tiny(seed=2, num_heads=(1, 1, 2, 2)))]
    return write_explorer(tmp_path_factory.mktemp("two"), subjects, image())


@pytest.fixture
def browser(page):
    with Browser() as opened:
        opened.open(page)
        yield opened
        assert_quiet(opened)


def assert_quiet(browser):
    assert browser.errors == []
    elsewhere = [address for address in browser.requests if not address.startswith(("file://", "data:"))]
    assert elsewhere == []
    assert sum(address.startswith("file://") for address in browser.requests) == 1  # the page itself


def choose_block(browser, index):
    browser.run(f"(() => {{ const s = document.getElementById('block'); s.value = '{index}'; s.dispatchEvent(new Event('change')); }})()")
    browser.settle()


def token(browser):
    return [int(browser.run(f"document.getElementById('{name}').value")) for name in ("row", "column")]


def pictures(browser):
    return browser.run("[...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL())")


def labels(browser):
    return browser.run("[...document.querySelectorAll('#panels canvas')].map((canvas) => canvas.getAttribute('aria-label'))")


def on_map(row, column):
    """Where a token of the padded map of 6x6 is, as shares of the main picture's sides."""
    return {"x": (column + 0.5) / 6, "y": (row + 0.5) / 6}


def test_a_click_on_a_token_changes_the_maps(browser):
    assert token(browser) == [2, 2]
    before = pictures(browser)
    browser.click("#map", **on_map(3, 1))
    assert token(browser) == [3, 1]
    assert browser.run("document.getElementById('readout').textContent").startswith("Row 3, column 1.")
    after = pictures(browser)
    assert len(after) == len(before)
    assert all(now != then for now, then in zip(after, before, strict=True))
    browser.click("#panels canvas", **on_map(2, 2))  # the panels take clicks too
    assert token(browser) == [2, 2]
    assert pictures(browser) == before


@pytest.mark.parametrize("index", [SCAN, ATTENTION])
def test_every_token_is_told_as_the_page_s_data_has_it(page, browser, index):
    """The script's own decoding and geometry, in both directions, against Python's."""
    block = data_of(page)["blocks"][index]
    windows = list(blocks_of(internals(tiny(), image())).values())[index].windows
    choose_block(browser, index)
    for direction in ("from", "by"):
        browser.run(f"(() => {{ const s = document.getElementById('direction'); s.value = '{direction}'; s.dispatchEvent(new Event('change')); }})()")
        for row, column in ((0, 0), (3, 2), (4, 4), (1, 3)):
            browser.click("#map", **on_map(row, column))
            window, t = windows.find(row, column)
            expected = []
            for view in block["views"]:
                for rows in unpack(view["rows"][0]):
                    taken = rows[window, t] if direction == "from" else rows[window, :, t]
                    best = abs(taken).argmax()
                    expected.append((*windows.positions[window, best], taken[best]))
            told = [re.fullmatch(r".*: (?:most is taken from|taken most by) row (\d+), column (\d+): (\S+)", label) for label in labels(browser)]
            told = [match.groups() for match in told if match]
            assert len(told) == len(expected)
            for (its_row, its_column, value), (wanted_row, wanted_column, wanted) in zip(told, expected, strict=True):
                assert number(value) == pytest.approx(wanted, rel=6e-3)
                assert (int(its_row), int(its_column)) == (wanted_row, wanted_column)


def number(text):
    """0.0123, −0.5, 9.4·10⁻⁵ as the page writes them."""
    digits, _, exponent = text.replace("−", "-").partition("·10")
    return float(digits) * 10.0 ** int(exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


def test_by_keyboard_alone(browser):
    reached = []
    for _ in range(40):
        browser.press("Tab")
        active = browser.run("document.activeElement.id || document.activeElement.tagName")
        if active in reached:
            break
        reached.append(active)
        outline = browser.run("getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "solid3px", active
        if active == "map":
            choose_block(browser, SCAN)
            browser.press("ArrowDown", "ArrowRight", "ArrowRight")
            assert token(browser) == [3, 4]
            browser.press("ArrowUp", "ArrowLeft")
            assert token(browser) == [2, 3]
            browser.press("Home")
            assert token(browser) == [2, 0]
            browser.press("ArrowLeft")  # at the edge it stays
            assert token(browser) == [2, 0]
            browser.press("End")
            assert token(browser) == [2, 5]
            assert "in the padding" in browser.run("document.getElementById('readout').textContent")
        if active == "later":
            browser.press("Enter")
            assert browser.run("document.getElementById('block').selectedOptions[0].textContent") == "levels.2.blocks.1 · attention"
            browser.press(" ")
            assert browser.run("document.getElementById('block').value") == "2"
        if active == "position":
            before = browser.run("document.getElementById('where').textContent")
            browser.press("ArrowLeft" if browser.run("document.getElementById('position').value") != "0" else "ArrowRight")
            assert browser.run("document.getElementById('where').textContent") != before
    assert {"block", "later", "map", "row", "column", "play", "position", "direction", "scale", "matrix", "SUMMARY"} <= set(reached)


def test_another_level_keeps_the_place_on_the_picture(browser):
    browser.click("#map", **on_map(4, 2))
    choose_block(browser, 2)  # level 3: tokens of 32 pixels
    assert token(browser) == [2, 1]
    choose_block(browser, SCAN)
    assert token(browser) == [4, 2]


def test_the_scan_plays_and_pauses(browser):
    browser.click("#map", **on_map(0, 0))
    browser.run("document.getElementById('map').focus()")
    browser.press(" ")
    assert browser.run("document.getElementById('play').textContent") == "Pause"
    assert browser.run("document.getElementById('readout').getAttribute('aria-live')") == "off"
    browser.until("document.getElementById('position').value === '3'")  # the window's last token: it stops by itself
    browser.until("document.getElementById('play').textContent === 'Play'")
    assert token(browser) == [1, 1]
    browser.click("#play")
    browser.until("document.getElementById('position').value === '1'")
    browser.click("#play")
    assert browser.run("document.getElementById('play').textContent") == "Play"


def test_without_motion_it_goes_step_by_step(page):
    with Browser(still=True) as browser:
        browser.open(page)
        browser.click("#map", **on_map(0, 0))
        for place in ([0, 1], [1, 0], [1, 1], [0, 0]):
            browser.click("#play")
            assert token(browser) == place
        assert browser.run("document.getElementById('play').textContent") == "Next token"


def test_the_path_fills_the_map_of_the_state(browser):
    """‖h‖ is drawn for tokens up to the chosen position: the panel changes with it, in every window at once."""
    choose_position = "(() => {{ const s = document.getElementById('position'); s.value = {}; s.dispatchEvent(new Event('input')); }})()"
    panel = [label.startswith("State along") for label in labels(browser)].index(True) + 1
    seen = []
    for t in range(4):
        browser.run(choose_position.format(t))
        browser.settle()
        seen.append(pictures(browser)[panel])
    assert len(set(seen)) == 4


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_readable_at_any_width_dark_and_light(page, both, width, dark):
    for each in (page, both):
        with Browser(width, 800, dark=dark) as browser:
            browser.open(each)
            for index in (SCAN, ATTENTION):
                choose_block(browser, index)
                assert browser.run("document.documentElement.scrollWidth") <= width
                assert browser.run("Math.min(...[...document.querySelectorAll('canvas')].map((canvas) => canvas.clientWidth))") >= 140
            assert browser.run("Math.min(...[...document.querySelectorAll('button, select, input')].map((one) => one.offsetHeight))") >= 40
            browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert browser.run("document.documentElement.scrollWidth") <= width
            worst = browser.run(CONTRAST)
            assert worst["contrast"] >= 4.5, worst
            ground = browser.run("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(20, 24, 30)") == dark
            assert_quiet(browser)


# WCAG's contrast of each text with the first ground that is not transparent below it, and the least of all.
CONTRAST = """
(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let worst = {contrast: 99};
  for (const one of document.body.querySelectorAll("*")) {
    const text = [...one.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()).map((node) => node.data).join(" ");
    if (!text || one.matches("script, noscript, :disabled, option") || !one.offsetParent) continue;
    const [a, b] = [light(channels(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < worst.contrast) worst = {contrast, text, tag: one.tagName};
  }
  return worst;
})()
"""


def test_two_models_share_their_scales(both):
    with Browser() as browser:
        browser.open(both)
        view = data_of(both)["blocks"][SCAN]["views"][0]
        windows = list(blocks_of(internals(tiny(), image())).values())[SCAN].windows
        browser.click("#map", **on_map(3, 2))
        window, t = windows.find(3, 2)
        most = [unpack(rows)[0, window, t].max() for rows in view["rows"]]
        assert number(browser.run("document.querySelector('.bar span:last-child').textContent")) == pytest.approx(max(most), rel=6e-3)
        first = labels(browser)[:2]
        assert [number(label.split()[-1]) for label in first] == pytest.approx(most, rel=6e-3)
        assert "Hidden attention, A:" in first[0]
        assert "Hidden attention, B:" in first[1]
        a, b = pictures(browser)[1:3]
        assert a != b
        assert np.unique(browser.run("[...document.querySelectorAll('.pair')].map((one) => one.children.length)")).tolist() == [2]
        assert_quiet(browser)


def test_small_weights_are_shown_on_request(browser):
    browser.click("#map", **on_map(3, 3))
    before = pictures(browser)
    browser.run("(() => { const s = document.getElementById('scale'); s.value = 'root'; s.dispatchEvent(new Event('change')); })()")
    browser.settle()
    assert pictures(browser)[1] != before[1]
