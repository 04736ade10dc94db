"""Settings from recipe, file and options: mvnp/cli/settings.py."""

import tomllib
from dataclasses import fields

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint
from mvnp.cli import main
from mvnp.cli.settings import AUGMENTATION, TRAINING, merged
from mvnp.data.augment import Augmentation
from mvnp.training import TrainingConfig, read_checkpoint, read_log

SMALL = ["--dim", "4", "--in-dim", "3", "--depths", "1", "1", "1", "1", "--heads", "1", "1", "2", "2"]
SMALL += ["--windows", "8", "8", "2", "2"]
TINY = ["--epochs", "1", "--batch-size", "50", "--image-size", "32", "--classes", "0", "1", "--quiet", *SMALL]


def printed(capsys, *arguments):
    assert main([*arguments, "--print-config"]) == 0
    return tomllib.loads(capsys.readouterr().out)


def test_the_table_has_the_names_of_the_settings():
    assert {row.name for row in TRAINING} <= {setting.name for setting in fields(TrainingConfig)}
    assert {row.name for row in AUGMENTATION} == {setting.name for setting in fields(Augmentation)}


def test_preset_recipe_file_option(tmp_path, capsys):
    """Each takes the place of what was before it."""
    (tmp_path / "c.toml").write_text(
        'recipe = "light"\nlabel_smoothing = 0.3\nepochs = 50\n[augmentation]\nerasing = 0.5\n[loader_options]\nflip = false\n'
    )
    plain = printed(capsys, "train")
    assert (plain["epochs"], plain["optimizer"], plain.get("augmentation")) == (10, "adamw", None)
    light = printed(capsys, "train", "--recipe", "light")
    assert (light["epochs"], light["model"]["dim"], light["augmentation"]["erasing"]) == (100, 16, 0.1)
    file = printed(capsys, "train", "--config", str(tmp_path / "c.toml"))
    assert (file["label_smoothing"], file["augmentation"]["erasing"], file["augmentation"]["mixup"]) == (0.3, 0.5, 0.8)
    assert (file["warmup_epochs"], file["loader_options"]["flip"]) == (2.5, False)
    both = printed(capsys, "train", "--config", str(tmp_path / "c.toml"), "--erasing", "0", "--epochs", "20")
    assert (both["epochs"], both["warmup_epochs"], both["augmentation"]["erasing"]) == (20, 1.0, 0.0)


def test_a_recipe_takes_the_place_of_that_of_a_file(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('recipe = "none"\nepochs = 7\n')
    found = printed(capsys, "train", "--config", str(tmp_path / "c.toml"), "--recipe", "light")
    assert (found["recipe"], found["epochs"], found["augmentation"]["mixup"]) == ("light", 7, 0.8)
    assert printed(capsys, "train", "--config", str(tmp_path / "c.toml"))["recipe"] == "none"


def test_paths_in_a_file_mean_the_same_from_anywhere(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "w.npz", "t.npz", "labels.csv"):
        (tmp_path / name).mkdir()
    text = 'dataset = "photos"\nweights = "w.npz"\nteacher = "t.npz"\n[dataset_options]\nlabels = "labels.csv"\n'
    (tmp_path / "c.toml").write_text(text)
    found = printed(capsys, "finetune", "--config", "c.toml")
    paths = [found["dataset"], found["weights"], found["teacher"], found["dataset_options"]["labels"]]
    assert paths == [str(tmp_path / name) for name in ("photos", "w.npz", "t.npz", "labels.csv")]


def test_a_fine_tuning_has_no_preset(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('preset = "demo"\n')
    assert main(["finetune", "photos", "--weights", "w.npz", "--config", str(tmp_path / "c.toml"), "--print-config"]) == 2
    assert "preset is 'demo', and finetune has its model from the weights; leave it out" in capsys.readouterr().err


def test_a_printed_config_is_read_back(tmp_path, capsys):
    for command in (
        ["train", "--recipe", "official", "--model", "mamba_vision_B"],
        ["finetune", "photos", "--weights", "w.npz", "--recipe", "finetune", "--ema"],
    ):
        assert main([*command, "--print-config"]) == 0
        text = capsys.readouterr().out
        (tmp_path / "c.toml").write_text(text)
        assert main([command[0], "--config", str(tmp_path / "c.toml"), "--print-config"]) == 0
        assert capsys.readouterr().out == text


def test_absent_settings(capsys):
    found = printed(
        capsys, "train", "--recipe", "official", "--clip-norm", "0", "--randaugment", "none", "--crop-scale", "0", "0"
    )
    assert (found["clip_norm"], found["augmentation"]["randaugment"], found["augmentation"]["crop_scale"]) == ("none",) * 3


def test_crops_take_the_place_of_shifts(tmp_path, capsys):
    assert printed(capsys, "train", "--model", "mamba_vision_T")["loader_options"]["crop_padding"] == 2
    found = printed(capsys, "train", "--model", "mamba_vision_T", "--crop-scale", "0.5", "1")
    assert found["loader_options"]["crop_padding"] == 0
    assert main(["train", "--crop-scale", "0.5", "1", "--crop-padding", "3", *TINY, "--out", str(tmp_path / "run")]) == 2
    assert "the one shifts pictures, the other cuts parts out" in capsys.readouterr().err


def test_finetune_keeps_its_own(capsys):
    found = printed(capsys, "finetune", "photos", "--weights", "w.npz")
    assert (found["layer_decay"], found["patience"], found["lr"], found["frozen"]) == (0.8, 5, 1e-3, False)
    found = printed(capsys, "finetune", "photos", "--weights", "w.npz", "--freeze", "--recipe", "finetune")
    assert (found["layer_decay"], found["ema_decay"], found["frozen"]) == (1.0, 0.0, True)


def test_a_run_stores_its_settings_and_prints_them(tmp_path, capsys):
    out = str(tmp_path / "run")
    command = ["train", "--out", out, *TINY, "--recipe", "light", "--randaugment", "none", "--workers", "0"]
    assert main(command) == 0
    capsys.readouterr()
    stored = (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert main(["train", "--resume", "--out", out, "--print-config"]) == 0
    assert tomllib.loads(capsys.readouterr().out) == tomllib.loads(stored)
    assert tomllib.loads(stored)["recipe"] == "light"
    assert main(["train", "--resume", "--out", out, "--recipe", "light"]) == 2
    assert "--recipe says how a run begins" in capsys.readouterr().err
    assert main(["train", "--resume", "--out", out, "--mixup", "0.1", "--quiet"]) == 2
    assert "augmentation.mixup is 0.1 and was 0.8" in capsys.readouterr().err


def test_a_run_teaches_another(tmp_path, capsys):
    """Distillation from a run's best weights; and a fine-tuning with an average, whose best file is one of weights."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    assert main(["train", "--out", str(first), *TINY]) == 0
    best = str(first / "best.safetensors")
    options = ["--teacher", best, "--teacher-weight", "2", "--ema-decay", "0.5"]
    assert main(["train", "--out", str(second), *TINY, *options]) == 0
    assert all("apart" in line for line in read_log(second / "log.jsonl") if line["event"] == "step")
    tuned = ["finetune", "fashion-mnist-small", "--weights", str(second), "--classes", "2", "3", "--epochs", "1", "--quiet"]
    assert main([*tuned, "--ema-decay", "0.9", "--mesa", "0.5", "--mesa-start", "0", "--out", str(third)]) == 0
    position = read_checkpoint(third / "checkpoint.safetensors").position
    weights = load_checkpoint(third / "best.safetensors")
    part = "ema." if position.best_of == "average" else "model."
    if position.best_epoch == position.epoch:
        np.testing.assert_array_equal(
            weights["head.bias"], read_checkpoint(third / "checkpoint.safetensors").part(part)["head.bias"]
        )
    assert main(["train", "--out", str(tmp_path / "other"), *TINY, "--classes", "0", "1", "2", "--teacher", best]) == 2
    assert "has 2 classes, and the data 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--recipe", "oficial"], "unknown recipe 'oficial'"),
        (["--recipe", "official", "--batch-size", "25"], "a batch of 25 pictures cannot be mixed in pairs"),
        (["--mesa", "1"], "give ema_decay too"),
        (["--ema-decay", "atuo"], "'atuo' is neither a number of at least 0 nor auto"),
        (["--randaugment", "rand-x3"], "'x3' is no setting"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--teacher", "missing.npz"], "missing.npz"),
        (["--find-lr", "--dry-run"], "--find-lr and --dry-run: each is done in place of the training; give one of them"),
        (["--print-config", "--find-lr"], "--print-config and --find-lr: each is done"),
        (["--images", "100"], "--images is for --dry-run; give that too, or leave it out"),
        (["--num-classes", "4"], "--num-classes is for --dry-run"),
        (["--processes", "2"], "--processes is for --dry-run"),
    ],
)
def test_mistakes(tmp_path, capsys, options, told):
    assert main(["train", "--out", str(tmp_path / "run"), *TINY, *options]) == 2
    assert told in capsys.readouterr().err


def test_merged():
    assert merged({"a": 1, "b": {"x": 1, "y": 2}, "c": None}, {"b": {"y": 3}, "c": {"z": 1}}, {"a": 2}) == {
        "a": 2,
        "b": {"x": 1, "y": 3},
        "c": {"z": 1},
    }
