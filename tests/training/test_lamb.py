"""LAMB: mvnp/training/lamb.py."""

import numpy as np
import pytest

from mvnp.core import Param
from mvnp.errors import InputError
from mvnp.training import LAMB
from mvnp.training.clipping import clipped, global_norm
from support.recipe_cases import recipe_case, under
from support.tolerance import assert_close

SETTINGS, ARRAYS = recipe_case("lamb")
OPTIONS = {"inner_max_norm": "max_grad_norm", "lr_scale_of": "lr_scales"}  # the cases' name, and ours


def test_by_hand():
    # θ = (3, 4), λ = 0.5, η = 0.1, β = (0.5, 0.75), ε = 0, G = 1. g = (0, 2) has norm 2: c = 2, g = (0, 1).
    # m = (0, 1/2), v = (0, 1/4); m̂ = (0, 1), v̂ = (0, 1); u = (0, 1) + (1.5, 2) = (1.5, 3); r = 5 / √11.25
    param = Param(np.array([[3.0, 4.0]]))
    optimizer = LAMB([("w", param)], betas=(0.5, 0.75), eps=1e-300, weight_decay=0.5)
    optimizer.step({"w": np.array([[0.0, 2.0]])}, lr=0.1)
    r = 5 / np.sqrt(11.25)
    assert_close(param.data, [[3 - 0.1 * r * 1.5, 4 - 0.1 * r * 3]], terms=16)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", SETTINGS["cases"])
def test_against_the_reference(case, dtype):
    changed = dict(SETTINGS["cases"][case])
    outer = changed.pop("outer_clip_norm", None)
    options = {OPTIONS.get(name, name): value for name, value in changed.items()}
    params = {name: Param(array.astype(dtype)) for name, array in under("start", ARRAYS).items()}
    optimizer = LAMB(params.items(), betas=tuple(SETTINGS["betas"]), **{"weight_decay": 0.05, "eps": 1e-8, **options})
    gradients, rows = under("grad", ARRAYS), under(f"{case}.param", ARRAYS)
    kept = SETTINGS["kept_steps"]["official" if case == "official" else "others"]
    # A norm and a dozen roundings in each of twenty steps.
    terms = 20 * 256
    for step, lr in enumerate(SETTINGS["lr_of_step"], 1):
        grads = {name: array[step - 1].astype(dtype) for name, array in gradients.items()}
        grads = {name: array.astype(dtype) for name, array in clipped(grads, float(global_norm(grads)), outer).items()}
        optimizer.step(grads, lr)
        if step in kept:
            for name, param in params.items():
                assert param.dtype == dtype
                want = rows[name][kept.index(step)]
                assert_close(param.data, want, terms=terms, dtype=dtype, message=f"{name} after step {step}")
    for moment in ("m", "v"):
        for name, want in under(f"{case}.{moment}", ARRAYS).items():
            assert_close(getattr(optimizer, moment)[name], want, terms=terms, dtype=dtype, message=f"{moment} of {name}")


def test_settings_unless_others_are_given():
    optimizer = LAMB([])
    assert (optimizer.betas, optimizer.eps, optimizer.weight_decay, optimizer.max_grad_norm) == ((0.9, 0.999), 1e-8, 0.05, 1.0)
    with pytest.raises(InputError, match="LAMB: betas is"):
        LAMB([], betas=(1.0, 0.9))


@pytest.mark.parametrize(("limit", "first"), [(10.0, [0.3, 0.4]), (2.5, [0.15, 0.2])])
def test_limits_by_hand(limit, first):
    """A gradient of length 5: within the one limit, cut in half by the other. m = 0.1 g."""
    optimizer = LAMB([("w", Param(np.ones((1, 2))))], max_grad_norm=limit)
    optimizer.step({"w": np.array([[3.0, 4.0]])}, lr=0.1)
    assert_close(optimizer.m["w"], [first])


def test_without_parameters_nothing_is_to_do():
    LAMB([]).step({"w": np.ones(3)}, lr=0.1)


def test_what_is_not_decayed_takes_adams_step():
    param = Param(np.array([5.0, 100.0]))
    LAMB([("b", param)], eps=1e-300, max_grad_norm=None).step({"b": np.array([1e-3, -7.0])}, lr=0.01)
    assert_close(param.data, [4.99, 100.01])


def test_parameters_without_length_or_gradient():
    # All zeros: r = 1, Adam's step. Gradient zero: u = λθ, r = 1/λ, so the parameter shrinks by the whole rate.
    zeros, still = Param(np.zeros((2, 2))), Param(np.array([[2.0, -4.0]]))
    optimizer = LAMB([("zeros", zeros), ("still", still)], eps=1e-300, weight_decay=0.5, max_grad_norm=None)
    optimizer.step({"zeros": np.array([[1.0, -2.0], [3.0, 0.5]]), "still": np.zeros((1, 2))}, lr=0.25)
    assert_close(zeros.data, [[-0.25, 0.25], [-0.25, -0.25]])
    assert_close(still.data, [[1.5, -3.0]])


def test_the_clip_knows_only_its_own_parameters():
    gradients = {"w": np.array([[3.0, 4.0]]), "other": np.full(5, 1e6)}
    moved = []
    for given in (gradients, {"w": gradients["w"]}):
        param = Param(np.array([[1.0, 2.0]]))
        optimizer = LAMB([("w", param)])
        optimizer.step(given, lr=0.1)
        assert_close(optimizer.m["w"], [[0.06, 0.08]])
        moved.append(param.data)
    np.testing.assert_array_equal(*moved)


@pytest.mark.parametrize("limit", [0.0, -1.0, np.inf, np.nan])
def test_limits_that_cannot_be(limit):
    with pytest.raises(InputError, match=r"LAMB: max_grad_norm is .*, expected a number above 0, or None"):
        LAMB([], max_grad_norm=limit)
