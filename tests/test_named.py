"""Models by name, and what a picture shows in one call: mvnp/named.py, and what a model knows: mvnp/models/pictures.py."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

import mvnp
from mvnp.checkpoint import save_pretrained
from mvnp.data import ImageTransform
from mvnp.errors import DataError, InputError
from mvnp.models import FAMILIES
from mvnp.models.options import ModelOptions, PretrainedOptions
from support.tiny import TINY, tiny
from support.tolerance import assert_close

CLASSES = ("cat", "dog", "cow")
IMAGES = {"size": 32, "crop_pct": 0.9, "mean": (0.4, 0.4, 0.4), "std": (0.2, 0.3, 0.2)}


@pytest.fixture
def loaded(tmp_path):
    save_pretrained(tmp_path / "w.safetensors", tiny(), classes=CLASSES, images=IMAGES)
    return mvnp.load_pretrained(tmp_path / "w.safetensors")


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def probabilities(model, x):
    logits = model(x[None])[0].astype(np.float64)
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


def test_a_loaded_model_knows_its_classes_and_how_pictures_are_prepared(loaded, picture):
    assert loaded.classes == CLASSES
    assert loaded.preparation == ImageTransform(**IMAGES)
    np.testing.assert_array_equal(loaded.transform(picture), ImageTransform(**IMAGES)(picture))


def test_a_picture_may_be_a_file(loaded, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "p.png")
    for file in (tmp_path / "p.png", str(tmp_path / "p.png"), Image.fromarray(picture)):
        np.testing.assert_array_equal(loaded.transform(file), loaded.transform(picture))
    with pytest.raises(DataError, match=r"none\.png: cannot be read as a picture"):
        loaded.transform(tmp_path / "none.png")


def test_classify_gives_names_and_probabilities(loaded, picture):
    want = probabilities(loaded, loaded.transform(picture))
    answer = mvnp.classify(picture, loaded)
    assert [each.number for each in answer] == list(np.argsort(-want))
    assert [each.name for each in answer] == [CLASSES[each.number] for each in answer]
    assert_close([each.probability for each in answer], np.sort(want)[::-1], terms=16)
    assert mvnp.classify(picture, loaded, top=1) == answer[:1]
    several = mvnp.classify([picture, picture[::-1], picture], loaded, top=2, batch_size=2)
    assert [len(each) for each in several] == [2, 2, 2]
    assert several[0][0].number == several[2][0].number == answer[0].number
    assert mvnp.classify([], loaded) == []


SMALL_VMAMBA = {"dims": (8, 16), "depths": (1, 1), "num_classes": 3}
SMALL_VIM = {"img_size": 32, "patch_size": 8, "embed_dim": 8, "depth": 2, "d_state": 2, "num_classes": 3}


@pytest.mark.parametrize(
    ("family", "arguments", "channels", "strides"),
    [("Vim", SMALL_VIM, (8, 8), (8, 8)), ("VMamba", SMALL_VMAMBA, (8, 16), (4, 8))],
)
def test_the_other_families_know_as_much(family, arguments, channels, strides, picture, tmp_path):
    model = getattr(mvnp, family)(**arguments)
    save_pretrained(tmp_path / "w.safetensors", model, classes=CLASSES, images=IMAGES)
    loaded = mvnp.load_pretrained(tmp_path / "w.safetensors")
    assert (type(loaded), loaded.classes, loaded.preparation) == (type(model), CLASSES, ImageTransform(**IMAGES))
    want = probabilities(model, loaded.transform(picture))
    answer = mvnp.classify(picture, loaded)
    assert [(each.name, each.number) for each in answer] == [(CLASSES[i], i) for i in np.argsort(-want)]
    backbone = mvnp.Backbone.of(loaded, out_indices=(1,))
    assert (loaded.channels, loaded.strides) == (channels, strides)
    assert (backbone.channels, backbone.strides) == (channels[1:], strides[1:])
    (found,) = backbone(np.zeros((1, 3, 32, 32), np.float32))
    assert found.shape == (1, channels[1], 32 // strides[1], 32 // strides[1])
    save_pretrained(tmp_path / "b.safetensors", backbone)
    again = mvnp.load_pretrained(tmp_path / "b.safetensors")
    assert again.config == backbone.config
    x = np.random.default_rng(1).normal(size=(1, 3, 32, 32))
    np.testing.assert_array_equal(again(x)[0], backbone(x)[0])


def test_other_classes_have_no_names(loaded, picture):
    loaded.reset_head(5)
    assert loaded.classes is None
    assert loaded.preparation is not None
    assert [each.name for each in mvnp.classify(picture, loaded)] == [None] * 5


def test_what_is_known_is_kept_in_another_dtype(loaded):
    assert loaded.astype("float64").classes == CLASSES


def test_a_model_that_knows_nothing_says_so(picture):
    message = r"MambaVision: this model does not know how pictures are prepared for it: .* model\.know\(preparation="
    for ask in (lambda model: model.transform(picture), lambda model: mvnp.classify(picture, model)):
        with pytest.raises(InputError, match=message):
            ask(tiny())
    model = tiny()
    model.know(CLASSES, ImageTransform(32))
    assert mvnp.classify(picture, model)[0].name in CLASSES


def test_images_that_make_no_sense_are_not_known(tmp_path):
    save_pretrained(tmp_path / "w.safetensors", tiny(), images={"size": "large"})
    assert mvnp.load_pretrained(tmp_path / "w.safetensors").preparation is None


def test_wrong_arguments_of_classify(loaded, picture):
    with pytest.raises(InputError, match=r"the model is a ndarray, expected a MambaVision, .*the pictures come first"):
        mvnp.classify(loaded, picture)
    with pytest.raises(InputError, match="classify: top is 0, expected an integer of at least 1"):
        mvnp.classify(picture, loaded, top=0)
    with pytest.raises(InputError, match="the model has no head"):
        mvnp.classify(picture, tiny(num_classes=0))


def test_a_variant_by_name_knows_its_preparation():
    model = mvnp.create_model("mamba_vision_L2_512_21k", allocate=False)
    assert model.preparation == ImageTransform(512, 0.93, "squash")
    assert mvnp.create_model("mamba_vision_T", in_chans=1, allocate=False).preparation is None


def test_a_preset_by_name():
    model = mvnp.create_model("demo", in_chans=1, num_classes=10)
    assert model.config["dim"] == 16
    assert model(np.zeros((1, 1, 64, 64), np.float32)).shape == (1, 10)


def test_pretrained_loads_by_name(monkeypatch):
    asked = []
    monkeypatch.setattr("mvnp.named.load_pretrained", lambda name, **options: asked.append((name, options)))
    mvnp.create_model("mamba_vision_T", pretrained=True, num_classes=10)
    assert asked == [("mamba_vision_T", {"num_classes": 10})]
    with pytest.raises(InputError, match="demo is a model to be trained, and has no released weights"):
        mvnp.create_model("demo", pretrained=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "mamba_vision_X",
            {},
            r"unknown model 'mamba_vision_X' \(did you mean 'mamba_vision_T'\?\); choose one of .*, vmamba_demo$",
        ),
        ("dmeo", {}, r"unknown model 'dmeo' \(did you mean 'demo'\?\)"),
        (
            "mamba_vision_T",
            {"num_clases": 1},
            r"unknown option 'num_clases' of .* \(did you mean 'num_classes'\?\)",
        ),
        (
            "mamba_vision_T",
            {"img_size": 224},
            r"unknown option 'img_size' of .* \(images may have any size, so leave",
        ),
        ("demo", {"features_only": True}, r"unknown option 'features_only' of demo \(Backbone\(name\) gives maps\)"),
    ],
)
def test_what_there_is_not(name, options, message):
    with pytest.raises(InputError, match=message):
        mvnp.create_model(name, **options)


@pytest.mark.parametrize("make", [mvnp.create_model, mvnp.Backbone])
@pytest.mark.parametrize("name", ["w.safetensors", "folder/w", "nvidia/MambaVision-T-1K"])
def test_what_is_no_name_but_a_file(make, name):
    with pytest.raises(InputError, match=f"'{name}' is no name of a model; of a file or a repository, load_pretrained gives"):
        make(name)


def test_pretrained_is_yes_or_no():
    with pytest.raises(InputError, match=r"create_model: pretrained is 'w\.pth', expected True or False"):
        mvnp.create_model("mamba_vision_T", pretrained="w.pth")


def test_a_backbone_of_a_checkpoint_with_classes(loaded, tmp_path):
    backbone = mvnp.load_pretrained(tmp_path / "w.safetensors", out_indices=(1, 2), out_norm="none")
    assert isinstance(backbone, mvnp.Backbone)
    assert backbone.out_indices == (1, 2)
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    x = backbone.transform(picture)  # it knows how pictures are prepared, as the classifier does
    np.testing.assert_array_equal(x, loaded.transform(picture))
    for got, want in zip(backbone(x[None]), loaded.features(x[None])[1:3], strict=True):
        np.testing.assert_array_equal(got, want)
    normed = mvnp.load_pretrained(tmp_path / "w.safetensors", out_norm="layer")
    assert normed.out_indices == (0, 1, 2, 3)
    for got, want in zip(normed(x[None]), mvnp.Backbone.of(loaded)(x[None]), strict=True):
        np.testing.assert_array_equal(got, want)
    grey = mvnp.load_pretrained(tmp_path / "w.safetensors", out_norm="none", in_chans=1)
    assert [each.shape[0] for each in grey(grey.transform(picture.convert("L"))[None])] == [1] * 4


def test_a_saved_backbone_knows_how_pictures_are_prepared(loaded, tmp_path):
    backbone = mvnp.Backbone.of(loaded, out_indices=(3,))
    save_pretrained(tmp_path / "b.npz", backbone)
    back = mvnp.load_pretrained(tmp_path / "b.npz")
    assert back.preparation == loaded.preparation
    assert back.classes is None
    with pytest.raises(InputError, match="classes are given, and a Backbone has none; leave them out"):
        save_pretrained(tmp_path / "b.npz", backbone, classes=CLASSES)


def test_what_a_model_knows_is_saved_with_it(loaded, tmp_path):
    save_pretrained(tmp_path / "again.pth", loaded)
    again = mvnp.load_pretrained(tmp_path / "again.pth")
    assert (again.classes, again.preparation) == (loaded.classes, loaded.preparation)
    assert again.preparation.size == 32


@pytest.mark.parametrize(
    ("pattern", "number"), [("*", 25), ("*21k*", 5), ("*on_t*", 2), ("mamba_vision_T", 1), ("*512*", 2), ("vit*", 0)]
)
def test_names_by_pattern(pattern, number):
    assert len(mvnp.list_models(pattern)) == number


def test_the_options_as_a_type_are_those_of_the_families():
    hints = get_type_hints(ModelOptions)
    families = [get_type_hints(family.__init__) for family in FAMILIES.values()]
    assert hints.keys() == {name for each in families for name in each} - {"return"}
    for name, hint in hints.items():  # as wide as the families have it, and no wider
        types = [each[name] for each in families if name in each]
        assert set(get_args(hint) or [hint]) == {kind for each in types for kind in get_args(each) or [each]}, name
    maps = {name: get_type_hints(mvnp.Backbone.__init__)[name] for name in ("out_indices", "out_norm")}
    assert get_type_hints(PretrainedOptions) == {**hints, **maps}


@pytest.mark.slow(reason="a checker of types reads the whole package, half a minute without its cache")
def test_a_checker_of_types_finds_a_wrong_name(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy: pip install -e '.[dev]'")
    (tmp_path / "use.py").write_text(
        'import mvnp\nmodel = mvnp.create_model("mamba_vision_T", num_clases=10)\n'
        'mvnp.create_model("mamba_vision_T", dim="wide")\nreveal_type(model([0]))\n'
        'mvnp.load_pretrained("w.pth", num_clases=10)\nmvnp.load_pretrained("w.pth", out_norm="batch", img_size=96)\n'
    )
    package = str(Path(mvnp.__file__).parents[1])
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"), "use.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": package},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'use.py:2: error: Unexpected keyword argument "num_clases" for "create_model"' in checked.stdout
    assert 'use.py:3: error: Argument "dim" to "create_model" has incompatible type "str"; expected "int"' in checked.stdout
    assert 'use.py:4: note: Revealed type is "numpy.ndarray' in checked.stdout
    assert 'use.py:5: error: Unexpected keyword argument "num_clases" for "load_pretrained"' in checked.stdout
    assert "Found 3 errors" in checked.stdout


def test_a_model_without_weights_refuses_to_compute_and_to_be_saved(tmp_path):
    hollow = tiny_without_weights()
    x = np.zeros((1, 3, 32, 32), np.float32)
    for purpose, use in (
        ("compute with", lambda: hollow(x)),
        ("compute with", lambda: hollow.features(x)),
        ("save", lambda: save_pretrained(tmp_path / "w.safetensors", hollow)),
        ("export", lambda: mvnp.export_onnx(hollow, tmp_path / "w.onnx")),
    ):
        with pytest.raises(InputError, match=f"it has no weights yet to {purpose}: it was made with allocate=False"):
            use()
    assert list(tmp_path.iterdir()) == []
    hollow.load_state_dict(tiny().state_dict())
    np.testing.assert_array_equal(hollow(x), tiny()(x))


def tiny_without_weights():
    return mvnp.MambaVision(**TINY, allocate=False)
