"""The whole of VMamba: mvnp/models/vmamba.py. Its agreement with the official one is test_vmamba_reference.py's business."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mvnp import Tape, VMamba, create_model, gradcheck_layer, list_models
from mvnp.core import Layer
from mvnp.errors import InputError
from mvnp.execution.share import ShareTape
from mvnp.layers.gelu import GELU
from mvnp.models.ss2d import Cascade
from mvnp.models.variants import VARIANTS
from mvnp.models.vmamba import checked, parsed
from support.checks import normal
from support.randomise import randomised
from support.tolerance import DEEP, assert_close

# The first convolution has half of the first width: a LayerNorm of two channels would be all but a step.
SMALL = {"dims": (8, 6, 7, 10), "depths": (1, 1, 2, 1), "num_classes": 3, "mlp_ratio": 2.0}


def small(**options):
    return randomised(VMamba(**{**SMALL, **options}), seed=1)


def image(*shape, seed=1):
    return normal(shape, seed=seed).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 3), (16, 16), (17, 40), (33, 31), (64, 1)])
def test_any_size(size):
    """Odd, tiny, not square: each stage is half of the one before, rounded up."""
    model, x, tape = small(), image(2, 3, *size), Tape()
    quarter = [-(-side // 4) for side in size]
    expected = [(2, SMALL["dims"][i], *(-(-side // 2**i) for side in quarter)) for i in range(4)]
    assert [stage.shape for stage in model.features(x)] == expected
    assert model.pooled(x).shape == (2, 10)
    logits = model(x, tape)
    dx = model.backward(np.ones_like(logits), tape)
    assert logits.shape == (2, 3)
    assert dx.shape == x.shape
    assert np.isfinite(logits).all()
    assert np.isfinite(dx).all()
    assert tape.entries == []


def test_v0_drops_what_a_patch_does_not_fill():
    model, x = small(version="v0", d_state=2), image(2, 3, 11, 18)
    assert [stage.shape[2:] for stage in model.features(x)] == [(2, 4), (1, 2), (1, 1), (1, 1)]
    other = x.copy()
    other[:, :, 8:], other[:, :, :, 16:] = 7.0, -7.0
    np.testing.assert_array_equal(model(x), model(other))
    with pytest.raises(InputError, match="an image of 3x8 with padding 0x0 is smaller than the kernel, 4x4"):
        model(image(1, 3, 3, 8))


def test_the_faces_agree():
    """Logits are the head on the pooled features, and those are the mean of the standardised last stage."""
    model, x = small(), image(2, 3, 20, 24)
    pooled, last = model.pooled(x), model.features(x)[-1].transpose(0, 2, 3, 1)
    assert_close(model(x), pooled @ model.head.weight.data.T + model.head.bias.data)
    x_hat = (last - last.mean(-1, keepdims=True)) / np.sqrt(last.var(-1, keepdims=True) + 1e-5)
    assert_close(pooled, (x_hat * model.norm.weight.data + model.norm.bias.data).mean(axis=(1, 2)))


def test_without_a_head():
    model, x, tape = small(num_classes=0), image(2, 3, 16, 16), Tape()
    assert model.head is None
    assert not [key for key in model.state_dict() if "head" in key]
    np.testing.assert_array_equal(model(x), model.pooled(x))
    y = model(x, tape)
    assert model.backward(np.ones_like(y), tape).shape == x.shape


def test_images_do_not_meet():
    """Not in training either: there is no BatchNorm."""
    model, x = small(), image(3, 3, 20, 28)
    logits = model(x, Tape())
    for index in range(3):
        assert_close(model(x[index : index + 1])[0], logits[index])


# Gradients

OPTIONS = {
    "v2": {},
    "v0": {"version": "v0", "d_state": 2},
    "drop path, two states, gate": {"drop_path_rate": 0.3, "d_state": 2, "forward_type": "v05"},
    "one channel, no head, two stages": {"in_chans": 1, "num_classes": 0, "dims": 6, "depths": (1, 1)},
    "gated MLPs, positions": {"gmlp": True, "posembed": True, "img": 16, "dims": 8, "depths": (1, 1)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients(options):
    model = small(**options)
    x = normal((2, model.in_chans, *((16, 16) if model.image_size else (17, 26))), seed=2)
    report = gradcheck_layer(model, x, directions=1, tape_seed=3)
    assert len(report.comparisons) == 1 + len(list(model.named_parameters()))
    report.raise_for_error()


class Face(Layer):
    """`features` or `pooled` of a model in one long vector. Its parameters are those that have a part in it."""

    def __init__(self, model, stages):
        self.parts = [model.patch_embed, *model.levels, *([] if stages else [model.norm])]
        self.rest = {"model": model}  # in a dictionary, so that it is not found among the children
        self.stages = stages  # none: `pooled`

    def forward(self, x, tape=None):
        model = self.rest["model"]
        maps = model.features(x, tape) if self.stages else [model.pooled(x, tape)]
        self.shapes = [each.shape for each in maps]
        return np.concatenate([maps[i].ravel() for i in self.stages or (0,)])

    def backward(self, dy, tape):
        model = self.rest["model"]
        if not self.stages:
            return model.pooled_backward(dy.reshape(self.shapes[0]), tape)
        ends = np.cumsum([math.prod(self.shapes[i]) for i in self.stages])[:-1]
        given = dict(zip(self.stages, np.split(dy, ends), strict=True))
        dfeatures = [given[i].reshape(shape) if i in given else None for i, shape in enumerate(self.shapes)]
        return model.features_backward(dfeatures, tape)


@pytest.mark.parametrize("stages", [(0, 1, 2, 3), (1, 3), (3,), ()], ids=lambda stages: str(stages or "pooled"))
def test_gradients_of_features_and_of_pooled(stages):
    """Each stage has two readers: the next level, and whoever asked for it."""
    model = small().astype("float64")
    gradcheck_layer(Face(model, stages), normal((1, 3, 17, 26), seed=2), directions=1).raise_for_error()


def test_the_image_has_a_gradient_only_where_it_is_wanted():
    model, tape = small(), Tape(inputs=False)
    logits = model(image(1, 3, 16, 16), tape)
    assert model.backward(np.ones_like(logits), tape) is None
    assert len(model.gradients(tape)) == len(list(model.named_parameters()))


# Construction


def test_config_builds_the_same_again():
    for options in ({}, {"version": "v0"}, {"forward_type": "v052dc_noz", "ssm_dt_rank": 3, "posembed": True, "img": 32}):
        model = VMamba(**{**SMALL, **options}, seed=5)
        again = VMamba(**json.loads(json.dumps(model.config)))
        assert again.config == model.config
        for key, value in model.state_dict().items():
            np.testing.assert_array_equal(value, again.state_dict()[key])


def test_what_a_version_has():
    v2, v0 = VMamba(**{**SMALL, "mlp_ratio": None}), VMamba(**{**SMALL, "mlp_ratio": None}, version="v0")
    want = {"d_state": 1, "ssm_ratio": 1.0, "mlp_ratio": 4.0, "forward_type": "v05_noz", "ssm_conv_bias": False}
    assert {name: v2.config[name] for name in want} == want
    want = {"d_state": 16, "ssm_ratio": 2.0, "mlp_ratio": 0.0, "forward_type": "v0", "ssm_conv_bias": True}
    assert {name: v0.config[name] for name in want} == want
    assert v0.levels[0].blocks[0].mlp is None
    assert not [key for key in v0.state_dict() if "mlp" in key or "norm2" in key]
    assert VMamba(**SMALL, version="v0", forward_type="v05_noz").levels[0].blocks[0].op.gate == "none"


def test_settings_unless_others_are_given():
    assert VMamba(allocate=False).config == {
        "dims": [96, 192, 384, 768],
        "depths": [2, 2, 8, 2],
        "in_chans": 3,
        "num_classes": 1000,
        "d_state": 1,
        "ssm_ratio": 1.0,
        "mlp_ratio": 4.0,
        "version": "v2",
        "patch_size": 4,
        "drop_path_rate": 0.0,
        "forward_type": "v05_noz",
        "ssm_dt_rank": "auto",
        "ssm_act_layer": "silu",
        "ssm_conv": 3,
        "ssm_conv_bias": False,
        "ssm_init": "v0",
        "mlp_act_layer": "gelu",
        "gmlp": False,
        "norm_layer": "ln2d",
        "downsample_version": "v3",
        "patchembed_version": "v2",
        "patch_norm": True,
        "posembed": False,
        "img": 224,
        "dtype": "float32",
        "seed": 0,
    }


def test_widths():
    assert VMamba(dims=4, depths=(1, 1, 1), num_classes=2).channels == (4, 8, 16)
    assert VMamba(dims=(4, 5, 6), depths=(1, 1, 1), num_classes=2).width == 6
    assert VMamba(**SMALL, ssm_d_state=3).config["d_state"] == 3
    block = VMamba(**SMALL, ssm_ratio=2.5, ssm_conv=5, ssm_dt_rank=2).levels[1].blocks[0]
    assert block.op.in_proj.weight.shape == (15, 6)
    assert block.op.conv2d.weight.shape == (15, 1, 5, 5)
    assert block.op.dt_projs_weight.shape == (4, 15, 2)
    assert block.mlp.fc1.weight.shape == (12, 6)
    assert VMamba(**SMALL, ssm_conv=-1).levels[0].blocks[0].op.conv2d is None
    assert isinstance(VMamba(**SMALL, ssm_act_layer="gelu").levels[0].blocks[0].op.act, GELU)


def test_drop_path_rises_over_all_blocks():
    model = VMamba(**SMALL, drop_path_rate=0.4)
    rates = [block.drop_path.rate for level in model.levels for block in level.blocks]
    assert_close(rates, [0.0, 0.1, 0.2, 0.3, 0.4])


def test_forward_types():
    assert parsed("v05") == ((0, 1, 2, 3), "activated", "layer")
    assert parsed("v0") == parsed("v05")
    assert parsed("v05_noz") == ((0, 1, 2, 3), "none", "layer")
    assert parsed("v05_nozact") == ((0, 1, 2, 3), "plain", "layer")
    assert parsed("v051d_onnone_noz") == ((0, 0, 0, 0), "none", "none")
    assert parsed("v052d_noz_ondwconv3") == ((0, 0, 2, 2), "none", "dwconv3")
    assert parsed("v052dc_noz") == (None, "none", "layer")
    assert isinstance(VMamba(**SMALL, forward_type="v052dc").levels[0].blocks[0].op, Cascade)


def test_initial_values():
    model = VMamba(dims=32, depths=(1, 1), num_classes=50, posembed=True, img=64)
    for param in (model.head.weight, model.levels[0].blocks[0].op.in_proj.weight, model.pos_embed.values):
        assert abs(np.asarray(param).std() / 0.02 - 1) < 0.1
    conv = model.patch_embed.steps[0]
    for param in (conv.weight, conv.bias):
        assert np.abs(np.asarray(param)).max() <= 1 / np.sqrt(27)
    assert model.levels[0].blocks[0].norm.eps == 1e-5
    assert VMamba(**SMALL, seed=1)(image(1, 3, 16, 16)).tolist() != VMamba(**SMALL, seed=2)(image(1, 3, 16, 16)).tolist()


def test_images_of_one_size_with_a_positional_embedding():
    model = small(posembed=True, img=16)
    assert model.image_size == (16, 16)
    assert model.state_dict()["pos_embed"].shape == (1, 8, 4, 4)
    assert small().image_size is None
    with pytest.raises(InputError, match=r"the stem makes a map of 4x5, and pos_embed is for 4x4: .* that of the option img"):
        model(image(1, 3, 16, 20))


def test_depth_of():
    model = VMamba(**SMALL, posembed=True, img=16)
    depths = {key: model.depth_of(key) for key, _ in model.named_parameters()}
    assert depths["patch_embed.0.weight"] == depths["pos_embed"] == 0
    assert depths["layers.0.blocks.0.norm.weight"] == 1
    assert depths["layers.0.downsample.1.weight"] == depths["layers.1.blocks.0.op.A_logs"] == 2
    assert depths["layers.2.blocks.1.mlp.fc1.bias"] == 4
    assert depths["layers.2.downsample.3.bias"] == depths["layers.3.blocks.0.op.Ds"] == 5
    assert depths["classifier.norm.weight"] == depths["classifier.head.bias"] == 6


def test_cut_after():
    model, x = small(), image(2, 3, 20, 28)
    want = model.stages(x)[:2]
    model.cut_after(1)
    for got, stage in zip(model.stages(x), want, strict=True):
        np.testing.assert_array_equal(got, stage)
    assert {key.split(".")[0] for key in model.state_dict()} == {"patch_embed", "layers"}
    assert not [key for key in model.state_dict() if key.startswith(("layers.1.downsample", "layers.2"))]


def test_reset_head():
    model = small()
    model.reset_head(7)
    assert model.state_dict()["classifier.head.weight"].shape == (7, 10)
    assert model(image(1, 3, 16, 16)).shape == (1, 7)
    assert model.head.path == "classifier.head"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": ()}, r"VMamba: depths is \[\], expected a list of integers of at least 1, one for each stage"),
        ({"depths": (1, 0, 2, 1)}, r"VMamba: depths is \[1, 0, 2, 1\], expected a list of integers"),
        ({"depths": 4}, r"VMamba: depths is 4, expected a list of integers"),
        ({"depths": (1, 1.5, 2, 1)}, r"VMamba: depths is \[1, 1\.5, 2, 1\], expected a list of integers"),
        ({"depths": (1, True, 2, 1)}, r"VMamba: depths is \[1, True, 2, 1\], expected a list of integers"),
        ({"dims": 2**20, "depths": (1,)}, r"VMamba: dims \[1048576\], depths \[1\] and .* make about"),
        ({"dims": 2**20 + 1, "depths": (1,)}, r"VMamba: dims is \[1048577\], expected 1 integers .*; at most 1048576"),
        ({"dims": (4, 6, 8)}, r"VMamba: dims is \[4, 6, 8\], expected 4 integers of at least 1, one for each of depths"),
        ({"dims": (4, 6, 8, 0)}, r"VMamba: dims is \[4, 6, 8, 0\], expected 4 integers"),
        ({"dims": 4.5}, r"VMamba: dims is 4\.5, expected 4 integers"),
        ({"dims": True}, r"VMamba: dims is True, expected 4 integers"),
        ({"in_chans": 0}, r"VMamba: in_chans is 0, expected an integer of at least 1"),
        ({"num_classes": -1}, r"VMamba: num_classes is -1, expected an integer of at least 0"),
        ({"d_state": 0}, r"VMamba: d_state is 0, expected an integer of at least 1"),
        ({"seed": -1}, r"VMamba: seed is -1, expected an integer of at least 0"),
        ({"img": 0}, r"VMamba: img is 0, expected an integer of at least 1"),
        ({"ssm_conv": "3"}, r"VMamba: ssm_conv is '3', expected an integer of at least -1"),
        ({"ssm_dt_rank": 0}, r"VMamba: ssm_dt_rank is 0, expected an integer of at least 1"),
        ({"ssm_dt_rank": "automatic"}, r"VMamba: ssm_dt_rank is 'automatic', expected an integer of at least 1"),
        ({"ssm_ratio": 0.1}, r"VMamba: ssm_ratio is 0\.1, expected a number that makes at least 1 channels of the 6"),
        ({"ssm_ratio": -1}, r"VMamba: ssm_ratio is -1, expected a number that makes"),
        ({"ssm_ratio": "2"}, r"VMamba: ssm_ratio is '2', expected a number"),
        ({"mlp_ratio": -0.1}, r"VMamba: mlp_ratio is -0\.1, expected a number that makes at least 0 channels"),
        ({"mlp_ratio": math.inf}, r"VMamba: mlp_ratio is inf, expected a number"),
        ({"drop_path_rate": 1.0}, r"VMamba: drop_path_rate is 1\.0, expected a probability in \[0, 1\)"),
        ({"drop_path_rate": "a"}, r"VMamba: drop_path_rate is 'a', expected a number"),
        ({"mlp_ratio": 2**20 + 1}, r"VMamba: mlp_ratio is 1048577, expected at most 1048576"),
        ({"dims": 10**5}, r"VMamba: dims \[100000, .*\], depths \[1, 1, 2, 1\] and .* make about \de\+\d+ parameters"),
        ({"depths": (1, 1, 9999, 1)}, r"VMamba: dims .*, depths \[1, 1, 9999, 1\]: 10,002 blocks, expected at most 10,000"),
        ({"patch_size": 8}, r"VMamba: patch_size is 8 and dims\[0\] 8, expected 4 and at least 2"),
        ({"dims": 1}, r"VMamba: patch_size is 4 and dims\[0\] 1, expected 4 and at least 2"),
        ({"posembed": True, "img": 30}, r"VMamba: img is 30, expected a multiple of patch_size, 4"),
        ({"version": "v1"}, r"unknown version of VMamba 'v1'.*; choose one of v2, v0"),
        ({"forward_type": "v06"}, r"unknown forward_type of VMamba, which begins with 'v06'.*; choose one of v0, v05, v051d"),
        ({"forward_type": "v05_noy"}, r"unknown part of the forward_type 'v05_noy' 'noy'.*; choose one of noz, nozact"),
        ({"ssm_act_layer": "tanh"}, r"unknown ssm_act_layer of VMamba 'tanh'"),
        ({"mlp_act_layer": "tanh"}, r"unknown mlp_act_layer of VMamba 'tanh'"),
        ({"norm_layer": "bn"}, r"unknown norm_layer of VMamba 'bn'"),
        ({"ssm_init": "v3"}, r"unknown ssm_init of VMamba 'v3'"),
        ({"downsample_version": "v4"}, r"unknown downsample_version of VMamba 'v4'"),
        ({"patchembed_version": "v3"}, r"unknown patchembed_version of VMamba 'v3'"),
        ({"dtype": "float16"}, r"VMamba: dtype is 'float16', expected one of float32, float64"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(InputError, match="^" + message):
        VMamba(**{**SMALL, **options})


def test_the_least_that_is_taken():
    """Patches of a pixel, and a scan of half the channels."""
    model = VMamba(**{**SMALL, "patchembed_version": "v1", "patch_size": 1, "ssm_ratio": 0.5})
    assert model.strides[0] == 1
    assert [level.blocks[0].op.in_proj.weight.shape[0] for level in model.levels] == [4, 3, 3, 5]
    assert model(image(1, 3, 8, 8)).shape == (1, 3)

    assert VMamba(dims=2, depths=(1,), allocate=False).channels == (2,)


@pytest.mark.parametrize("name", ["ssm_ratio", "mlp_ratio", "in_chans", "num_classes", "d_state", "img", "seed"])
def test_the_most_that_is_taken(name):
    config, most = VMamba(**SMALL, allocate=False).config, 2**64 - 1 if name == "seed" else 2**20
    assert checked({**config, name: most})[name] == most
    with pytest.raises(InputError, match=f"VMamba: {name} is {most + 1}, expected at most {most}"):
        checked({**config, name: most + 1})


def test_wrong_images():
    model = small()
    with pytest.raises(InputError, match=r"VMamba: x has shape \(2, 1, 16, 16\), expected \(B, 3, H, W\)"):
        model(image(2, 1, 16, 16))
    with pytest.raises(InputError, match=r"VMamba: x has dtype int64"):
        model(np.zeros((2, 3, 16, 16), np.int64))
    tape = Tape()
    model(image(2, 3, 16, 16), tape)
    with pytest.raises(InputError, match=r"VMamba: dlogits has shape \(2, 4\), expected \(B, 3\)"):
        model.backward(np.zeros((2, 4), np.float32), tape)


# The released variants

SHAPES = json.loads(
    (Path(__file__).parent.parent / "reference" / "state_dict_shapes_vim_vmamba.json").read_text(encoding="utf-8")
)

VARIANTS_OF = {
    "vmamba_tiny_s1l8": 30_249_064,
    "vmamba_small_s2l15": 50_147_752,
    "vmamba_base_s2l15": 88_557_800,
    "vmamba_tiny_s2l5": 30_705_832,
    "vmamba_small_s1l20": 49_012_840,
    "vmamba_base_s1l20": 86_614_504,
    "vanilla_vmamba_tiny": 22_893_448,
    "vanilla_vmamba_small": 44_417_416,
    "vanilla_vmamba_base": 76_254_056,
}


def test_names():
    assert [name for name in list_models() if VARIANTS[name].family == "VMamba"] == list(VARIANTS_OF)
    assert {name for name in SHAPES if "vmamba" in name} == set(VARIANTS_OF)


@pytest.mark.parametrize("name", VARIANTS_OF)
def test_keys_shapes_their_order_and_number(name):
    model = create_model(name, allocate=False)
    assert [(key, param.shape) for key, param in model.named_state()] == [(k, tuple(s)) for k, s in SHAPES[name].items()]
    assert model.parameter_count == VARIANTS[name].parameters == VARIANTS_OF[name]


# arXiv:2401.10166, its ablation from the first version to the final one: what changes, and how many parameters there are.
STEPS = [
    (22_893_448, {"version": "v0", "depths": (2, 2, 9, 2)}),
    (28_991_656, {"depths": (2, 2, 2, 2), "d_state": 16, "ssm_ratio": 2.0, "forward_type": "v05", "ssm_conv": -1}),
    (22_926_376, {"depths": (2, 2, 2, 2), "d_state": 16, "forward_type": "v05", "ssm_conv": -1}),
    (28_256_680, {"depths": (2, 2, 5, 2), "d_state": 16, "forward_type": "v05", "ssm_conv": -1}),
    (26_247_592, {"depths": (2, 2, 5, 2), "d_state": 16, "ssm_conv": -1}),
    (26_283_880, {"depths": (2, 2, 5, 2), "d_state": 16}),
    (25_558_120, {"depths": (2, 2, 5, 2)}),
    (30_705_832, {"depths": (2, 2, 5, 2), "ssm_ratio": 2.0}),
    (30_249_064, {}),
]


@pytest.mark.parametrize(("parameters", "options"), STEPS, ids=str)
def test_parameters_of_the_papers_steps(parameters, options):
    assert VMamba(**options, allocate=False).parameter_count == parameters


def test_a_step_in_micro_batches():
    """Stages that run again, a few samples at a time: the same gradients, and the same draws."""
    model, x = small(drop_path_rate=0.3), image(5, 3, 16, 20)
    gradients = []
    for size in (0, 2):
        tape = ShareTape(Tape(seed=3), slice(0, 5), 5, micro_batch=size)
        logits = model(x, tape)
        gradients.append((logits, model.backward(logits, tape), *model.gradients(tape).values()))
    for whole, micro in zip(*gradients, strict=True):
        assert_close(micro, whole, terms=DEEP)


def test_strides():
    """Of each stage, in pixels of the image."""
    assert VMamba(dims=4, depths=(1, 1, 1, 1), allocate=False).strides == (4, 8, 16, 32)
    other = VMamba(dims=4, depths=(1, 1, 1), patchembed_version="v1", patch_size=3, allocate=False)
    assert other.strides == (3, 6, 12)


@pytest.mark.parametrize(("size", "taps"), [(-1, None), (0, None), (1, None), (2, (2, 2)), (3, (3, 3))])
def test_a_depthwise_kernel_below_two_is_none(size, taps):
    conv = VMamba(dims=4, depths=(1,), ssm_conv=size, allocate=False).levels[0].blocks[0].op.conv2d
    assert (conv and conv.weight.shape[2:]) == taps


def test_the_size_of_the_image_matters_to_a_positional_embedding_alone():
    assert VMamba(dims=4, depths=(1,), img=30, allocate=False).config["img"] == 30
    with pytest.raises(InputError, match="img is 30, expected a multiple of patch_size, 4"):
        VMamba(dims=4, depths=(1,), img=30, posembed=True, allocate=False)
