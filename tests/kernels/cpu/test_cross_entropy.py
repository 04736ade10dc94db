"""The CPU twin of cross-entropy: mvnp/kernels/cpu/cross_entropy.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import check_layouts, check_twins, computed, needs_numba, refused, twin_function

pytestmark = needs_numba

PAIR = FORWARD, BACKWARD = cross_entropy_forward, cross_entropy_backward


@settings(max_examples=25)
@given(
    B=st.integers(1, 9),
    C=st.integers(1, 40),
    soft=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 99),
)
def test_numbers(B, C, soft, smoothing, seed):
    rng = np.random.default_rng(seed)
    target = rng.random((B, C)) if soft else rng.integers(0, C, B)
    # Where nearly all is expected of a class, and found, q − p is what is left of two numbers near 1.
    check_twins(*PAIR, [3 * normal((B, C), seed), target], scale=30, smoothing=smoothing)


def test_many_samples_and_classes():
    check_twins(*PAIR, [3 * normal((300, 1000), 1), np.arange(300)], smoothing=0.1)


def test_layouts():
    check_layouts(*PAIR, [normal((5, 4), 1), np.arange(20)[::4] % 4])
    check_layouts(*PAIR, [normal((10, 12), 1), np.asfortranarray(np.abs(normal((10, 12), 2)))])


@pytest.mark.parametrize("functions", [(FORWARD, BACKWARD), (FORWARD.book, BACKWARD.book)], ids=["twin", "book"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_minus_infinity_at_another_class_is_finite(functions, dtype):
    logits = np.array([[0.0, np.log(3), -np.inf], [-np.inf, 0.0, 0.0]], dtype)
    loss, cache = functions[0](logits, np.array([0, 2]))
    assert_close(loss, (np.log(4) + np.log(2)) / 2)
    dlogits = functions[1](1.0, cache)
    assert_close(dlogits, [[-0.375, 0.375, 0], [0, 0.25, -0.25]])
    assert functions[0](logits, np.array([2, 1]))[0] == np.inf, "the target is impossible"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_shows_in_the_loss(dtype):
    logits = normal((3, 30), 1).astype(dtype)
    logits[1, 20] = np.nan
    loss, cache = FORWARD(logits, np.array([0, 1, 2]))
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(BACKWARD(1.0, cache)).all(axis=1), [False, True, False])


def test_what_it_leaves_to_the_book():
    logits = normal((3, 5), 1)
    for target in ([0, 1, 2], np.array([0, 1]), np.array([0, 1, 5]), np.array([-1, 0, 0]), np.ones((3, 4)), np.ones(3, bool)):
        refused(FORWARD, logits, target)
    refused(FORWARD, logits, np.ones((3, 5), int))
    for smoothing in (-0.1, 1.0, 1.5):
        refused(FORWARD, logits, np.array([0, 1, 2]), smoothing)
    refused(FORWARD, logits[0], np.array([0, 1, 2]))
    refused(FORWARD, logits[0], np.zeros(5, int))
    refused(FORWARD, logits.astype(np.float16), np.array([0, 1, 2]))
    log_q, p = FORWARD(logits, np.array([0, 1, 2]))[1]
    for dloss in (np.ones(3), 1, "1", np.array(1)):
        refused(BACKWARD, dloss, (log_q, p))
    for dloss in (0.5, np.float32(0.5), np.array(0.5)):
        computed(twin_function(BACKWARD)(dloss, (log_q, p)), BACKWARD)
    refused(BACKWARD, 1.0, (log_q.astype(np.float16), p.astype(np.float16)))
