"""The released variants: mvnp/models/variants.py. None of these models is allocated."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mvnp import MambaVision, create_model, list_models
from mvnp.errors import InputError
from mvnp.models.variants import IMAGENET_MEAN, IMAGENET_STD, VARIANTS, check_name
from support.tolerance import near

SHAPES = json.loads((Path(__file__).parent.parent / "reference" / "state_dict_shapes.json").read_text(encoding="utf-8"))

PARAMETERS = {
    "mamba_vision_T": 31_794_248,
    "mamba_vision_T2": 35_104_008,
    "mamba_vision_S": 50_140_584,
    "mamba_vision_B": 97_685_288,
    "mamba_vision_B_21k": 97_685_288,
    "mamba_vision_L": 227_961_048,
    "mamba_vision_L_21k": 227_961_048,
    "mamba_vision_L2": 241_554_824,
    "mamba_vision_L2_512_21k": 241_554_824,
    "mamba_vision_L3_256_21k": 739_570_472,
    "mamba_vision_L3_512_21k": 739_570_472,
}

# Where a name has no entry of its own in the reference, the one that differs only in window size or training data.
SAME_SHAPES = {
    "mamba_vision_B_21k": "mamba_vision_B",
    "mamba_vision_L_21k": "mamba_vision_L",
    "mamba_vision_L2_512_21k": "mamba_vision_L2",
    "mamba_vision_L3_512_21k": "mamba_vision_L3_256_21k",
}


def test_names():
    of_family = [name for name in list_models() if VARIANTS[name].family == "MambaVision"]
    assert of_family == list(PARAMETERS)
    assert list_models() == list(VARIANTS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_count(name):
    assert create_model(name, allocate=False).parameter_count == PARAMETERS[name]
    assert VARIANTS[name].parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_keys_shapes_and_their_order(name):
    expected = [(key, tuple(shape)) for key, shape in SHAPES[SAME_SHAPES.get(name, name)].items()]
    assert [(key, param.shape) for key, param in create_model(name, allocate=False).named_state()] == expected


def test_every_reference_table_is_used():
    assert {SAME_SHAPES.get(name, name) for name in PARAMETERS} == set(SHAPES)


def test_the_largest_takes_no_memory():
    """739 million parameters, 3 GB in float32: counted and named with less than 50 MB."""
    tracemalloc.start()
    try:
        model = create_model("mamba_vision_L3_512_21k", allocate=False)
        assert len(list(model.named_state())) == len(SHAPES["mamba_vision_L3_256_21k"])
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"mixer": "concat", "pattern": "last_half"}, 31_794_248),
        ({"mixer": "gated"}, 31_179_848),
        ({"mixer": "gated_one_conv"}, 31_176_008),
        ({"mixer": "mamba"}, 31_176_008),
        ({"mixer": "gated_wide"}, 33_140_808),
        ({"mixer": "gated_one_conv_wide"}, 33_133_128),
        ({"mixer": "mamba_wide"}, 33_133_128),
        ({"pattern": "random", "pattern_seed": 5}, 31_794_248),
        ({"pattern": "first_half"}, 31_794_248),
        ({"pattern": "interleaved_sm"}, 31_794_248),
        ({"pattern": "interleaved_ms"}, 31_794_248),
        ({"pattern": "last_quarter"}, 30_619_208),
        ({"pattern": "none"}, 29_444_168),
        ({"pattern": "all"}, 34_144_328),
    ],
)
def test_parameter_counts_of_the_ablations(options, parameters):
    """Of mamba_vision_T, as tables 4 and 5 of the paper have it."""
    assert create_model("mamba_vision_T", allocate=False, **options).parameter_count == parameters


@pytest.mark.parametrize(
    ("name", "windows", "input_size", "crop"),
    [
        ("mamba_vision_T", (8, 8, 14, 7), 224, (1.0, "center")),
        ("mamba_vision_T2", (8, 8, 14, 7), 224, (0.98, "center")),
        ("mamba_vision_S", (8, 8, 14, 7), 224, (0.93, "center")),
        ("mamba_vision_B", (8, 8, 14, 7), 224, (1.0, "center")),
        ("mamba_vision_B_21k", (8, 8, 14, 7), 224, (1.0, "center")),
        ("mamba_vision_L", (8, 8, 14, 7), 224, (1.0, "center")),
        ("mamba_vision_L_21k", (8, 8, 14, 7), 224, (1.0, "center")),
        ("mamba_vision_L2", (8, 8, 14, 7), 224, (1.0, "center")),
        ("mamba_vision_L2_512_21k", (8, 8, 32, 16), 512, (0.93, "squash")),
        ("mamba_vision_L3_256_21k", (8, 8, 16, 8), 256, (1.0, "center")),
        ("mamba_vision_L3_512_21k", (8, 8, 32, 16), 512, (0.93, "squash")),
    ],
)
def test_what_shapes_do_not_show(name, windows, input_size, crop):
    variant, model = VARIANTS[name], create_model(name, allocate=False)
    assert [model.levels[level].window for level in (2, 3)] == list(windows[2:])
    assert tuple(model.config["window_size"]) == windows
    assert (variant.input_size, variant.crop_pct, variant.crop_mode) == (input_size, *crop)
    # At its own input size, each hybrid stage of a variant is exactly one window.
    assert input_size // 32 == windows[3]
    assert input_size // 16 == windows[2]


@pytest.mark.parametrize(
    ("name", "rate", "scale"),
    [
        ("mamba_vision_T", 0.2, None),
        ("mamba_vision_T2", 0.2, None),
        ("mamba_vision_S", 0.2, None),
        ("mamba_vision_B", 0.3, 1e-5),
        ("mamba_vision_B_21k", 0.3, 1e-5),
        ("mamba_vision_L", 0.3, 1e-5),
        ("mamba_vision_L_21k", 0.3, 1e-5),
        ("mamba_vision_L2", 0.3, 1e-5),
        ("mamba_vision_L2_512_21k", 0.3, 1e-5),
        ("mamba_vision_L3_256_21k", 0.5, 1e-5),
        ("mamba_vision_L3_512_21k", 0.5, 1e-5),
    ],
)
def test_drop_path_and_layer_scale(name, rate, scale):
    model = create_model(name, allocate=False)
    assert model.config["layer_scale"] == scale
    last = model.levels[3].blocks[-1]
    assert last.drop_path1.rate == last.drop_path2.rate == near(rate, terms=16)
    assert (last.gamma_1 is None) == (scale is None)


@pytest.mark.parametrize("name", PARAMETERS)
def test_heads(name):
    """As the release gives them; those of levels 0 and 1, which have no attention, nobody asks for."""
    wide = name.startswith("mamba_vision_L")
    assert VARIANTS[name].options["num_heads"] == ((4, 8, 16, 32) if wide else (2, 4, 8, 16))
    mixers = [create_model(name, allocate=False).levels[level].blocks[-1].mixer.heads for level in (2, 3)]
    assert mixers == list(VARIANTS[name].options["num_heads"][2:])


@pytest.mark.parametrize(
    ("name", "embed_dim", "stride", "rate", "parameters"),
    [
        ("vim_tiny", 192, 16, 0.0, 7_148_008),
        ("vim_tiny_stride8", 192, 8, 0.0, 7_250_344),
        ("vim_small", 384, 16, 0.05, 25_796_584),
        ("vim_small_stride8", 384, 8, 0.0, 26_001_256),
        ("vim_base", 768, 16, 0.0, 97_598_440),
    ],
)
def test_vims(name, embed_dim, stride, rate, parameters):
    """arXiv:2401.09417, table 1; by patches of 16 of images of 224."""
    variant, model = VARIANTS[name], create_model(name, allocate=False)
    assert (model.width, model.config["depth"], model.config["drop_path_rate"]) == (embed_dim, 24, rate)
    assert (model.image_size, model.config["patch_size"], model.config["stride"]) == ((224, 224), 16, stride)
    assert model.parameter_count == variant.parameters == parameters
    assert (variant.family, variant.input_size, variant.crop_pct, variant.crop_mode) == ("Vim", 224, 0.875, "center")


@pytest.mark.parametrize(
    ("name", "dim", "third", "ratio", "rate", "parameters"),
    [
        ("vmamba_tiny_s1l8", 96, 8, 1.0, 0.2, 30_249_064),
        ("vmamba_small_s2l15", 96, 15, 2.0, 0.3, 50_147_752),
        ("vmamba_base_s2l15", 128, 15, 2.0, 0.6, 88_557_800),
        ("vmamba_tiny_s2l5", 96, 5, 2.0, 0.2, 30_705_832),
        ("vmamba_small_s1l20", 96, 20, 1.0, 0.3, 49_012_840),
        ("vmamba_base_s1l20", 128, 20, 1.0, 0.5, 86_614_504),
        ("vanilla_vmamba_tiny", 96, 9, 2.0, 0.2, 22_893_448),
        ("vanilla_vmamba_small", 96, 27, 2.0, 0.3, 44_417_416),
        ("vanilla_vmamba_base", 128, 27, 2.0, 0.6, 76_254_056),
    ],
)
def test_vmambas(name, dim, third, ratio, rate, parameters):
    """arXiv:2401.10166, table 1 and appendix."""
    variant, model = VARIANTS[name], create_model(name, allocate=False)
    assert (model.channels, model.config["depths"]) == ((dim, 2 * dim, 4 * dim, 8 * dim), [2, 2, third, 2])
    assert (model.config["ssm_ratio"], model.config["drop_path_rate"]) == (ratio, rate)
    assert model.parameter_count == variant.parameters == parameters
    assert (variant.family, variant.input_size, variant.crop_pct, variant.crop_mode) == ("VMamba", 224, 0.875, "center")


def test_overrides():
    model = create_model("mamba_vision_T", num_classes=10, in_chans=1, window_size=(8, 8, 4, 2), allocate=False)
    assert model.head.weight.shape == (10, 640)
    assert model.patch_embed.conv_down[0].weight.shape == (32, 1, 3, 3)
    assert model.config["window_size"] == [8, 8, 4, 2]
    assert model.config["dim"] == 80


def test_a_variant_runs():
    """The smallest, allocated and run on a small image. Its numbers are the reference test's business."""
    model = create_model("mamba_vision_T", num_classes=7, window_size=(8, 8, 4, 2))
    assert isinstance(model, MambaVision)
    logits = model(np.zeros((1, 3, 64, 64), np.float32))
    assert logits.shape == (1, 7)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("mamba_vision_t", "'mamba_vision_T'"),
        ("mambavision_L2", "'mamba_vision_L2'"),
        ("MambaVision-B-21K", "'mamba_vision_B_21k'"),
    ],
)
def test_unknown_name(name, suggestion):
    with pytest.raises(InputError) as caught:
        create_model(name)
    assert f"unknown model {name!r} (did you mean {suggestion}?); choose one of mamba_vision_T, " in str(caught.value)


def test_name_that_is_like_nothing():
    with pytest.raises(InputError, match="unknown model 'resnet50'; choose one of mamba_vision_T, mamba_vision_T2, "):
        create_model("resnet50")
    with pytest.raises(InputError, match="unknown model None; choose one of"):
        create_model(None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("w.npz", "'w.npz' is no name of a model; of a file or a repository, load_pretrained gives the model with its weights"),
        ("nvidia/MambaVision-T-1K", "'nvidia/MambaVision-T-1K' is no name of a model; of a file or a repository"),
        ("mamba_vision_t", r"unknown model 'mamba_vision_t' \(did you mean 'mamba_vision_T'\?\)"),
        (None, "unknown model None; choose one of"),
    ],
)
def test_what_is_no_name(name, message):
    with pytest.raises(InputError, match=message):
        check_name(name, VARIANTS)


def test_a_name_may_look_like_that_of_a_file():
    check_name("v2.1/small", ["v2.1/small"])


def test_names_by_a_pattern():
    assert list_models("*_L2*") == ["mamba_vision_L2", "mamba_vision_L2_512_21k"]
    assert list_models("VIM_SMALL*") == ["vim_small", "vim_small_stride8"]
    with pytest.raises(InputError, match=r"list_models: the pattern is 3, expected text such as '\*21k\*'"):
        list_models(3)


def test_unknown_option():
    with pytest.raises(InputError, match=r"unknown option 'img_size' of mamba_vision_T \(images may have any size"):
        create_model("mamba_vision_T", img_size=256)
    with pytest.raises(InputError) as caught:
        create_model("mamba_vision_T", drop_path=0.1)
    message = str(caught.value)
    assert "unknown option 'drop_path' of mamba_vision_T (did you mean 'drop_path_rate'?); options are dim, in_dim" in message
    with pytest.raises(InputError, match=r"unknown option 'classes' of mamba_vision_T \(did you mean 'num_classes'\?\)"):
        create_model("mamba_vision_T", classes=10)


def test_pixels_are_standardised_by_the_statistics_of_imagenet():
    """Means and standard deviations of its channels, of the numbers 0 to 1."""
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)
