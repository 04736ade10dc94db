"""`mvnp finetune`: train weights further, on other classes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import Parser, number, whole
from .data_options import DATA_HELP, add_data_options, data_options, located
from .pictures import image_size
from .settings import add_settings, base_settings, given_settings, located_file, merged, print_config, read_file
from .train import add_run_options, refuse_recipe, report
from .weights import options_named

if TYPE_CHECKING:
    from ..training import Ranks

SUMMARY = "train given weights further, on images of other classes"

USAGE = "mvnp finetune DATA --weights WEIGHTS [options]"

DESCRIPTION = """\
Train given weights further on other classes: with a new head, either the whole
model (the default) or the head alone (--freeze). Blocks near the image take
smaller steps than those near the head (--layer-decay). Training ends early when
the test accuracy has not improved for some epochs (--patience).
Ctrl-C saves first; --resume goes on from there, and ends with the same weights
as a training that was never stopped."""

EXAMPLES = """\
examples:
  mvnp finetune photos --weights mambavision_tiny_1k.pth.tar --out runs/photos
  mvnp finetune photos --weights nvidia/MambaVision-T-1K --freeze
  mvnp finetune digits --classes 5 6 7 --weights first/best.safetensors
  mvnp finetune --resume --out runs/photos   go on after an interruption

photos/ has a folder of pictures for each class, or train/, val/ and test/ with
these: the best epoch is chosen on val, and test has the last word. --out gets
best.safetensors, the model of the best epoch, for mvnp.load_pretrained and the
commands that take --weights; checkpoint.safetensors, the latest state; and
log.jsonl."""

DEFAULT_OUT = "mvnp-finetune"
DEFAULTS: dict[str, Any] = {"epochs": 10, "batch_size": 50, "lr": 1e-3, "warmup_epochs": 0.5, "patience": 5}
FULL: dict[str, Any] = {"layer_decay": 0.8}
FROZEN: dict[str, Any] = {"lr": 5e-2}  # a linear classifier on fixed features bears, and needs, larger steps


def add_arguments(parser: Parser) -> None:
    from ..training import TrainingConfig

    defaults = {**TrainingConfig(model={}).to_dict(), **DEFAULTS}

    def add(group: Any, option: str, what: str, default: Any = None, **options: Any) -> None:
        note = "" if default is None else f" (default: {default})"
        group.add_argument(option, default=argparse.SUPPRESS, help=f"{what}{note}", **options)

    parser.add_argument("data", nargs="?", metavar="DATA", default=argparse.SUPPRESS, help=DATA_HELP)
    add(parser, "--weights", "file, hub repository or variant to begin from", metavar="WEIGHTS")
    add_run_options(add, parser, DEFAULT_OUT)

    weights = parser.add_argument_group("weights")
    add(weights, "--variant", "which variant the weights are of, where they leave it open", metavar="NAME")
    add(weights, "--ema", "take the moving average that was saved beside the weights", action="store_true")
    add(weights, "--entry", "where the weights stand in the file, if there are several in it", metavar="NAME")
    text = "draw what the weights lack, and pass over what the model has no place for"
    add(weights, "--no-strict", text, dest="strict", action="store_const", const=False)
    text = "image channels, where the weights are of another number: the first convolution is adapted"
    add(weights, "--channels", text, dest="in_chans", type=whole(1), metavar="N")
    for option, name, what in (("--heads", "num_heads", "attention heads"), ("--windows", "window_size", "window sizes")):
        text = f"{what} of the four levels, where the weights do not tell"
        add(weights, option, text, dest=name, nargs=4, type=whole(1), metavar="N")
    add(weights, "--drop-path", "drop path of the last block", "that of the weights", type=number, metavar="X")

    data = parser.add_argument_group("data")
    add(data, "--image-size", "what images are resized to", "that of the weights", type=image_size, metavar="S|HxW")
    add_data_options(add, data)
    add(data, "--crop-padding", "shift by up to this many pixels, as stored", 0, type=whole(0), metavar="N")
    add(data, "--no-flip", "do not mirror images: left and right differ in meaning", action="store_true")

    training = parser.add_argument_group("training")
    add(training, "--freeze", "train the head alone", action="store_true")
    shown = {**defaults, **FULL, **{name: f"{defaults[name]}; {value} with --freeze" for name, value in FROZEN.items()}}
    augmentation = parser.add_argument_group("augmentation", "What is done to training pictures besides; off, unless given.")
    add_settings(add, training, augmentation, shown)


def run(arguments: argparse.Namespace) -> int:
    from ..training import join

    ranks = join()
    with ranks.together():
        return _run(arguments, ranks)


def _run(arguments: argparse.Namespace, ranks: Ranks) -> int:
    from ..training import TrainingConfig, finetune, open_run

    given = vars(arguments)
    out = given.get("out", DEFAULT_OUT)
    file = read_file(given)
    if "preset" in file:
        raise InputError(
            f"{given['config']}: preset is {file['preset']!r}, and finetune has its model from the weights; leave it out"
        )
    own = merged(file, _given(given))
    if arguments.resume:
        refuse_recipe(given)
        settings = merged(ranks.from_first(lambda: open_run(out, resume=True)).config.to_dict(), own)
    else:
        for name, shown in (("dataset", "DATA, what to train on"), ("weights", "--weights, what to begin from")):
            if own.get(name) is None:
                raise InputError(f"finetune needs {shown}: {USAGE}\nSee mvnp finetune --help.")
        settings = base_settings(_initial(own), "", own, given.get("recipe", file.get("recipe")))
    config = TrainingConfig.from_dict(settings)
    if "print_config" in given:
        return print_config(config) if ranks.first else 0
    with options_named():
        result = finetune(config, out, resume=arguments.resume, quiet=arguments.quiet, ranks=ranks)
    if not ranks.first:
        return 0
    report(result)
    return 0


def _initial(own: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new run before what was given for it."""
    from ..training import TrainingConfig

    frozen = own.get("frozen", False)
    if frozen and own.get("layer_decay", 1.0) != 1.0:
        raise InputError("--freeze trains the head alone, and --layer-decay is for all the blocks: give one of them")
    settings = {
        **DEFAULTS,
        **(FROZEN if frozen else FULL),
        "frozen": frozen,
        "weights": "",
        "loader_options": {"crop_padding": 0},
    }
    return TrainingConfig(model={}, **settings).to_dict()


def _given(given: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, as settings."""
    settings, dataset, loader = data_options(given)
    weights = {name: given[name] for name in ("variant", "ema", "entry", "strict") if name in given}
    model: dict[str, Any] = {name: given[name] for name in ("num_heads", "window_size", "in_chans") if name in given}
    if "drop_path" in given:
        model["drop_path_rate"] = given["drop_path"]
    if "no_flip" in given:
        loader["flip"] = False
    if "freeze" in given:
        settings["frozen"] = True
    if "data" in given:
        settings["dataset"] = located(given["data"])
    if "weights" in given:
        settings["weights"] = located_file(given["weights"])
    parts = {"model": model, "loader_options": loader, "dataset_options": dataset, "weights_options": weights}
    return {**settings, **given_settings(given), **{name: part for name, part in parts.items() if part}}
