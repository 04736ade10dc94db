"""A page about one run, or about two beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...atomic import write_bytes
from ...backend import from_numpy
from ...checkpoint import read_pretrained
from ...data import BatchLoader, load_parts
from ...errors import MvnpError, TrainingError, refusing
from ...inference.csv_row import csv_row
from ...training import Checkpoint, read_checkpoint, read_log
from ...training.run import dataset_options, in_channels_asked, loaders_of
from ..arrays.mistakes import Predictions, predictions
from ..arrays.run_curves import COLUMNS, epoch_table, norms_by_depth
from ..figures.confusion import confusion_matrix
from ..figures.run_curves import gradient_depths, run_curves
from ..figures.sample_predictions import sample_predictions
from .report import Page, Picture, Section, write_page

WORST = 16
CURVES_READING = (
    "Loss: of the training steps (dotted) and of the test images (solid). With mixed pictures and MESA the training loss is of"
    " a harder task and may stay above the other. Accuracy: of the weights (solid) and of their average (dashed). Gradient"
    " norm: mean over an epoch, before clipping."
)
DEPTHS_READING = (
    "Each row is a depth, the stem below and the head above; each column an epoch. Lighter is larger. Where rows stay dark,"
    " little is learnt."
)
CONFUSION_READING = (
    "A row for each class that pictures are of, a column for each that they were taken for. A light field beside the diagonal"
    " is a class that is taken for another."
)
WORST_READING = (
    "Above each stands what the model says, how sure it is, and what the picture is. They are those in which it gave least to"
    " the true class: look for labels that are wrong, and for pictures that show both."
)


@dataclass(frozen=True)
class Run:
    """A run's folder, its checkpoint and the lines of its log."""

    folder: Path
    checkpoint: Checkpoint
    log: list[dict[str, Any]]


def read_run(folder: Path) -> Run:
    """Raises TrainingError for a folder without a run, or without a finished epoch."""
    for name in ("checkpoint.safetensors", "log.jsonl"):
        if not (folder / name).is_file():
            raise TrainingError(f"there is no run in {folder}: it has no {name}")
    run = Run(folder, read_checkpoint(folder / "checkpoint.safetensors"), read_log(folder / "log.jsonl"))
    if not any(line.get("event") == "epoch" for line in run.log):
        raise TrainingError(f"the run in {folder} has finished no epoch yet, and there is nothing to report")
    return run


@refusing
def write_run_page(out: Path, runs: Sequence[Run]) -> Path:
    """Write index.html, its pictures, and epochs.csv and steps.csv of the first run into `out`; the page's path.

    What is wrong in which pictures is shown of the first run's best weights, where its data are still there.
    """
    first, names = runs[0], names_of(runs)
    logs = {name: run.log for name, run in zip(names, runs, strict=True)}
    whose = f", {names[0]}" if len(runs) > 1 else ""  # which of two a section is about
    sections = [_curves(logs)]
    if len(norms_by_depth(first.log)[0]):
        sections.append(_depths(first.log, whose))
    sections += _mistakes(first, whose)
    told = [_lead(run) for run in runs]
    page = Page(
        title=" and ".join(names),
        lead=told[0] if len(runs) == 1 else " ".join(f"{name}: {text}" for name, text in zip(names, told, strict=True)),
        facts=_facts(first) if len(runs) == 1 else [_fact(name, run) for name, run in zip(names, runs, strict=True)],
        sections=sections,
        footer=f"Made by mvnp report. Beside this page: epochs.csv and steps.csv{f' of {names[0]}' if len(runs) > 1 else ''}.",
    )
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / "epochs.csv", epochs_csv(first.log))
    write_bytes(out / "steps.csv", steps_csv(first.log))
    return write_page(out, page)


def _lead(run: Run) -> str:
    config = run.checkpoint.config
    return f"{config.family}, trained on {config.dataset}" + (f" by the recipe {config.recipe}." if config.recipe else ".")


def _facts(run: Run) -> list[tuple[str, str]]:
    """Of the only run."""
    position = run.checkpoint.position
    facts = [(f"{position.epoch}", "epochs"), (f"{position.step:,}", "steps"), (f"{position.seconds:,.0f} s", "of training")]
    if position.best_accuracy is not None:
        facts.insert(
            0, (f"{position.best_accuracy:.1%}", f"best accuracy, after epoch {position.best_epoch}, of the {_best_of(run)}")
        )
    return facts


def _fact(name: str, run: Run) -> tuple[str, str]:
    """Of one of two."""
    position = run.checkpoint.position
    done = f"of {position.epoch} epochs, {position.seconds:,.0f} s of training"
    if position.best_accuracy is None:
        return "–", f"{name}: nothing was held out; {done}"
    return (
        f"{position.best_accuracy:.1%}",
        f"{name}: best accuracy, after epoch {position.best_epoch} {done}, of the {_best_of(run)}",
    )


def _best_of(run: Run) -> str:
    return "average of the weights" if run.checkpoint.position.best_of == "average" else "weights"


def epochs_csv(log: Sequence[dict[str, Any]]) -> bytes:
    """A line an epoch; what was not measured is empty."""
    table = epoch_table(log)
    rows = zip(*(table[name] for name in ("epoch", *COLUMNS)), strict=True)
    lines = [csv_row(["epoch", *COLUMNS]), *(csv_row([int(epoch), *map(_cell, rest)]) for epoch, *rest in rows)]
    return "".join(lines).encode()


def steps_csv(log: Sequence[dict[str, Any]]) -> bytes:
    """A line a step."""
    names = ("step", "epoch", "lr", "loss", "grad_norm", "apart")
    lines = [csv_row(list(names))]
    for line in log:
        if line.get("event") == "step":
            lines.append(csv_row(["" if line.get(name) is None else line[name] for name in names]))
    return "".join(lines).encode()


def _cell(value: float) -> Any:
    return "" if np.isnan(value) else float(value)


def names_of(runs: Sequence[Run]) -> list[str]:
    """What runs are called: the names of their folders, or with as many of the folders above as it takes to tell them apart."""
    paths = [run.folder.resolve().parts for run in runs]
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-depth:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    return ["/".join(parts[-1:]) + f" ({number})" for number, parts in enumerate(paths, 1)]  # the same run twice


def _both(name: str, figure: Any, alt: str, reading: str, *arguments: Any) -> Picture:
    return Picture(name, figure(*arguments), figure(*arguments, narrow=True), alt, reading)


def _curves(logs: Mapping[str, list[dict[str, Any]]]) -> Section:
    parts = []
    for name, log in logs.items():
        accuracy = epoch_table(log)["test_accuracy"]
        known = accuracy[np.isfinite(accuracy)]
        parts.append(f"{name} ends at {known[-1]:.1%}" if len(known) else f"{name} was not tested")
    alt = f"Four charts over the epochs: losses, test accuracy, learning rate, norm of the gradients. {'; '.join(parts)}."
    return Section("Curves", pictures=[_both("curves", run_curves, alt, CURVES_READING, logs)])


def _depths(log: list[dict[str, Any]], whose: str) -> Section:
    depths = norms_by_depth(log)[1].shape[1]
    alt = f"A map of the gradients' norms at {depths} depths, over the epochs."
    return Section(f"Gradients by depth{whose}", pictures=[_both("depths", gradient_depths, alt, DEPTHS_READING, log)])


def _mistakes(run: Run, whose: str) -> list[Section]:
    """What the best weights take the held-out pictures for; a word instead where that cannot be found out any more."""
    try:
        model = read_pretrained(str(run.folder / "best.safetensors")).model
        config = run.checkpoint.config
        parts = in_channels_asked(load_parts(config.dataset, **dataset_options(config)), model.in_chans)
        loader = loaders_of(config, parts)[1]
    except (MvnpError, OSError) as error:
        return [Section(f"Mistakes{whose}", [f"They cannot be shown: {error}"])]
    if loader is None:
        return [Section(f"Mistakes{whose}", ["Nothing was held out, so there are none to show."])]
    return _shown_mistakes(model, loader, predictions(model, loader), whose)


def _shown_mistakes(model: Any, loader: BatchLoader, said: Predictions, whose: str) -> list[Section]:
    counts, classes = said.confusion(), loader.dataset.classes
    right = int(np.trace(counts))
    title = f"{right / counts.sum():.1%} of {counts.sum():,} are right"
    matrix = confusion_matrix(counts[: len(classes), : len(classes)], classes, title)
    beside = counts - np.diag(np.diag(counts))
    row, column = np.unravel_index(beside.argmax(), beside.shape)
    alt = f"What {counts.sum():,} pictures are, against what they were taken for; {right:,} are right."
    if beside.any():
        alt += f" The commonest mistake: {classes[row]}, taken for {classes[column]}, {beside[row, column]} times."
    sections = [Section(f"Confusion{whose}", pictures=[Picture("confusion", matrix, matrix, alt, CONFUSION_READING)])]
    worst = said.worst(WORST)
    if len(worst):
        images = from_numpy(loader.prepare(loader.dataset.images[worst]))
        samples = (model, images, loader.dataset.labels[worst], classes)
        alt = f"{len(worst)} pictures that were taken for something else, each with the answer and the truth."
        sections.append(
            Section(f"The worst mistakes{whose}", pictures=[_both("worst", sample_predictions, alt, WORST_READING, *samples)])
        )
    return sections
