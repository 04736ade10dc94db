"""Gradient clipping: mvnp/training/clipping.py."""

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.training import clipped, global_norm
from support.checks import normal
from support.tolerance import assert_close


def test_norm_by_hand():
    norm = global_norm({"a": np.array([[3.0, 0.0]]), "b": np.array([4.0]), "c": np.array(12.0)})
    assert norm == 13.0
    assert norm.shape == ()
    assert norm.dtype == np.float64


def test_norm_in_float32_and_any_layout():
    gradients = {str(i): normal((20 + i, 30), seed=i) for i in range(5)}
    want = np.linalg.norm(np.concatenate([g.ravel() for g in gradients.values()]))
    assert_close(global_norm(gradients), want, terms=16)
    views = {name: np.asfortranarray(g.astype(np.float32)) for name, g in gradients.items()}
    np.testing.assert_allclose(global_norm(views), want, rtol=1e-6)


def test_clipped():
    gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    short = clipped(gradients, 5.0, 1.0)
    assert_close(short["a"], [0.6, 0.0])
    assert_close(short["b"], [[0.8]])
    np.testing.assert_array_equal(gradients["a"], [3.0, 0.0])
    assert_close(clipped(gradients, 5.0, 4.9)["a"], [2.94, 0.0])
    assert clipped(gradients, 5.0, 5.0) is gradients
    assert clipped(gradients, 5.0, None) is gradients


def test_float32_stays_float32():
    assert clipped({"a": np.ones(3, np.float32)}, 5.0, 1.0)["a"].dtype == np.float32


def test_against_torch():
    torch = pytest.importorskip("torch")
    gradients = {"a": normal((4, 5), seed=1), "b": normal((3,), seed=2)}
    theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients.values()]
    for parameter, gradient in zip(theirs, gradients.values(), strict=True):
        parameter.grad = torch.tensor(gradient)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.7)
    assert_close(global_norm(gradients), norm.item(), terms=16)
    for parameter, gradient in zip(theirs, clipped(gradients, norm.item(), 0.7).values(), strict=True):
        # torch adds 1e-6 to the norm, against division by zero; we do not divide where the norm is small
        np.testing.assert_allclose(gradient, parameter.grad.numpy(), rtol=1e-6)


def test_no_gradients():
    with pytest.raises(InputError, match="there are no gradients"):
        global_norm({})
