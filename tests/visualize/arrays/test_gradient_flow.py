"""The norms of gradients by block: mvnp/visualize/arrays/gradient_flow.py."""

import numpy as np

from mvnp import Tape
from mvnp.backend import from_numpy, to_numpy
from mvnp.visualize.arrays.gradient_flow import BlockGradient, as_series, gradients_by_block, norm
from support.above_stage import AboveStage
from support.figures import image
from support.tiny import tiny
from support.tolerance import DEEP, assert_close


def one_hot(logits, target):
    return np.eye(logits.shape[1])[[target]]


def test_every_block_is_there_in_order():
    found = gradients_by_block(tiny(dtype="float64", depths=(1, 2, 2, 2)), image())
    assert [(block.path, block.kind) for block in found] == [
        ("patch_embed", "stem"),
        ("levels.0.blocks.0", "convolution"),
        ("levels.0.downsample", "downsampling"),
        ("levels.1.blocks.0", "convolution"),
        ("levels.1.blocks.1", "convolution"),
        ("levels.1.downsample", "downsampling"),
        ("levels.2.blocks.0", "mixer"),
        ("levels.2.blocks.1", "attention"),
        ("levels.2.downsample", "downsampling"),
        ("levels.3.blocks.0", "mixer"),
        ("levels.3.blocks.1", "attention"),
        ("head", "head"),
    ]


def test_norms_of_parameters_are_those_of_the_models_gradients():
    model, x = tiny(dtype="float64"), image()
    tape = Tape(training=False)
    logits = model(x, tape)
    model.backward(one_hot(logits, 1), tape)
    gradients = model.gradients(tape)
    for block in gradients_by_block(model, x, 1):
        parts = [g for key, g in gradients.items() if key.startswith(f"{block.path}.")]
        assert parts
        assert_close(block.parameters, np.sqrt(sum((g**2).sum() for g in parts)), terms=DEEP)


def test_norms_of_activations_are_gradients_of_the_stages():
    """The output of a level's last block is its stage, whose gradient the part of the model above it gives."""
    model, x = tiny(dtype="float64"), image()
    found = {block.path: block.activations for block in gradients_by_block(model, x, 2)}
    for stage, path in enumerate(("levels.0.blocks.0", "levels.1.blocks.0", "levels.2.blocks.1", "levels.3.blocks.1")):
        above, tape = AboveStage(model, stage), Tape(training=False)
        logits = above.forward(model.features(x)[stage], tape)
        expected = np.sqrt((above.backward(one_hot(logits, 2), tape) ** 2).sum())
        assert_close(found[path], expected, terms=DEEP)
    assert found["head"] == 1.0


def test_a_norm_of_very_small_and_very_large_numbers():
    for size in (1e-30, 1.0, 1e30):
        x = np.array([3.0, 4.0], np.float32) * np.float32(size)
        assert_close(norm(x, x), np.float32(size) * np.sqrt(50))
    assert norm(np.zeros(3)) == 0.0


def test_zero_is_no_number_on_a_logarithmic_axis():
    series = as_series([BlockGradient("a", "stem", 0.0, 1.0), BlockGradient("b", "head", 2.0, 0.0)])
    np.testing.assert_array_equal(series["activations"], [np.nan, 2.0])
    np.testing.assert_array_equal(series["parameters"], [1.0, np.nan])


def test_on_cupy(strict_cupy):
    model, x = tiny(), image().astype(np.float32)
    assert all(np.isfinite(block.activations) for block in gradients_by_block(model, from_numpy(x)))
    assert to_numpy(norm(from_numpy(x))).dtype == np.float32
