"""How a sequence is cut into blocks. Sizes of maps are tested with the layers that have them."""

import math

import pytest

from mvnp.core import ceil_sqrt


def test_the_square_root_is_rounded_up():
    assert [ceil_sqrt(n) for n in (1, 2, 3, 4, 5, 9, 10, 196)] == [1, 2, 2, 2, 3, 3, 4, 14]
    exact = 10**20 + 1  # whose square no float holds
    assert (ceil_sqrt(exact**2), ceil_sqrt(exact**2 + 1)) == (exact, exact + 1)


@pytest.mark.parametrize("n", [1, 7, 49, 196, 300])
def test_blocks_of_that_length_keep_the_fewest_states(n):
    """Up to one, as both lengths are integers."""

    def kept(K: int) -> int:
        return math.ceil(n / K) + K

    assert kept(ceil_sqrt(n)) <= min(map(kept, range(1, n + 1))) + 1
