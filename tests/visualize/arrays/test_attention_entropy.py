"""The arrays behind the figure: mvnp/visualize/arrays/attention_entropy.py."""

import numpy as np

from mvnp.visualize import AttentionRecord, WindowGeometry
from mvnp.visualize.arrays.attention_entropy import query_spread
from support.tolerance import assert_close


def test_tokens_that_a_query_attends_to():
    one = [1.0, 0, 0, 0]
    weights = np.array([[[one, [0.5, 0.5, 0, 0], [0.25] * 4, [0.25] * 4], [one] * 4]])
    spread = query_spread(AttentionRecord("levels.2.blocks.1.mixer", WindowGeometry(2, 1, 2, 16), weights))
    assert_close(spread, [[[1, np.nan], [4, np.nan]], [[1, np.nan], [1, np.nan]]])
