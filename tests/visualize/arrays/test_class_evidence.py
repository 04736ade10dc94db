"""Gradient times input and GradCAM: mvnp/visualize/arrays/class_evidence.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.class_evidence import grad_cam_map, gradient_times_input_map, logit_gradient
from support.above_stage import AboveStage
from support.figures import image
from support.tiny import image_off_kinks, tiny
from support.tolerance import DEEP, assert_close, rounding


def test_the_gradient_is_that_of_the_logit():
    model = tiny(dtype="float64")
    x = image_off_kinks(model, (1, 3, 40, 40), training=False)
    target, logit, gradient = logit_gradient(model, x, 1)
    assert target == 1
    assert_close(logit, model(x)[0, 1])
    direction = np.random.default_rng(3).standard_normal(x.shape)
    step = 1e-5
    change = (model(x + step * direction)[0, 1] - model(x - step * direction)[0, 1]) / (2 * step)
    assert_close((gradient * direction).sum(), change, terms=DEEP, scale=abs(logit) / step)  # a difference, over the step


def test_gradient_times_input():
    model, x = tiny(dtype="float64"), image()
    _, _, gradient = logit_gradient(model, x, 2)
    expected = sum(gradient[0, colour] * x[0, colour] for colour in range(3))
    assert_close(gradient_times_input_map(model, x, 2), expected)


def test_grad_cam_of_the_last_stage_is_the_heads_weights_on_the_map():
    """From there on the network is norm, mean and head: the weights can be written down."""
    model, x = tiny(dtype="float64"), image()
    stage = model.features(x)[3][0]
    norm = model.norm
    gain = norm.weight.data / np.sqrt(norm.running_var.data + norm.eps)
    found = []
    for target in range(3):
        weights = model.head.weight.data[target] * gain / stage[0].size
        found.append(grad_cam_map(model, x, target))
        assert_close(found[-1], np.maximum(np.einsum("k,kij->ij", weights, stage), 0), terms=DEEP)
    assert (np.array(found) > 0).sum() >= 3


@pytest.mark.parametrize("stage", range(4))
def test_grad_cam_of_any_stage_against_central_differences(stage):
    model, x = tiny(dtype="float64"), image()
    S = model.features(x)[stage]
    above = AboveStage(model, stage)
    weights = []
    for channel in range(S.shape[1]):  # moving a whole map moves the logit by the sum of its gradients
        step = np.zeros_like(S)
        step[0, channel] = 1e-5
        change = (above.forward(S + step) - above.forward(S - step))[0, 0] / 2e-5
        weights.append(change / S[0, channel].size)
    expected = np.maximum(np.einsum("k,kij->ij", weights, S[0]), 0)
    weight_noise = rounding("float64", DEEP, abs(model(x)[0, 0]) / 1e-5) / S[0, 0].size  # of a difference, over the step
    noise = weight_noise * np.abs(S).sum(axis=1).max()
    assert_close(grad_cam_map(model, x, 0, stage), expected, noise=noise)


def test_on_cupy(strict_cupy):
    model, x = tiny(), from_numpy(image().astype(np.float32))
    assert type(gradient_times_input_map(model, x)) is np.ndarray
    assert type(grad_cam_map(model, x)) is np.ndarray


@pytest.mark.parametrize("target", [-1, 3, 1.0, True, "bag"])
def test_a_class_that_is_none(target):
    for function in (gradient_times_input_map, grad_cam_map):
        with pytest.raises(InputError, match=r"target is .*, expected a class between 0 and 2, or None"):
            function(tiny(), image().astype(np.float32), target)


def test_an_image_that_is_not_finite():
    x = image().astype(np.float32)
    x[0, 1, 3, 4] = np.nan
    for function in (gradient_times_input_map, grad_cam_map):
        with pytest.raises(InputError, match=r"image has values that are not finite \(NaN or infinity\)"):
            function(tiny(), x)


def test_anything_but_one_image():
    for function, name in ((gradient_times_input_map, "gradient_times_input"), (grad_cam_map, "grad_cam")):
        with pytest.raises(InputError, match=rf"{name}: image has shape \(2, 3, 64, 64\), expected \(1, 3, H, W\)"):
            function(tiny(), np.zeros((2, 3, 64, 64), np.float32))
