"""Caches and gradients in float16: mvnp/execution/half.py."""

import tracemalloc
from typing import NamedTuple

import numpy as np

import mvnp
from mvnp import Tape
from mvnp.execution import parallel
from mvnp.execution.half import HalfTape
from mvnp.execution.share import ShareTape
from mvnp.layers.linear import Linear
from support.checks import normal, relative
from support.tiny import TINY, tiny
from support.tolerance import assert_close, rounding


class Pair(NamedTuple):
    large: np.ndarray
    rest: object


def test_what_is_stored():
    layer, tape = Linear(3, 3), HalfTape()
    weight, large, small = (normal(shape, seed=1).astype("f4") for shape in ((3, 3), (4, 5), (5,)))
    whole = np.arange(6).reshape(2, 3)
    cache = (Pair(large, [small, None, "same"]), weight, whole, normal((2, 2), seed=1), 7)
    layer.weight.data = weight
    kept = tape.store(layer, cache)
    assert kept[0].large.dtype == "float16"
    assert kept[0].rest[0] is small
    assert (kept[0].rest[1:], kept[4]) == ([None, "same"], 7)
    assert kept[1] is weight
    assert kept[2] is whole
    assert kept[3] is cache[3]  # float64 is meant to be exact
    back = tape.restore(kept)
    assert isinstance(back[0], Pair)
    assert back[0].large.dtype == "float32"
    assert np.all(np.abs(back[0].large - large) <= 2.0**-11 * np.abs(large) + 2.0**-25)


def gradients_of(model, half, micro_batch=0):
    tape = ShareTape((HalfTape if half else Tape)(seed=0), slice(0, 4), 4, micro_batch=micro_batch)
    y = model(normal((4, 3, 32, 32), seed=2).astype("f4"), tape)
    model.backward(normal(y.shape, seed=3).astype("f4"), tape)
    return y, model.gradients(tape)


def test_a_model():
    """The forward is the same to the bit; gradients are those of float32 to what float16 can hold."""
    model = tiny(drop_path_rate=0.2)
    y, exact = gradients_of(model, False)
    for micro_batch in (0, 2):
        same, halves = gradients_of(model, True, micro_batch)
        assert_close(same, y)
        scale = max(np.linalg.norm(gradient) for gradient in exact.values())
        for key, gradient in exact.items():
            assert halves[key].dtype == "float16"
            error = np.linalg.norm(halves[key].astype("f4") - gradient)
            assert error <= rounding("float16", 1, max(np.linalg.norm(gradient), scale / 16)), key
        assert any(relative(halves[key].astype("f4"), exact[key]) > 1e-5 for key in exact)


def test_memory(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 1)
    model = mvnp.MambaVision(**{**TINY, "dim": 8, "depths": (1, 1, 6, 4)})
    x, held = normal((16, 3, 64, 64), seed=1).astype("f4"), []
    for half in (False, True):
        tape = (HalfTape if half else Tape)()
        model(x, tape)
        tape = (HalfTape if half else Tape)()
        tracemalloc.start()
        model(x, tape)
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert held[1] < 0.7 * held[0]
