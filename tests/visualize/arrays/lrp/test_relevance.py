"""The relevance of pixels and biases: mvnp/visualize/arrays/lrp/relevance.py."""

import numpy as np
import pytest

from mvnp import MambaVision
from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.layers.conv2d import Conv2d
from mvnp.layers.softmax import Softmax
from mvnp.visualize.arrays.class_evidence import gradient_times_input_map
from mvnp.visualize.arrays.lrp import linearised, relevance
from support.figures import image
from support.tiny import TINY, tiny
from support.tolerance import DEEP, assert_close, rounding

VARIANTS = {
    "official": {},
    "masked": {"quirks": "corrected"},
    "layer scale": {"layer_scale": 0.5, "layer_scale_conv": 0.5},
    "qk-norm": {"qk_scale": True},
    "layer norm": {"head_norm": "layer"},
    "no qkv bias": {"qkv_bias": False},
    "gated, attention first": {"mixer": "gated", "pattern": "first_half"},
    "Mamba's block": {"mixer": "mamba_wide", "pattern": "none"},
    "one channel": {"in_chans": 1},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_pixels_and_biases_add_up_to_the_logit(variant):
    options = VARIANTS[variant]
    model, x = tiny(dtype="float64", **options), image(channels=options.get("in_chans", 3))
    for target in range(3):
        found = relevance(model, x, target)
        logit = model(x)[0, target]
        assert_close(found.logit, logit)
        total = found.pixels.sum() + sum(found.biases.values())
        assert_close(total, logit, terms=DEEP, scale=sum(map(abs, (*found.biases.values(), found.pixels.sum()))))
        assert_close(found.error, abs(total - found.logit))


def test_without_constants_the_pixels_alone_are_the_logit():
    """Every bias at 0, every running mean too: a network through the origin."""
    model = tiny(dtype="float64")
    for key, param in model.named_state():
        if key.endswith(("bias", "running_mean")) and "dt_proj" not in key:
            param.data = 0.0 * param.data
    found = relevance(model, image(), 1)
    assert not any(found.biases.values())
    assert_close(found.pixels.sum(), found.logit, terms=DEEP)


def test_the_plain_gradient_does_not_conserve():
    model, x = tiny(dtype="float64"), image()
    for key, param in model.named_state():
        if key.endswith(("bias", "running_mean")) and "dt_proj" not in key:
            param.data = 0.0 * param.data
    assert abs(gradient_times_input_map(model, x, 1).sum() / model(x)[0, 1] - 1) > 0.05


def test_a_bias_that_is_raised_gets_what_the_raise_brings():
    """The head's bias is added to the logit as it is."""
    model, x = tiny(dtype="float64"), image()
    before = relevance(model, x, 2)
    model.head.bias.data[2] += 0.75
    after = relevance(model, x, 2)
    assert_close(after.biases["head"] - before.biases["head"], 0.75)
    assert_close(after.pixels, before.pixels)


def test_without_gamma_convolutions_keep_their_own_backward():
    model = tiny(dtype="float64")
    assert type(linearised(model).patch_embed.conv_down[0]) is Conv2d
    assert type(linearised(model, 0.25).patch_embed.conv_down[0]) is not Conv2d


def test_relevance_is_by_path():
    found = relevance(tiny(dtype="float64"), image(), 0)
    assert {"patch_embed.conv_down.1", "levels.0.blocks.0.conv1", "levels.2.blocks.1.mixer.qkv", "norm", "head"} <= set(
        found.biases
    )
    assert not [path for path in found.biases if "dt_proj" in path]
    assert found.map.shape == (70, 70)
    np.testing.assert_array_equal(found.map, found.pixels.sum(axis=0))


def test_float32_conserves_to_its_rounding():
    found = relevance(tiny(), image().astype(np.float32), 0)
    size = np.abs(found.pixels).sum() + sum(map(abs, found.biases.values()))
    assert found.error <= rounding("float32", 16, size)


def test_the_class_of_the_largest_logit_is_the_default():
    model, x = tiny(dtype="float64"), image()
    assert relevance(model, x).target == model(x)[0].argmax()


def test_the_model_is_left_as_it_was():
    model, x = tiny(dtype="float64"), image()
    kinds = [type(layer) for _, layer in model.named_layers()]
    before = model(x)
    relevance(model, x, 0)
    assert [type(layer) for _, layer in model.named_layers()] == kinds
    np.testing.assert_array_equal(model(x), before)


def test_on_cupy(strict_cupy):
    found = relevance(tiny(), from_numpy(image().astype(np.float32)), 0)
    assert type(found.pixels) is np.ndarray
    assert found.error <= rounding("float32", DEEP, np.abs(found.pixels).sum())


def test_a_layer_without_a_rule():
    model = MambaVision(**TINY)
    model.levels[2].blocks[0].mlp.act = Softmax()
    model.name_paths()
    with pytest.raises(InputError, match=r"no rule for Softmax \(levels.2.blocks.0.mlp.act\); add one"):
        linearised(model)


def test_bad_input():
    with pytest.raises(InputError, match=r"relevance: image has shape \(2, 3, 64, 64\), expected \(1, 3, H, W\)"):
        relevance(tiny(), np.zeros((2, 3, 64, 64), np.float32))
    with pytest.raises(InputError, match="target is 3, expected a class between 0 and 2"):
        relevance(tiny(), image().astype(np.float32), 3)
    with pytest.raises(InputError, match=r"gamma is -0\.1, expected a number of at least 0"):
        relevance(tiny(), image().astype(np.float32), 0, -0.1)
    with pytest.raises(InputError, match="no head"):
        relevance(tiny(num_classes=0), image().astype(np.float32))
