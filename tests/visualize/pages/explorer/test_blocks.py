"""What the page is given of each block: mvnp/visualize/pages/explorer/blocks.py and data.py. The numbers are the arrays."""

import json

import numpy as np
import pytest

from mvnp import VMamba
from mvnp.errors import InputError
from mvnp.visualize import AttentionRecord, hidden_attention_of, internals
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.scan_state import states_by_timescale
from mvnp.visualize.arrays.token_to_token import tokens_of
from mvnp.visualize.pages.explorer import blocks, data
from mvnp.visualize.pages.explorer.data import blocks_of, explorer_data
from mvnp.visualize.pages.explorer.packing import unpack
from support.checks import normal
from support.figures import image
from support.randomise import randomised
from support.tiny import tiny
from support.tiny_vim import tiny_vim
from support.tolerance import assert_close


@pytest.fixture(scope="module", params=["visible", "masked"])
def given(request):
    """The page's data, and the records that they were made from."""
    seen = internals(tiny(padding=request.param), image())
    return json.loads(json.dumps(explorer_data(["tiny"], [seen], as_picture(image()), None, None))), blocks_of(seen)


def test_its_blocks_are_the_models(given):
    data, records = given
    paths = [f"levels.{level}.blocks.{number}" for level in (2, 3) for number in (0, 1)]
    assert [block["path"] for block in data["blocks"]] == paths
    for block, record in zip(data["blocks"], records.values(), strict=True):
        windows = tokens_of(record)
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


def test_its_numbers_are_the_arrays(given):
    data, records = given
    for block, record in zip(data["blocks"], records.values(), strict=True):
        views = {view["title"]: view["rows"][0] for view in block["views"]}
        tokens = {quantity["title"]: quantity["values"][0] for quantity in block["tokens"]}
        rollout = unpack(views["Rollout up to here"])
        half = rollout.max(axis=-1) / 255 / 2  # a level, of each number
        assert (abs(rollout.sum(axis=-1) - 1) <= 1.001 * half * rollout.shape[-1]).all()
        if isinstance(record, AttentionRecord):
            heads = np.moveaxis(record.weights, 1, 0)
            close(views["Attention"], np.concatenate([heads.mean(axis=0)[None], heads]))
            spread = -(heads * np.log(np.maximum(heads, 1e-30))).sum(axis=-1)
            expected = np.concatenate([spread.mean(axis=0)[None], spread])
            assert_close(unpack(tokens["Entropy"]), expected, terms=1, scale=1.0, dtype="float32")
            assert block["states"] is None
            continue
        (record,) = record
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


WHOLE_MAPS = {
    "vim": tiny_vim(dtype="float64"),
    "vim, both ends": tiny_vim(class_token="double"),
    "vim in pairs": tiny_vim(directions="paired", depth=4),
    "vmamba": randomised(VMamba(dims=(8, 6), depths=(1, 2), in_chans=2, num_classes=3), seed=3),
}


@pytest.mark.parametrize("name", WHOLE_MAPS)
def test_whole_maps_and_all_their_scans(name):
    model = WHOLE_MAPS[name]
    x = normal((1, 2, *(model.image_size or (40, 50))), 4)
    seen = internals(model, x)
    data = json.loads(json.dumps(explorer_data([name], [seen], as_picture(x), None, (1, 2))))
    assert data["paths"] == list(seen.routes)
    assert (data["left_out"], data["start"]) == ([], {"block": 0, "row": 1, "column": 2})
    for block, scans in zip(data["blocks"], seen.routes.values(), strict=True):
        tokens, names = scans[0].tokens, [scan.route for scan in scans]
        assert [block[key] for key in ("H", "W", "P", "stride", "offset")] == [
            *(tokens.H, tokens.W, None, tokens.stride, tokens.offset)
        ]
        assert block["order"] == list(tokens.order)
        views = {view["title"]: view for view in block["views"]}
        each = [hidden_attention_of([scan]) for scan in scans]
        several = len(scans) > 1
        assert views["Hidden attention"]["labels"] == (["all scans", *names] if several else [""])
        alphas = [hidden_attention_of(scans), *(each if several else [])]
        close(views["Hidden attention"]["rows"][0], np.stack([abs(alpha).mean(axis=1) for alpha in alphas]))
        close(views["Hidden attention, signed"]["rows"][0], alphas[0].mean(axis=1)[None])
        assert ("Rollout up to here" in views) == (name != "vim in pairs")
        norms = next(quantity for quantity in block["tokens"] if quantity["short"] == "‖h‖")
        assert (norms["labels"], norms["along"]) == (names, not several)
        for scan, values in zip(scans, unpack(norms["values"][0])[:, 0], strict=True):
            expected = np.sqrt((scan.states[0] ** 2).sum(axis=(1, 2)))
            assert_close(values[scan.order], expected, terms=scan.states[0, 0].size, dtype="float32")


def test_long_sequences_are_left_out(monkeypatch):
    model = WHOLE_MAPS["vmamba"]
    x = normal((1, 2, 40, 50), 4)
    seen = internals(model, x)
    monkeypatch.setattr(data, "LONGEST", 100)
    found = explorer_data(["it"], [seen], as_picture(x), None, None)
    assert found["left_out"] == ["layers.0.blocks.0"]
    assert [block["path"] for block in found["blocks"]] == ["layers.1.blocks.0", "layers.1.blocks.1"]
    monkeypatch.setattr(data, "LONGEST", 10)
    with pytest.raises(InputError, match="no block of this model has sequences of at most 10 tokens"):
        explorer_data(["it"], [seen], as_picture(x), None, None)


def test_many_states_are_thinned(monkeypatch):
    monkeypatch.setattr(blocks, "LINES", 5)
    scans = internals(WHOLE_MAPS["vim"], normal((1, 2, 12, 10), 4)).routes["layers.0.mixer"]
    states = blocks.describe("layers.0.mixer", scans, None, whole=True)["states"]
    lines, timescale = states_by_timescale(scans[0])
    assert len(lines) == 24
    close(states["lines"], lines[::5])
    close(states["timescale"], timescale[::5])
    assert states["reading"].endswith("Of 24 states every 5th is drawn.")
    assert states["title"] == "All states along the scan: there"
