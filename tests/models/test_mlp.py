"""The MLP: mvnp/models/mlp.py."""

import math

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.errors import InputError
from mvnp.models.mlp import Mlp
from support.checks import normal
from support.randomise import randomised
from support.tolerance import assert_close


def test_by_hand():
    # C = 1, hidden 2: W₁ = (1, −1), b₁ = 0, W₂ = (3, 5), b₂ = 7. GELU(±1) = ±Φ(±1), so with x = 1:
    # y = 3 Φ(1) − 5 Φ(−1) + 7.
    mlp = Mlp(1, 2).astype("float64")
    mlp.load_state_dict({"fc1.weight": [[1], [-1]], "fc1.bias": [0, 0], "fc2.weight": [[3, 5]], "fc2.bias": [7]})
    phi = 0.5 * (1 + math.erf(math.sqrt(0.5)))
    assert_close(mlp(np.array([[1.0]])), [[3 * phi - 5 * (1 - phi) + 7]])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("drop", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 4, 3)])
def test_gradients(shape, drop, training):
    mlp = randomised(Mlp(3, 5, drop))
    gradcheck_layer(mlp, normal(shape, seed=1), training=training, tape_seed=4).raise_for_error()


def test_as_in_torch():
    torch = pytest.importorskip("torch")
    mlp, x, dy, tape = randomised(Mlp(4, 10)).astype("float64"), normal((2, 3, 4), seed=1), normal((2, 3, 4), seed=2), Tape()
    other = torch.nn.Sequential(torch.nn.Linear(4, 10), torch.nn.GELU(), torch.nn.Linear(10, 4)).double()
    names = {"0.": "fc1.", "2.": "fc2."}
    other.load_state_dict({a + w: torch.tensor(mlp.state_dict()[b + w]) for a, b in names.items() for w in ("weight", "bias")})
    theirs = torch.tensor(x, requires_grad=True)
    expected = other(theirs)
    expected.backward(torch.tensor(dy))
    assert_close(mlp(x, tape), expected.detach())
    assert_close(mlp.backward(dy, tape), theirs.grad)
    for a, b in names.items():
        for w in ("weight", "bias"):
            assert_close(mlp.gradients(tape)[b + w], other.get_parameter(a + w).grad)


def test_dropout_after_each_layer():
    mlp, x = randomised(Mlp(8, 50, 0.5)), np.ones((4, 8), np.float32)
    tape = Tape(training=True, seed=1)
    y = mlp(x, tape)
    masks = [cache for owner, cache in tape.entries if owner in (mlp.drop1, mlp.drop2)]
    assert [mask.shape for mask in masks] == [(4, 50), (4, 8)]
    assert ((y == 0) == (masks[1] == 0)).all()
    np.testing.assert_array_equal(mlp(x, Tape(training=False)), mlp(x))


def test_wrong_shape_and_dtype():
    with pytest.raises(InputError, match=r"Linear: x has shape \(2, 4\), expected \(\.\.\., 3\)"):
        Mlp(3, 5)(np.zeros((2, 4), np.float32))
    with pytest.raises(InputError, match="Linear: x has dtype int64"):
        Mlp(3, 5)(np.zeros((2, 3), np.int64))
