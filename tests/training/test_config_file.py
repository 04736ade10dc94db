"""Settings as a file: mvnp/training/config_file.py."""

import tomllib

import pytest

from mvnp.errors import InputError
from mvnp.training import TrainingConfig
from mvnp.training.config_file import line_of, read_config, to_toml
from mvnp.training.recipes import RECIPES, recipe_settings
from support.toy_training import RECIPE, toy_config

ODD = {
    "model": {"dim": 8, "qk_scale": None, "depths": [1, 2]},
    "dataset": 'a "quoted" \\ näme\x7f\n',
    "dataset_options": {"columns": {"label": "a b"}, "classes": ["x", "none at all"]},
    "class_weights": {"a b": 1, "c": 0.5},
    "clip_norm": None,
    "nesterov": True,
    "optimizer": "sgd",
}


@pytest.mark.parametrize("settings", [{}, RECIPE, ODD], ids=["plain", "recipe", "odd"])
def test_there_and_back(tmp_path, settings):
    config = toy_config(**settings) if "model" not in settings else TrainingConfig(**settings)
    (tmp_path / "c.toml").write_text(to_toml(config, "1"), encoding="utf-8")
    assert TrainingConfig.from_dict({"model": {}, **read_config(tmp_path / "c.toml")}) == config


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(tmp_path, name):
    config = TrainingConfig(**{"model": {}, **recipe_settings(name, "mamba_vision_L", {})})
    (tmp_path / "c.toml").write_text(to_toml(config, "1"), encoding="utf-8")
    assert TrainingConfig.from_dict({"model": {}, **read_config(tmp_path / "c.toml")}) == config
    assert tomllib.loads(to_toml(config, "1"))["recipe"] == name


def test_only_what_is_given(tmp_path):
    (tmp_path / "c.toml").write_text('preset = "demo"\nepochs = 3\nclip_norm = "none"\n[augmentation]\nmixup = 0.2\n')
    found = read_config(tmp_path / "c.toml")
    assert found == {"preset": "demo", "epochs": 3, "clip_norm": None, "augmentation": {"mixup": 0.2}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epochs = 3\n\nlearning_rte = 1\n", "line 3: unknown setting 'learning_rte'"),
        ("epocs = 3\n", "line 1: unknown setting 'epocs' (did you mean 'epochs'?)"),
        ("# one\nepochs = \n", "line 2, column 10: "),
        ("lr = 0.1\nepochs = 0\n", "line 2: training: epochs is 0, expected an integer of at least 1"),
        (
            "[augmentation]\nmixup = 0.1\nmixup_alpha = 1\n",
            "line 3: augmentation has no setting 'mixup_alpha' (did",
        ),
        ("epochs = 2\n[augmentation]\ncutmix = 1\nmixup = -1\n", "line 4: augmentation: mixup is -1, expected a number"),
        ("epochs = 2\n[lr]\nx = 1\n", "line 2: lr is a table, expected a value"),
        ("model = 3\n", "line 1: model is 3, expected a table: [model]"),
        ("epochs = 2\nmixup = 1\n", "line 2: unknown setting 'mixup'; it stands in the table [augmentation]"),
        ("image_size = 8\n", "'image_size'; it stands in the table [loader_options] and in [dataset_options]"),
        ("heads = [1, 2, 4, 8]\n", "line 1: unknown setting 'heads'; here it is num_heads in the table [model]"),
        ("[model]\nheads = [1, 2, 4, 8]\n", "line 2: model has no setting 'heads'; here it is num_heads"),
        ("[model]\ndim = 8\ndetphs = [1]\n", "line 3: model has no setting 'detphs' (did you mean 'depths'?)"),
        ("no-flip = true\n", "line 1: unknown setting 'no-flip'; here it is flip in the table [loader_options]"),
        ('data = "photos"\n', "line 1: unknown setting 'data'; here it is dataset"),
        ("[loader_options]\nflp = true\n", "line 2: loader_options has no setting 'flp' (did you mean 'flip'?)"),
        ("[dataset_options]\n\nheld_uot = 0\n", "line 3: dataset_options has no setting 'held_uot' (did you mean"),
        ('epochs = 3\nrecipe = "lihgt"\n', "line 2: unknown recipe 'lihgt' (did you mean 'light'?)"),
        ('epochs = 3\npreset = "dem"\n', "line 2: unknown model 'dem' (did you mean 'demo'?)"),
        ('family = "MambaVison"\n', "line 1: unknown family 'MambaVison' (did you mean 'MambaVision'?)"),
        ('[augmentation]\nmixup = 1\nrandaugment = "rand-x1"\n', "line 3: policy 'rand-x1': 'x1' is no setting"),
        (
            'epochs = 3\nclip_norm = "nonee"\n',
            """line 2: training: clip_norm is 'nonee', expected a number above 0, or "none\"""",
        ),
        ("mesa = 1\nseed = -1\n", "line 2: training: seed is -1, expected an integer of at least 0"),
        ('seed = 1\noptimizer = "lam"\n', "line 2: training: optimizer is 'lam', expected one of adamw, lamb, sgd"),
    ],
)
def test_mistakes_with_their_line(tmp_path, text, told):
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_config(tmp_path / "c.toml")
    assert str(caught.value).startswith(str(tmp_path / "c.toml"))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'recipe = "official"\nwarmup_epochs = 30.0\n',
        'preset = "demo"\nmin_lr = 0.003\n',
        "mesa = 1.0\n",
        "nesterov = true\n",
        "bce_threshold = 0.2\n",
        "cooldown_epochs = 12.0\nwarmup_lr = 0.01\n",
    ],
)
def test_what_other_settings_make_right_is_no_mistake(tmp_path, text):
    """Those of the recipe, the preset and the command line are not in the file."""
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    assert read_config(tmp_path / "c.toml") == tomllib.loads(text)


def test_the_command_that_a_file_is_for():
    assert "mvnp train --config FILE begins" in to_toml(toy_config(), "1")
    assert "mvnp finetune --config FILE begins" in to_toml(toy_config(weights="w.npz"), "1")


def test_files_that_are_none(tmp_path):
    with pytest.raises(OSError, match="missing"):
        read_config(tmp_path / "missing.toml")
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no text"):
        read_config(tmp_path / "c.toml")


def test_lines():
    text = '"a b" = 1\n[model]\nlr = 2\n[model.inner]\n[augmentation]\n  mixup=1\n'
    assert [line_of(text, "a b"), line_of(text, "model"), line_of(text, "mixup", "augmentation"), line_of(text, "lr")] == [
        1,
        2,
        6,
        1,
    ]
