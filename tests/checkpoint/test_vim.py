"""Vim's files: mvnp/checkpoint/readers/vim.py, and the way through pretrained.py."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mvnp
from mvnp import Vim, load_pretrained
from mvnp.checkpoint import convert_checkpoint, read_pretrained, save_pretrained
from mvnp.checkpoint.readers import reader_of
from mvnp.checkpoint.readers.vim import adapt
from mvnp.checkpoint.recognise import arguments_of, chosen_variant, variants_like
from mvnp.errors import CheckpointError, InputError
from support.checks import normal
from support.tiny import tiny
from support.tiny_vim import tiny_vim
from support.tolerance import assert_close

REFERENCE = Path(__file__).parent.parent / "reference"
SHAPES = json.loads((REFERENCE / "state_dict_shapes_vim_vmamba.json").read_text(encoding="utf-8"))
OFFICIAL = {name: {key: tuple(shape) for key, shape in SHAPES[name].items()} for name in SHAPES if name.startswith("vim_")}


def square(**options):
    """A model whose patches make a square and do not overlap, as a file is taken to be that says nothing."""
    return tiny_vim(**{"img_size": 12, "stride": 4, **options})


def images_of(model, seed=1):
    return normal((2, model.in_chans, *model.image_size), seed).astype(np.float32)


# Which network it is


@pytest.mark.parametrize("name", OFFICIAL)
def test_released_shapes_are_recognised(name):
    arguments = arguments_of(OFFICIAL[name])
    assert arguments["family"] == "Vim"
    assert [variant.name for variant in variants_like(arguments)] == [name]
    assert chosen_variant(variants_like(arguments), ["weights.pth"]).name == name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_token": "double", "norm": "layer", "layer_scale": 0.5},
        {"class_token": None, "directions": "shared"},
        {"class_token": None, "directions": "one", "in_chans": 1, "num_classes": 0, "d_state": 5, "depth": 3},
    ],
)
def test_arguments_are_in_the_shapes(tmp_path, options):
    model = square(**options)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    twin = load_pretrained(tmp_path / "a.safetensors")
    assert type(twin) is Vim
    np.testing.assert_array_equal(twin(images_of(model)), model(images_of(model)))


def test_what_shapes_do_not_tell_is_asked_of_the_caller(tmp_path):
    model = tiny_vim(class_token="head", halve=False)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="patch_size is to be 5, but the arrays have patch_size 4"):
        load_pretrained(tmp_path / "a.safetensors", patch_size=5)
    asked = {name: model.config[name] for name in ("img_size", "stride", "class_token", "halve")}
    twin = load_pretrained(tmp_path / "a.safetensors", **asked)
    np.testing.assert_array_equal(twin(images_of(model)), model(images_of(model)))


def test_families_are_told_apart_by_their_keys(tmp_path):
    for model, other in ((square(), "mamba_vision_T"), (tiny(), "vim_tiny")):
        path = tmp_path / f"{type(model).__name__}.safetensors"
        save_file(model.state_dict(), path)
        assert reader_of({key: value.shape for key, value in model.state_dict().items()}).family == type(model).__name__
        with pytest.raises(CheckpointError, match=f"is not of {other}: the arrays have"):
            load_pretrained(path, variant=other)
    save_file(square().state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="unknown option 'window_size'"):
        load_pretrained(tmp_path / "a.safetensors", window_size=(8, 8, 4, 2))
    with pytest.raises(CheckpointError, match=r"no state dict of a MambaVision or a Vim.*such as conv1\.weight \(2, 3\)"):
        arguments_of({"conv1.weight": (2, 3)})


@pytest.mark.parametrize("key", ["patch_embed.proj.weight", "layers.0.mixer.A_log", "norm_f.weight", "pos_embed"])
def test_a_state_dict_that_lacks_something(tmp_path, key):
    state = square().state_dict()
    del state[key]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=rf"no state dict of a Vim: it has no {key.replace('.', '[.]')}"):
        load_pretrained(tmp_path / "a.safetensors")


# Files


def test_a_checkpoint_of_the_official_training(tmp_path):
    """With what lies beside the weights in it, and the prefix of data parallelism."""
    torch = pytest.importorskip("torch")
    weights = load_file(REFERENCE / "vim_tiny_even.safetensors")
    model = {f"module.{key}": torch.from_numpy(value) for key, value in weights.items()}
    content = {
        "model": model,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]},
        "lr_scheduler": {"last_epoch": 3},
        "epoch": 3,
        "model_ema": {key: value + 1 for key, value in model.items()},
        "scaler": {"scale": 65536.0},
        "args": argparse.Namespace(lr=1e-3, model="vim_tiny"),
    }
    torch.save(content, tmp_path / "vim_t_midclstok_76p1acc.pth")
    expected = dict(np.load(REFERENCE / "vim_tiny_even.npz"))
    model = load_pretrained(tmp_path / "vim_t_midclstok_76p1acc.pth", dtype="float64")
    assert (type(model), model.image_size, model.num_classes) == (Vim, (32, 32), 10)
    assert_close(model(expected["x"]), expected["eval.logits"], terms=64)
    average = load_pretrained(tmp_path / "vim_t_midclstok_76p1acc.pth", ema=True)
    np.testing.assert_array_equal(average.norm_f.weight.data, weights["norm_f.weight"] + 1)


@pytest.mark.parametrize("ending", [".npz", ".pth", ".safetensors"])
def test_converted_files_have_the_official_keys(tmp_path, ending):
    model = square()
    save_pretrained(tmp_path / "a.safetensors", model)
    convert_checkpoint(tmp_path / "a.safetensors", tmp_path / f"b{ending}")
    weights = mvnp.load_checkpoint(tmp_path / f"b{ending}")
    assert set(weights) == set(dict(model.named_state()))
    np.testing.assert_array_equal(load_pretrained(tmp_path / f"b{ending}")(images_of(model)), model(images_of(model)))


def test_what_mvnp_writes_says_all(tmp_path):
    model = tiny_vim(class_token="head", halve=False, drop_path_rate=0.1)
    save_pretrained(tmp_path / "a.safetensors", model, classes=["a", "b", "c"])
    got = read_pretrained(tmp_path / "a.safetensors")
    assert (type(got.model), got.model.config, got.classes) == (Vim, model.config, ("a", "b", "c"))
    np.testing.assert_array_equal(got.model(images_of(model)), model(images_of(model)))


def test_another_head(tmp_path):
    model = square()
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    new = load_pretrained(tmp_path / "a.safetensors", num_classes=7)
    assert new(images_of(model)).shape == (2, 7)
    np.testing.assert_array_equal(new.pooled(images_of(model)), model.pooled(images_of(model)))
    bare = load_pretrained(tmp_path / "a.safetensors", num_classes=0)
    np.testing.assert_array_equal(bare(images_of(model)), model.pooled(images_of(model)))


# The position embedding at other sizes


@pytest.mark.parametrize("class_token", ["middle", "double", None])
@pytest.mark.parametrize(("size", "stride"), [(20, 4), (12, 2), ((16, 28), 4), (8, 4)])
def test_the_position_embedding_is_interpolated(tmp_path, size, stride, class_token):
    """As in torch: the first rows are taken for the class tokens', the others for a square map."""
    torch = pytest.importorskip("torch")
    model = square(class_token=class_token)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    larger = load_pretrained(tmp_path / "a.safetensors", img_size=size, stride=stride)
    extra = len(model.class_places)
    old = torch.from_numpy(model.pos_embed.data)
    as_map = old[:, extra:].reshape(1, 3, 3, -1).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(as_map, size=larger.grid, mode="bicubic", align_corners=False)
    expected = torch.cat([old[:, :extra], resized.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
    assert_close(larger.pos_embed.data, expected)
    assert larger(images_of(larger)).shape == (2, 3)


def test_bicubic_by_hand():
    """From 2 to 4 samples: the first lies a quarter in front of sample 0, with weights of Keys's kernel at a = −3/4."""
    model = Vim(img_size=(4, 1), patch_size=1, embed_dim=1, depth=1, d_state=1, class_token=None, num_classes=0)
    weights = {"pos_embed": np.array([[[0.0], [1.0], [0.0], [1.0]]])}  # both rows of the square are (0, 1)
    adapt(weights, {**model.config, "img_size": (2, 4)})
    got = weights["pos_embed"].reshape(2, 4)

    def keys(d):
        a = -0.75
        return ((a + 2) * d - (a + 3)) * d * d + 1 if d <= 1 else a * (((d - 5) * d + 8) * d - 4)

    # Of the four samples around −1/4, at −2, −1, 0 and 1, all but the last are the first one repeated, which is 0.
    assert_close(got[0, 0], keys(1.25))
    assert_close(got[0, 0] + got[0, 3], 1.0)
    np.testing.assert_array_equal(got[0], got[1])


def test_a_position_embedding_that_makes_no_square(tmp_path):
    model = tiny_vim(img_size=(12, 8), stride=4)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"for 6 patches, which make no square.*give the img_size and stride"):
        load_pretrained(tmp_path / "a.safetensors")
    twin = load_pretrained(tmp_path / "a.safetensors", img_size=(12, 8), stride=4)
    np.testing.assert_array_equal(twin(images_of(model)), model(images_of(model)))
