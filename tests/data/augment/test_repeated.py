"""Repeated augmentation: mvnp/data/augment/repeated.py."""

import numpy as np
import pytest

from mvnp.data.augment import repeated
from mvnp.errors import InputError
from support.recipe_cases import recipe_case


@pytest.mark.parametrize("row", recipe_case("sampler")[0]["repeated_augmentation"])
def test_against_the_reference(row):
    for rank, want in enumerate(row["positions_of_rank"]):
        got = repeated(np.arange(row["n"]), row["repeats"], rank, row["ranks"], row["round"]).tolist()
        if isinstance(want, dict):
            assert (len(got), got[:12], got[-3:]) == (want["length"], want["first"], want["last"])
        else:
            assert got == want


def test_follows_the_order():
    np.testing.assert_array_equal(repeated(np.array([7, 3, 9, 5]), 2), [7, 7, 3, 3])


def test_ranks_see_equally_many():
    """Of five pictures two ranks see three each: the first one comes again at the end."""
    assert [repeated(np.arange(5), 1, rank, 2).tolist() for rank in (0, 1)] == [[0, 2, 4], [1, 3, 0]]


def test_repeats_that_cannot_be():
    with pytest.raises(InputError, match=r"repeats is 0.5, expected at least 1"):
        repeated(np.arange(3), 0.5)


def test_ranks_that_there_are_not():
    for rank, ranks in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(InputError, match=f"repeated: rank is {rank} of {ranks} ranks"):
            repeated(np.arange(6), 2, rank, ranks)
    with pytest.raises(InputError, match="repeated: multiple is -1, expected at least 0"):
        repeated(np.arange(6), 2, multiple=-1)
