"""The explorer's page: what is on it, and what is refused: mvnp/visualize/pages/explorer/page.py, figures.py and data.py."""

import base64
import io
import math
import os

import numpy as np
import pytest
from PIL import Image

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.internals import internals
from mvnp.visualize.pages.explorer import Subject, data, figures, write_explorer
from mvnp.visualize.pages.explorer.blocks import size_of
from mvnp.visualize.pages.explorer.data import blocks_of
from mvnp.visualize.pages.explorer.figures import ENTRIES, how_to_read
from mvnp.visualize.pages.explorer.packing import unpack
from support.checks import normal
from support.explorer import assert_sound, data_of
from support.figures import image
from support.tiny import tiny
from support.tiny_vim import tiny_vim

EVIL = "\"><!--<script>alert('$title')</script>&lt;"


def test_a_page_is_sound(tmp_path):
    page = write_explorer(tmp_path / "new" / "folder", [Subject("tiny", tiny())], image(), figures=False)
    assert page == tmp_path / "new" / "folder" / "visualize.html"
    read = assert_sound(page)
    assert ("h1", "Inside MambaVision: an image") in read.headings
    assert {"class 0", "class 1", "class 2"} <= set(read.words)


def frames_of(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2]))) as opened:
        return opened.n_frames


@pytest.mark.slow(reason="draws every figure there is, each in three sizes; each has a test of its own")
def test_it_has_all_figures(tmp_path):
    said = []
    read = assert_sound(write_explorer(tmp_path, [Subject("tiny", tiny())], image(), say=said.append))
    headings = [text for _, text in read.headings]
    assert [entry.title for entry in ENTRIES] == [text for text in headings if text in {entry.title for entry in ENTRIES}]
    assert len(read.all("img")) == len(ENTRIES)
    still = [source["media"] for source in read.all("source") if "reduced-motion" in source["media"]]
    assert still == ["(max-width: 40rem) and (prefers-reduced-motion: reduce)", "(prefers-reduced-motion: reduce)"]
    assert len(read.all("source")) == len(ENTRIES) + len(still)
    moving = [picture["alt"] for picture in read.all("img") if frames_of(picture["src"]) > 1]
    assert moving == ["A scan in motion: the state of each token as the scan reads it, and all states"]
    for entry in ENTRIES:
        assert how_to_read(entry.draw) in read.words
    assert said == [
        "running tiny",
        "working out what each token takes from each",
        *(f"drawing {entry.title}" for entry in ENTRIES),
    ]


@pytest.mark.parametrize(
    ("model", "channels", "words"),
    [
        (lambda: tiny(), 3, ("so the grid begins half a token outside the picture. Lines are the borders of windows", "")),
        (lambda: tiny_vim(), 2, ("that it is centred on. A cell above the picture is a class token.", "Lines are")),
        (lambda: tiny_vim(class_token=None), 2, ("the pixel that it is centred on.", "class token")),
    ],
    ids=["MambaVision", "Vim", "Vim without class token"],
)
def test_where_tokens_stand_is_said_of_this_model(tmp_path, model, channels, words):
    """No windows, half tokens and class tokens where there are none."""
    x = image() if channels == 3 else normal((1, 2, 12, 10), 4).astype("float32")
    read = assert_sound(write_explorer(tmp_path, [Subject("it", model())], x, figures=False))
    there, not_there = words
    said = " ".join(" ".join(read.words).split())
    assert there in said
    assert not not_there or not_there not in said


def test_figures_of_classes_need_a_head(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "ENTRIES", tuple(entry for entry in ENTRIES if entry.title in ("GradCAM", "First filters")))
    write_explorer(tmp_path, [Subject("tiny", tiny(num_classes=0))], image())
    headings = [text for _, text in assert_sound(tmp_path / "visualize.html").headings]
    assert "First filters" in headings
    assert "GradCAM" not in headings


def test_all_text_is_escaped(tmp_path):
    subjects = [Subject(EVIL, tiny(), (EVIL, "b", "c")), Subject("second", tiny())]
    page = write_explorer(tmp_path, subjects, image(), name=EVIL, figures=False)
    read = assert_sound(page)
    assert len(read.all("script")) == 2
    assert f"Inside MambaVision: {EVIL}" in read.words
    assert f"A: {EVIL}" in read.words
    assert EVIL in read.words
    assert data_of(page)["names"] == [EVIL, "second"]


def test_two_models(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "ENTRIES", ENTRIES[:1])
    subjects = [Subject("before", tiny(seed=3)), Subject("after", tiny())]
    page = write_explorer(tmp_path, subjects, image(), block="levels.3.blocks.1", query=(0, 2))
    read, data = assert_sound(page), data_of(page)
    assert data["start"] == {"block": 3, "row": 0, "column": 2}
    assert len(read.all("img")) == 2
    for position, subject in enumerate(subjects):
        record = internals(subject.model, image()).attentions["levels.2.blocks.1.mixer"]
        rows = unpack(data["blocks"][1]["views"][0]["rows"][position])
        np.testing.assert_allclose(rows[1], record.weights[:, 0], atol=1 / 255 / 2 + 1e-6)  # half a level, of a weight below 1


def test_large_windows(tmp_path, monkeypatch):
    """Single heads and groups of channels are the first to be left out; where that does not help, the page is refused."""
    thin = sum(size_of(record, whole=False) for record in blocks_of(internals(tiny(), image())).values())
    monkeypatch.setattr(data, "THINNED", thin)
    page = write_explorer(tmp_path, [Subject("tiny", tiny())], image(), figures=False)
    scan, attention = data_of(page)["blocks"][:2]
    assert [view["title"] for view in scan["views"]] == ["Hidden attention", "Hidden attention, signed", "Rollout up to here"]
    assert attention["views"][0]["labels"] == attention["tokens"][0]["labels"] == ["mean of the heads"]
    assert sum(math.prod(view["rows"][0]["shape"]) for block in data_of(page)["blocks"] for view in block["views"]) == thin
    page.unlink()
    monkeypatch.setattr(data, "REFUSED", thin - 1)
    with pytest.raises(InputError, match="windows of 2x2 tokens are too large for that"):
        write_explorer(tmp_path, [Subject("tiny", tiny())], image(), figures=False)
    assert list(tmp_path.iterdir()) == []


def test_wrong_input(tmp_path):
    model = tiny()
    for options, message in (
        ({"block": "levels.2.blocks.7"}, "unknown block 'levels.2.blocks.7"),
        ({"query": (5, 0)}, r"token \(5, 0\) is not on the map of 5x5 tokens"),
    ):
        with pytest.raises(InputError, match=message):
            write_explorer(tmp_path, [Subject("tiny", model)], image(), **options)
    with pytest.raises(InputError, match="0 models were given, expected one or two"):
        write_explorer(tmp_path, [], image())
    with pytest.raises(InputError, match="not finite"):
        write_explorer(tmp_path, [Subject("tiny", model)], np.full_like(image(), np.nan))
    model.norm.weight.data = np.inf * model.norm.weight.data
    with pytest.raises(InputError, match="tiny gives no finite numbers for this image"):
        write_explorer(tmp_path, [Subject("tiny", model)], image())
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_name_is_no_text(tmp_path):
    page = write_explorer(tmp_path, [Subject("tiny\udcff", tiny())], image(), name="\udcff.png", figures=False)
    assert ("h1", "Inside MambaVision: \\udcff.png") in assert_sound(page).headings


def test_the_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "visualize.html").write_text("the old one", encoding="utf-8")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_explorer(tmp_path, [Subject("tiny", tiny())], image(), figures=False)
    assert (tmp_path / "visualize.html").read_text(encoding="utf-8") == "the old one"
    assert len(list(tmp_path.iterdir())) == 1


def test_on_the_stand_in_for_cupy(strict_cupy, tmp_path):
    page = write_explorer(tmp_path, [Subject("tiny", tiny())], from_numpy(image().astype(np.float32)), figures=False)
    assert_sound(page)
