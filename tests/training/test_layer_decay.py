"""Smaller steps nearer to the image: mvnp/training/layer_decay.py."""

import pytest

from mvnp.errors import InputError
from mvnp.models.backbone import Backbone
from mvnp.models.variants import create_model
from mvnp.training import learning_rate_scales
from mvnp.training.optimizer import is_decayed
from support.recipe_cases import recipe_case
from support.tiny import TINY, tiny
from support.tolerance import near

# Six blocks: one in levels 0 and 1, two in levels 2 and 3.
DEPTHS = {
    "patch_embed.conv_down.0.weight": 0,
    "patch_embed.conv_down.4.bias": 0,
    "levels.0.blocks.0.conv1.weight": 1,
    "levels.0.downsample.reduction.0.weight": 2,
    "levels.1.blocks.0.norm2.bias": 2,
    "levels.1.downsample.reduction.0.weight": 3,
    "levels.2.blocks.0.mixer.A_log": 3,
    "levels.2.blocks.1.mlp.fc1.weight": 4,
    "levels.2.downsample.reduction.0.weight": 5,
    "levels.3.blocks.0.norm1.weight": 5,
    "levels.3.blocks.1.mixer.qkv.weight": 6,
    "norm.weight": 7,
    "head.bias": 7,
}


@pytest.mark.parametrize("key", DEPTHS)
def test_depths_by_hand(key):
    assert tiny().depth_of(key) == DEPTHS[key]


def test_scales():
    model = tiny()
    scales = learning_rate_scales(model, 0.5)
    assert list(scales) == [name for name, _ in model.named_parameters()]
    for key, depth in DEPTHS.items():
        assert scales[key] == 0.5 ** (7 - depth), key
    assert set(scales.values()) == {0.5**power for power in range(8)}


def test_deep_levels_are_counted_block_by_block():
    # With two digits in a block's number, and other depths than the rest of this file.
    model = create_model("mamba_vision_T2", allocate=False)
    assert model.depth_of("levels.2.blocks.10.norm1.weight") == 15
    assert model.depth_of("levels.3.blocks.3.norm1.weight") == 19
    assert model.depth_of("head.weight") == 20


def test_norms_of_a_backbones_outputs_are_at_the_top():
    backbone = Backbone(**{name: value for name, value in TINY.items() if name != "num_classes"})
    assert learning_rate_scales(backbone, 0.5)["outnorm0.weight"] == 1.0


@pytest.mark.parametrize("name", ["mamba_vision_T", "mamba_vision_B"])
def test_against_the_reference(name):
    """Factors by block; and which parameters are decayed, which the optimiser of the release was asked."""
    want = recipe_case("layer_decay")[0][name]
    model = create_model(name, allocate=False)
    scales, parameters = learning_rate_scales(model, want["by_blocks"]["decay"]), dict(model.named_parameters())
    for key, depth in want["by_blocks"]["examples"].items():
        assert model.depth_of(key) == depth
        assert scales[key] == near(want["by_blocks"]["factor_of_depth"][depth])
    assert model.depth_of("head.weight") == want["by_blocks"]["blocks"] + 1
    assert scales["head.weight"] == 1.0
    decayed = {key: param.size for key, param in parameters.items() if is_decayed(key, param)}
    assert (len(decayed), sum(decayed.values())) == (want["decayed_tensors"], want["decayed_numbers"])
    rest = {key: param.size for key, param in parameters.items() if key not in decayed}
    assert (len(rest), sum(rest.values())) == (want["not_decayed_tensors"], want["not_decayed_numbers"])
    assert set(want["decayed_although_tagged"]) <= set(decayed)


def test_a_decay_of_one_is_the_release():
    """The release's own switch finds no blocks, and gives all parameters the factor one."""
    assert recipe_case("layer_decay")[0]["mamba_vision_T"]["official"]["factors"] == [1.0]
    assert set(learning_rate_scales(tiny(), 1.0).values()) == {1.0}


@pytest.mark.parametrize("decay", [0, 2, -0.5])
def test_decays_that_cannot_be(decay):
    with pytest.raises(InputError, match=f"learning_rate_scales: decay is {decay}, expected a number above 0 and at most 1"):
        learning_rate_scales(tiny(), decay)
