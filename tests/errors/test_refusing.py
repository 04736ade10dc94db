"""What a call is refused with that Python would refuse in its own words: mvnp/errors/refusing.py. Word for word.

All public names are asked in tests/test_public_inputs.py.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from mvnp.errors import DataError, InputError, refusal, refusing

Number: TypeAlias = int | float


def stumbling(annotation: Any) -> Callable[[Any], None]:
    """A function of one argument of this annotation, which it can never use."""

    def use(value):
        raise TypeError("in Python's words")

    use.__annotations__ = {"value": annotation}
    return refusing(use)


# annotation: (values of its kind, values that are not, what the message expects)
CASES = {
    "int": ([3, np.int64(3), -(2**63) + 1], [True, 3.5, "3", None, 2**63, 10**400], "an integer of at most 64 bits"),
    "float": ([3, 0.5, np.float32(1)], [True, float("nan"), float("inf"), "3", 1j, 10**400], "a finite number"),
    "bool": ([True, np.bool_(False)], [1, "yes", None], "True or False"),
    "str": (["x"], [b"x", None, Path("x")], "text"),
    "str | None": (["x", None], [3], "text or None"),
    "Path": ([Path("x")], ["x", None], "a pathlib.Path"),
    "Array": ([np.zeros(2), np.float32(1)], [[1.0], None, np.array(["a"]), np.array([None])], "an array of numbers"),
    "np.ndarray": ([np.zeros(2)], [np.float32(1), [1.0], np.array(["a"])], "a NumPy array of numbers"),
    "Callable[..., Any]": ([len], [3, None], "a function"),
    "Pair": ([(1, 2), [1, 2]], [(1,), (1, 2, 3), 1, "ab"], "a pair of integers"),
    "tuple[int, int]": ([(1, 2)], [(1,), (1, "a"), [1, 2], 3], "a pair of integers"),
    "tuple[int, ...]": ([(), (1,), (1, 2, 3)], [(1, "a"), 3], "tuple[int, ...]"),
    "list[str]": ([[], ["a"]], [["a", 3], "a", ("a",)], "list[str]"),
    "Sequence[str]": ([["a"], ("a", "b")], ["ab", b"ab", ["a", 3], {"a"}], "Sequence[str]"),
    "Mapping[str, int]": ([{}, {"a": 1}], [{"a": "b"}, [("a", 1)]], "a dict"),
    "dict[str, Any]": ([{"a": object()}], [[]], "dict[str, Any]"),
    "Number": ([1, 0.5], ["x", None], "an integer of at most 64 bits or a finite number"),
    int | None: ([1, None], ["x"], "an integer of at most 64 bits or None"),
    "Unknown": ([], [3], "Unknown"),
}


@pytest.mark.parametrize(("annotation", "value"), [(a, value) for a, (fine, _, _) in CASES.items() for value in fine])
def test_an_argument_of_its_kind_is_not_blamed(annotation, value):
    with pytest.raises(TypeError, match="in Python's words"):
        stumbling(annotation)(value)


@pytest.mark.parametrize(("annotation", "value", "words"), [(a, value, w) for a, (_, no, w) in CASES.items() for value in no])
def test_an_argument_of_another_kind_is_named(annotation, value, words):
    with pytest.raises(InputError, match=rf"^use: value is .*, expected {re.escape(words)}$") as caught:
        stumbling(annotation)(value)
    assert isinstance(caught.value.__cause__, TypeError), "the first cause is kept"


def test_what_has_no_annotation_cannot_be_told():
    @refusing
    def use(value, *several: int, **named: int):
        raise TypeError("in Python's words")

    with pytest.raises(TypeError, match="in Python's words"):
        use("x", "y", z="w")


def test_what_goes_well_is_passed_through():
    @refusing
    def use(value: int) -> str:
        """What it is for."""
        return f"{value}"

    assert (use("x"), use.__name__, use.__doc__) == ("x", "use", "What it is for.")


@pytest.mark.parametrize("error", [DataError("ours"), OSError("of the disk"), KeyboardInterrupt()])
def test_other_errors_stay_what_they_are(error):
    @refusing
    def use(value: int) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        use("x")
    assert caught.value is error


@pytest.mark.parametrize(
    "error", [AttributeError(), IndexError(), KeyError(), ValueError(), ZeroDivisionError(), OverflowError()]
)
def test_any_stumble_counts(error):
    assert str(refusal(len_of, ("x",), {}, error)) == "len_of: value is 'x' (str), expected an integer of at most 64 bits"


def len_of(value: int, other: int = 3) -> int:
    return value


def test_arguments_by_name_and_those_that_are_missing():
    assert str(refusal(len_of, (1,), {"other": None}, TypeError())).startswith("len_of: other is None, expected an integer")
    assert refusal(len_of, (), {}, TypeError()) is None, "Python says which is missing"
    assert refusal(len_of, (1,), {}, TypeError()) is None, "no argument explains it"


def test_an_initialiser_is_named_by_its_class():
    class Thing:
        @refusing
        def __init__(self, size: int) -> None:
            raise ValueError

    with pytest.raises(InputError, match=r"^Thing: size is 'x' \(str\), expected an integer of at most 64 bits$"):
        Thing("x")


def test_a_backward_blames_its_cache_last():
    @refusing
    def scale_backward(dy: np.ndarray, cache: tuple[int, int]) -> None:
        raise ValueError

    with pytest.raises(InputError, match=r"^scale_backward: dy is 'x' \(str\), expected a NumPy array of numbers$"):
        scale_backward("x", None)
    message = "scale_backward: cache is None, none of scale_forward; give what scale_forward returned beside y, as it was"
    with pytest.raises(InputError, match=f"^{message}$"):
        scale_backward(np.ones(2), None)
    with pytest.raises(InputError, match=r"cache is \(1, 2\) \(tuple\), none of scale_forward"):
        scale_backward(np.ones(2), (1, 2))
