"""BatchNorm: mvnp/layers/batchnorm.py."""

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.execution import parallel
from mvnp.layers.batchnorm import (
    BatchNorm,
    batchnorm_backward,
    batchnorm_eval_backward,
    batchnorm_eval_forward,
    batchnorm_forward,
)
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal, relative
from support.randomise import randomised
from support.tolerance import assert_close

SHAPES = [(2, 1), (5, 3), (3, 2, 4), (1, 2, 2, 3), (2, 3, 3, 4), (3, 1, 2, 1)]


def inputs_of(shape):
    x = 2.0 + normal(shape, seed=1)
    return {"x": x, "weight": normal(shape[-1:], seed=2), "bias": normal(shape[-1:], seed=3)}


def statistics_of(channels):
    return normal((channels,), seed=4), 0.5 + normal((channels,), seed=5) ** 2


def test_by_hand():
    # x = (4, 4, 6, 6): μ = 5, σ² = 1, x̂ = (−1, −1, 1, 1). With γ = 2, β = 10: y = (8, 8, 12, 12).
    x = np.array([4.0, 4.0, 6.0, 6.0]).reshape(2, 2, 1)
    y, cache = batchnorm_forward(x, np.array([2.0]), np.array([10.0]), eps=0.0)
    assert_close(y.ravel(), [8.0, 8.0, 12.0, 12.0])
    # dy = (1, 0, 0, 0): g = (2, 0, 0, 0), ⟨g⟩ = 1/2, ⟨g x̂⟩ = −1/2, dx = g − 1/2 + x̂/2 = (1, −1, 0, 0).
    dx, dweight, dbias = batchnorm_backward(np.array([1.0, 0.0, 0.0, 0.0]).reshape(2, 2, 1), cache)
    assert_close(dx.ravel(), [1.0, -1.0, 0.0, 0.0], terms=16)
    assert_close(dweight, [-1.0])
    assert_close(dbias, [1.0])


def test_evaluation_by_hand():
    # μ = 1, σ² = 4: x = 5 is x̂ = 2; with γ = 3, β = 1: y = 7. dy = 2: dx = 2·3/2 = 3, dγ = 2·2 = 4, dβ = 2.
    one = np.ones(1)
    y, cache = batchnorm_eval_forward(np.array([[5.0]]), 3 * one, one, mean=one, variance=4 * one, eps=0.0)
    assert_close(y, [[7.0]])
    for got, want in zip(batchnorm_eval_backward(np.array([[2.0]]), cache), ([[3.0]], [4.0], [2.0]), strict=True):
        assert_close(got, want)


def test_running_statistics_by_hand():
    # Batch (4, 4, 6, 6): μ = 5, biased σ² = 1, unbiased 4/3. From 0 and 1 with m = 0.1: 0.5 and 0.9 + 0.4/3.
    layer, tape = BatchNorm(1).astype("float64"), Tape(training=True)
    layer(np.array([4.0, 4.0, 6.0, 6.0]).reshape(4, 1), tape)
    assert layer.running_mean.data == 0.0, "a forward alone must not change the statistics"
    tape.commit()
    assert_close(layer.running_mean.data, [0.5])
    assert_close(layer.running_var.data, [0.9 + 0.4 / 3])
    assert layer.num_batches_tracked.data == 1
    assert layer.num_batches_tracked.dtype == np.int64
    assert layer.num_batches_tracked.shape == ()


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape):
    assert_gradients(batchnorm_forward, batchnorm_backward, inputs_of(shape))


@pytest.mark.parametrize("shape", [(1, 1), *SHAPES])
def test_gradients_in_evaluation(shape):
    mean, variance = statistics_of(shape[-1])

    def forward(x, weight, bias):
        return batchnorm_eval_forward(x, weight, bias, mean, variance, eps=1e-4)

    assert_gradients(forward, batchnorm_eval_backward, inputs_of(shape))


def test_eps_counts_where_the_variance_is_small():
    # σ² = 1e-6 against ε = 1e-4: forgetting ε, or taking it outside the root, would be seen here.
    x = 1e-3 * normal((6, 2), seed=6)
    y, _ = batchnorm_forward(x, np.ones(2), np.zeros(2), eps=1e-4)
    assert_close(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-4))


def test_oracle():
    import autograd.numpy as anp

    def independent(x, weight, bias):
        rows = anp.reshape(x, (-1, x.shape[-1]))
        columns = []
        for c in range(rows.shape[1]):
            column = rows[:, c]
            mean = anp.sum(column) / len(column)
            spread = anp.sum((column - mean) ** 2) / len(column)
            columns.append(weight[c] * (column - mean) / anp.sqrt(spread + 1e-5) + bias[c])
        return anp.reshape(anp.stack(columns, axis=1), x.shape)

    assert_oracle(batchnorm_forward, batchnorm_backward, independent, inputs_of((2, 3, 4, 5)))


def test_oracle_in_evaluation():
    import autograd.numpy as anp

    mean, variance = statistics_of(5)

    def forward(x, weight, bias):
        return batchnorm_eval_forward(x, weight, bias, mean, variance)

    def independent(x, weight, bias):
        return anp.stack([weight[c] * (x[..., c] - mean[c]) / (variance[c] + 1e-5) ** 0.5 + bias[c] for c in range(5)], axis=-1)

    assert_oracle(forward, batchnorm_eval_backward, independent, inputs_of((2, 3, 4, 5)))


def test_several_steps_as_in_torch():
    """Forward, gradients and running statistics over steps of different sizes, then evaluation."""
    torch = pytest.importorskip("torch")
    layer = randomised(BatchNorm(4, eps=1e-4), seed=1).astype("float64")
    other = torch.nn.BatchNorm2d(4, eps=1e-4).double()
    other.load_state_dict({key: torch.tensor(np.asarray(param)) for key, param in layer.named_state()})
    for step, shape in enumerate([(2, 3, 3, 4), (1, 2, 1, 4), (5, 1, 4, 4), (2, 2, 2, 4)]):
        training = step < 3
        other.train(training)
        x, dy, tape = step + normal(shape, seed=10 + step), normal(shape, seed=20 + step), Tape(training=training)
        theirs = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
        other.zero_grad()
        expected = other(theirs)
        expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))

        assert_close(layer(x, tape), expected.detach().permute(0, 2, 3, 1))
        assert_close(
            layer.backward(dy, tape), theirs.grad.permute(0, 2, 3, 1), scale=1.0
        )  # of two rows, next to nothing is left
        for name, gradient in layer.gradients(tape).items():
            assert_close(gradient, getattr(other, name).grad)
        tape.commit()
        for key, value in other.state_dict().items():
            assert_close(layer.state_dict()[key], value.numpy(), scale=1.0)  # of numbers around 1


@pytest.mark.parametrize("training", [True, False])
def test_float32(training):
    if training:
        assert_float32_follows(batchnorm_forward, batchnorm_backward, inputs_of((3, 4, 4, 8)))
        return
    mean, variance = statistics_of(8)

    def forward(x, weight, bias):
        return batchnorm_eval_forward(x, weight, bias, mean.astype(x.dtype), variance.astype(x.dtype))

    assert_float32_follows(forward, batchnorm_eval_backward, inputs_of((3, 4, 4, 8)))


@pytest.mark.parametrize("training", [True, False])
def test_layer_has_the_gradients_of_the_functions(training):
    gradcheck_layer(randomised(BatchNorm(3)), normal((2, 3, 2, 3), seed=1), training=training).raise_for_error()


def test_what_evaluation_sees():
    """Without a tape and with an evaluation tape: the running statistics, which stay as they are."""
    layer, x = randomised(BatchNorm(3)), normal((4, 3), seed=1).astype(np.float32)
    before, tape = layer.state_dict(), Tape(training=False)
    y = layer(x)
    np.testing.assert_array_equal(layer(x, tape), y)
    assert_close(layer(x[:1]), y[:1])  # a batch of one is fine: nothing of it is measured
    tape.commit()
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    assert relative(layer(x, Tape(training=True)), y) > 0.1


def test_used_twice_on_one_tape():
    """The second use updates what the first one left pending, and gradients add up."""
    layer, tape = BatchNorm(2).astype("float64"), Tape(training=True)
    first, second = 1 + normal((5, 2), seed=1), 3 + 2 * normal((4, 2), seed=2)
    layer(first, tape), layer(second, tape)
    layer.backward(np.ones((4, 2)), tape), layer.backward(np.ones((5, 2)), tape)
    assert_close(layer.gradients(tape)["bias"], [9.0, 9.0])
    tape.commit()
    assert_close(layer.running_mean.data, 0.9 * (0.1 * first.mean(0)) + 0.1 * second.mean(0))
    variance = 0.9 * (0.9 + 0.1 * first.var(0, ddof=1)) + 0.1 * second.var(0, ddof=1)
    assert_close(layer.running_var.data, variance)
    assert layer.num_batches_tracked.data == 2


def test_one_value_for_each_channel():
    layer, x = BatchNorm(8), np.zeros((1, 1, 1, 8), np.float32)
    with pytest.raises(InputError, match=r"x has shape \(1, 1, 1, 8\), one value for each channel.*larger batch"):
        layer(x, Tape(training=True))
    assert layer(x).shape == x.shape


def test_wrong_shape():
    with pytest.raises(InputError, match=r"BatchNorm: x has shape \(2, 3, 9\), expected \(\.\.\., 8\)"):
        BatchNorm(8)(np.zeros((2, 3, 9), np.float32))
    with pytest.raises(InputError, match=r"BatchNorm: x has shape \(2, 9\)"):
        BatchNorm(8)(np.zeros((2, 9), np.float32), Tape(training=True))
    with pytest.raises(InputError, match=r"BatchNorm: x is empty, shape \(0, 8\)"):
        BatchNorm(8)(np.zeros((0, 8), np.float32), Tape(training=True))


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_wrong_dtype(dtype):
    for tape in (None, Tape(training=True)):
        with pytest.raises(InputError, match=rf"BatchNorm: x has dtype {dtype}, expected a floating one"):
            BatchNorm(8)(np.zeros((2, 8), dtype), tape)


def of_several_levels() -> np.ndarray:
    """(10, 3, 2) whose mean is another one in every share, so that shares put together wrongly are far off."""
    return normal((10, 3, 2), seed=1) + np.arange(30.0).reshape(10, 3, 1) ** 2


def assert_same(got, want):
    for one, other in zip(got, want, strict=True):
        assert_close(one, other)


def test_shares_have_the_statistics_of_the_batch(monkeypatch):
    """Two shares of unequal size: together they are the batch, and the sums of their gradients its gradients."""
    monkeypatch.setattr(parallel, "_chosen", 2)
    x, dy, weight, bias = of_several_levels(), normal((10, 3, 2), seed=2), normal((2,), seed=3), normal((2,), seed=4)
    want, cache = batchnorm_forward(x, weight, bias)
    expected = batchnorm_backward(dy, cache)
    group = parallel.ThreadGroup(2)

    def share(member: int, rows: slice) -> tuple:
        def all_gather(value):
            return group.all_gather(member, value)

        y, cache = batchnorm_forward(x[rows], weight, bias, all_gather=all_gather)
        return y, batchnorm_backward(dy[rows], cache, all_gather), cache

    one, other = parallel.run([lambda: share(0, slice(0, 3)), lambda: share(1, slice(3, 10))], group)
    assert_same([np.concatenate([one[0], other[0]]), *one[2][2:6]], [want, *cache[2:6]])
    assert_same([np.concatenate([one[1][0], other[1][0]])], expected[:1])
    assert_same([one[1][i] + other[1][i] for i in (1, 2)], expected[1:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_starts_as_the_standardised_channels(dtype):
    layer = BatchNorm(3, init=Initializer(dtype=dtype))
    np.testing.assert_array_equal(layer.weight.data, np.ones(3))
    np.testing.assert_array_equal(layer.bias.data, np.zeros(3))
    assert layer.weight.data.dtype == layer.bias.data.dtype == dtype


def test_what_it_is_made_with_unless_told():
    """The values of the paper's authors and of PyTorch."""
    assert (BatchNorm(3).eps, BatchNorm(3).momentum) == (1e-5, 0.1)
