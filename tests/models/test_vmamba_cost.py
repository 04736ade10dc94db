"""What a VMamba costs: mvnp/costs/vmamba.py."""

import math

import numpy as np
import pytest

from mvnp import VMamba, create_model
from mvnp.costs.cost import model_cost

# 10⁹ operations as the authors' counter has them, at 224x224, of arXiv:2401.10166: a multiply-add is one, as are a number that
# is pooled, five for one in a norm, nine for a state and one for D x.
PUBLISHED = {
    "vmamba_tiny_s1l8": 4.905609984,
    "vmamba_small_s2l15": 8.715774720,
    "vmamba_base_s2l15": 15.358944256,
    "vmamba_tiny_s2l5": 4.857742080,
    "vmamba_small_s1l20": 8.612211456,
    "vmamba_base_s1l20": 15.220859904,
    "vanilla_vmamba_tiny": 5.626902528,
    "vanilla_vmamba_small": 11.231511552,
    "vanilla_vmamba_base": 18.019627008,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_operations_to_the_last(name):
    cost = model_cost(create_model(name, allocate=False), 224)
    total = cost.macs + cost.scan_flops
    for before, row in zip((None, *cost.rows), cost.rows, strict=False):
        size = math.prod(row.shape)
        total += {"LayerNorm": 5 * size, "scan": size, "AveragePool": math.prod(before.shape) if before else 0}.get(row.kind, 0)
    assert total == round(PUBLISHED[name] * 1e9)
    assert cost.parameters == create_model(name, allocate=False).parameter_count


OPTIONS = [
    {},
    {"version": "v0", "d_state": 2},
    {"gmlp": True, "forward_type": "v05_ondwconv3", "posembed": True, "img": 40},
    {"ssm_conv": -1, "forward_type": "v052dc_onnone_noz", "downsample_version": "v2", "num_classes": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_shapes_and_parameters(options):
    model = VMamba(**{"dims": (8, 10, 12), "depths": (1, 2, 1), "num_classes": 3, **options})
    cost = model_cost(model, 40)
    assert cost.parameters == model.parameter_count
    assert cost.rows[-1].shape == (model.num_classes or model.width,)
    x = np.zeros((1, 3, 40, 40), np.float32)
    for number, stage in enumerate(model.features(x)):
        rows = [row for row in cost.rows if row.part == f"level {number}" and "downsample" not in row.path]
        assert rows[-1].shape == (*stage.shape[2:], stage.shape[1])
    assert {row.part for row in cost.rows} == {"stem", "level 0", "level 1", "level 2", "head"}
    assert len([row for row in cost.rows if row.kind == "scan"]) == 4


def test_rows_of_a_mixer():
    cost = model_cost(VMamba(dims=(8,), depths=(1,), d_state=3, ssm_ratio=2.0, num_classes=2), 16)
    rows = {row.kind: row for row in cost.rows if row.path.startswith("layers.0.blocks.0.op")}
    assert rows["DepthwiseConv2d"].macs == 16 * 16 * 9
    assert rows["scan"].shape == (4, 16, 16)
    assert rows["scan"].macs == 4 * 16 * 16 * (1 + 2 * 3) + 4 * 16 * 16 * 1
    assert rows["scan"].scan_flops == 9 * 4 * 16 * 16 * 3
