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
        ({"path": "a.pth"}, r"a\.pth should end in \.safetensors"),
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
    weights = seen[0][0]
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
    ],
)
def test_arguments_are_in_the_shapes(tmp_path, changes):
    model = small(**changes)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    cut = {"num_heads": model.config["num_heads"], "window_size": model.config["window_size"]}
    twin = load_pretrained(tmp_path / "a.safetensors", **cut)
    np.testing.assert_array_equal(twin(image(twin.in_chans)), model(image(model.in_chans)))


def test_ratio_gives_the_hidden_width_again():
    """(8 / 392) · 392 is less than 8 in floating point."""
    for width in range(8, 400, 8):
        for hidden in range(1, 2 * width):
            ratio = readers.mambavision._ratio(hidden, width)
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
