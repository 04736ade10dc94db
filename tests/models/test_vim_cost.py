"""What a Vim costs: mvnp/costs/vim.py."""

import numpy as np
import pytest

import mvnp
from mvnp.costs.cost import model_cost
from mvnp.errors import InputError
from mvnp.models.variants import VARIANTS
from support.tiny_vim import tiny_vim

# 10⁹ multiply-accumulates, with 9 L E N + L E for each scan, of the facts about the release.
GIGA = {"vim_tiny": 1.82, "vim_tiny_stride8": 6.74, "vim_small": 5.90, "vim_small_stride8": 21.9, "vim_base": 20.9}


@pytest.mark.parametrize("name", GIGA)
def test_operations_of_the_variants(name):
    model = mvnp.create_model(name, allocate=False)
    cost = model_cost(model, 224)
    L, E, depth = model.pos_embed.shape[1], 2 * model.width, 24
    assert cost.scan_flops == 2 * depth * 9 * L * E * 16
    # The source adds the scan's operations to the multiply-accumulates, one for one, and D x.
    assert (cost.macs + cost.scan_flops + 2 * depth * L * E) / 1e9 == pytest.approx(GIGA[name], rel=4e-3)
    assert cost.parameters == VARIANTS[name].parameters


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"directions": "one"},
        {"directions": "shared"},
        {"directions": "paired", "layer_scale": 0.1},
        {"class_token": None, "pool": "max"},
    ],
)
def test_shapes_are_those_of_a_forward(monkeypatch, options):
    """Each layer with a row was called once, and gave what its row says."""
    model = tiny_vim(**options)
    given = {}
    for path, layer in model.named_layers():
        if path and not list(layer.children()):
            plain = layer.forward

            def watched(x, tape=None, plain=plain, path=path):
                y = plain(x, tape)
                given[path] = y.shape[1:]
                return y

            monkeypatch.setattr(layer, "forward", watched)
    model(np.zeros((2, 2, 12, 10), np.float32))
    rows = {row.path: row.shape for row in model_cost(model, 12, 10).rows if row.kind not in ("scan", "tokens")}
    rows = {path: shape for path, shape in rows.items() if "drop_path" not in path}
    assert {path: shape for path, shape in given.items() if "drop_path" not in path} == rows


def test_parts():
    parts = dict.fromkeys(row.part for row in model_cost(tiny_vim(), 12, 10).rows)
    assert list(parts) == ["stem", "block 0", "block 1", "head"]


def test_another_size():
    with pytest.raises(InputError, match="Vim: images of 224x224, expected 12x10"):
        model_cost(tiny_vim(), 224)
