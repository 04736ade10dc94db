"""The checks that raise most errors: mvnp/errors/checks.py. Messages are compared word for word."""

import math

import numpy as np
import pytest

from mvnp import errors
from mvnp.errors import InputError, check_array, check_arrays, check_choice, check_dtype, check_rate, render


@pytest.mark.parametrize(
    ("pattern", "shape"),
    [
        ((...,), ()),
        ((...,), (2, 3)),
        ((..., 8), (8,)),
        ((..., 8), (2, 3, 8)),
        ((..., "C"), (5,)),
        ((..., 2, 8), (4, 2, 8)),
        (("B", "L", 8), (1, 1, 8)),
        (("B", "C", 4, "W"), (2, 3, 4, 5)),
        ((3,), (3,)),
        ((), ()),
    ],
)
def test_shape_that_fits(pattern, shape):
    check_array("Layer", "x", np.zeros(shape), pattern)
    check_array("Layer", "x", np.zeros(shape, np.float32), pattern)


@pytest.mark.parametrize(
    ("pattern", "shape", "expected"),
    [
        ((..., 8), (2, 9), "(..., 8)"),
        ((..., 8), (), "(..., 8)"),
        ((..., 8), (8, 2), "(..., 8)"),
        ((..., "C"), (), "(..., C)"),
        ((..., 2, 8), (8,), "(..., 2, 8)"),
        ((..., 2, 8), (8, 2), "(..., 2, 8)"),
        (("B", "L", 8), (2, 8), "(B, L, 8)"),
        (("B", "L", 8), (2, 3, 4, 8), "(B, L, 8)"),
        (("B", 3, "H", "W"), (2, 4, 5, 5), "(B, 3, H, W)"),
        ((3,), (4,), "(3,)"),
        ((3,), (3, 1), "(3,)"),
        ((), (1,), "()"),
    ],
)
def test_shape_that_does_not_fit(pattern, shape, expected):
    with pytest.raises(InputError) as caught:
        check_array("LayerNorm (levels.2.norm)", "x", np.zeros(shape), pattern)
    assert str(caught.value) == f"LayerNorm (levels.2.norm): x has shape {shape}, expected {expected}"


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "complex64", "<U3", "object"])
def test_dtype_that_is_not_floating(dtype):
    with pytest.raises(InputError) as caught:
        check_array("Linear", "x", np.zeros((2, 8), dtype), (..., 8))
    assert str(caught.value) == (
        f"Linear: x has dtype {np.dtype(dtype)}, expected a floating one (float32 or float64);"
        " convert it first, for example x.astype('float32')"
    )


@pytest.mark.parametrize(("x", "kind"), [(None, "NoneType"), ([1.0], "list"), (1.0, "float"), ("abc", "str")])
def test_what_is_no_array(x, kind):
    with pytest.raises(InputError) as caught:
        check_array("Linear", "x", x, (..., 8))
    assert str(caught.value) == f"Linear: x is a {kind}, expected an array (..., 8)"


def test_an_array_of_another_library():
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError) as caught:
        check_array("Linear", "x", torch.zeros(2, 8), (..., 8))
    assert str(caught.value) == "Linear: x is a Tensor, expected an array (..., 8)"


@pytest.mark.parametrize("shape", [(0, 8), (2, 0, 8)])
def test_empty(shape):
    with pytest.raises(InputError) as caught:
        check_array("Linear", "x", np.zeros(shape), (..., 8))
    assert str(caught.value) == f"Linear: x is empty, shape {shape}; expected (..., 8) with no axis of size 0"


def test_numpy_scalar_is_an_array_without_axes():
    check_array("ReLU", "x", np.float32(1.0), (...,))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [((), "()"), ((8,), "(8,)"), ((...,), "(...,)"), ((..., 8), "(..., 8)"), (("B", 3, "H", "W"), "(B, 3, H, W)")],
)
def test_render(pattern, text):
    assert render(pattern) == text


def test_letters_stand_for_one_size():
    x, A, B = np.zeros((2, 3, 4)), np.zeros((4, 5)), np.zeros((2, 3, 5))
    check_arrays("scan", x=(x, "bld"), A=(A, "dn"), B=(B, "bln"), D=(None, "d"))
    check_arrays("scan", x=(x, (..., "d")), A=(A, "dn"), D=(np.zeros(4), ("d",)))
    for name, wrong, expected in (("A", (3, 5), "(4, n)"), ("B", (2, 3, 4), "(2, 3, 5)"), ("B", (1, 3, 5), "(2, 3, 5)")):
        arrays = {"x": (x, "bld"), "A": (A, "dn"), "B": (B, "bln")}
        with pytest.raises(InputError) as caught:
            check_arrays("scan", **{**arrays, name: (np.zeros(wrong), arrays[name][1])})
        assert str(caught.value) == f"scan: {name} has shape {wrong}, expected {expected}"
    with pytest.raises(InputError, match=r"scan: D has shape \(3,\), expected \(4,\)"):
        check_arrays("scan", x=(x, (..., "d")), D=(np.zeros(3), "d"))


def test_mixed_dtypes_are_listed():
    x, y = np.zeros(2), np.zeros(2, np.float32)
    with pytest.raises(InputError, match="Layer: dtypes are mixed, a and c of float64, b of float32; convert them to one"):
        check_arrays("Layer", a=(x, "n"), b=(y, "n"), c=(x, "n"))


def test_choice():
    check_choice("variant", "small", ["tiny", "small"])
    with pytest.raises(InputError) as caught:
        check_choice("variant", "smal", ["tiny", "small"])
    assert str(caught.value) == "unknown variant 'smal' (did you mean 'small'?); choose one of tiny, small"
    with pytest.raises(InputError) as caught:
        check_choice("variant", "zzz", iter(["tiny", "small"]))
    assert str(caught.value) == "unknown variant 'zzz'; choose one of tiny, small"


@pytest.mark.parametrize("rate", [0, 0.0, 0.5, 0.999, np.float32(0.1)])
def test_rate_that_is_one(rate):
    check_rate("Dropout", "rate", rate)


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 2, math.nan, math.inf, None, "0.5", 1j])
def test_rate_that_is_none(rate):
    with pytest.raises(InputError) as caught:
        check_rate("Dropout", "rate", rate)
    assert str(caught.value) == f"Dropout: rate is {rate!r}, expected a probability in [0, 1)"


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), "f4"])
def test_dtype_of_parameters(dtype):
    assert check_dtype("Model", dtype) == np.dtype("float32")


@pytest.mark.parametrize("dtype", ["float16", "int32", "bf16", 3.5, "", None])
def test_dtype_that_parameters_cannot_have(dtype):
    with pytest.raises(InputError) as caught:
        check_dtype("Model", dtype)
    assert str(caught.value) == f"Model: dtype is {dtype!r}, expected one of float32, float64"


def test_an_array_that_may_be_absent():
    x = np.zeros((2, 3))
    errors.check_arrays("Layer", "bias", x=(x, "BC"), bias=(None, "C"))
    with pytest.raises(InputError, match=r"^Layer: weight is a NoneType, expected an array \(C,\)"):
        errors.check_arrays("Layer", "bias", weight=(None, "C"), bias=(None, "C"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(3), r"Layer: dloss has shape \(3,\), expected one real number, a float or an array without axes"),
        ("1", "Layer: dloss is '1', expected one real number"),
        (None, "Layer: dloss is None, expected one real number"),
        (1j, r"Layer: dloss is 1j, expected one real number"),
    ],
)
def test_one_number(value, message):
    for number in (1, 2.5, np.float32(3), np.array(4.0), np.array(5)):
        errors.check_scalar("Layer", "dloss", number)
    with pytest.raises(InputError, match=message):
        errors.check_scalar("Layer", "dloss", value)
