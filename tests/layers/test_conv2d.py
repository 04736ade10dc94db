"""2-d convolution: mvnp/layers/conv2d.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp import Tape, gradcheck_layer
from mvnp.backend import from_numpy
from mvnp.core import Initializer
from mvnp.errors import BackendError, InputError
from mvnp.layers.conv2d import Conv2d, col2im, conv2d_backward, conv2d_forward, im2col
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal, relative
from support.tolerance import assert_close

# x (B, H, W, I), outputs, kernel, stride, padding
CASES = [
    ((1, 1, 1, 1), 1, (1, 1), (1, 1), (0, 0)),
    ((2, 1, 1, 3), 2, (3, 3), (2, 2), (1, 1)),  # a single pixel, as at the end of a tiny image
    ((2, 4, 5, 3), 4, (3, 3), (1, 1), (1, 1)),  # the convolution blocks
    ((2, 5, 4, 3), 2, (3, 3), (2, 2), (1, 1)),  # stem and downsampling, on an odd and an even side
    ((1, 4, 4, 2), 3, (2, 2), (1, 1), (0, 0)),  # an even kernel
    ((2, 6, 7, 1), 2, (4, 3), (3, 2), (2, 1)),  # nothing is square
    ((1, 5, 6, 2), 2, (2, 5), (2, 1), (0, 2)),
    ((2, 6, 6, 2), 1, (1, 1), (2, 3), (0, 0)),  # rows and columns that no patch sees
    ((1, 3, 3, 2), 2, (3, 3), (1, 1), (3, 3)),  # patches of nothing but padding
    ((1, 7, 7, 1), 1, (3, 3), (4, 4), (0, 0)),  # a stride beyond the kernel
]


def inputs_of(shape, outputs, kernel, bias=True):
    inputs = {"x": normal(shape, seed=1), "weight": normal((outputs, shape[3], *kernel), seed=2)}
    return {**inputs, "bias": normal((outputs,), seed=3)} if bias else inputs


def with_geometry(stride, padding):
    return lambda x, weight, bias=None: conv2d_forward(x, weight, bias, stride, padding)


def backward_without_bias(dy, cache):
    dx, dweight, dbias = conv2d_backward(dy, cache)
    assert dbias is None
    return dx, dweight


def test_by_hand():
    # x = 1 2 3   w = 1    10    stride 1, no padding:  y_00 = 1·1 + 10·2 + 100·4 + 1000·5 + 7 = 5428
    #     4 5 6       100  1000                         y_01 = 2 + 30 + 500 + 6000 + 7 = 6539
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).reshape(1, 2, 3, 1)
    weight = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(1, 1, 2, 2)
    y, cache = conv2d_forward(x, weight, np.array([7.0]))
    assert_close(y.ravel(), [5428.0, 6539.0])
    # dy = (1, 2): the middle column is seen by both patches, at its second tap by y_00 and at its first by y_01:
    # dx = 1  10 + 2·1  2·10 ; 100  1000 + 2·100  2·1000.     dw_00 = 1·1 + 2·2, dw_01 = 1·2 + 2·3, …
    dx, dweight, dbias = conv2d_backward(np.array([1.0, 2.0]).reshape(1, 1, 2, 1), cache)
    assert_close(dx[0, :, :, 0], [[1.0, 12.0, 20.0], [100.0, 1200.0, 2000.0]])
    assert_close(dweight[0, 0], [[5.0, 8.0], [14.0, 17.0]])
    assert_close(dbias, [3.0])


def test_stride_and_padding_by_hand():
    # 3x3 ones, stride 2, padding 1 on the image 1 2 ; 3 4: the only patch in reach of the corner sees all four: 10.
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    y, _ = conv2d_forward(x, np.ones((1, 1, 3, 3)), stride=(2, 2), padding=(1, 1))
    assert_close(y, np.full((1, 1, 1, 1), 10.0))


@pytest.mark.parametrize(("shape", "outputs", "kernel", "stride", "padding"), CASES)
def test_gradients(shape, outputs, kernel, stride, padding):
    forward = with_geometry(stride, padding)
    assert_gradients(forward, conv2d_backward, inputs_of(shape, outputs, kernel))
    assert_gradients(forward, backward_without_bias, inputs_of(shape, outputs, kernel, bias=False))


@pytest.mark.parametrize(("shape", "outputs", "kernel", "stride", "padding"), CASES)
def test_oracle(shape, outputs, kernel, stride, padding):
    import autograd.numpy as anp

    def independent(x, weight, bias):
        # The definition, one output pixel after the other.
        (ph, pw), (sh, sw), (Kh, Kw) = padding, stride, kernel
        padded = anp.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), mode="constant")
        rows = []
        for top in range(0, padded.shape[1] - Kh + 1, sh):
            row = []
            for left in range(0, padded.shape[2] - Kw + 1, sw):
                row.append(anp.einsum("bijc,ocij->bo", padded[:, top : top + Kh, left : left + Kw], weight) + bias)
            rows.append(anp.stack(row, axis=1))
        return anp.stack(rows, axis=1)

    assert_oracle(with_geometry(stride, padding), conv2d_backward, independent, inputs_of(shape, outputs, kernel))


@settings(max_examples=40)
@given(data=st.data())
def test_any_geometry_as_in_torch(data):
    torch = pytest.importorskip("torch")

    def number(low, high):
        return data.draw(st.integers(low, high))

    kernel, stride, padding = ((number(1, 4), number(1, 4)), (number(1, 3), number(1, 3)), (number(0, 2), number(0, 2)))
    height, width = (number(max(1, kernel[axis] - 2 * padding[axis]), 8) for axis in (0, 1))
    inputs = inputs_of((number(1, 3), height, width, number(1, 3)), number(1, 4), kernel, bias=data.draw(st.booleans()))
    y, cache = with_geometry(stride, padding)(*inputs.values())
    dy = normal(y.shape, seed=9)

    theirs = [torch.tensor(v, requires_grad=True) for v in inputs.values()]
    expected = torch.nn.functional.conv2d(theirs[0].permute(0, 3, 1, 2), *theirs[1:], stride=stride, padding=padding)
    expected = expected.permute(0, 2, 3, 1)
    expected.backward(torch.tensor(dy))
    assert y.shape == expected.shape
    assert_close(y, expected.detach())
    for got, want in zip(conv2d_backward(dy, cache), theirs, strict=False):
        assert_close(got, want.grad)


@pytest.mark.parametrize(("shape", "outputs", "kernel", "stride", "padding"), CASES)
def test_col2im_is_the_adjoint_of_im2col(shape, outputs, kernel, stride, padding):
    """⟨im2col(x), X⟩ = ⟨x, col2im(X)⟩."""
    x = normal(shape, seed=1)
    columns = im2col(x, kernel, stride, padding)
    other = normal(columns.shape, seed=2)
    back = col2im(other, shape, kernel, stride, padding)
    assert back.shape == shape
    assert_close(np.sum(columns * other), np.sum(x * back))


def test_im2col_by_hand():
    # A row of X is a patch, row by row, its channels together: of 1 2 3 ; 4 5 6 with 2x2 those from 1 and from 2.
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).reshape(1, 2, 3, 1) * np.array([1.0, 10.0])
    X = im2col(x, (2, 2), (1, 1), (0, 0))
    np.testing.assert_array_equal(X, [[1, 10, 2, 20, 4, 40, 5, 50], [2, 20, 3, 30, 5, 50, 6, 60]])


def test_float32():
    assert_float32_follows(with_geometry((2, 2), (1, 1)), conv2d_backward, inputs_of((2, 7, 7, 8), 8, (3, 3)))
    assert_float32_follows(with_geometry((1, 1), (0, 0)), backward_without_bias, inputs_of((2, 5, 5, 4), 8, (2, 2), bias=False))


@pytest.mark.parametrize(("stride", "padding", "bias"), [(1, 1, True), (2, 1, False), ((2, 1), (0, 2), True)])
def test_layer_has_the_gradients_of_the_functions(stride, padding, bias):
    layer = Conv2d(2, 3, 3, stride=stride, padding=padding, bias=bias)
    gradcheck_layer(layer, normal((2, 4, 5, 2), seed=1)).raise_for_error()


def test_layer_geometry():
    """Numbers stand for both axes, pairs are (vertical, horizontal)."""
    layer = Conv2d(3, 6, kernel_size=(2, 5), stride=(2, 1), padding=(0, 2))
    assert layer(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 4, 8, 6)
    assert layer.weight.shape == (6, 3, 2, 5)
    assert Conv2d(3, 6, 3, stride=2, padding=1)(np.zeros((1, 7, 8, 3), np.float32)).shape == (1, 4, 4, 6)


def test_layer_keeps_nothing_without_a_tape():
    layer, tape = Conv2d(1, 1, 1), Tape()
    layer(np.ones((1, 2, 2, 1), np.float32), tape)
    assert len(tape.entries) == 1
    assert not [value for value in vars(layer).values() if isinstance(value, np.ndarray)]


def test_initial_values():
    # Uniform in ±1/√(I Kh Kw), weights and bias; Kaiming-uniform with a = √5.
    layer = Conv2d(16, 300, 3)
    bound = 1 / np.sqrt(16 * 9)
    for param in (layer.weight, layer.bias):
        value = np.asarray(param)
        assert np.abs(value).max() <= bound
        assert relative(value.std(), bound / np.sqrt(3)) < 0.1


def test_wrong_shape():
    layer = Conv2d(3, 4, 3)
    with pytest.raises(InputError, match=r"Conv2d: x has shape \(2, 8, 8, 4\), expected \(B, H, W, 3\)"):
        layer(np.zeros((2, 8, 8, 4), np.float32))
    with pytest.raises(InputError, match=r"Conv2d: x has shape \(8, 8, 3\), expected \(B, H, W, 3\)"):
        layer(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(InputError, match=r"Conv2d: x is empty, shape \(0, 8, 8, 3\)"):
        layer(np.zeros((0, 8, 8, 3), np.float32))


def test_image_smaller_than_the_kernel():
    with pytest.raises(InputError, match=r"an image of 2x9 with padding 0x0 is smaller than the kernel, 3x3"):
        Conv2d(3, 4, 3)(np.zeros((1, 2, 9, 3), np.float32))
    with pytest.raises(InputError, match=r"an image of 9x1 with padding 1x1 is smaller than the kernel, 5x5"):
        Conv2d(3, 4, 5, padding=1)(np.zeros((1, 9, 1, 3), np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "complex64"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"Conv2d: x has dtype {dtype}, expected a floating one"):
        Conv2d(3, 4, 3)(np.zeros((1, 8, 8, 3), dtype))


@pytest.mark.parametrize(
    ("argument", "value", "least"),
    [("kernel_size", 0, 1), ("stride", 0, 1), ("stride", (1, 2, 3), 1), ("padding", -1, 0), ("padding", (0, 0.5), 0)],
)
def test_wrong_geometry(argument, value, least):
    arguments = {"kernel_size": 3, argument: value}
    with pytest.raises(InputError, match=rf"Conv2d: {argument} is .*, expected an integer from {least} to 65536, or a pair"):
        Conv2d(3, 4, **arguments)


def test_wrong_dy():
    _, cache = conv2d_forward(*inputs_of((2, 5, 5, 2), 3, (3, 3)).values())
    with pytest.raises(InputError, match=r"Conv2d: dy has shape \(2, 5, 5, 3\), expected \(2, 3, 3, 3\)"):
        conv2d_backward(np.zeros((2, 5, 5, 3)), cache)
    with pytest.raises(InputError, match="Conv2d: dy has dtype int64"):
        conv2d_backward(np.zeros((2, 3, 3, 3), "int64"), cache)


def test_starts_within_the_bound_of_its_taps():
    """Uniform in ±1/√(I Kh Kw), weight and bias: of 2,000 numbers the largest is near the bound."""
    layer, bound = Conv2d(2, 500, (1, 2), init=Initializer(dtype="float64")), 0.5
    for param in (layer.weight, layer.bias):
        assert param.dtype == "float64"
        assert 0.99 * bound < np.abs(param.data).max() <= bound
    assert abs(layer.weight.data.mean()) < 0.02


def test_host_and_device_do_not_mix(strict_cupy):
    with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
        conv2d_forward(from_numpy(np.ones((1, 3, 3, 2))), from_numpy(np.ones((1, 2, 1, 1))), np.ones(1))


def test_goes_by_single_pixels_without_padding_unless_told():
    layer = Conv2d(2, 3, 3)
    assert layer.stride == (1, 1)
    assert layer.padding == (0, 0)
    assert layer(np.ones((1, 5, 6, 2), np.float32)).shape == (1, 3, 4, 3)
