"""Where attention stands: mvnp/models/pattern.py."""

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.models.pattern import PATTERNS, PLACES, kinds

T = (1, 3, 8, 4)


@pytest.mark.parametrize(
    ("pattern", "of_t", "odd", "one"),
    [
        ("last_half", ["MMMMSSSS", "MMSS"], ["MMMSS", "MMS"], ["M", "MS"]),
        ("last_quarter", ["MMMMMMSS", "MMMS"], ["MMMMS", "MMM"], ["M", "MM"]),
        ("first_half", ["SSSSMMMM", "SSMM"], ["SSMMM", "SMM"], ["M", "SM"]),
        ("interleaved_sm", ["SMSMSMSM", "SMSM"], ["SMSMM", "SMM"], ["M", "SM"]),
        ("interleaved_ms", ["MSMSMSMS", "MSMS"], ["MSMSM", "MSM"], ["M", "MS"]),
        ("none", ["MMMMMMMM", "MMMM"], ["MMMMM", "MMM"], ["M", "MM"]),
        ("all", ["SSSSSSSS", "SSSS"], ["SSSSS", "SSS"], ["S", "SS"]),
    ],
)
def test_by_name(pattern, of_t, odd, one):
    """The rows of the paper's table 5; of an odd number the scan has the one more."""
    assert kinds(pattern, T) == of_t
    assert kinds(pattern, (2, 2, 5, 3)) == odd
    assert kinds(pattern, (2, 2, 1, 2)) == one


@pytest.mark.parametrize("pattern", PLACES)
def test_places_are_those_of_blocks(pattern):
    assert all(place in range(n) for n in range(1, 9) for place in PLACES[pattern](n))


def test_every_name_is_tried():
    assert PATTERNS == ("last_half", "last_quarter", "first_half", "interleaved_sm", "interleaved_ms", "none", "all", "random")
    assert list(PLACES) == list(PATTERNS[:-1])


def test_random():
    """Half of each level, by the seed; the two levels are drawn apart, and every place is drawn in time."""
    drawn = [kinds("random", (1, 1, 8, 8), seed) for seed in range(40)]
    assert all(word.count("S") == 4 and word.count("M") == 4 for words in drawn for word in words)
    assert kinds("random", T, 3) == kinds("random", T, 3)
    assert kinds("random", (1, 1, 8, 8)) == drawn[0] != drawn[1]
    assert len({tuple(words) for words in drawn}) > 30
    assert any(first != second for first, second in drawn)
    assert {block for first, _ in drawn for block in range(8) if first[block] == "S"} == set(range(8))
    assert [word.count("S") for word in kinds("random", (1, 1, 5, 1))] == [2, 0]


@pytest.mark.parametrize("words", [("MSMSMMMM", "SMMM"), ["MSMSMMMM", "SMMM"]])
def test_written_out(words):
    assert kinds(words, T) == ["MSMSMMMM", "SMMM"]


def test_an_unknown_name():
    with pytest.raises(
        InputError, match=r"unknown pattern 'lasthalf' \(did you mean 'last_half'\?\); choose one of last_half, "
    ):
        kinds("lasthalf", T)


@pytest.mark.parametrize(
    "pattern",
    [("MMSS", "MMSS"), ("MMMMSSSS",), ("MMMMSSSS", "MMSS", "MM"), ("MMMMSSSS", "MMSX"), ("MMMMSSSS", 4), 7, None, np.ones(2)],
)
def test_words_that_do_not_fit(pattern):
    expected = "MambaVision: pattern is .*, expected one of last_half, .*, or two words of M and S, of 8 and 4 letters"
    with pytest.raises(InputError, match=expected):
        kinds(pattern, T)
