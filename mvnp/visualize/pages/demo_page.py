"""What the demo's page says: its pictures, and the words around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...backend import Array, backend_name
from ...data import Dataset
from ...models.mambavision import MambaVision
from ...training import TrainingConfig, TrainingResult
from ..arrays.internals import Internals, internals
from ..arrays.sample_predictions import predict
from ..arrays.scan_state import state_norms
from ..arrays.training_curves import evaluation_series
from ..figures.sample_predictions import sample_predictions
from ..figures.scan_state import scan_state
from ..figures.training_curves import training_curves
from ..figures.window_attention import window_attention
from .report import Page, Picture, Section

CURVES_READING = (
    "Loss: the cross-entropy of every training step (thin), its running mean (thick), and that of the test images after each"
    " epoch (squares). Guessing among ten classes costs 2.3. Training images are altered at random and their"
    " labels smoothed, test images are not, so the lines need not meet. Test accuracy: the share of test images classified"
    " correctly. Learning rate: a short warm-up, then half a cosine down."
)
SAMPLES_READING = (
    "The first images of the test part, none picked out. Above each: how sure the model is, and of what. A mistake has a"
    " cross, a thick frame and, in a further line, the true class."
)
SCAN_READING = (
    "Scan path: from the circle to the square, row by row; every window begins with an empty memory. State: the length of all"
    " states together after each token; where it jumps, much was written. Step: how far a token moves the memory on; a large"
    " Δ fades what was there and writes the token in. States along the scan: each line is one state of one channel, red where"
    " positive, blue where negative, darkest where largest. Lines are sorted by their timescale τ, the number of tokens after"
    " which a state has faded to a third (1/e): the longer τ, the longer the streaks."
)
ATTENTION_READING = (
    "The frame marks one token, the query. Each further panel is one head: the larger and lighter a square, the more the query"
    " takes from that token. The weights of a head add up to 1, and none leaves the query's window. “Equal” on the scale is"
    " what each token would get if all were alike."
)
PLACES = (
    "A token is drawn around the pixel that it is centred on. Stride-2 convolutions with a padding of one centre their first"
    " output on the first pixel, so the grid of tokens begins half a cell outside the image."
)
LEAST_TOKENS = 9  # of a map that is drawn: on fewer there is nothing to be seen
PADDING = "Hatched cells are padding: the map is filled up with zeros until it divides into windows."


@dataclass(frozen=True)
class Trained:
    """A finished run, with some test images (B, C, H, W) as the model sees them, and their labels (B,)."""

    model: MambaVision
    config: TrainingConfig
    result: TrainingResult
    log: list[dict[str, Any]]
    train_set: Dataset
    test_set: Dataset
    images: Array
    labels: np.ndarray


def demo_page(trained: Trained) -> Page:
    """The page about a finished run."""
    result, test_set = trained.result, trained.test_set
    said = predict(trained.model, trained.images).argmax(axis=1)
    # The first that is right: how a model comes to a mistake is another story.
    chosen = int(np.argmax(said == trained.labels))
    image = trained.images[chosen : chosen + 1]
    shown = f"test image {chosen + 1}, {_a(test_set.classes[trained.labels[chosen]])}"
    if said[chosen] != trained.labels[chosen]:
        shown += f", which the model takes for {_a(test_set.classes[said[chosen]])}"
    seen = internals(trained.model, image)
    return Page(
        title=f"A MambaVision, trained from scratch in {_duration(result.seconds)}",
        lead=(
            "MambaVision mixes the tokens of an image in two ways: by a selective scan, which reads them one after the other"
            " and remembers, and by attention, which compares all tokens of a window. Here is a small one that was trained on"
            " this machine, with every layer and its backward as plain array code, and what both do on a test image."
        ),
        facts=[
            (f"{result.accuracy:.1%}", f"of {len(test_set):,} test images classified correctly"),
            (f"{trained.model.parameter_count:,}", "parameters"),
            (f"{len(trained.train_set):,}", f"training images, seen {result.epochs} times"),
            (_duration(result.seconds), "of training and testing"),
        ],
        sections=[
            _training_section(trained),
            _samples_section(trained),
            _scan_section(trained.model, image, seen, shown),
            _attention_section(trained.model, image, seen, shown),
            _further_section(),
        ],
        footer=(
            f"Written by mvnp, on {backend_name()}, with seed {trained.config.seed}. Model: Hatamizadeh and Kautz, MambaVision,"
            " arXiv:2407.08083. Images: Fashion-MNIST, Xiao et al., arXiv:1708.07747 (MIT licence, © 2017 Zalando SE)."
        ),
    )


def _training_section(trained: Trained) -> Section:
    result, evaluated = trained.result, evaluation_series(trained.log)
    text = (
        f"{result.steps:,} steps with batches of {trained.config.batch_size} images, AdamW. The accuracy is that after the last"
        " epoch: nothing was chosen by looking at the test images."
    )
    if not any(line.get("event") == "step" for line in trained.log):
        return Section("Training", (text, f"The log of the run, {result.log.name}, is lost, and with it the curves."))
    rise = " to ".join(f"{share:.1%}" for share in evaluated["test_accuracy"][[0, -1]])
    alt = (
        f"Three charts over {result.steps:,} training steps: the loss of training and test images, the test accuracy, which"
        f" goes from {rise} between the first and the last epoch, and the learning rate, which rises and then falls."
    )
    return Section("Training", (text,), (_both("training", training_curves, alt, CURVES_READING, trained.log),))


def _samples_section(trained: Trained) -> Section:
    samples = (trained.model, trained.images, trained.labels, trained.test_set.classes)
    alt = f"A grid of {len(trained.labels)} small grey pictures of clothing, each with its predicted class and a percentage."
    return Section("Sample predictions", pictures=(_both("predictions", sample_predictions, alt, SAMPLES_READING, *samples),))


def _scan_section(model: MambaVision, image: Array, seen: Internals, shown: str) -> Section:
    pictures: list[Picture] = []
    for scan in _one_of_each_level(seen.scans):
        norms, windows = scan.windows.lay_out(state_norms(scan)), scan.windows
        row, column = np.unravel_index(np.nanargmax(norms), norms.shape)
        alt = (
            f"{shown[0].upper()}{shown[1:]}, with the path of the scan through {windows.count} windows of {windows.P} by"
            f" {windows.P} tokens; the size of the state on each token, largest in row {row + 1}, column {column + 1}; the step"
            f" size of each token; and a heat map of all {scan.timescale.size} states against the scan position."
        )
        name = f"scan-{_block(scan.path).replace('.', '-')}"
        reading = "As above, a level deeper: tokens are fewer, and wider." if pictures else SCAN_READING
        pictures.append(_both(name, scan_state, alt, reading, model, image, block=scan.path))
    text = (
        "A mixer reads the tokens of a window one after the other, and carries a state from each to the next:"
        " h ← exp(ΔA) h + ΔB x. The token itself decides, by Δ, how much of the past stays and how much of it goes in."
        f" Below, {_which(pictures, 'mixer')} on {shown}."
    )
    return Section("The state along the scan", (text, PLACES, *_padding(seen)), pictures)


def _attention_section(model: MambaVision, image: Array, seen: Internals, shown: str) -> Section:
    pictures: list[Picture] = []
    for record in _one_of_each_level(seen.attentions):
        heads, windows = record.weights.shape[1], record.windows
        alt = (
            f"{shown[0].upper()}{shown[1:]}, with the borders of {windows.count} windows of {windows.P} by {windows.P} tokens"
            f" and a query token framed; then, for each of {heads} heads, squares on the tokens that the query attends to."
        )
        name = f"attention-{_block(record.path).replace('.', '-')}"
        reading = "As above, a level deeper." if pictures else ATTENTION_READING
        pictures.append(_both(name, window_attention, alt, reading, model, image, block=record.path))
    text = (
        "The later blocks of a level compare every token of a window with every other, in both directions, each head by its own"
        f" measure. Below, {_which(pictures, 'such block')} on {shown}."
    )
    return Section("Attention inside its windows", (text, *_padding(seen)), pictures)


def _further_section() -> Section:
    return Section(
        "Going on",
        ("Check every hand-derived gradient; train on all of Fashion-MNIST; train on your own pictures, one folder a class.",),
        commands=(
            "mvnp check",
            "mvnp train --data fashion-mnist --out runs/full",
            "mvnp train --data FOLDER --out runs/mine",
        ),
    )


def _both(name: str, draw: Callable[..., Figure], alt: str, reading: str, *arguments: Any, **options: Any) -> Picture:
    wide, narrow = (draw(*arguments, **options, narrow=narrow) for narrow in (False, True))
    return Picture(name, wide, narrow, alt, reading)


def _one_of_each_level(records: dict[str, Any]) -> list[Any]:
    """The first scan, or attention, of each level whose map has something to show; the first of all where none has."""
    first: dict[str, Any] = {}
    for path, record in records.items():
        first.setdefault(path.split(".blocks.")[0], record)
    large = [record for record in first.values() if record.windows.H * record.windows.W >= LEAST_TOKENS]
    return large or list(first.values())[:1]


def _which(pictures: list[Picture], what: str) -> str:
    return f"the first {what} of each level" if len(pictures) > 1 else f"the first {what}"


def _padding(seen: Internals) -> tuple[str, ...]:
    return (PADDING,) if any(not windows.real.all() for windows in seen.windows.values()) else ()


def _block(path: str) -> str:
    return path.removesuffix(".mixer")


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _duration(seconds: float) -> str:
    return f"{max(seconds, 1):.0f} s" if seconds < 99.5 else f"{seconds / 60:.1f} min"
