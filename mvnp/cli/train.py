"""`mvnp train`: train a model on a data set, or go on with a training that was stopped."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import Parser, number, whole
from .before import dry_run, search_rate
from .pictures import image_size, megabytes, value_range
from .settings import add_settings, base_settings, given_settings, merged, print_config, read_file

if TYPE_CHECKING:
    from ..training import Ranks, TrainingResult

SUMMARY = "train a model on images, or go on with a stopped training"

USAGE = "mvnp train [options]"

DESCRIPTION = """\
Train a model from scratch, and write checkpoints and a log into a folder.
Ctrl-C saves first; --resume goes on from there, and ends with the same weights
as a training that was never stopped."""

EXAMPLES = """\
examples:
  mvnp train                              a small model on a few shipped images
  mvnp train --data fashion-mnist --out runs/full       all of Fashion-MNIST
  mvnp train --data photos --epochs 30    pictures of photos/cat, photos/dog
  mvnp train --recipe light --mixup 0.2   a recipe, but for one thing
  mvnp train --resume --out runs/full     go on after an interruption

  mvnp train --resume --out runs/full --epochs 20       and longer than it was

photos/ may have train/, val/ and test/, each with the classes: the best epoch
is chosen on val, and test has the last word. Pictures of more than three bands
(TIFF, .npy) need no option. The folder gets checkpoint.safetensors (the latest
state), best.safetensors (the best epoch) and log.jsonl."""

DEFAULT_OUT, DEFAULT_MODEL = "mvnp-train", "demo"
DATA_HELP = (
    "fashion-mnist-small, fashion-mnist, a folder of pictures by class, a folder of IDX files (as MNIST has) or of CIFAR, or an"
    " .npz file (as MedMNIST has)"
)


def pattern(text: str) -> str | list[str]:
    """A pattern by its name, or by its two words with a comma between them."""
    return text.split(",") if "," in text else text


def _or_none(text: str) -> str | None:
    return None if text == "none" else text


# Options that are arguments of the model: option, name, type, how many, help
METAVARS = {number: "X", str: "NAME", pattern: "NAME", _or_none: "NAME"}  # of the others: N
MODEL: list[tuple[str, str, Any, int | str, str]] = [
    ("--dim", "dim", whole(1), 1, "width of the first level; each level doubles it"),
    ("--in-dim", "in_dim", whole(1), 1, "width of the stem's first convolution"),
    ("--depths", "depths", whole(1), "+", "blocks of the levels"),
    ("--heads", "num_heads", whole(1), 4, "attention heads of the four levels"),
    ("--windows", "window_size", whole(1), 4, "window sizes of the four levels"),
    ("--mlp-ratio", "mlp_ratio", number, 1, "hidden width of the MLPs over their width"),
    ("--drop-path", "drop_path_rate", number, 1, "drop path of the last block"),
    ("--dropout", "drop_rate", number, 1, "dropout in the MLPs and after attention"),
    ("--d-state", "d_state", whole(1), 1, "states for each channel of a scan"),
    (
        "--mixer",
        "mixer",
        str,
        1,
        "concat; gated, gated_one_conv or mamba, each with _wide behind it or not (mvnp/models/mixer.py)",
    ),
    ("--pattern", "pattern", pattern, 1, "where attention stands: last_quarter, MMMS,MMMS … (mvnp/models/pattern.py)"),
    ("--pattern-seed", "pattern_seed", whole(0), 1, "draws the pattern random"),
]
VIM: list[tuple[str, str, Any, int | str, str]] = [
    ("--patch-size", "patch_size", whole(1), 1, "side of the patches; of VMamba too"),
    ("--stride", "stride", whole(1), 1, "pixels from patch to patch"),
    ("--embed-dim", "embed_dim", whole(1), 1, "width"),
    ("--depth", "depth", whole(1), 1, "blocks"),
    ("--class-token", "class_token", _or_none, 1, "middle, head, double or none"),
    ("--pool", "pool", str, 1, "mean, max or last, where there is no class token"),
    ("--directions", "directions", str, 1, "both, one, shared or paired"),
]
VMAMBA: list[tuple[str, str, Any, int | str, str]] = [
    ("--dims", "dims", whole(1), "+", "widths of the levels, as many as --depths"),
    ("--ssm-ratio", "ssm_ratio", number, 1, "channels of the scans over the width"),
    ("--vmamba-version", "version", str, 1, "v2 or v0"),
    ("--forward-type", "forward_type", str, 1, "which ways the scans go, such as v052d_noz"),
]


def add_arguments(parser: Parser) -> None:
    from ..models.variants import defaults_of
    from ..training.presets import PRESETS

    preset = PRESETS[DEFAULT_MODEL]
    defaults = preset.config().to_dict()

    def add(group: Any, option: str, what: str, default: Any = None, **options: Any) -> None:
        # Absent unless given: a resumed run, and a preset, have values of their own.
        note = "" if default is None else f" (default: {default})"
        group.add_argument(option, default=argparse.SUPPRESS, help=f"{what}{note}", **options)

    add_run_options(add, parser, DEFAULT_OUT)
    add(parser, "--find-lr", "look for a learning rate, with a picture in --out, and train nothing", action="store_true")
    dry = parser.add_argument_group("dry run")
    add(dry, "--dry-run", "say what the run would be, steps, memory and time, and train nothing", action="store_true")
    add(dry, "--images", "for --dry-run without the data: how many there are", type=whole(1), metavar="N")
    add(dry, "--num-classes", "and of how many classes", type=whole(2), metavar="N")
    add(dry, "--processes", "and how many processes share a batch", "1", type=whole(1), metavar="N")

    data = parser.add_argument_group("data")
    add(data, "--data", DATA_HELP, defaults["dataset"], metavar="DATA")
    add(data, "--image-size", "what images are resized to", preset.image_size, type=image_size, metavar="S|HxW")
    channels = "of pictures: 3, colour; 1, grey; or a number of bands"
    add(data, "--channels", channels, "as they have, of photographs 3", type=whole(1), metavar="N")
    add_data_options(add, data)
    add(data, "--crop-padding", "shift by up to this many pixels, as stored", 2, type=whole(0), metavar="N")
    add(data, "--no-flip", "do not mirror images: left and right differ in meaning", action="store_true")

    model = parser.add_argument_group("model", "A preset or variant (see mvnp models), and what is to differ from it.")
    add(model, "--model", "preset or variant", DEFAULT_MODEL, metavar="NAME")
    for group, options in (
        (model, MODEL),
        (parser.add_argument_group("model: Vim"), VIM),
        (parser.add_argument_group("model: VMamba"), VMAMBA),
    ):
        for option, name, kind, count, what in options:
            default = {**defaults_of("MambaVision"), **preset.model}.get(name) if group is model else None
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
            many = {} if count == 1 else {"nargs": count}
            add(group, option, what, shown, dest=name, type=kind, metavar=METAVARS.get(kind, "N"), **many)
    add(model, "--quirks", "official, paper or corrected (mvnp/models/quirks.py)", "official", metavar="NAME")

    training = parser.add_argument_group("training", f"The defaults are those of --model {DEFAULT_MODEL}.")
    augmentation = parser.add_argument_group("augmentation", "What is done to training pictures besides; off, unless given.")
    add_settings(add, training, augmentation, defaults)


def add_run_options(add: Callable[..., None], parser: Any, default_out: str) -> None:
    """What `mvnp train` and `mvnp finetune` have alike: the folder, where settings come from, what else is to be done."""
    add(parser, "--out", "folder for checkpoints and log", default_out, metavar="DIR")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, with the settings that it has")
    parser.add_argument("--quiet", action="store_true", help="show no progress, only the result")
    add(parser, "--recipe", "settings by name: official, light or finetune", metavar="NAME")
    add(parser, "--config", "settings from a file (TOML); options take their place", metavar="FILE")
    add(parser, "--print-config", "print all settings as such a file, and do nothing else", action="store_true")


def add_data_options(add: Callable[..., None], group: Any) -> None:
    """What `mvnp train` and `mvnp finetune` have alike."""
    add(group, "--classes", "only these classes, by name or number from 0", "all", nargs="+", metavar="CLASS")
    add(group, "--held-out", "share kept for testing, where there is no test folder; 0: none", 0.2, type=number, metavar="X")
    add(group, "--labels", "table of labels, a .csv file, in place of a folder for each class", metavar="FILE")
    columns = "which of its columns are the image, the label and the split, such as label=breed"
    add(group, "--columns", columns, "found by their names", nargs="+", metavar="ROLE=NAME")
    ranged = "which stored values are black and white: min:max; auto, or percentile (2 to 98 %%), of the training images"
    add(group, "--range", ranged, "those of 8 or 16 bits", type=value_range, metavar="R")
    add(group, "--skip-damaged", "go on without pictures that cannot be read", action="store_true")
    add(group, "--picture-limit", "MB that one picture may take decoded", 200, type=megabytes, metavar="N")
    add(group, "--sampler", "shuffled, or balanced: of each class equally many images", "shuffled", metavar="NAME")
    weights = "what images count in the loss: balanced, or a file of class,weight lines"
    add(group, "--class-weights", weights, "all alike", metavar="W")
    by = "what the best epoch is chosen by: accuracy, mean-accuracy (of the classes) or loss"
    add(group, "--best-by", by, "accuracy", metavar="NAME")


def data_options(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Of what was given for `add_data_options`: the settings themselves, those of the data set, those of the loader."""
    settings: dict[str, Any] = {name: given[name] for name in ("best_by",) if name in given}
    if "class_weights" in given:
        settings["class_weights"] = _class_weights(given["class_weights"])
    dataset: dict[str, Any] = {
        name: given[name] for name in ("image_size", "channels", "held_out", "classes", "skip_damaged") if name in given
    }
    if "range" in given:
        dataset["value_range"] = given["range"]
    if "picture_limit" in given:
        dataset["max_bytes"] = given["picture_limit"]
    if "labels" in given:
        dataset["labels"] = os.path.abspath(os.path.expanduser(given["labels"]))
    if "columns" in given:
        pairs = [column.partition("=") for column in given["columns"]]
        wrong = [f"{role}{sign}{name}" for role, sign, name in pairs if not (role and sign and name)]
        if wrong:
            raise InputError(f"--columns {wrong[0]}: expected such as label=breed, what it is and what the column is called")
        dataset["columns"] = {role: name for role, _, name in pairs}
    return settings, dataset, {name: given[name] for name in ("image_size", "crop_padding", "sampler") if name in given}


def _class_weights(text: str) -> str | dict[str, float]:
    """`balanced`, or the weights in a file."""
    from ..data.labels_csv import read_weights

    return text if text == "balanced" else read_weights(Path(text).expanduser())


def report(result: TrainingResult) -> None:
    """The last lines of a run."""
    called = "validation" if result.part == "val" else "test"
    if result.part is None:
        print(f"trained on all images for {result.epochs} epochs, in {result.seconds:.0f} s; nothing was held out to test it")
        print(f"the last epoch is the best: {result.best}")
        return
    accuracy = _both(result.accuracy, result.mean_accuracy)
    print(f"{called} accuracy {accuracy} after epoch {result.epochs}, trained in {result.seconds:.0f} s")
    print(f"the best was {result.best_accuracy:.2%} after epoch {result.best_epoch}: {result.best}")
    if result.final_accuracy is not None:
        final = _both(result.final_accuracy, result.final_mean_accuracy or 0.0)
        print(f"test accuracy of the best {final}, on images that have chosen nothing")
    elif result.part == "test":
        print("the test images have chosen the best epoch, so its figure is a little too good for new ones")


def _both(accuracy: float, mean: float) -> str:
    """With the mean of the classes, where they have not all as many images and so are not the same."""
    return f"{accuracy:.2%}" + (f" (mean of classes {mean:.2%})" if abs(mean - accuracy) > 1e-9 else "")


def run(arguments: argparse.Namespace) -> int:
    from ..training import join

    ranks = join()
    with ranks.together():
        return _run(arguments, ranks)


def _run(arguments: argparse.Namespace, ranks: Ranks) -> int:
    from ..training import TrainingConfig, open_run, train
    from ..training.presets import find_preset

    given = vars(arguments)
    out = given.get("out", DEFAULT_OUT)
    file = read_file(given)
    model = given.get("model", file.pop("preset", DEFAULT_MODEL))
    preset = find_preset(model)
    own = merged(file, _given(given))
    if arguments.resume:
        refuse_recipe(given)
        settings = ranks.from_first(lambda: open_run(out, resume=True)).config.to_dict()
        if "model" in given:  # the preset's own training settings may have been changed by the command that began the run
            settings = merged(settings, {"family": preset.family, "model": preset.model})
        settings = merged(settings, own)
    else:
        settings = base_settings(preset.config().to_dict(), model, own, given.get("recipe", file.get("recipe")))
    config = TrainingConfig.from_dict(settings)
    if "print_config" in given:
        return print_config(config) if ranks.first else 0
    if "find_lr" in given:
        return search_rate(config, Path(out)) if ranks.first else 0
    if "dry_run" in given:
        return dry_run(config, given.get("images"), given.get("num_classes"), given.get("processes", 1)) if ranks.first else 0
    result = train(config, out, resume=arguments.resume, quiet=arguments.quiet, ranks=ranks)
    if not ranks.first:
        return 0
    report(result)
    return 0


def refuse_recipe(given: dict[str, Any]) -> None:
    if "recipe" in given:
        raise InputError("--recipe says how a run begins, and --resume goes on with its settings: leave one of them out")


def _given(given: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, as settings."""
    settings, dataset, loader = data_options(given)
    model = {name: given[name] for _, name, *_ in (*MODEL, *VIM, *VMAMBA) if name in given}
    if "quirks" in given:
        model["quirks"] = given["quirks"]
    if "no_flip" in given:
        loader["flip"] = False
    if "data" in given:
        settings["dataset"] = located(given["data"])
    parts = {"model": model, "loader_options": loader, "dataset_options": dataset}
    return {**settings, **given_settings(given), **{name: part for name, part in parts.items() if part}}


def located(data: str) -> str:
    """A folder by its absolute path, so that a run can be resumed from another one; a name as it is."""
    from ..data.sources import NAMES

    folder = os.path.abspath(os.path.expanduser(data))
    return folder if data not in NAMES and data and (os.path.exists(folder) or os.path.dirname(data)) else data
