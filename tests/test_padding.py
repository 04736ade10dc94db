"""Rows with zeros around them: mvnp/execution/padding.py."""

import numpy as np
import pytest

from mvnp.execution.padding import padded_rows
from support.checks import normal


@pytest.mark.parametrize(("top", "height"), [(0, 4), (-2, 3), (-3, 2), (2, 6), (6, 2), (-1, 8), (1, 2)])
@pytest.mark.parametrize(("left", "width"), [(0, 3), (2, 5), (1, 7)])
def test_is_a_cut_from_a_padded_map(top, height, left, width):
    x = normal((2, 4, 3, 2), seed=1)
    whole = np.pad(x, ((0, 0), (10, 10), (left, width - left - 3), (0, 0)))
    padded_rows("test.padding", np.ones((2, 30, 3, 2)), 0, 1, 30, 9)[...] = 7.0  # what was there before must not show
    np.testing.assert_array_equal(padded_rows("test.padding", x, top, left, height, width), whole[:, 10 + top :][:, :height])
