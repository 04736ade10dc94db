"""`mvnp train`: train a model on a data set, or go on with a training that was stopped."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import Parser, whole
from .before import dry_run, search_rate
from .data_options import DATA_HELP, add_data_options, data_options, located
from .model_options import DEFAULT_MODEL, add_model_options, given_model
from .pictures import image_size
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

DEFAULT_OUT = "mvnp-train"


def add_arguments(parser: Parser) -> None:
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

    add_model_options(add, parser)

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


def report(result: TrainingResult) -> None:
    """The last lines of a run."""
    called = "validation" if result.part == "val" else "test"
    if result.part is None:
        epochs = "1 epoch" if result.epochs == 1 else f"{result.epochs} epochs"
        print(f"trained on all images for {epochs}, in {result.seconds:.0f} s; nothing was held out to test it")
        print(f"the last epoch is the best: {result.best}")
        return
    accuracy = _both(result.accuracy, result.mean_accuracy)
    print(f"{called} accuracy {accuracy} after epoch {result.epochs}, trained in {result.seconds:.0f} s")
    if not Path(result.best).is_file():
        print(f"the best was {result.best_accuracy:.2%} after epoch {result.best_epoch}; its weights, {result.best}, are gone")
        return
    whose = ", of the average of the weights" if result.best_of == "average" else ""
    print(f"the best was {result.best_accuracy:.2%} after epoch {result.best_epoch}{whose}: {result.best}")
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
    _check_modes(given)
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


def _check_modes(given: dict[str, Any]) -> None:
    """Raise InputError for two things to do in place of the training, and for what one of them needs without it."""
    modes = [f"--{name.replace('_', '-')}" for name in ("print_config", "find_lr", "dry_run") if name in given]
    if len(modes) > 1:
        raise InputError(f"{' and '.join(modes)}: each is done in place of the training; give one of them")
    for name in ("images", "num_classes", "processes"):
        if name in given and "dry_run" not in given:
            raise InputError(f"--{name.replace('_', '-')} is for --dry-run; give that too, or leave it out")


def refuse_recipe(given: dict[str, Any]) -> None:
    if "recipe" in given:
        raise InputError("--recipe says how a run begins, and --resume goes on with its settings: leave one of them out")


def _given(given: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, as settings."""
    settings, dataset, loader = data_options(given)
    if "no_flip" in given:
        loader["flip"] = False
    if "data" in given:
        settings["dataset"] = located(given["data"])
    parts = {"model": given_model(given), "loader_options": loader, "dataset_options": dataset}
    return {**settings, **given_settings(given), **{name: part for name, part in parts.items() if part}}
