"""Models from files of weights: mvnp/checkpoint/pretrained.py, recognise.py and locate.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mvnp
from mvnp.checkpoint import pretrained, readers, save_arrays
from mvnp.checkpoint.load import read_weights
from mvnp.checkpoint.pretrained import load_pretrained, read_pretrained, save_pretrained
from mvnp.checkpoint.recognise import arguments_of, chosen_variant, variants_like
from mvnp.errors import CheckpointError, InputError
from mvnp.models.mixer import MIXERS
from mvnp.models.pattern import PATTERNS
from mvnp.models.variants import VARIANTS
from support.checks import relative

REFERENCE = Path(__file__).parents[1] / "reference"
TINY = json.loads((REFERENCE / "tiny_even.json").read_text(encoding="utf-8"))
CUT = {"num_heads": TINY["num_heads"], "window_size": TINY["window_size"]}  # what the shapes do not tell
SHAPES = json.loads((REFERENCE / "state_dict_shapes.json").read_text(encoding="utf-8"))


def small(**changes):
    arguments = {"dim": 4, "in_dim": 2, "depths": (1, 1, 2, 1), "num_heads": (1, 1, 2, 4), "window_size": (2, 2, 2, 2)}
    return mvnp.MambaVision(**{**arguments, "num_classes": 3, **changes})


def image(channels=3):
    return np.random.default_rng(1).standard_normal((1, channels, 32, 32)).astype("float32")


@pytest.mark.parametrize("name", ["tiny.pth.tar", "tiny.safetensors"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-5), ("float64", 2e-6)])
def test_reference_logits(name, dtype, tolerance):
    expected = np.load(REFERENCE / "tiny_even.npz")
    model = load_pretrained(REFERENCE / name, **CUT, dtype=dtype)
    logits = model(expected["x"].astype(dtype))
    assert logits.dtype == dtype
    assert relative(logits, expected["eval.logits"]) <= tolerance


def test_round_trip_keeps_everything(tmp_path):
    model = small(quirks="corrected", layer_scale=0.1, mlp_ratio=1.5, drop_path_rate=0.1, seed=3)
    images = {"size": (32, 48), "crop_pct": 0.9, "crop_mode": "center", "mean": (0.5,) * 3, "std": (0.25,) * 3, "channels": 3}
    save_pretrained(tmp_path / "a.safetensors", model, classes=("a", "b", "ü"), images=images)
    got = read_pretrained(tmp_path / "a.safetensors")
    assert (got.variant, got.classes, got.images) == (None, ("a", "b", "ü"), images)
    assert got.model.config == model.config
    np.testing.assert_array_equal(got.model(image()), model(image()))
    assert set(load_file(tmp_path / "a.safetensors")) == set(model.state_dict())  # official keys, for everybody


def test_what_cannot_be_saved(tmp_path):
    for arguments, message in (
        ({"path": "a.h5"}, r"a\.h5: unknown kind of file to write, expected a name that ends in one of \.safetensors"),
        ({"classes": ("a", "b")}, "2 class names for a model with 3 classes"),
        ({"variant": "mamba_vision_X"}, "unknown variant 'mamba_vision_X'"),
    ):
        with pytest.raises(InputError, match=message):
            save_pretrained(**{"path": tmp_path / "a.safetensors", "model": small(), **arguments})
    assert list(tmp_path.iterdir()) == []


class NoGenerator:
    def __getattr__(self, name):
        raise AssertionError(f"{name} is drawn")


@pytest.mark.parametrize("name", ["tiny.pth.tar", "tiny.safetensors"])
def test_nothing_is_drawn_and_nothing_copied(name, monkeypatch):
    seen = []

    def read(*arguments, **options):
        seen.append(read_weights(*arguments, **options))
        return seen[0]

    monkeypatch.setattr(pretrained, "read_weights", read)
    monkeypatch.setattr("mvnp.core.initializer.np.random.default_rng", lambda seed: NoGenerator())
    model = load_pretrained(REFERENCE / name, **CUT)
    weights = seen[0].arrays
    for key, param in model.named_state():
        assert np.shares_memory(param.data, weights[key])
        assert param.data.flags.writeable


# Which model it is


@pytest.mark.parametrize("name", SHAPES)
def test_released_shapes_are_recognised(name):
    arguments = arguments_of({key: tuple(shape) for key, shape in SHAPES[name].items()})
    candidates = variants_like(arguments)
    variant = VARIANTS[name]
    assert variant in candidates
    made = {**variant.arguments(), "depths": list(variant.options["depths"])}
    assert {key: made[key] for key in ("dim", "in_dim", "depths", "layer_scale")} == {
        key: arguments[key] for key in ("dim", "in_dim", "depths", "layer_scale")
    }
    rest = {"mlp_ratio": 4, "d_state": 8, "d_conv": 3, "num_classes": 1000, "head_norm": "batch", "in_chans": 3}
    assert {key: arguments[key] for key in rest} == rest


@pytest.mark.parametrize(
    "changes",
    [
        {"mlp_ratio": 2.7},
        {"mlp_ratio": 0.1, "dim": 6, "num_heads": (1, 1, 1, 1)},
        {"in_chans": 1, "num_classes": 0},
        {"d_state": 4, "d_conv": 5},
        {"qkv_bias": False, "qk_scale": True},
        {"layer_scale": 0.5, "layer_scale_conv": 0.5},
        {"head_norm": "layer"},
        *({"mixer": mixer} for mixer in MIXERS if not mixer.startswith("mamba")),
        *({"pattern": pattern, "depths": (1, 1, 4, 5)} for pattern in PATTERNS),
        {"pattern": ("MM", "S")},
        {"pattern": "first_half", "mixer": "gated_wide", "d_state": 3, "d_conv": 2},
        {"pattern": "none", "qkv_bias": True},
    ],
)
def test_arguments_are_in_the_shapes(tmp_path, changes):
    model = small(**changes)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    cut = {"num_heads": model.config["num_heads"], "window_size": model.config["window_size"]}
    twin = load_pretrained(tmp_path / "a.safetensors", **cut)
    np.testing.assert_array_equal(twin(image(twin.in_chans)), model(image(model.in_chans)))


@pytest.mark.parametrize("mixer", ["mamba", "mamba_wide"])
def test_a_causal_convolution_leaves_no_trace(tmp_path, mixer):
    """So it has to be said by the caller, or by the file."""
    model = small(mixer=mixer)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    cut = {"num_heads": model.config["num_heads"], "window_size": model.config["window_size"]}
    guessed = load_pretrained(tmp_path / "a.safetensors", **cut)
    assert guessed.config["mixer"] == mixer.replace("mamba", "gated_one_conv")
    twin = load_pretrained(tmp_path / "a.safetensors", mixer=mixer, **cut)
    np.testing.assert_array_equal(twin(image()), model(image()))
    save_pretrained(tmp_path / "b.safetensors", model)
    assert load_pretrained(tmp_path / "b.safetensors").config == model.config


@pytest.mark.parametrize("pattern", ["random", "last_quarter", ("SMM", "MS")])
def test_a_pattern_is_kept_by_name(tmp_path, pattern):
    model = small(pattern=pattern, pattern_seed=2, depths=(1, 1, 3, 2))
    save_pretrained(tmp_path / "a.safetensors", model)
    twin = load_pretrained(tmp_path / "a.safetensors")
    assert twin.config == model.config
    np.testing.assert_array_equal(twin(image()), model(image()))


def test_another_mixer_or_pattern_than_the_arrays(tmp_path):
    save_pretrained(tmp_path / "a.safetensors", small())
    with pytest.raises(CheckpointError, match="mixer is to be 'gated', but the arrays have mixer 'concat'"):
        load_pretrained(tmp_path / "a.safetensors", mixer="gated")
    with pytest.raises(CheckpointError, match="pattern is to be 'none', but the arrays have pattern 'last_half'"):
        load_pretrained(tmp_path / "a.safetensors", pattern="none")
    assert load_pretrained(tmp_path / "a.safetensors", pattern=["MS", "M"]).config["pattern"] == ["MS", "M"]
    for wrong in ({"pattern": "lasthalf"}, {"pattern": 3}, {"mixer": "concatt"}, {"mixer": ["concat"]}):
        with pytest.raises(CheckpointError, match=r"is to be .* but the arrays have"):
            load_pretrained(tmp_path / "a.safetensors", **wrong)


def test_ratio_gives_the_hidden_width_again():
    """(8 / 392) · 392 is less than 8 in floating point."""
    for width in range(8, 400, 8):
        for hidden in range(1, 2 * width):
            ratio = readers.mambavision.ratio_of(hidden, width)
            assert (int(width * ratio), int(width // 2 * ratio)) == (hidden, hidden // 2)


@pytest.mark.parametrize(
    ("shapes_of", "names", "expected"),
    [
        ("mamba_vision_B", ["weights.pth"], "mamba_vision_B"),
        ("mamba_vision_B", ["mambavision_base_21k.pth.tar"], "mamba_vision_B_21k"),
        ("mamba_vision_L", ["model.safetensors", "abc", "models--nvidia--MambaVision-L-21K"], "mamba_vision_L_21k"),
        ("mamba_vision_L", ["mambavision_large_1k.pth.tar", "21k"], "mamba_vision_L"),
        ("mamba_vision_L2", ["mambavision_large2_1k.pth.tar"], "mamba_vision_L2"),
        ("mamba_vision_L2", ["mambavision_L2_21k_240m_512.pth.tar"], "mamba_vision_L2_512_21k"),
        ("mamba_vision_L3_256_21k", ["mambavision_L3_21k_740m_256.pth.tar"], "mamba_vision_L3_256_21k"),
        ("mamba_vision_L3_256_21k", ["x.pth", "MambaVision-L3-512-21K"], "mamba_vision_L3_512_21k"),
        ("mamba_vision_T", ["mambavision_base_21k.pth.tar"], "mamba_vision_T"),  # the shapes go before the name
    ],
)
def test_variants_of_the_same_shapes(shapes_of, names, expected):
    candidates = variants_like(arguments_of({key: tuple(shape) for key, shape in SHAPES[shapes_of].items()}))
    assert chosen_variant(candidates, names).name == expected


def test_undecided_between_windows():
    for name, other in (("mamba_vision_L2", "mamba_vision_L2_512_21k"), ("mamba_vision_L3_256_21k", "mamba_vision_L3_512_21k")):
        candidates = variants_like(arguments_of({key: tuple(shape) for key, shape in SHAPES[name].items()}))
        with pytest.raises(CheckpointError, match=f"has the shapes of {name} or {other}.*give variant='{name}'"):
            chosen_variant(candidates, ["weights.pth", "downloads"])
        windows = VARIANTS[other].options["window_size"]
        assert chosen_variant(candidates, ["weights.pth"], windows).name == other
        assert chosen_variant(candidates, ["weights.pth"], [8, 8, 64, 32]).name == name  # asked for, and so decided
    assert chosen_variant([], ["weights.pth"]) is None


@pytest.fixture
def little_t(monkeypatch):
    """The variant T, made little, so that a test need not have 32 million numbers."""
    import dataclasses

    variant = VARIANTS["mamba_vision_T"]
    small_ones = {"dim": 4, "in_dim": 2, "depths": (1, 1, 2, 1), "num_heads": (1, 1, 2, 4)}
    little = dataclasses.replace(variant, options={**variant.options, **small_ones})
    monkeypatch.setitem(VARIANTS, "mamba_vision_T", little)
    return little


def test_variant_is_found_and_says_how_images_are_made(little_t, tmp_path):
    model = mvnp.create_model("mamba_vision_T", num_classes=5)
    save_file({f"model.{key}": array for key, array in model.state_dict().items()}, tmp_path / "a.safetensors")
    got = read_pretrained(tmp_path / "a.safetensors")
    assert (got.variant, got.model.num_classes, got.classes) == ("mamba_vision_T", 5, None)
    assert got.model.config["window_size"] == list(little_t.options["window_size"])
    assert got.model.config["drop_path_rate"] == little_t.options["drop_path_rate"]
    assert (got.images["size"], got.images["crop_pct"], got.images["channels"]) == (224, 1.0, 3)
    np.testing.assert_array_equal(got.model(image()), model(image()))
    with pytest.raises(CheckpointError, match=r"is not of mamba_vision_S: the arrays have dim 4.*which is mamba_vision_T"):
        load_pretrained(tmp_path / "a.safetensors", variant="mamba_vision_S")
    for more in ({}, {"variant": "mamba_vision_T"}):  # as detection has other windows
        got = read_pretrained(tmp_path / "a.safetensors", window_size=(2, 2, 4, 4), **more)
        assert (got.variant, got.model.config["window_size"]) == ("mamba_vision_T", [2, 2, 4, 4])


def test_no_variant_and_nothing_to_go_by(tmp_path):
    save_file(small().state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"of no released variant \(dim 4.*give num_heads=\(…\), window_size=\(…\)"):
        load_pretrained(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="do not tell num_heads:"):
        load_pretrained(tmp_path / "a.safetensors", window_size=(2, 2, 2, 2))


def test_no_mambavision(tmp_path):
    save_file({"conv1.weight": np.ones((2, 3, 3, 3)), "fc.bias": np.ones(4)}, tmp_path / "a.safetensors")
    with pytest.raises(
        CheckpointError, match=r"no state dict of a MambaVision.*2 arrays, such as conv1\.weight \(2, 3, 3, 3\)"
    ):
        load_pretrained(tmp_path / "a.safetensors")


def test_asked_for_what_the_file_is_not(tmp_path):
    save_pretrained(tmp_path / "a.safetensors", small())
    with pytest.raises(CheckpointError, match="dim is to be 8, but the arrays have dim 4"):
        load_pretrained(tmp_path / "a.safetensors", dim=8)
    with pytest.raises(InputError, match=r"unknown option 'drop_path' \(did you mean 'drop_path_rate'\?\)"):
        load_pretrained(tmp_path / "a.safetensors", drop_path=0.1)
    with pytest.raises(InputError, match="unknown variant"):
        load_pretrained(tmp_path / "a.safetensors", variant="T")


def test_another_head(tmp_path):
    model = small()
    save_pretrained(tmp_path / "a.safetensors", model, classes=("a", "b", "c"))
    bare = read_pretrained(tmp_path / "a.safetensors", num_classes=0)
    assert bare.classes is None
    np.testing.assert_array_equal(bare.model(image()), model.pooled(image()))
    new = read_pretrained(tmp_path / "a.safetensors", num_classes=5, seed=2)
    assert new.classes is None
    assert new.model.config["num_classes"] == 5
    assert new.model(image()).shape == (1, 5)
    np.testing.assert_array_equal(new.model.pooled(image()), model.pooled(image()))
    again = load_pretrained(tmp_path / "a.safetensors", num_classes=5, seed=2)
    np.testing.assert_array_equal(again.head.weight.data, new.model.head.weight.data)
    assert new.model.head.weight.data.std() > 0
    assert new.model.head.path == "head"
    with pytest.raises(InputError, match="num_classes is '5', expected an integer"):
        load_pretrained(tmp_path / "a.safetensors", num_classes="5")


def test_one_array_is_missing(tmp_path):
    state = small().state_dict()
    del state["levels.2.blocks.1.mixer.proj.bias"]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(
        CheckpointError, match=r"a\.safetensors: .*1 entries differ\n  missing: levels\.2\.blocks\.1\.mixer\.proj\.bias"
    ):
        load_pretrained(tmp_path / "a.safetensors", num_heads=(1, 1, 2, 4), window_size=(2, 2, 2, 2))


def test_checkpoint_of_a_training_run(tmp_path):
    model = small(in_chans=1)
    about = {"model": model.config, "classes": ["x", "y", "z"], "image_size": 32, "mean": [0.5], "std": [0.25]}
    arrays = {f"model.{key}": array for key, array in model.state_dict().items()}
    arrays["optimizer.step"] = np.array(3)
    save_arrays(tmp_path / "checkpoint.safetensors", arrays, {"kind": "training", "about": about})
    for source in (tmp_path, tmp_path / "checkpoint.safetensors"):
        got = read_pretrained(source)
        assert got.classes == ("x", "y", "z")
        assert got.images == {
            "size": 32,
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": (0.5,),
            "std": (0.25,),
            "channels": 1,
        }
        np.testing.assert_array_equal(got.model(image(1)), model(image(1)))


# Where it is


def test_folder(tmp_path):
    with pytest.raises(InputError, match="has no file of weights, expected one"):
        load_pretrained(tmp_path)
    save_pretrained(tmp_path / "a.safetensors", small())
    np.testing.assert_array_equal(load_pretrained(tmp_path)(image()), small()(image()))
    save_pretrained(tmp_path / "b.safetensors", small(seed=1))
    with pytest.raises(InputError, match=r"has 2 files of weights \(a\.safetensors, b\.safetensors\).*name the file"):
        load_pretrained(tmp_path)
    save_pretrained(tmp_path / "model.safetensors", small(seed=2))
    np.testing.assert_array_equal(load_pretrained(tmp_path)(image()), small(seed=2)(image()))


def test_config_beside_the_file(tmp_path):
    save_file(small(num_classes=2).state_dict(), tmp_path / "model.safetensors")
    config = {"model_type": "mambavision", "num_heads": [1, 1, 2, 4], "window_size": [2, 2, 2, 2], "torch_dtype": "float32"}
    for text in ("{", "[]", json.dumps({**config, "model_type": "bert"}), json.dumps({**config, "num_heads": [1, "x"]})):
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match="of no released variant"):
            load_pretrained(tmp_path)
    for labels, classes in (({"0": "cat", "1": "dog"}, ("cat", "dog")), ({"0": "LABEL_0", "1": "LABEL_1"}, None)):
        (tmp_path / "config.json").write_text(json.dumps({**config, "id2label": labels}), encoding="utf-8")
        got = read_pretrained(tmp_path)
        assert got.classes == classes
        np.testing.assert_array_equal(got.model(image()), small(num_classes=2)(image()))


def test_config_and_classes_of_something_else(tmp_path):
    save_file(small().state_dict(), tmp_path / "model.safetensors")
    config = {"model_type": "mambavision", "dim": 80, "num_heads": [2, 4, 8, 16], "window_size": [8, 8, 14, 7]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match="of no released variant"):  # and not a model with the heads of another
        load_pretrained(tmp_path)
    labels = {str(index): f"name {index}" for index in range(5)}
    config = {"model_type": "mambavision", "num_heads": [1, 1, 2, 4], "window_size": [2, 2, 2, 2], "id2label": labels}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert read_pretrained(tmp_path).classes is None  # five names for three classes


def test_no_such_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.pth\.tar"):
        load_pretrained("nowhere/a.pth.tar")
    with pytest.raises(InputError, match=r"no variant of that name \(did you mean 'mamba_vision_T'\?\)"):
        load_pretrained("mambavision_T")


# Not quite what is expected


def saved(tmp_path, state=None, **changes):
    state = small().state_dict() if state is None else state
    save_file({**state, **changes}, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


SMALL_CUT = {"num_heads": (1, 1, 2, 4), "window_size": (2, 2, 2, 2)}


def test_batches_that_were_not_counted(tmp_path):
    state = {key: array for key, array in small().state_dict().items() if not key.endswith("num_batches_tracked")}
    assert len(state) < len(small().state_dict())
    got = read_pretrained(saved(tmp_path, state), **SMALL_CUT)
    counted = {key: array for key, array in got.model.state_dict().items() if key.endswith("num_batches_tracked")}
    assert counted
    assert all(array == 0 and array.dtype == small().state_dict()[key].dtype for key, array in counted.items())
    assert got.notes == ()


def test_counters_are_passed_over_and_named(tmp_path):
    extra = {"total_ops": np.zeros(1), "levels.0.blocks.0.total_params": np.zeros(1), "head.total_ops": np.zeros(1)}
    got = read_pretrained(saved(tmp_path, **extra), **SMALL_CUT)
    assert got.notes == ("passed over 3 counters that another tool left beside the weights (total_ops, total_params)",)
    np.testing.assert_array_equal(got.model(image()), small()(image()))


def test_not_strict(tmp_path):
    state = small(seed=4).state_dict()
    lacking = "levels.2.blocks.1.mixer.proj.bias"
    del state[lacking]
    path = saved(tmp_path, state, extra=np.ones(2, np.float32))
    with pytest.raises(
        CheckpointError, match=r"2 entries differ\n  missing: levels(.|\n)*unexpected: extra(.|\n)*strict=False"
    ):
        load_pretrained(path, **SMALL_CUT)
    got = read_pretrained(path, strict=False, seed=9, **SMALL_CUT)
    assert got.notes == (
        f"drew 1 of {len(state) + 1} arrays anew, which the weights lack: {lacking}",
        "passed over 1 arrays that the model has no place for: extra",
    )
    for key, array in got.model.state_dict().items():
        np.testing.assert_array_equal(array, state[key] if key != lacking else small(seed=9).state_dict()[key])
    state["norm.weight"] = np.ones(5, np.float32)
    with pytest.raises(CheckpointError, match=r"misshapen: norm\.weight has shape \(5,\)"):
        load_pretrained(saved(tmp_path, state), strict=False, **SMALL_CUT)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "net.", "encoder.backbone.model.", "x.y.z.u.v."],
)
def test_any_prefix(prefix, tmp_path):
    state = {prefix + key: array for key, array in small().state_dict().items()}
    np.testing.assert_array_equal(load_pretrained(saved(tmp_path, state), **SMALL_CUT)(image()), small()(image()))


def test_too_many_blocks(tmp_path):
    blocks = {f"levels.0.blocks.{index}.conv1.bias": np.zeros(1, np.float32) for index in range(300)}
    with pytest.raises(CheckpointError, match="it has 300 blocks in level 0, more than any can have"):
        load_pretrained(saved(tmp_path, **blocks), **SMALL_CUT)


def test_one_of_several_files(tmp_path):
    state = small().state_dict()
    (tmp_path / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    save_file(
        {"levels.3.blocks.0.mlp.fc1.bias": state["levels.3.blocks.0.mlp.fc1.bias"]}, tmp_path / "m-00002-of-00002.safetensors"
    )
    with pytest.raises(
        CheckpointError, match=r"its stem is missing.*one of several by its name: give the folder, or its model\.sa"
    ):
        load_pretrained(tmp_path / "m-00002-of-00002.safetensors")


def test_the_first_of_several_files(tmp_path):
    state = small().state_dict()
    name = "model-00001-of-00002.safetensors"
    save_file({key: state[key] for key in list(state)[: len(state) // 2]}, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"It is one of several by its name: give the folder, or its index\.json$"):
        load_pretrained(tmp_path / name, **SMALL_CUT)


def test_folder_of_several_files(tmp_path):
    state = small().state_dict()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for part, name in enumerate(names):
        save_file({key: state[key] for key in list(state)[part::2]}, tmp_path / name)
    places = {key: names[index % 2] for index, key in enumerate(state)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    np.testing.assert_array_equal(load_pretrained(tmp_path, **SMALL_CUT)(image()), small()(image()))
    (tmp_path / names[1]).unlink()
    with pytest.raises(CheckpointError, match="names 2 files, and 1 of them are not beside it: model-00002-of-00002"):
        load_pretrained(tmp_path, **SMALL_CUT)


def test_folder_of_a_distributed_checkpoint(tmp_path):
    (tmp_path / "__0_0.distcp").write_bytes(b"x")
    with pytest.raises(InputError, match=r"is of torch\.distributed\.checkpoint.*dcp_to_torch"):
        load_pretrained(tmp_path)


# What goes along


IMAGES = {"size": 32, "crop_pct": 0.9, "crop_mode": "center", "mean": (0.5,) * 3, "std": (0.25,) * 3, "channels": 3}


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pth", ".pth.tar", ".pt"])
def test_every_kind_of_file_keeps_everything(ending, tmp_path):
    model = small(quirks="corrected", layer_scale=0.1, seed=3)
    save_pretrained(tmp_path / f"a{ending}", model, classes=("a", "b", "ü"), images=IMAGES)
    got = read_pretrained(tmp_path / f"a{ending}")
    assert (got.classes, got.images, got.model.config, got.notes) == (("a", "b", "ü"), IMAGES, model.config, ())
    np.testing.assert_array_equal(got.model(image()), model(image()))


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pth"])
@pytest.mark.parametrize(("indices", "norm"), [((0, 1, 2, 3), "layer"), ((1,), "none"), ((0, 2), "batch")])
def test_backbone_and_back(ending, indices, norm, tmp_path):
    backbone = mvnp.Backbone.of(small(seed=2), out_indices=indices, out_norm=norm, window_size=(2, 2, 4, 4))
    for index, each in enumerate(param for key, param in backbone.named_state() if key.startswith("outnorm")):
        each.data = each.data + each.dtype.type(index % 7)
    path = tmp_path / f"a{ending}"
    save_pretrained(path, backbone, images=IMAGES)
    got = read_pretrained(path)
    assert isinstance(got.model, mvnp.Backbone)
    assert (got.model.config, got.images, got.classes) == (backbone.config, IMAGES, None)
    for mine, theirs in zip(got.model(image()), backbone(image()), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    grey = load_pretrained(path, in_chans=1, drop_path_rate=0.1)
    assert (grey.in_chans, grey.config["drop_path_rate"], len(grey(image(1)))) == (1, 0.1, len(indices))
    with pytest.raises(InputError, match="num_classes is an argument of the classifier"):
        load_pretrained(path, num_classes=3)


def test_backbone_of_others(tmp_path):
    """Official detection code: norms of the outputs, no head, and nothing said of the model."""
    backbone = mvnp.Backbone.of(small(seed=2))
    path = saved(tmp_path, {f"backbone.{key}": array for key, array in backbone.state_dict().items()})
    with pytest.raises(CheckpointError, match="do not tell num_heads and window_size"):
        load_pretrained(path)
    got = load_pretrained(path, **SMALL_CUT)
    for mine, theirs in zip(got(image()), backbone(image()), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_size": 5}, "its config cannot be used: MambaVision: window_size is 5, expected four integers"),
        ({"num_heads": [1, 1, 2, {}]}, "its config cannot be used: .*num_heads"),
        ({"dtype": "(2,3"}, r"its config cannot be used: .*dtype is '\(2,3'"),
        ({"dtype": {"a": 1}}, "its config cannot be used: .*dtype"),
        ({"depths": 3}, "depths is to be 3, but the arrays have"),
        ({"dim": 10**15}, "dim is to be 1000000000000000, but the arrays have dim 4"),
        ({"quirks": ["x"]}, "its config cannot be used: unknown quirks"),
        ({"drop_path_rate": "much"}, "its config cannot be used: .*drop_path_rate"),
        ({"layer_scale": [1]}, "its config cannot be used: .*layer_scale"),
        ({"surprise": 1}, "was written by another version of mvnp: its config has 'surprise'"),
    ],
)
def test_config_of_the_wrong_types(changes, message, tmp_path):
    config = {**small().config, **changes}
    save_arrays(tmp_path / "a.safetensors", small().state_dict(), {"kind": "pretrained", "config": config})
    with pytest.raises(CheckpointError, match=rf"a\.safetensors: {message}"):
        load_pretrained(tmp_path / "a.safetensors")


@pytest.mark.parametrize("value", [10**400, -(10**30), float("inf"), float("nan")])
def test_metadata_of_numbers_that_none_has(value, tmp_path, monkeypatch):
    monkeypatch.setattr("mvnp.checkpoint.arrays._dump", json.dumps)
    metadata = {"kind": "pretrained", "config": small().config, "images": {**IMAGES, "crop_pct": value}}
    save_arrays(tmp_path / "a.safetensors", small().state_dict(), metadata)
    with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged: its metadata cannot be read"):
        load_pretrained(tmp_path / "a.safetensors")


@pytest.mark.parametrize("changes", [{"dim": 10**12}, {"depths": [10**6] * 4}, {"depths": None}, {"in_chans": 7}])
def test_config_of_a_backbone_that_is_not_the_arrays(changes, tmp_path):
    backbone = mvnp.Backbone.of(small())
    metadata = {"kind": "pretrained", "model": "Backbone", "config": {**backbone.config, **changes}}
    save_arrays(tmp_path / "a.safetensors", backbone.state_dict(), metadata)
    with pytest.raises(CheckpointError, match=f"its config has {next(iter(changes))} .* and its arrays have not"):
        load_pretrained(tmp_path / "a.safetensors")


def test_a_class_that_we_do_not_have(tmp_path):
    metadata = {"kind": "pretrained", "model": "Resnet", "config": small().config}
    save_arrays(tmp_path / "a.safetensors", small().state_dict(), metadata)
    with pytest.raises(CheckpointError, match="of a model of the class 'Resnet', expected one of Backbone, MambaVision"):
        load_pretrained(tmp_path / "a.safetensors")


def test_save_takes_models_alone(tmp_path):
    with pytest.raises(
        InputError, match="the model is a Linear, expected a MambaVision, a Vim, a VMamba or a Backbone; the arrays of"
    ):
        save_pretrained(tmp_path / "a.pth", mvnp.layers.Linear(2, 3))
