"""The checks of the built site find what they are for: each is given a page with one thing wrong."""

from __future__ import annotations

import pytest

from support.tolerance import near, shown

GOOD = """<!doctype html><html lang="en"><head><link rel="stylesheet" href="style.css"></head><body>
<a href="#top">Skip</a><h1 id="top">Title</h1><h2>Part</h2><h3>Small part</h3><h2>Part</h2>
<a href="other.html#there">other</a> <a href="https://arxiv.org/abs/2407.08083">a paper</a>
<img src="picture.png" alt="a picture"><figure><svg role="img" aria-label="a drawing"><g id="a"></g></svg></figure>
<button><svg></svg><span>Menu</span></button><label for="q">Search</label><input id="q">
</body></html>"""
OTHER = '<!doctype html><html lang="en"><body><h1 id="there">There</h1></body></html>'


@pytest.fixture
def site(tmp_path):
    """Writes a small site with one text in place of another; what is wrong with it."""
    from checks import pages

    def build(old="", new="", css="body { background: url(picture.png) }"):
        assert not old or old in GOOD
        (tmp_path / "index.html").write_text(GOOD.replace(old, new, 1) if old else GOOD, encoding="utf-8")
        (tmp_path / "other.html").write_text(OTHER, encoding="utf-8")
        (tmp_path / "style.css").write_text(css, encoding="utf-8")
        (tmp_path / "picture.png").write_bytes(b"")
        return list(pages.problems(tmp_path, pages.read_all(tmp_path)))

    return build


def test_a_good_site(site):
    assert site() == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("other.html#there", "other.html#here", "no anchor for other.html#here"),
        ("other.html#there", "gone.html", "no file for gone.html"),
        ("#top", "#bottom", "no anchor for #bottom"),
        ("picture.png", "gone.png", "no file for gone.png"),
        ("other.html#there", "/other.html", "begins at the root"),
        ("style.css", "https://cdn.example/style.css", "<link> asks cdn.example"),
        ("picture.png", "//cdn.example/picture.png", "<img> asks cdn.example"),
        ("<h1", '<script src="http://cdn.example/x.js"></script><h1', "<script> asks cdn.example"),
        ("<h1", '<p style="background: url(https://cdn.example/x.png)"></p><h1', "<p> asks cdn.example"),
        ("<h1", "<style>@import 'https://cdn.example/x.css';</style><h1", "<style> asks cdn.example"),
        (' alt="a picture"', "", "<img> picture.png has no alt text"),
        (' alt="a picture"', ' alt=" "', "<img> picture.png has no alt text"),
        (' aria-label="a drawing"', "", "<svg> in a figure without role and aria-label"),
        ("<h2>Part</h2>", "", "after a heading of level 1, 'Small part' has level 3"),
        ('<h1 id="top">Title</h1>', '<h2 id="top">Title</h2>', "0 headings of the first level"),
        ('<g id="a">', '<g id="top">', "the id top is given 2 times"),
        ("<span>Menu</span>", "", "<button> has no name"),
        (">other</a>", "></a>", "<a> has no name"),
        ('<label for="q">Search</label>', "", "<input> has no name"),
        ('<input id="q">', '<input id="q" tabindex="3">', "tabindex 3"),
        (' lang="en"', "", "<html> has no lang"),
    ],
)
def test_what_is_wrong_is_found(site, old, new, found):
    problems = site(old, new)
    assert any(found in problem for problem in problems), problems


def test_stylesheets(site):
    assert site(css="@font-face { src: url(https://cdn.example/f.woff2) }") == [
        "style.css: asks cdn.example for https://cdn.example/f.woff2"
    ]
    assert site(css="body { background: url('gone.png') }") == ["style.css: there is no gone.png"]


def test_weights(site, tmp_path, monkeypatch):
    """What is loaded at once counts, once each; what a reader has to scroll to does not."""
    from checks import pages, weights

    site("<h1", '<script src="a.js"></script><script src="a.js"></script><iframe src="frame.html"></iframe><h1')
    for name, size in {"a.js": 1000, "frame.html": 2000, "later.html": 4000, "style.css": 8000}.items():
        (tmp_path / name).write_bytes(b" " * size)
    index = (tmp_path / "index.html").resolve()
    own = index.stat().st_size
    assert weights.weight(pages.read(index)) == own + 1000 + 2000 + 8000
    index.write_text(index.read_text().replace("iframe src", "iframe data-src"))
    assert weights.weight(pages.read(index)) == index.stat().st_size + 1000 + 8000
    assert list(weights.problems(tmp_path, pages.read_all(tmp_path))) == []
    for limit, found in (
        ("FRONT", "index.html: weighs"),
        ("MOST", "later.html: weighs 4 kB, more than 4"),
        ("SITE", "the site has"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(weights, limit, 3999)
            assert any(problem.startswith(found) for problem in weights.problems(tmp_path, pages.read_all(tmp_path)))


def test_contrast():
    """Black on white, and the two greys on either side of the limit: #767676 has 4.54, #777777 has 4.48."""
    from checks.contrast import contrast

    assert contrast("#000", "#ffffff") == near(21)
    assert contrast("#ffffff", "#fff") == 1
    assert contrast("#767676", "#ffffff") == shown(4.54, decimals=2)
    assert contrast("#ffffff", "#777777") == shown(4.48, decimals=2)


@pytest.fixture
def colours(tmp_path):
    """A site with a stylesheet for every colour that is looked at: dark on light by day, light on dark by night."""
    from checks import contrast

    names = {name: "#222222" for text, ground, _ in contrast.PAIRS for name in (text, ground)}
    names |= {ground: "#ffffff" for _, ground, _ in contrast.PAIRS}
    night = {name: {"#222222": "#dddddd", "#ffffff": "#111111"}[colour] for name, colour in names.items()}

    def build(day=None, dark=None, code="#333333"):
        def rule(selector, found):
            return f"{selector} {{ {' '.join(f'{name}: {colour};' for name, colour in found.items())} }}\n"

        (tmp_path / "_static" / "styles").mkdir(parents=True, exist_ok=True)
        sheet = rule("body", {**names, **(day or {})}) + rule('body[data-theme="dark"]', {**night, **(dark or {})})
        (tmp_path / "_static" / "styles" / "furo.css").write_text(sheet, encoding="utf-8")
        (tmp_path / "_static" / "site.css").write_text("", encoding="utf-8")
        dark_code = 'body[data-theme="dark"] .highlight { background: #111; color: #eee }\n'
        (tmp_path / "_static" / "pygments.css").write_text(
            f".highlight {{ background: #f2f2f2; color: #111 }}\n.highlight .k {{ color: {code} }} /* Keyword */\n{dark_code}"
        )
        return list(contrast.problems(tmp_path))

    return build


def test_contrast_of_a_site(colours):
    assert colours() == []
    assert "--color-brand-content #bbbbbb on" in "".join(colours(day={"--color-brand-content": "#bbbbbb"}))
    assert "dark: --fig-ink #333333 on" in "".join(colours(dark={"--fig-ink": "#333333"}))
    assert colours(day={"--color-brand-content": "var(--fig-ink)"}) == []
    assert "light: .highlight .k #999999" in "".join(colours(code="#999999"))


def test_command(tmp_path, capsys):
    from check_site import main

    assert main([str(tmp_path)]) == 2
    assert "usage" in capsys.readouterr().err
