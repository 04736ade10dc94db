"""Files of weights of VMamba: mvnp/checkpoint/readers/vmamba.py."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mvnp
from mvnp.checkpoint.load import load_checkpoint
from mvnp.checkpoint.pretrained import load_pretrained, read_pretrained, save_pretrained
from mvnp.checkpoint.readers import reader_of, vmamba
from mvnp.checkpoint.recognise import arguments_of, variants_like
from mvnp.errors import CheckpointError, InputError
from mvnp.models.variants import VARIANTS
from support.checks import relative
from support.randomise import randomised
from support.torch_files import Tensor, write_torch

REFERENCE = Path(__file__).parents[1] / "reference"
SHAPES = json.loads((REFERENCE / "state_dict_shapes_vim_vmamba.json").read_text(encoding="utf-8"))
NAMES = [name for name in SHAPES if "vmamba" in name]
OPTIONS = json.loads((REFERENCE / "vmamba_options.json").read_text(encoding="utf-8"))


def small(**options):
    return randomised(mvnp.VMamba(**{"dims": (8, 10, 12), "depths": (1, 2, 1), "num_classes": 3, **options}), seed=2)


def image(*size):
    return np.random.default_rng(1).standard_normal((1, 3, *size)).astype("float32")


class CfgNode(dict):
    """Pickled under the name that the options of the official training have."""

    def __init__(self, options=None):
        super().__init__(options or {})
        self.__dict__["__deprecated_keys__"] = set()


CfgNode.__module__ = "yacs.config"


@pytest.mark.parametrize(("place", "ema"), [("model", False), ("model_ema", True)])
def test_a_file_as_torch_saves_it(place, ema, tmp_path):
    """Official keys, under "model" beside the state of the training, whose options are a dict of a class of their own."""
    weights = load_file(REFERENCE / "vmamba_tiny.safetensors")
    tensors, storages = {}, {}
    for number, (key, array) in enumerate(weights.items()):
        steps = tuple(int(step) // array.itemsize for step in array.strides)
        tensors[key] = Tensor(str(number), array.shape, steps, count=array.size)
        storages[str(number)] = array.astype("<f4").tobytes()
    others = {"model": {"x": Tensor("0", (1,), (1,), count=weights[next(iter(weights))].size)}} if ema else {}
    config = CfgNode({"MODEL": CfgNode({"NAME": "vssm1_tiny_0230s"}), "AMP_ENABLE": True})
    content = {**others, place: tensors, "config": config, "epoch": 264, "lr_scheduler": {"last": 1}}
    path = write_torch(tmp_path / "vssm1_tiny_0230s_ckpt_epoch_264.pth", content, storages)
    model = load_pretrained(path, ema=ema, dtype="float64")
    expected = np.load(REFERENCE / "vmamba_tiny_odd.npz")
    assert relative(model(expected["x"].astype("float64")), expected["eval.logits"]) < 1e-12
    assert set(load_checkpoint(path, ema=ema)) == set(weights)


def test_a_real_file_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    model = small(d_state=2)
    state = {key: torch.tensor(value) for key, value in model.state_dict().items()}
    torch.save({"model": state, "optimizer": {"param_groups": [{"lr": 1e-3}]}, "epoch": 3}, tmp_path / "a.pth")
    again = load_pretrained(tmp_path / "a.pth")
    assert again.config["d_state"] == 2
    np.testing.assert_array_equal(again(image(32, 40)), model(image(32, 40)))


@pytest.mark.parametrize("name", NAMES)
def test_variants_are_known_by_their_shapes(name):
    shapes = {key: tuple(shape) for key, shape in SHAPES[name].items()}
    seen = arguments_of(shapes)
    assert [variant.name for variant in variants_like(seen)] == [name]
    arguments = {key: value for key, value in seen.items() if key != "family"}
    model = mvnp.VMamba(**arguments, allocate=False)
    assert {key: value.shape for key, value in model.state_dict(copy=False).items()} == shapes


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_known_by_their_shapes_as_far_as_they_show(name):
    """Which way the groups of parameters go, and the functions between layers, do not."""
    weights = load_file(REFERENCE / "vmamba_options.safetensors")
    start = f"{name}.weight."
    weights = {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}
    seen = arguments_of({key: value.shape for key, value in weights.items()})
    seen.pop("family")
    mvnp.VMamba(**seen).load_state_dict(weights)
    asked = {**mvnp.VMamba(**OPTIONS[name]).config}
    unseen = {"unidi": ["forward_type"], "bidi": ["forward_type"], "cascade": ["forward_type"], "gate_no_act": ["forward_type"]}
    differs = [argument for argument, value in seen.items() if asked[argument] != value]
    assert [argument for argument in differs if argument != "ssm_conv_bias"] == unseen.get(name, [])


def test_what_the_shapes_do_not_tell_can_be_said(tmp_path):
    model = small(forward_type="v051d_noz", ssm_act_layer="relu")
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    x = image(24, 40)
    plain = load_pretrained(tmp_path / "a.safetensors")
    told = load_pretrained(tmp_path / "a.safetensors", forward_type="v051d_noz", ssm_act_layer="relu")
    assert relative(plain(x), model(x)) > 1e-3
    np.testing.assert_array_equal(told(x), model(x))


@pytest.mark.parametrize(
    "options",
    [
        {"version": "v0", "d_state": 3},
        {"forward_type": "v052dc_onnone", "mlp_ratio": 2.6, "ssm_ratio": 1.3, "ssm_conv": -1},
        {"gmlp": True, "posembed": True, "img": 48, "ssm_dt_rank": 2},
        {"depths": (2,), "dims": (8,), "patch_norm": False, "downsample_version": "v2"},
        {"patchembed_version": "v1", "patch_size": 6, "in_chans": 1, "num_classes": 0},
    ],
    ids=str,
)
def test_round_trip(options, tmp_path):
    model = small(**options)
    save_pretrained(tmp_path / "a.safetensors", model)
    got = read_pretrained(tmp_path / "a.safetensors")
    assert got.model.config == model.config
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(got.model.state_dict()[key], value)
    assert set(load_file(tmp_path / "a.safetensors")) == set(model.state_dict()), "official keys, for everybody"


def old_names(key):
    """As in January 2024."""
    renamed = {"patch_embed.0.": "patch_embed.proj.", "patch_embed.2.": "patch_embed.norm."}
    renamed |= {"classifier.": "", ".blocks.0.norm.": ".blocks.0.ln_1.", ".blocks.1.norm.": ".blocks.1.ln_1."}
    for new, old in {**renamed, ".op.": ".self_attention."}.items():
        key = key.replace(new, old)
    return key


def in_one_file(key):
    return key.replace("downsample.norm", "downsample.1").replace("downsample.reduction", "downsample.2")


def test_older_names(tmp_path):
    model = small(version="v0", d_state=2)
    save_file({old_names(key): value for key, value in model.state_dict().items()}, tmp_path / "a.safetensors")
    assert "norm.weight" in load_file(tmp_path / "a.safetensors")
    again = load_pretrained(tmp_path / "a.safetensors")
    assert again.config["version"] == "v0"
    np.testing.assert_array_equal(again(image(36, 28)), model(image(36, 28)))


@pytest.mark.parametrize("version", ["v0", "v2"])
def test_the_newer_single_file(version, tmp_path):
    """The projections of the routes one below the other, linear layers as convolutions, the steps of patch merging in a row."""
    model, weights = small(version=version, d_state=2), {}
    for key, value in model.state_dict().items():
        if key.endswith(("x_proj_weight", "dt_projs_weight")):
            key, value = key.replace("_weight", ".weight"), value.reshape(-1, value.shape[2])
        elif value.ndim == 2 and key.endswith("weight"):
            value = value[:, :, None, None]
        weights[in_one_file(key)] = np.ascontiguousarray(value)
    save_file(weights, tmp_path / "a.safetensors")
    again = load_pretrained(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again(image(36, 28)), model(image(36, 28)))


def test_another_head(tmp_path):
    model = small()
    save_pretrained(tmp_path / "a.safetensors", model)
    assert load_pretrained(tmp_path / "a.safetensors", num_classes=0).head is None
    other = load_pretrained(tmp_path / "a.safetensors", num_classes=5)
    assert other(image(32, 32)).shape == (1, 5)
    np.testing.assert_array_equal(other.pooled(image(32, 32)), model.pooled(image(32, 32)))


def test_families_are_told_apart_by_their_keys():
    shapes = {key: tuple(shape) for key, shape in SHAPES["vanilla_vmamba_tiny"].items()}
    assert reader_of(shapes).family == "VMamba"
    assert reader_of({old_names(key): shape for key, shape in shapes.items()}).family == "VMamba"
    assert reader_of({key: tuple(shape) for key, shape in SHAPES["vim_tiny"].items()}).family == "Vim"
    others = [vmamba.belongs(SHAPES[name]) for name in SHAPES]
    assert others == ["vmamba" in name for name in SHAPES]


def test_weights_of_the_other_network_called_vmamba_t(tmp_path):
    """s1l8 and s2l5 have the same name in the paper: a file says which it is."""
    weights = mvnp.create_model("vmamba_tiny_s2l5", num_classes=2, allocate=False).state_dict(copy=False)
    save_file({key: np.zeros(value.shape, "float32") for key, value in weights.items()}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"is not of vmamba_tiny_s1l8: the arrays have .* which is vmamba_tiny_s2l5"):
        load_pretrained(tmp_path / "a.safetensors", variant="vmamba_tiny_s1l8")
    assert read_pretrained(tmp_path / "a.safetensors").variant == "vmamba_tiny_s2l5"


def test_what_is_no_vmamba(tmp_path):
    state = small().state_dict()
    broken = {
        r"it has no block in stage 1": {key: value for key, value in state.items() if not key.startswith("layers.1.blocks")},
        r"it has no patch_embed\.0\.weight": {key: value for key, value in state.items() if "patch_embed" not in key},
        r"it has shape \(10,\) of layers\.0\.blocks\.0\.op\.A_logs": {**state, "layers.0.blocks.0.op.A_logs": np.zeros(10)},
        r"missing: layers\.1\.blocks\.1\.norm2\.bias": {
            key: value for key, value in state.items() if key != "layers.1.blocks.1.norm2.bias"
        },
    }
    for message, weights in broken.items():
        save_file(weights, tmp_path / "a.safetensors")
        with pytest.raises(CheckpointError, match=message):
            load_pretrained(tmp_path / "a.safetensors")
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"d_state is to be 3, but the arrays have d_state 1"):
        load_pretrained(tmp_path / "a.safetensors", d_state=3)


def test_variants_without_a_repository():
    for name in itertools.islice((name for name, variant in VARIANTS.items() if variant.family == "VMamba"), 2):
        with pytest.raises(InputError, match=rf"{name} is in no repository of the hub: download vssm.*\.pth from https://"):
            load_pretrained(name)
