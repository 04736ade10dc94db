"""`mvnp finetune`: train weights further, on other classes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import Parser, number, whole
from .pictures import image_size
from .train import DATA_HELP, METAVARS, SETTINGS, add_data_options, data_options, located, report
from .weights import options_named

if TYPE_CHECKING:
    from ..training import Ranks, TrainingConfig

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
    add(parser, "--out", "folder for checkpoints and log", DEFAULT_OUT, metavar="DIR")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, with the settings that it has")
    parser.add_argument("--quiet", action="store_true", help="show no progress, only the result")

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
    decay = f"factor of the learning rate from a block to the one below (default: {FULL['layer_decay']}; 1: all alike)"
    add(training, "--layer-decay", decay, type=number, metavar="X")
    add(
        training,
        "--patience",
        "epochs without improvement until it ends; 0: never",
        DEFAULTS["patience"],
        type=whole(0),
        metavar="N",
    )
    for name, kind, what in SETTINGS:
        default = f"{defaults[name]}; {FROZEN[name]} with --freeze" if name in FROZEN else defaults[name]
        add(training, f"--{name.replace('_', '-')}", what, default, type=kind, metavar=METAVARS.get(kind, "N"))


def run(arguments: argparse.Namespace) -> int:
    from ..training import join

    ranks = join()
    with ranks.together():
        return _run(arguments, ranks)


def _run(arguments: argparse.Namespace, ranks: Ranks) -> int:
    from ..training import finetune, open_run

    given = vars(arguments)
    out = given.get("out", DEFAULT_OUT)
    if arguments.resume:
        settings = ranks.from_first(lambda: open_run(out, resume=True)).config.to_dict()
    else:
        for name, shown in (("data", "DATA, what to train on"), ("weights", "--weights, what to begin from")):
            if name not in given:
                raise InputError(f"finetune needs {shown}: {USAGE}\nSee mvnp finetune --help.")
        settings = _initial(given)
    with options_named():
        result = finetune(_changed(settings, given), out, resume=arguments.resume, quiet=arguments.quiet, ranks=ranks)
    if not ranks.first:
        return 0
    report(result)
    return 0


def _initial(given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new run before what was given for it."""
    from ..training import TrainingConfig

    frozen = "freeze" in given
    if frozen and given.get("layer_decay", 1.0) != 1.0:
        raise InputError("--freeze trains the head alone, and --layer-decay is for all the blocks: give one of them")
    settings = {
        **DEFAULTS,
        **(FROZEN if frozen else FULL),
        "frozen": frozen,
        "weights": "",
        "loader_options": {"crop_padding": 0},
    }
    return TrainingConfig(model={}, **settings).to_dict()


def _changed(settings: dict[str, Any], given: dict[str, Any]) -> TrainingConfig:
    """The settings with what was given on the command line in their place."""
    from ..training import TrainingConfig

    parts = {name: {**settings[name]} for name in ("model", "dataset_options", "loader_options", "weights_options")}
    for part, names in (
        ("weights_options", ("variant", "ema", "entry", "strict")),
        ("model", ("num_heads", "window_size", "in_chans")),
    ):
        parts[part].update({name: given[name] for name in names if name in given})
    own, dataset, loader = data_options(given)
    parts["dataset_options"].update(dataset)
    parts["loader_options"].update(loader)
    if "drop_path" in given:
        parts["model"]["drop_path_rate"] = given["drop_path"]
    if "no_flip" in given:
        parts["loader_options"]["flip"] = False
    changed = {name: given[name] for name in ("layer_decay", "patience", *(row[0] for row in SETTINGS)) if name in given}
    changed.update(own)
    if changed.get("clip_norm") == 0:
        changed["clip_norm"] = None
    if "freeze" in given:
        changed["frozen"] = True
    if "data" in given:
        changed["dataset"] = located(given["data"])
    if "weights" in given:
        changed["weights"] = _located_file(given["weights"])
    return TrainingConfig.from_dict({**settings, **changed, **parts})


def _located_file(weights: str) -> str:
    """A file or folder of weights by its absolute path, so that the run's settings mean the same from anywhere."""
    path = Path(os.path.expanduser(weights))
    return os.path.abspath(path) if weights and path.exists() else weights
