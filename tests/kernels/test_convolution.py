"""Which way a twin convolves, im2col or Winograd's: mvnp/kernels/convolution.py."""

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.cli.entry import main
from mvnp.errors import InputError
from mvnp.kernels import convolution, convolution_method, twin_of, use_convolution, use_kernels
from mvnp.kernels.convolution import by_winograd
from mvnp.layers.conv2d import Conv2d, conv2d_backward, conv2d_forward
from support.checks import normal, relative
from support.tolerance import assert_close, rounding
from support.twins import CROSSWISE, needs_numba, twin_function


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    """As the default; what a test chooses is forgotten behind it."""
    monkeypatch.setattr(convolution, "_chosen", "auto")
    return lambda method: monkeypatch.setattr(convolution, "_chosen", method)


def goes(dtype="float32", inputs=32, outputs=32, kernel=(3, 3), stride=(1, 1), padding=(1, 1), device="cpu"):
    x, weight = np.zeros((1, 8, 8, inputs), dtype), np.zeros((outputs, inputs, *kernel), dtype)
    return by_winograd(x, weight, stride, padding, device)


def test_what_goes_by_winograd_of_itself():
    assert goes()
    assert goes(padding=(0, 2))
    for other in (
        {"dtype": "float64"}, {"inputs": 31}, {"outputs": 31}, {"kernel": (3, 1)}, {"stride": (1, 2)}, {"padding": (1, 3)},
        {"device": "cuda"},
    ):  # fmt: skip
        assert not goes(**other), other


def test_the_choice():
    use_convolution("winograd")
    assert goes("float64", inputs=1)
    assert goes(device="cuda")
    assert not goes(stride=(2, 2))
    assert not goes(padding=(3, 0))
    use_convolution("im2col")
    assert not goes()
    use_convolution("auto")
    assert goes()
    use_convolution("patches")  # as it was called before
    assert not goes()
    with pytest.raises(InputError, match="unknown value of MVNP_CONVOLUTION 'fft'; choose one of auto, im2col, winograd"):
        use_convolution("fft")


def test_the_environment_chooses(chosen, monkeypatch, capsys):
    for value, method in (("im2col", "im2col"), ("", "auto")):
        chosen(None)
        monkeypatch.setenv("MVNP_CONVOLUTION", value)
        assert convolution_method() == method
    chosen(None)
    monkeypatch.setenv("MVNP_CONVOLUTION", "fft")
    assert main(["models"]) == 2
    assert "unknown value of MVNP_CONVOLUTION 'fft'" in capsys.readouterr().err


def test_the_book_is_im2col(chosen):
    """To the bit, whatever is chosen."""
    x, weight = normal((1, 8, 8, 32), 1).astype("float32"), normal((32, 32, 3, 3), 2).astype("float32")
    results = []
    for method in ("im2col", "winograd"):
        chosen(method)
        results.append(conv2d_forward.book(x, weight, None, (1, 1), (1, 1))[0])
    np.testing.assert_array_equal(*results)


@needs_numba
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("first", "second"), CROSSWISE.values(), ids=CROSSWISE)
def test_a_forward_of_one_goes_with_a_backward_of_the_other(chosen, first, second, bias):
    """Book and twin have the same cache, whichever way either goes."""
    inputs = [normal((2, 7, 9, 3), 1), normal((4, 3, 3, 3), 2), normal((4,), 3) if bias else None, (1, 1), (0, 2)]
    forwards = conv2d_forward.book, twin_function(conv2d_forward)
    backwards = conv2d_backward.book, twin_function(conv2d_backward)
    want, cache = forwards[0](*inputs)
    dy = normal(want.shape, 4)
    wanted = [want, *backwards[0](dy, cache)]
    chosen("winograd")
    y, cache = forwards[first](*inputs)
    assert cache[0] is inputs[0]
    assert cache[2:] == (bias, (1, 1), (0, 2))
    for got, expected in zip([y, *backwards[second](dy, cache)], wanted, strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            assert_close(got, expected)
    assert backwards[second](dy, cache, False)[0] is None


@needs_numba
def test_winograd_is_what_runs(chosen):
    """It rounds otherwise than im2col, by which one can tell."""
    use_kernels("on")
    layer, x = Conv2d(40, 32, 3, padding=1), normal((2, 10, 7, 40), 1).astype("float32")
    results = {}
    for method in ("im2col", "winograd", "auto"):
        chosen(method)
        tape = Tape()
        y = layer(x, tape)
        results[method] = [y, layer.backward(normal(y.shape, 2).astype("float32"), tape), *layer.gradients(tape).values()]
    for auto, one, other in zip(results["auto"], results["winograd"], results["im2col"], strict=True):
        np.testing.assert_array_equal(auto, one)
        assert relative(one, other) <= rounding("float32", 36)  # sums of so many in a tile
    assert not np.array_equal(results["winograd"][0], results["im2col"][0])


@needs_numba
@pytest.mark.parametrize(("padding", "bias"), [(1, True), (0, False), ((2, 0), True)])
def test_gradients_of_a_layer(chosen, padding, bias):
    chosen("winograd")
    assert twin_of("cpu", "conv2d", "conv2d_forward") is not None
    gradcheck_layer(Conv2d(2, 3, 3, padding=padding, bias=bias), normal((2, 4, 5, 2), 1)).raise_for_error()


def test_info_tells_it(chosen, monkeypatch, capsys):
    monkeypatch.setenv("MVNP_CONVOLUTION", "im2col")
    chosen(None)
    assert main(["info"]) == 0
    assert "im2col (MVNP_CONVOLUTION is im2col)" in capsys.readouterr().out
