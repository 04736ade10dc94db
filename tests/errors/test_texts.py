"""What came, as a message shows it: mvnp/errors/texts.py."""

import numpy as np
import pytest

from mvnp.errors import nearest, printable, shown
from mvnp.errors.texts import described


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mambavision_t", " (did you mean 'mamba_vision_T'?)"),
        ("MAMBA_VISION_L", " (did you mean 'mamba_vision_L'?)"),
        ("resnet50", ""),
        ("", ""),
        (7, ""),
        (None, ""),
    ],
)
def test_nearest(value, expected):
    assert nearest(value, ["mamba_vision_T", "mamba_vision_S", "mamba_vision_L"]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tabby cat", "tabby cat"),
        ("größe 猫", "größe 猫"),
        ("\x1b[31mred\n", r"\x1b[31mred\n"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\udcffb", r"a\udcffb"),
    ],
)
def test_text_from_outside_does_no_harm(text, expected):
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        ("x\n", r"'x\n'"),
        ("9" * 5000, f"'{'9' * 59} … {'9' * 9}' (5002 characters)"),
        (10**5000, "an integer of 16610 bits"),
    ],
    ids=["a number", "a line end", "a long text", "a long number"],
)
def test_values_in_messages_have_a_length_that_can_be_read(value, text):
    assert shown(value) == text


def test_the_longest_text_that_is_shown_whole():
    assert shown("a" * 78) == f"'{'a' * 78}'"
    assert shown("a" * 79) == f"'{'a' * 59} … {'a' * 9}' (81 characters)"
    assert shown("abcdefghijklmnopqrstuvwxyz" * 2, most=30) == "'abcdefghi … rstuvwxyz' (54 characters)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (3, "3 (int)"),
        ("x", "'x' (str)"),
        (np.zeros((2, 3), np.float32), "an array of float32 and shape (2, 3)"),
        ((np.zeros(2), None), "a tuple of 2: an array of float64 and shape (2,), None"),
        ((1, 2), "(1, 2) (tuple)"),
        ([np.zeros(1)], "[array([0.])] (list)"),
    ],
)
def test_what_came(value, text):
    assert described(value) == text
