"""The explorer's page: what is on it, and that its numbers are the arrays': mvnp/visualize/explorer/{data,figures,page}.py."""

import os

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.explorer import Subject, figures, write_explorer
from mvnp.visualize.explorer.data import blocks_of
from mvnp.visualize.explorer.figures import ENTRIES, how_to_read
from mvnp.visualize.explorer.packing import unpack
from mvnp.visualize.internals import ScanRecord, internals
from mvnp.visualize.scan_state import states_by_timescale
from support.explorer import assert_sound, data_of
from support.figures import image
from support.tiny import tiny

EVIL = "\"><script>alert('$title')</script>&lt;"


@pytest.fixture(scope="module", params=["visible", "masked"])
def written(request, tmp_path_factory):
    """A page, and what its model did."""
    model, folder = tiny(padding=request.param), tmp_path_factory.mktemp("page") / "new"
    page = write_explorer(folder, [Subject("tiny", model)], image(), figures=False)
    assert page == folder / "visualize.html"
    return page, blocks_of(internals(model, image()))


def test_a_page_is_sound(written):
    read = assert_sound(written[0])
    assert ("h1", "Inside MambaVision: an image") in read.headings
    assert {"class 0", "class 1", "class 2"} <= set(read.words)


def test_it_has_all_figures(tmp_path):
    said = []
    read = assert_sound(write_explorer(tmp_path, [Subject("tiny", tiny())], image(), say=said.append))
    headings = [text for _, text in read.headings]
    assert [entry.title for entry in ENTRIES] == [text for text in headings if text in {entry.title for entry in ENTRIES}]
    assert len(read.all("img")) == len(read.all("source")) == len(ENTRIES)
    for entry in ENTRIES:
        assert how_to_read(entry.draw) in read.words
    assert said == ["running tiny", *(f"drawing {entry.title}" for entry in ENTRIES)]


def test_figures_of_classes_need_a_head(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "ENTRIES", tuple(entry for entry in ENTRIES if entry.title in ("GradCAM", "First filters")))
    write_explorer(tmp_path, [Subject("tiny", tiny(num_classes=0))], image())
    headings = [text for _, text in assert_sound(tmp_path / "visualize.html").headings]
    assert "First filters" in headings
    assert "GradCAM" not in headings


def test_its_blocks_are_the_models(written):
    data, records = data_of(written[0]), written[1]
    paths = [f"levels.{level}.blocks.{number}" for level in (2, 3) for number in (0, 1)]
    assert [block["path"] for block in data["blocks"]] == paths
    for block, record in zip(data["blocks"], records.values(), strict=True):
        windows = record.windows
        assert [block[key] for key in ("H", "W", "P", "stride")] == [windows.H, windows.W, windows.P, windows.stride]
    assert data["start"] == {"block": 0, "row": 2, "column": 2}
    assert data["names"] == ["tiny"]


def close(packed, expected):
    """Within half a step of each row's own scale; float32 where they are few."""
    values = unpack(packed)
    assert values.shape == expected.shape
    if packed["kind"] == "float32":
        np.testing.assert_array_equal(values, expected.astype(np.float32))
        return
    levels = {"uint8": 255, "int8": 127}[packed["kind"]]
    assert (abs(values - expected) <= abs(expected).max(axis=-1, keepdims=True) * 0.501 / levels + 1e-30).all()


def test_its_numbers_are_the_arrays(written):
    data, records = data_of(written[0]), written[1]
    for block, record in zip(data["blocks"], records.values(), strict=True):
        views = {view["title"]: view["rows"][0] for view in block["views"]}
        tokens = {quantity["title"]: quantity["values"][0] for quantity in block["tokens"]}
        rollout = unpack(views["Rollout up to here"])
        np.testing.assert_allclose(rollout.sum(axis=-1), 1.0, atol=0.02)
        if not isinstance(record, ScanRecord):
            heads = np.moveaxis(record.weights, 1, 0)
            close(views["Attention"], np.concatenate([heads.mean(axis=0)[None], heads]))
            spread = -(heads * np.log(np.maximum(heads, 1e-30))).sum(axis=-1)
            expected = np.concatenate([spread.mean(axis=0)[None], spread])
            np.testing.assert_allclose(unpack(tokens["Entropy"]), expected, rtol=1e-6, atol=1e-6)
            assert block["states"] is None
            continue
        alpha = hidden_by_loop(record)
        close(views["Hidden attention"], abs(alpha).mean(axis=1)[None])
        close(views["Hidden attention, signed"], alpha.mean(axis=1)[None])
        passed_over = ~record.delta.any(axis=-1)
        close(tokens["State along the scan"], np.where(passed_over, np.nan, np.sqrt((record.states**2).sum(axis=(2, 3))))[None])
        close(tokens["Step size"], np.where(passed_over, np.nan, record.delta.mean(axis=-1))[None])
        lines, timescale = states_by_timescale(record)
        close(block["states"]["lines"][0], lines)
        close(block["states"]["timescale"][0], timescale)


def hidden_by_loop(scan):
    """α (nW, D, L, L) from its definition, one product after the other."""
    windows, L, D = scan.x.shape
    alpha = np.zeros((windows, D, L, L))
    for t in range(L):
        for s in range(t + 1):
            carried = np.prod(scan.decay[:, s + 1 : t + 1], axis=1)
            written = scan.delta[:, s, :, None] * scan.B[:, s, None, :]
            alpha[:, :, t, s] = (scan.C[:, t, None, :] * carried * written).sum(axis=-1)
    return alpha


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
        np.testing.assert_allclose(rows[1], record.weights[:, 0], atol=0.003)


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
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "visualize.html").write_text("the old one")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_explorer(tmp_path, [Subject("tiny", tiny())], image(), figures=False)
    assert (tmp_path / "visualize.html").read_text() == "the old one"
    assert len(list(tmp_path.iterdir())) == 1


def test_on_the_stand_in_for_cupy(strict_cupy, tmp_path):
    page = write_explorer(tmp_path, [Subject("tiny", tiny())], from_numpy(image().astype(np.float32)), figures=False)
    assert_sound(page)
