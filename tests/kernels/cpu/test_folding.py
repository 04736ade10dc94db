"""The CPU twin of BatchNorm folded into a convolution: mvnp/kernels/cpu/folding.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.models.folding import folded
from support.checks import normal
from support.twins import check_twin, needs_numba, refused

pytestmark = needs_numba


def inputs(O, I, size=3, bias=True, eps=1e-2):
    vectors = [normal((O,), seed) for seed in (2, 3, 4)]
    return [normal((O, I, size, size), 1), normal((O,), 6) if bias else None, *vectors, normal((O,), 5) ** 2, eps]


@settings(max_examples=25)
@given(O=st.integers(1, 40), I=st.integers(1, 20), size=st.integers(1, 3), bias=st.booleans())
def test_numbers(O, I, size, bias):
    check_twin(folded, inputs(O, I, size, bias))


def test_on_several_cores():
    check_twin(folded, inputs(161, 120))


def test_layouts():
    w, b, *vectors, eps = inputs(6, 4)
    apart = [np.repeat(vector, 2)[::2] for vector in vectors]
    check_twin(folded, [np.asfortranarray(w), np.repeat(b, 2)[::2], *apart, eps])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_row(value):
    for argument in (0, 1, 2, 3, 4, 5):
        changed = [np.array(each) for each in inputs(3, 2)[:6]]
        changed[argument].reshape(3, -1)[1, 0] = value
        with np.errstate(invalid="ignore"):
            check_twin(folded, [*changed, 1e-2])


def test_what_it_leaves_to_the_book():
    w, b, *vectors, eps = inputs(6, 4)
    refused(folded, w, b[:5], *vectors, eps)
    refused(folded, w, b, *vectors[:3], vectors[3].astype(np.float32), eps)
    refused(folded, w.astype(np.float16), *(each.astype(np.float16) for each in (b, *vectors)), eps)
