"""A copy of a model with other backwards: mvnp/visualize/arrays/replace_layers.py."""

import numpy as np

from mvnp import Tape
from mvnp.layers.gelu import GELU
from mvnp.models.blocks import Block
from mvnp.models.mixer import MambaVisionMixer
from mvnp.visualize.arrays.replace_layers import replace_layers
from support.figures import image
from support.tiny import tiny


class DeafGELU(GELU):
    def backward(self, dy, tape):
        return 0.0 * super().backward(dy, tape)


def gradient(model, x):
    tape = Tape(training=False)
    logits = model(x, tape)
    dx = model.backward(np.random.default_rng(1).standard_normal(logits.shape), tape)
    return dx, model.gradients(tape)


def test_with_no_class_replaced_it_does_what_the_model_does():
    model, x = tiny(dtype="float64"), image()
    (dx, gradients), (other_dx, others) = gradient(model, x), gradient(replace_layers(model, {}), x)
    np.testing.assert_array_equal(other_dx, dx)
    assert gradients.keys() == others.keys()


def test_parameters_are_shared_and_gradients_are_found_by_the_model():
    model, x = tiny(dtype="float64"), image()
    other = replace_layers(model, {GELU: DeafGELU})
    assert all(a is b for (_, a), (_, b) in zip(model.named_state(), other.named_state(), strict=True))
    tape = Tape(training=False)
    other.backward(other(x, tape), tape)
    assert model.gradients(tape).keys() == model.gradients(tape).keys() | {"head.weight"}


def test_the_replaced_backward_is_used_and_the_model_left_as_it_was():
    model, x = tiny(dtype="float64"), image()
    before, _ = gradient(model, x)
    other = replace_layers(model, {GELU: DeafGELU})
    _, deaf = gradient(other, x)
    assert not deaf["levels.2.blocks.0.mlp.fc1.weight"].any()
    np.testing.assert_array_equal(gradient(model, x)[0], before)
    assert {type(layer) for _, layer in other.named_layers()} == {
        DeafGELU if type(layer) is GELU else type(layer) for _, layer in model.named_layers()
    }


def test_paths_and_settings_stay():
    model = tiny()
    other = replace_layers(model, {})
    assert [(path, layer.path) for path, layer in other.named_layers()] == [
        (path, layer.path) for path, layer in model.named_layers()
    ]
    assert other.levels[2].window == model.levels[2].window
    assert other.levels is not model.levels


def test_a_layer_in_two_places_is_one_in_the_copy():
    block = tiny().levels[2].blocks[0]
    block.again = block.mixer
    other = replace_layers(block, {})
    assert isinstance(other, Block)
    assert isinstance(other.mixer, MambaVisionMixer)
    assert other.mixer is other.again
    assert other.mixer is not block.mixer
