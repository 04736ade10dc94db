"""The CPU twin of MESA: mvnp/kernels/cpu/mesa.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.mesa import mesa_backward, mesa_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = FORWARD, BACKWARD = mesa_forward, mesa_backward


@settings(max_examples=25)
@given(
    B=st.integers(1, 9),
    C=st.integers(1, 40),
    setting=st.sampled_from([(3.0, 50.0), (1.0, 2.5), (5, 25)]),
    seed=st.integers(0, 99),
)
def test_numbers(B, C, setting, seed):
    inputs = [3 * normal((B, C), seed), 3 * normal((B, C), seed + 1)]
    # Logarithms of several nats cancel where student and teacher agree; the loss is F times what is left.
    check_twins(*PAIR, inputs, temperature=setting[0], factor=setting[1], scale=10 * setting[1])


def test_many_samples_and_classes():
    check_twins(*PAIR, [3 * normal((300, 1000), 1), 3 * normal((300, 1000), 2)])


def test_layouts():
    check_layouts(*PAIR, [normal((6, 5), 1), np.asfortranarray(normal((6, 5), 2))])


def test_edges():
    logits = np.array([[np.nan, 0.0, 1.0], [-np.inf, 0.0, 1.0], [np.inf, 0.0, 1.0], [1e30, 0.0, 1.0], [0.0, -0.0, 1.0]])
    check_edges(*PAIR, logits, normal((5, 3), 1))
    check_edges(*PAIR, normal((5, 3), 1), logits)
    check_edges(*PAIR, logits[3:], logits[3:])


@pytest.mark.parametrize("functions", [PAIR, (FORWARD.book, BACKWARD.book)], ids=["twin", "book"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_class_that_neither_believes_in(functions, dtype):
    logits = np.array([[0.0, np.log(3), -np.inf]], dtype)
    loss, cache = functions[0](logits, logits[:, [1, 0, 2]], temperature=1.0, factor=4.0)
    assert_close(loss, 4 * (0.75 - 0.25) * np.log(3))
    assert_close(functions[1](0.5, cache), [[-1.0, 1.0, 0.0]])


def test_what_it_leaves_to_the_book():
    logits = normal((3, 5), 1)
    refused(FORWARD, logits, logits[:, :4])
    refused(FORWARD, logits, logits.astype(np.float32))
    refused(FORWARD, logits.astype(np.float16), logits.astype(np.float16))
    refused(FORWARD, logits[0], logits[0])
    for setting in (0.0, -1.0, np.inf, np.nan, "3", None):
        refused(FORWARD, logits, logits, setting)
        refused(FORWARD, logits, logits, 3.0, setting)
    cache = FORWARD(logits, logits)[1]
    for dloss in (np.ones(3), 1, "1"):
        refused(BACKWARD, dloss, cache)
    refused(BACKWARD, 1.0, (*(array.astype(np.float16) for array in cache[:2]), *cache[2:]))
