"""Training and fine-tuning of another family than MambaVision: a Vim takes the same way."""

import numpy as np
import pytest

from mvnp import Vim, VMamba, load_pretrained
from mvnp.errors import InputError
from mvnp.training import FrozenTrunk, TrainingConfig, finetune, make_model, read_checkpoint, train
from mvnp.training.presets import PRESETS, find_preset
from support.tiny_vim import tiny_vim

MODEL = {"patch_size": 8, "embed_dim": 8, "depth": 2, "d_state": 2}
SHORT = {
    "family": "Vim",
    "model": MODEL,
    "dataset_options": {"classes": [0, 8]},
    "loader_options": {"image_size": 16},
    "epochs": 1,
    "batch_size": 100,
    "warmup_epochs": 0.5,
    "lr": 1e-2,
}


def test_a_run_and_what_it_leaves(tmp_path):
    result = train(TrainingConfig(**SHORT), tmp_path / "run", quiet=True)
    about = read_checkpoint(result.checkpoint).about
    assert (about["class"], about["model"]["img_size"], about["model"]["in_chans"]) == ("Vim", 16, 1)
    model = load_pretrained(result.best)
    assert (type(model), model.num_classes, model.image_size) == (Vim, 2, (16, 16))
    tuned = finetune(
        TrainingConfig({}, weights=str(result.best), epochs=1, batch_size=200, warmup_epochs=0.5, layer_decay=0.7,
                       dataset_options={"classes": [1, 7]}),
        tmp_path / "tuned",
        quiet=True,
    )  # fmt: skip
    assert type(load_pretrained(tuned.best)) is Vim
    finetune(None, tmp_path / "tuned", resume=True, quiet=True)


def test_the_preset_fits_its_images():
    preset = find_preset("vim_demo")
    model = preset.make(1, 10, allocate=False)
    assert (type(model), model.image_size, preset.family) == (Vim, (preset.image_size,) * 2, "Vim")
    demo = PRESETS["demo"].make(1, 10, allocate=False)
    assert 0.25 < model.parameter_count / demo.parameter_count < 1
    assert preset.config().family == "Vim"
    released = find_preset("vim_small_stride8")
    assert (released.family, released.image_size, released.model["stride"]) == ("Vim", 224, 8)


def test_arguments_of_another_family(tmp_path):
    with pytest.raises(InputError, match=r"unknown option 'depths' \(did you mean 'depth'\?\); options are img_size"):
        make_model(TrainingConfig(**{**SHORT, "model": {"depths": [1, 1, 2, 2]}}), _Data())
    with pytest.raises(InputError, match=r"unknown family 'Vin' \(did you mean 'Vim'\?\)"):
        TrainingConfig(**{**SHORT, "family": "Vin"})


class _Data:
    channels, classes, name = 1, ("a", "b"), "two"


def test_the_head_alone():
    model = tiny_vim()
    frozen = FrozenTrunk(model)
    x = np.zeros((2, 2, 12, 10), np.float32)
    np.testing.assert_array_equal(frozen(x), model(x))
    assert [key for key, _ in frozen.named_parameters()] == ["head.weight", "head.bias"]


def test_the_largest_of_all_tokens_has_no_frozen_trunk():
    with pytest.raises(InputError, match="FrozenTrunk: the logits of this Vim are not those of its head on one vector"):
        FrozenTrunk(tiny_vim(class_token=None, pool="max"))


def test_a_run_of_vmamba(tmp_path):
    model = {"dims": (8, 8), "depths": (1, 1), "drop_path_rate": 0.1}
    settings = {**SHORT, "family": "VMamba", "model": model}
    result = train(TrainingConfig(**settings), tmp_path / "run", quiet=True)
    about = read_checkpoint(result.checkpoint).about
    assert (about["class"], about["model"]["version"], about["model"]["in_chans"]) == ("VMamba", "v2", 1)
    best = load_pretrained(result.best)
    assert (type(best), best.num_classes, best.image_size, best.channels) == (VMamba, 2, None, (8, 8))
    tuned = finetune(
        TrainingConfig({}, weights=str(result.best), epochs=1, batch_size=200, warmup_epochs=0.5, layer_decay=0.7,
                       dataset_options={"classes": [1, 7]}),
        tmp_path / "tuned",
        quiet=True,
    )  # fmt: skip
    assert type(load_pretrained(tuned.best)) is VMamba


def test_the_preset_of_vmamba():
    preset = find_preset("vmamba_demo")
    model, demo = (PRESETS[name].make(1, 10, allocate=False) for name in ("vmamba_demo", "vim_demo"))
    assert (type(model), preset.family, preset.config().family) == (VMamba, "VMamba", "VMamba")
    assert 0.9 < model.parameter_count / demo.parameter_count < 1.1
    released = find_preset("vanilla_vmamba_tiny")
    assert (released.family, released.image_size, released.model["version"]) == ("VMamba", 224, "v0")
