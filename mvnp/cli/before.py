"""What `mvnp train` can do before a run, or in its place: look for a learning rate, and say what the run would be."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import table

if TYPE_CHECKING:
    from ..training import TrainingConfig

MEASURED = 3  # steps that are timed, after one that is not


def search_rate(config: TrainingConfig, out: Path) -> int:
    """`--find-lr`: find-lr.png and find-lr.csv in the folder, and a word."""
    from ..atomic import make_folder, write_bytes
    from ..data.sources import check_outside
    from ..inference.csv_row import csv_row
    from ..training.find_lr import find_lr, in_words
    from ..visualize.figures.rate_search import rate_search
    from ..visualize.figures.style import png

    check_outside(config.dataset, out, config.dataset_options.get("labels"))
    make_folder(out)
    search = find_lr(config)
    rows = [csv_row(["lr", "loss", "smoothed"])]
    rows += [csv_row([float(each) for each in row]) for row in zip(search.rates, search.losses, search.smoothed, strict=True)]
    write_bytes(out / "find-lr.csv", "".join(rows).encode())
    write_bytes(out / "find-lr.png", png(rate_search(search)))
    print(in_words(search))
    print(out / "find-lr.png")
    return 0


def dry_run(config: TrainingConfig, images: int | None, classes: int | None, processes: int) -> int:
    """`--dry-run`: shapes, steps, memory and time, without the data where `images` and `classes` are given."""
    print(table(("what", "how much"), dry_rows(config, images, classes, processes)))
    return 0


def dry_rows(config: TrainingConfig, images: int | None, classes: int | None, processes: int) -> list[tuple[str, str]]:
    """What the run would be. The rate is measured with a few steps of as many images as one process has in a batch."""
    from ..data import Dataset, load_parts
    from ..data.folder import sides_of
    from ..training import make_model
    from ..training.run import dataset_options, in_channels_asked

    size = config.loader_options.get("image_size", 224)
    notes: list[str] = []
    if images is None or classes is None:
        parts = in_channels_asked(load_parts(config.dataset, **dataset_options(config)), config.dataset_options.get("channels"))
        data, notes = parts.train, list(parts.notes)
        images, classes = images or len(data), classes or len(data.classes)
    else:
        channels = config.dataset_options.get("channels") or 3
        blank, labels = np.zeros((1, *sides_of(size), channels), np.uint8), np.zeros(1, np.int64)
        names = tuple(str(number) for number in range(classes))
        data = Dataset("dry", "train", blank, labels, names, (0.5,) * channels, (0.25,) * channels)
    model = make_model(config, data)
    own = -(-config.batch_size // processes)
    print(f"timing {1 + MEASURED} steps of {own} images each, of one process", file=sys.stderr, flush=True)
    seconds, peak = _measured(config, model, (own, data.channels, *sides_of(size)), classes)
    batches = images // min(config.batch_size, images)
    steps = -(-batches // config.accumulate)
    total, seen = steps * config.epochs, batches * min(config.batch_size, images) * config.epochs
    step, run = (f"{count:,} step{'s' * (count > 1)}" for count in (steps, total))
    copies = {"weights": 1, "gradients": 1, "optimiser": 1 if config.optimizer == "sgd" else 2}
    copies["average"] = int(bool(config.ema_decay))
    weights = sum(param.data.nbytes for _, param in model.named_parameters())
    each = ", ".join(f"{name} {count * weights / 1e6:,.0f}" for name, count in copies.items() if count)
    hours = total * config.accumulate * seconds / 3600
    return [
        *(("data", note) for note in notes),
        ("model", f"{type(model).__name__}, {model.parameter_count:,} parameters"),
        ("a batch", f"{config.batch_size} x {data.channels} x {sides_of(size)[0]} x {sides_of(size)[1]}, {own} a process"),
        ("an epoch", f"{images:,} images, {step} of {config.batch_size * config.accumulate:,} images"),
        ("the run", f"{config.epochs} epoch{'s' * (config.epochs > 1)}, {run}, {seen:,} images"),
        ("learning rate", f"{config.lr:.2e}, warm-up {config.warmup_epochs:g} epochs, cool-down {config.cooldown_epochs:g}"),
        ("memory of a process", f"{peak:,.0f} MB at its peak here, of these {each} MB"),
        ("measured here", f"{own / seconds:,.1f} images a second in one process, {seconds:.2f} s a batch"),
        (
            "time",
            f"{_duration(hours)} with {processes} such process{'es that wait' if processes > 1 else ' that waits'} for nothing",
        ),
    ]


def _measured(config: TrainingConfig, model: Any, shape: tuple[int, ...], classes: int) -> tuple[float, float]:
    """Seconds of a step with noise for images, teacher included, and the memory of this process at its peak, in MB."""
    from ..training import train_step
    from ..training.ingredients import make_average, make_optimizer
    from ..training.objective import Teacher

    rng = np.random.default_rng(0)
    optimizer, average = make_optimizer(config, model), make_average(config, model, 1000)
    images, labels = rng.standard_normal(shape, np.float32), rng.integers(0, classes, shape[0])
    teacher = Teacher(average.model, config.mesa) if config.mesa and average is not None else None
    taken = []
    for number in range(1 + MEASURED):
        before = time.perf_counter()
        train_step(model, optimizer, images, labels, lr=1e-6, seed=number, teacher=teacher, micro_batch=config.micro_batch)
        if average is not None:
            average.update(model)
        taken.append(time.perf_counter() - before)
    return float(np.median(taken[1:])), _peak()


def _peak() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _duration(hours: float) -> str:
    return f"{hours * 60:,.0f} minutes" if hours < 2 else f"{hours:,.0f} hours" if hours < 72 else f"{hours / 24:,.0f} days"
