"""What the page is given of each block: mvnp/visualize/pages/explorer/blocks.py and data.py. The numbers are the arrays."""

import json

import numpy as np
import pytest

from mvnp.visualize.arrays.internals import ScanRecord, internals
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.scan_state import states_by_timescale
from mvnp.visualize.pages.explorer.data import blocks_of, explorer_data
from mvnp.visualize.pages.explorer.packing import unpack
from support.figures import image
from support.tiny import tiny
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


def test_its_numbers_are_the_arrays(given):
    data, records = given
    for block, record in zip(data["blocks"], records.values(), strict=True):
        views = {view["title"]: view["rows"][0] for view in block["views"]}
        tokens = {quantity["title"]: quantity["values"][0] for quantity in block["tokens"]}
        rollout = unpack(views["Rollout up to here"])
        half = rollout.max(axis=-1) / 255 / 2  # a level, of each number
        assert (abs(rollout.sum(axis=-1) - 1) <= 1.001 * half * rollout.shape[-1]).all()
        if not isinstance(record, ScanRecord):
            heads = np.moveaxis(record.weights, 1, 0)
            close(views["Attention"], np.concatenate([heads.mean(axis=0)[None], heads]))
            spread = -(heads * np.log(np.maximum(heads, 1e-30))).sum(axis=-1)
            expected = np.concatenate([spread.mean(axis=0)[None], spread])
            assert_close(unpack(tokens["Entropy"]), expected, terms=1, scale=1.0, dtype="float32")
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
