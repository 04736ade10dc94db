"""What a run says about its data and its results, in words."""

from __future__ import annotations

from ..data import BatchLoader
from .evaluate import Evaluation


def left_out(loader: BatchLoader) -> list[str]:
    """Says which images an epoch goes without, where the last batch would not be full."""
    count, size = len(loader.dataset), loader.batch_size
    rest = count % size
    if not loader.drop_last or not rest:
        return []
    steps, one = len(loader), rest == 1
    fitting = next((each for each in range(size, 1, -1) if count % each == 0), None)
    other = "" if fitting is None or 2 * fitting < size else f" (with --batch-size {fitting}, none)"
    return [
        f"an epoch is {steps} step{'s' * (steps > 1)} of {size} of the {count:,} images; the other {rest}"
        f" {'does' if one else 'do'} not fill a batch and {'is' if one else 'are'} left out, others in each epoch{other}"
    ]


def in_words(tested: Evaluation) -> str:
    """`86.93%`, with the mean of the classes where they have not all as many images and so are not the same."""
    both = abs(tested.mean_accuracy - tested.accuracy) > 1e-9
    return f"{tested.accuracy:.2%}" + (f" (mean of classes {tested.mean_accuracy:.2%})" if both else "")


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `2.5 h` or `4.0 days`."""
    for unit, length, digits in (("days", 86400, 1), ("h", 3600, 1), ("min", 60, 0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
