"""The page: mvnp/visualize/pages/report.py."""

import os

import pytest
from matplotlib.figure import Figure

from mvnp.visualize.pages.report import Page, Picture, Section, write_page
from support.web import assert_sound


def figure():
    made = Figure(figsize=(1, 0.5))
    made.subplots().plot([1, 2])
    return made


def page(text="plain"):
    picture = Picture("one", figure(), figure(), alt=f"alt {text}", reading=f"reading {text}")
    section = Section(f"heading {text}", [f"paragraph {text}"], [picture], [f"command {text}", "second"])
    return Page(f"title {text}", f"lead {text}", [("7", f"fact {text}")], [section, Section("last")], f"footer {text}")


def test_a_page_is_sound(tmp_path):
    assert write_page(tmp_path / "new", page()) == tmp_path / "new" / "index.html"
    read = assert_sound(tmp_path / "new")
    assert read.headings == [("h1", "title plain"), ("h2", "heading plain"), ("h2", "last")]
    assert sorted(path.name for path in (tmp_path / "new" / "pictures").iterdir()) == ["one-narrow.png", "one.png"]


def test_all_text_is_escaped(tmp_path):
    evil = "\"><script>alert('$title')</script>&lt;"
    write_page(tmp_path, page(evil))
    read = assert_sound(tmp_path)
    words = "".join(read.words)
    for name in ("title", "lead", "heading", "paragraph", "reading", "command", "fact", "footer"):
        assert f"{name} {evil}" in words
    assert read.all("img")[0]["alt"] == f"alt {evil}"


def test_control_characters_are_shown_as_escapes(tmp_path):
    write_page(tmp_path, page("\x1b[31m \u202e \x07 \ud800 é"))
    content = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not set(content) & {"\x1b", "\u202e", "\x07", "\r"}
    read = assert_sound(tmp_path)
    words = "".join(read.words)
    for name in ("title", "lead", "heading", "paragraph", "reading", "command", "fact", "footer"):
        assert f"{name} \\x1b[31m \\u202e \\x07 \\ud800 é" in words
    assert read.all("img")[0]["alt"].startswith("alt \\x1b[31m")


def test_again_into_the_same_folder(tmp_path):
    write_page(tmp_path, page("old"))
    (tmp_path / "pictures" / ".one.png.1-abc.mvnp-tmp").write_bytes(b"left by a killed run")
    write_page(tmp_path, page("new"))
    assert ("h1", "title new") in assert_sound(tmp_path).headings


def test_the_page_comes_after_its_pictures(tmp_path, monkeypatch):
    replaced = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (replaced.append(target.name), replace(source, target)))
    write_page(tmp_path, page())
    assert replaced == ["one.png", "one-narrow.png", "index.html"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        write_page(tmp_path / "file", page())
