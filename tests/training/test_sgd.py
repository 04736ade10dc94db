"""SGD: mvnp/training/sgd.py."""

import numpy as np
import pytest

from mvnp.core import Param
from mvnp.errors import InputError
from mvnp.training import LAMB, SGD, AdamW
from support.checks import normal
from support.tolerance import assert_close


def test_by_hand():
    # θ = 1, λ = 0.5, μ = 0.5, η = 0.1. g = 2: g + λθ = 2.5, v = 2.5, θ = 0.75.
    # g = −1: −1 + 0.375 = −0.625, v = 1.25 − 0.625 = 0.625, θ = 0.75 − 0.0625
    param = Param(np.array([[1.0]]))
    optimizer = SGD([("w", param)], momentum=0.5, weight_decay=0.5)
    optimizer.step({"w": np.array([[2.0]])}, lr=0.1)
    assert_close(param.data, [[0.75]])
    optimizer.step({"w": np.array([[-1.0]])}, lr=0.1)
    assert_close(param.data, [[0.6875]])


@pytest.mark.parametrize("nesterov", [False, True])
def test_against_torch(nesterov):
    torch = pytest.importorskip("torch")
    params = {name: Param(np.array(normal(shape, seed=len(name)))) for name, shape in {"w": (4, 3), "bias": (3,)}.items()}
    theirs = {name: torch.nn.Parameter(torch.tensor(param.data)) for name, param in params.items()}
    groups = [{"params": [theirs["w"]], "weight_decay": 0.1}, {"params": [theirs["bias"]], "weight_decay": 0.0}]
    reference = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=nesterov)
    optimizer = SGD(params.items(), momentum=0.9, nesterov=nesterov, weight_decay=0.1, lr_scales={"w": 0.5})
    reference.param_groups[0]["lr"] = 0.05
    for step in range(8):
        gradients = {name: np.array(normal(param.shape, seed=10 * step + len(name))) for name, param in params.items()}
        optimizer.step(gradients, lr=0.1)
        for name, p in theirs.items():
            p.grad = torch.tensor(gradients[name])
        reference.step()
        for name, p in theirs.items():
            assert_close(params[name].data, p.detach().numpy(), message=f"{name} after step {step + 1}")


def test_settings_out_of_range():
    with pytest.raises(InputError, match=r"SGD: momentum is 1.0, expected a number in \[0, 1\)"):
        SGD([], momentum=1.0)
    with pytest.raises(InputError, match="SGD: nesterov is True, expected a momentum above 0 with it"):
        SGD([], momentum=0.0, nesterov=True)


def test_settings_unless_others_are_given():
    optimizer = SGD([])
    assert (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.9, False, 0.0)


def test_without_momentum_it_is_gradient_descent():
    param = Param(np.array([2.0, 3.0]))
    optimizer = SGD([("w", param)], momentum=0.0)
    for _ in range(2):
        optimizer.step({"w": np.array([1.0, -2.0])}, lr=0.25)
    np.testing.assert_array_equal(param.data, [1.5, 4.0])


@pytest.mark.parametrize("optimizer", [SGD, AdamW, LAMB])
def test_steps_that_cannot_be(optimizer):
    """Nothing is changed, whatever comes."""
    param, gradient = Param(np.ones((2, 2))), np.ones((2, 2))
    made, name = optimizer([("w", param)]), optimizer.__name__
    for lr in (-1, float("nan"), float("inf"), "a", None):
        with pytest.raises(InputError, match=f"{name}: lr is {lr!r}, expected a number of at least 0"):
            made.step({"w": gradient}, lr)
    for gradients in (None, [gradient], 3):
        with pytest.raises(InputError, match=f"{name}: gradients is .*, expected a dict of arrays"):
            made.step(gradients, 0.1)
    for wrong in (None, "a", 3.0):
        with pytest.raises(InputError, match=rf"{name}: the gradient of w is {wrong!r}, expected \(2, 2\)"):
            made.step({"w": wrong}, 0.1)
    np.testing.assert_array_equal(param.data, np.ones((2, 2)))
    assert made.steps == 0
    with pytest.raises(InputError, match=f"{name}: lr_scales is .*, expected a dict of numbers of at least 0 by name"):
        optimizer([("w", param)], lr_scales={"w": -1.0})
