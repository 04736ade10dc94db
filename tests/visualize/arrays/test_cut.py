"""A model cut at a stage: mvnp/visualize/arrays/cut.py."""

import numpy as np
import pytest

from mvnp import Tape
from mvnp.errors import InputError
from mvnp.visualize.arrays.cut import BelowStage
from support.above_stage import AboveStage
from support.figures import image
from support.tiny import tiny
from support.tolerance import DEEP, assert_close


@pytest.mark.parametrize("stage", range(4))
def test_both_parts_are_the_model(stage):
    model, x = tiny(dtype="float64"), image()
    below, above = BelowStage(model, stage), AboveStage(model, stage)
    cut = below.forward(x)
    assert_close(cut, model.features(x)[stage], terms=DEEP)
    assert_close(above.forward(cut), model(x), terms=DEEP)


@pytest.mark.parametrize("stage", range(4))
def test_both_backwards_are_the_models(stage):
    model, x = tiny(dtype="float64"), image()
    below, above = BelowStage(model, stage), AboveStage(model, stage)
    lower, upper, whole = (Tape(training=False) for _ in range(3))
    logits = above.forward(below.forward(x, lower), upper)
    dlogits = np.random.default_rng(1).standard_normal(logits.shape)
    dx = below.backward(above.backward(dlogits, upper), lower)
    model(x, whole)
    assert_close(dx, model.backward(dlogits, whole), terms=DEEP)
    assert lower.entries == upper.entries == []


def test_any_floating_image_is_taken():
    assert BelowStage(tiny(), 1).forward(image()).dtype == np.float32


def test_bad_input():
    for stage in (4, -1, 1.5, True):
        with pytest.raises(InputError, match=r"stage is .*, expected 0, 1, 2 or 3"):
            BelowStage(tiny(), stage)
