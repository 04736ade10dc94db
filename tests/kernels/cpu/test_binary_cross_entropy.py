"""The CPU twin of binary cross-entropy: mvnp/kernels/cpu/binary_cross_entropy.py."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.binary_cross_entropy import binary_cross_entropy_backward, binary_cross_entropy_forward
from support.checks import normal
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused

pytestmark = needs_numba

PAIR = FORWARD, BACKWARD = binary_cross_entropy_forward, binary_cross_entropy_backward


@settings(max_examples=25)
@given(
    B=st.integers(1, 9),
    C=st.integers(1, 40),
    soft=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1]),
    threshold=st.sampled_from([None, 0.0, 0.2]),
    summed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_numbers(B, C, soft, smoothing, threshold, summed, seed):
    rng = np.random.default_rng(seed)
    target = rng.random((B, C)) if soft else rng.integers(0, C, B)
    options = {"smoothing": smoothing, "threshold": threshold, "summed": summed}
    check_twins(*PAIR, [3 * normal((B, C), seed), target], **options)


def test_many_samples_and_classes():
    check_twins(*PAIR, [3 * normal((300, 1000), 1), np.arange(300)])


def test_layouts():
    check_layouts(*PAIR, [normal((6, 5), 1), np.asfortranarray(np.abs(normal((6, 5), 2)) % 1)])


def test_edges():
    """An infinite logit costs nothing where its question has the answer that it gives."""
    logits = np.array([[np.nan, 0.0, 1.0], [-np.inf, np.inf, 1.0], [np.inf, -np.inf, 1.0], [1e30, -1e30, -0.0]])
    for target in (np.array([0, 1, 1, 2]), np.array([1, 1, 2, 0]), np.full((4, 3), 0.25)):
        check_edges(*PAIR, logits, target)
        for row in range(4):
            check_edges(*PAIR, logits[row : row + 1], target[row : row + 1])


def test_what_it_leaves_to_the_book():
    logits = normal((3, 5), 1)
    for target in ([0, 1, 2], np.array([0, 1]), np.array([0, 1, 5]), np.ones((3, 4)), np.ones(3, bool)):
        refused(FORWARD, logits, target)
    for rate in (1.0, 1.5, -0.1):
        refused(FORWARD, logits, np.array([0, 1, 2]), rate)
        refused(FORWARD, logits, np.array([0, 1, 2]), 0.0, rate)
    refused(FORWARD, logits[0], np.array([0, 1, 2]))
    *arrays, n = FORWARD(logits, np.array([0, 1, 2]))[1]
    refused(BACKWARD, np.ones(3), (*arrays, n))
    refused(BACKWARD, 1.0, (*(array.astype(np.float16) for array in arrays), n))
