"""Layers as text: mvnp/core/tree.py."""

import mvnp
from mvnp import Layer
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.gelu import GELU
from mvnp.layers.layer_scale import LayerScale
from mvnp.layers.linear import Linear
from mvnp.models.mlp import Mlp
from support.tiny import tiny


def test_a_leaf():
    assert repr(Linear(3, 2)) == "Linear(weight (2, 3), bias (2,))  # 8 parameters"
    assert repr(BatchNorm(4)) == "BatchNorm(weight (4,), bias (4,))  # 8 parameters"  # buffers are not trained
    assert repr(GELU()) == "GELU()"
    assert repr(LayerScale(3, 1.0)) == "LayerScale(gamma (3,))  # 3 parameters"


def test_a_tree():
    assert repr(Mlp(2, 4)).splitlines() == [
        "Mlp(                                       # 22 parameters",
        "  (fc1): Linear(weight (4, 2), bias (4,))  # 12",
        "  (act): GELU()",
        "  (drop1): Dropout()",
        "  (fc2): Linear(weight (2, 4), bias (2,))  # 10",
        "  (drop2): Dropout()",
        ")",
    ]


class Stack(Layer):
    key_of = {"steps": "blocks"}  # noqa: RUF012

    def __init__(self):
        self.steps = [Linear(1, 1), Linear(1, 1), Linear(1, 2), Linear(1, 1)]
        self.first, self.second = Linear(1, 1), Linear(1, 1)


def test_neighbours_in_a_list_share_an_entry():
    """Only those: attributes have names of their own."""
    labels = [line.strip().partition("  #")[0].rstrip() for line in repr(Stack()).splitlines()]
    assert labels == [
        "Stack(",
        "(blocks.0-1): 2 x Linear(weight (1, 1), bias (1,))",
        "(blocks.2): Linear(weight (2, 1), bias (2,))",
        "(blocks.3): Linear(weight (1, 1), bias (1,))",
        "(first): Linear(weight (1, 1), bias (1,))",
        "(second): Linear(weight (1, 1), bias (1,))",
        ")",
    ]


def test_a_model_without_memory():
    model = mvnp.create_model("mamba_vision_T", allocate=False)
    first, *others = repr(model).splitlines()
    assert first.split("#") == [first.split("#")[0], " 31,794,248 parameters"]
    assert first.startswith("MambaVision(")
    assert any(line.startswith("  (head): Linear(weight (1000, 640), bias (1000,))") for line in others)
    assert sum("x Block(" in line for line in others) == 4
    # Counts of the direct children are those of the whole.
    counts = [int(line.split("#")[1].replace(",", "")) for line in others if line.startswith("  (") and "#" in line]
    assert sum(counts) == model.parameter_count


def test_every_key_can_be_followed():
    lines = repr(tiny(layer_scale=0.5))
    for name in ("patch_embed", "conv_down.0", "levels.3", "mixer", "gamma_1", "norm1", "reduction.0", "qkv", "avgpool"):
        assert f"({name})" in lines
