"""One run of benchmarks/recipe.py, in a process of its own: a network, images, a recipe, a seed; and what it comes to."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import peak_mb, time_calls

from mvnp.backend import to_numpy
from mvnp.data import BatchLoader, Dataset, load_dataset
from mvnp.data.augment.warp import rotate, translate_x
from mvnp.execution.fixed import fixed_weights
from mvnp.layers.cross_entropy import cross_entropy_forward
from mvnp.layers.softmax import softmax_forward
from mvnp.training import Trainer, TrainingConfig, make_model, open_run, read_log, train_step
from mvnp.training.ingredients import make_optimizer
from mvnp.training.presets import PRESETS

PRESET = PRESETS["demo"]
CHOOSING = 100  # the seed that rates are chosen with
LENGTHS = ("short", "long", "full")
WARMUP = 3 / 40  # of the epochs
BINS = 15  # of the calibration error

Logits = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Plan:
    """How large the experiments are.

    images, epochs    by the name of a length; None: all images
    seeds             of every part; None: as each says
    """

    images: dict[str, int | None] = field(default_factory=lambda: {"short": 3000, "long": 3000, "full": None})
    epochs: dict[str, int] = field(default_factory=lambda: {"short": 16, "long": 40, "full": 3})
    held_out: int = 5000
    curve: int = 2000
    tested: int | None = None
    distorted: int = 2000
    agreeing: int = 50
    seeds: int | None = None


TINY = Plan(dict.fromkeys(LENGTHS, 100), {"short": 2, "long": 3, "full": 1}, 100, 20, 100, 20, 3, 2)


@dataclass(frozen=True)
class Row:
    """What a run is, but for its seed and its rate: what differs from the base.

    settings, augmentation, model    of TrainingConfig, of Augmentation, arguments of the model
    net      "MambaVision", or a name in torch_peers.PEERS
    """

    length: str = "short"
    settings: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    batch: int = 50
    net: str = "MambaVision"

    @property
    def optimizer(self) -> str:
        return self.settings.get("optimizer", "lamb")


@dataclass(frozen=True)
class Run:
    row: Row
    seed: int
    rate: float

    def key(self, plan: Plan) -> str:
        """What it is found again by: another plan is another run."""
        told = json.dumps([asdict(self), plan.images[self.row.length], plan.epochs[self.row.length]], sort_keys=True)
        return f"{zlib.crc32(told.encode()):08x}"

    def images(self, plan: Plan) -> int:
        """How many it trains on, each time counted."""
        return (plan.images[self.row.length] or 60_000) * plan.epochs[self.row.length]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Run:
        given = json.loads(text)
        return cls(Row(**given["row"]), given["seed"], given["rate"])


class Data:
    """The parts of the data set that a plan uses."""

    def __init__(self, name: str, plan: Plan) -> None:
        self.train, self.test = load_dataset(name)
        self.plan = plan

    def drawn(self, length: str, seed: int) -> Dataset:
        """Training images, equally many of each class, without those that are held out; or all there are."""
        wanted = self.plan.images[length]
        if wanted is None:
            return self.train
        count, order = len(self.train) - self.plan.held_out, np.random.default_rng([7, seed])
        labels, each = self.train.labels[:count], wanted // len(self.train.classes)
        kept = [order.permutation(np.flatnonzero(labels == label))[:each] for label in range(len(self.train.classes))]
        return part_of(self.train, np.concatenate(kept), "train")

    def held_out(self, count: int | None = None) -> Dataset:
        """The last of the training images, or the first so many of those."""
        first = len(self.train) - self.plan.held_out
        return part_of(self.train, np.arange(first, len(self.train))[:count], "val")

    def tested(self, count: int | None = None) -> Dataset:
        return part_of(self.test, np.arange(len(self.test))[: count or self.plan.tested], "test")


def part_of(data: Dataset, kept: np.ndarray, part: str) -> Dataset:
    return replace(data, images=data.images[kept], labels=data.labels[kept], part=part)


def config_of(run: Run, plan: Plan) -> TrainingConfig:
    row, epochs = run.row, plan.epochs[run.row.length]
    own: dict[str, Any] = {"optimizer": "lamb", "lr": run.rate, "epochs": epochs, "warmup_epochs": WARMUP * epochs}
    own |= {"batch_size": row.batch, "label_smoothing": 0.0, "seed": run.seed, "eval_every": max(1, epochs // 8), "workers": 0}
    own |= {"checkpoint_every": 400}
    loader = {"image_size": PRESET.image_size, "crop_padding": 0}
    model = {**PRESET.model, **row.model}
    return PRESET.config(**{**own, **row.settings}, augmentation=row.augmentation, model=model, loader_options=loader)


def plain(data: Dataset, count: int = 250) -> BatchLoader:
    """Of images as they are."""
    return BatchLoader(data, count, train=False, image_size=PRESET.image_size, crop_padding=0)


def trained(run: Run, plan: Plan, data_name: str, folder: Path) -> dict[str, Any]:
    """One training, and what it comes to. The test part is looked at once, after the last step.

    folder    keeps its checkpoint: a run that was killed goes on from there
    """
    config, data, choosing = config_of(run, plan), Data(data_name, plan), run.seed == CHOOSING
    train, full = data.drawn(run.row.length, run.seed), plan.images[run.row.length] is None
    loader = BatchLoader(
        train, config.batch_size, train=True, augmentation=config.augmentation, seed=run.seed, **config.loader_options
    )
    begin, found = time.monotonic(), {"rate": run.rate, "seed": run.seed}
    logits: Logits
    if run.row.net == "MambaVision":
        curve = None if full or choosing else plain(data.held_out(plan.curve))
        model = make_model(config, train)
        with open_run(folder, config, resume=(folder / "checkpoint.safetensors").exists()) as opened:
            result = Trainer(model, loader, curve, opened, quiet=True).run()
        lines = [line for line in read_log(result.log) if line["event"] == "epoch"]
        found["curve"] = [
            [line["epoch"], line["test_accuracy"], line.get("ema_accuracy")]
            for line in lines
            if line["test_accuracy"] is not None
        ]
        found["seconds"] = result.seconds
        logits = lambda images: to_numpy(model(images))  # noqa: E731
    else:
        from torch_peers import predictor, train_peer

        logits = predictor(train_peer(run.row.net, config, loader, folder))
        found["seconds"] = time.monotonic() - begin
    with fixed_weights():
        found |= judged(logits, plain(data.held_out() if choosing else data.tested()))
        found["train_accuracy"] = judged(logits, plain(data.drawn(run.row.length, run.seed)))["accuracy"] if not full else None
        if run.row.length == "short" and not choosing:
            found["distorted"] = {
                name: judged(logits, plain(changed))["accuracy"]
                for name, changed in distorted(data.tested(plan.distorted)).items()
            }
    return found


def judged(logits: Logits, loader: BatchLoader) -> dict[str, float]:
    """Accuracy, negative log-likelihood in nats, and the expected calibration error: how far what a model is sure of is from
    what is right, in BINS bins."""
    sure, right, losses = [], [], []
    for images, labels in loader.epoch(0):
        z = logits(images)
        said = softmax_forward(z)[0]
        sure.append(said.max(axis=1))
        right.append(said.argmax(axis=1) == labels)
        losses.append(float(cross_entropy_forward(z, labels)[0]) * len(labels))
    confidence, correct = np.concatenate(sure), np.concatenate(right)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(confidence[bins == each].mean() - correct[bins == each].mean()) * (bins == each).mean() for each in set(bins)]
    return {"accuracy": float(correct.mean()), "loss": sum(losses) / len(correct), "calibration": float(sum(gaps))}


def distorted(data: Dataset) -> dict[str, Dataset]:
    """Images that are turned by 20 degrees, shifted by six pixels, covered by a quarter, noisy."""
    rng, side = np.random.default_rng(11), data.images.shape[1]
    signs = rng.choice([-1, 1], len(data))
    corners = rng.integers(0, side // 2 + 1, (len(data), 2))
    noise = rng.normal(0, 40, data.images.shape)

    def covered(image: np.ndarray, top: int, left: int) -> np.ndarray:
        image = image.copy()
        image[top : top + side // 2, left : left + side // 2] = 0
        return image

    images: dict[str, Any] = {
        "turned": [rotate(image, 20 * sign, (0,)) for image, sign in zip(data.images, signs, strict=True)],
        "shifted": [translate_x(image, sign * 6 / side, (0,)) for image, sign in zip(data.images, signs, strict=True)],
        "covered": [covered(image, *corner) for image, corner in zip(data.images, corners, strict=True)],
        "noisy": np.clip(data.images + noise, 0, 255).astype(np.uint8),
    }
    return {name: replace(data, images=np.stack(list(changed))) for name, changed in images.items()}


def cost(row: Row, plan: Plan, data_name: str) -> dict[str, Any]:
    """Milliseconds that an image takes in training, its batch and all: of the last two epochs of four, the faster one."""
    plan = replace(plan, epochs={**plan.epochs, row.length: 4})
    config, train = config_of(Run(row, 0, 0.01), plan), Data(data_name, plan).drawn(row.length, 0)
    loader = BatchLoader(train, config.batch_size, train=True, augmentation=config.augmentation, **config.loader_options)
    with TemporaryDirectory() as folder, open_run(folder, config) as opened:
        result = Trainer(make_model(config, train), loader, None, opened, quiet=True).run()
        rates = [line["images_per_second"] for line in read_log(result.log) if line["event"] == "epoch"]
    return {"ms": 1e3 / max(rates[-2:])}


def timed(net: str, batch: int = 50) -> dict[str, Any]:
    """Parameters, milliseconds of an image in a step and in a forward, and the most memory that the process had."""
    config = config_of(Run(Row(net=net, batch=batch), 0, 0.01), Plan())
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, 1, PRESET.image_size, PRESET.image_size), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    step: Callable[[], Any]
    forward: Logits
    if net == "MambaVision":
        model = PRESET.make(1, 10)
        optimizer = make_optimizer(config, model)
        step = lambda: train_step(model, optimizer, images, labels, lr=1e-3, clip_norm=5.0).loss  # noqa: E731
        forward, count = lambda images: to_numpy(model(images)), model.parameter_count
    else:
        from torch_peers import Steps, make_peer, predictor

        peer = make_peer(net, 10, 0.05, 0)
        steps = Steps(peer, config)
        step = lambda: steps.step(images, labels, 1e-3)  # noqa: E731
        forward, count = predictor(peer), sum(param.size for param in steps.shared.values())
    found = {"net": net, "parameters": count, "step_ms": 1e3 * time_calls(step)[0] / batch}
    if net != "MambaVision":
        peer.eval()
    return {**found, "forward_ms": 1e3 * time_calls(lambda: forward(images))[0] / batch, "peak_mb": peak_mb()}


def agreeing(plan: Plan, data_name: str) -> dict[str, Any]:
    """How far mvnp and its PyTorch twin drift apart in their first steps (torch_peers.agreement)."""
    from torch_peers import agreement

    config, data = config_of(Run(Row(settings={"label_smoothing": 0.1}), 0, 0.01), plan), Data(data_name, plan)
    loader = BatchLoader(
        data.drawn("short", 0),
        config.batch_size,
        train=True,
        augmentation={"mixup": 0.8, "cutmix": 1.0},
        **config.loader_options,
    )
    return {"net": "agreement", "steps": plan.agreeing, "worst": agreement(config, loader, plan.agreeing)}
