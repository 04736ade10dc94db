"""What the commands share that ask a trained model about pictures: their options, the model, its transform, the reports."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, DataError, InputError, printable
from .arguments import Parser, whole
from .pictures import image_size, megabytes, value_range

if TYPE_CHECKING:
    from ..checkpoint import Pretrained
    from ..data import ImageTransform

SOME_LEFT_OUT = 1  # the exit status where the rest is done


def add_weights_options(parser: Parser, required: bool = True) -> None:
    """--weights, and what says which model they are of."""
    group = parser.add_argument_group("weights")
    group.add_argument(
        "--weights",
        required=required,
        metavar="W",
        help="file (.safetensors, .pth.tar, .npz …), folder, hub repository, or a variant's name",
    )
    group.add_argument("--variant", metavar="NAME", help="which variant the weights are of, where they leave it open")
    group.add_argument("--ema", action="store_true", help="take the moving average that was saved beside the weights")
    group.add_argument("--entry", metavar="NAME", help="where the weights stand in the file, if there are several in it")
    text = "draw what the weights lack, and pass over what the model has no place for"
    group.add_argument("--no-strict", action="store_true", help=text)
    text = "image channels; where the weights are of another number, the first convolution is adapted"
    group.add_argument("--channels", dest="in_chans", type=whole(1), metavar="N", help=text)
    for option, name, what in (("--heads", "num_heads", "attention heads"), ("--windows", "window_size", "window sizes")):
        text = f"{what} of the four levels, for weights of no released variant that do not tell"
        group.add_argument(option, dest=name, nargs=4, type=whole(1), metavar="N", help=text)


def add_picture_options(parser: Parser, many: bool = True) -> None:
    """How pictures are prepared and taken; `many`: more than one at a time."""
    group = parser.add_argument_group("pictures")
    group.add_argument("--size", type=image_size, metavar="S", help="what the model sees: a side, or HxW (default: its own)")
    ranged = "which stored values are black and white: min:max; auto, or percentile (2 to 98 %%), of each picture"
    group.add_argument("--range", type=value_range, metavar="R", help=f"{ranged} (default: as in training)")
    limit = "MB that one picture may take decoded (default: 200)"
    group.add_argument("--picture-limit", type=megabytes, default=200_000_000, metavar="N", help=limit)
    if many:
        group.add_argument("--batch", type=whole(1), default=16, metavar="N", help="pictures at a time (default: 16)")


def open_model(
    arguments: argparse.Namespace, weights: str | None = None, backbone: bool = False, **overrides: Any
) -> Pretrained:
    """The model of --weights, or of other `weights` with the same options; `overrides` are further arguments of it.

    backbone    whether the command can do with a Backbone, which has no classes; otherwise InputError says who can
    """
    from ..checkpoint import read_pretrained
    from ..models.backbone import Backbone

    names = ("num_heads", "window_size", "in_chans")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    options = {"variant": arguments.variant, "ema": arguments.ema, "entry": arguments.entry, "strict": not arguments.no_strict}
    source = os.path.expanduser(arguments.weights if weights is None else weights)
    with options_named():
        pretrained = read_pretrained(source, **options, **given, **overrides)
    if isinstance(pretrained.model, Backbone) and not backbone:
        raise InputError(f"{source} is of a Backbone, which gives maps and no classes: mvnp features and mvnp export take it")
    if not getattr(arguments, "quiet", False):
        for note in pretrained.notes:
            say(note)
    return pretrained


@contextlib.contextmanager
def options_named() -> Iterator[None]:
    """What a CheckpointError advises for Python, named as on the command line besides."""
    try:
        yield
    except CheckpointError as error:
        text = str(error)
        for advice, options in (
            (("give num_heads=", "give window_size="), "--heads and --windows"),
            (("strict=False",), "--no-strict"),
            (("give variant=",), "--variant"),
        ):
            if any(each in text for each in advice):
                raise CheckpointError(f"{text.rstrip('.')}. On the command line: {options}") from error
        raise


def open_transform(arguments: argparse.Namespace, pretrained: Pretrained) -> ImageTransform:
    """How pictures are prepared for it. Says so where the weights do not tell, and a guess is made."""
    from ..inference import transform_of

    transform = transform_of(pretrained, arguments.size, arguments.range)
    if pretrained.images is None and not getattr(arguments, "quiet", False):
        _, height, width = transform.shape
        say(
            f"these weights do not say how pictures were prepared for them: taking the middle at {height}x{width}, with"
            " ImageNet's mean and deviation"
        )
    return transform


def say_passed_over(passed_over: Counter[str]) -> None:
    """What was in the folders and is no picture."""
    from ..data.folder import in_words

    if passed_over:
        say(f"passed over: {in_words(passed_over)}")


def report_broken(position: int, error: DataError) -> None:
    """A line on standard error, in the midst of a progress bar perhaps."""
    say(f"left out: {error}")


def say(text: str) -> None:
    """A line on standard error that does not break a progress bar."""
    from tqdm import tqdm

    if sys.stderr is not None:
        tqdm.write(f"mvnp: {printable(text)}", file=sys.stderr)
        sys.stderr.flush()


def status_of(left_out: int, files: Sequence[Path]) -> int:
    """The exit status, and a last word on what was left out. Raises DataError where that was everything."""
    if left_out == len(files):
        raise DataError(f"none of the {len(files)} pictures could be read")
    if left_out:
        say(f"{left_out} of {len(files)} pictures could not be read and were left out")
    return SOME_LEFT_OUT if left_out else 0


def batches_of(count: int, batch_size: int, done: int = 0) -> dict[str, Any]:
    """`total` and `done` batches for a progress bar."""
    return {"total": -(-(count - done) // batch_size) + done // batch_size, "done": done // batch_size}
