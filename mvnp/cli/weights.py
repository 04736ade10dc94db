"""What the commands share that ask a trained model about pictures: their options, the model, its transform, the reports."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, DataError
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


def open_model(arguments: argparse.Namespace, weights: str | None = None, **overrides: Any) -> Pretrained:
    """The model of --weights, or of other `weights` with the same options; `overrides` are further arguments of it."""
    from ..checkpoint import read_pretrained

    given = {name: getattr(arguments, name) for name in ("num_heads", "window_size") if getattr(arguments, name) is not None}
    source = os.path.expanduser(arguments.weights if weights is None else weights)
    try:
        return read_pretrained(source, variant=arguments.variant, ema=arguments.ema, **given, **overrides)
    except CheckpointError as error:
        if "give num_heads=" in str(error) or "give window_size=" in str(error):
            raise CheckpointError(f"{error}. On the command line: --heads and --windows") from error
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
        tqdm.write(f"mvnp: {text}", file=sys.stderr)
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
