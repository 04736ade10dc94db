"""What those quirks of the official release do to a small model that have no switch: each is done otherwise here, and measured.

    python benchmarks/fixed_quirks.py [--seeds 0 1 2] [--only NAME] [--work build/quirks] [--out docs/measured]

First the weights of `mvnp demo` that lie in docs/figures, with one thing done otherwise than in their training, on all test
images: the accuracy, how far the logits move (the length of the difference over that of the logits), and how many images get
another class. Then trainings of EPOCHS epochs, as in quirks.py, each beside one that is done as officially: with the exact hold
of the input, without decay to A_log, and with drop path on images. At the size of the demo an image is one window, so the last
is tried with windows of 2 in level 2, four an image.

What is done is kept in --work, and not done again. With --out, fixed_quirks.json and fixed_quirks.md are written there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from machine import machine, sentence
from quirks import EPOCHS, PRESET, run_folder
from results import write_results

from mvnp import MambaVision, atomic
from mvnp.checkpoint import read_pretrained
from mvnp.core import Tape
from mvnp.data import load_dataset
from mvnp.data.transforms import prepare
from mvnp.execution.parallel import threads, use_threads
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.drop_path import DropPath
from mvnp.layers.gelu import GELU
from mvnp.layers.linear_recurrence import linear_recurrence_backward, linear_recurrence_forward
from mvnp.layers.selective_scan import ScanCache, decays
from mvnp.layers.softplus import softplus_backward, softplus_forward
from mvnp.models import mixer
from mvnp.models.blocks import Block, ConvBlock
from mvnp.training import optimizer, train

DEMO = Path(__file__).parents[1] / "docs" / "figures" / "demo.safetensors"
FOUR_WINDOWS = {"window_size": (8, 8, 2, 2)}
AS_TRAINED = "as trained"


class Hold(NamedTuple):
    """What the backward of `hold_forward` needs. φ = (exp(ΔA) − 1)/A, the exact factor of B x."""

    scan: ScanCache
    phi: np.ndarray
    decay: np.ndarray
    states: np.ndarray
    recurrence: tuple

    @property
    def A(self) -> np.ndarray:
        return self.scan.A


def hold_forward(
    x: Any, dt: Any, A: Any, B: Any, C: Any, D: Any, dt_bias: Any = None, *, softplus: bool = True, keep: bool = True
) -> tuple[np.ndarray, Hold | None]:
    """`selective_scan_forward` with φ in place of Δ: the zero-order hold for the input, too."""
    delta = dt if dt_bias is None else dt + dt_bias
    delta = softplus_forward(delta)[0] if softplus else delta
    decay, phi = decays(delta, A), np.expm1(delta[:, :, None, :] * A.T) / A.T
    inputs = phi * B[..., None] * x[:, :, None, :]
    states, recurrence = linear_recurrence_forward(*(np.ascontiguousarray(z.swapaxes(0, 1)) for z in (decay, inputs)))
    h = states.swapaxes(0, 1)
    cache = Hold(ScanCache(x, delta, A, B, C, D, softplus, dt_bias is not None), phi, decay, h, recurrence)
    return np.einsum("bln,blnd->bld", C, h) + D * x, cache if keep else None


def hold_backward(dy: np.ndarray, cache: Hold) -> tuple[np.ndarray | None, ...]:
    """dx, ddt, dA, dB, dC, dD, ddt_bias."""
    (x, delta, A, B, C, D, softplus, has_bias, _), phi, decay, h, recurrence = cache
    dh = np.ascontiguousarray((C[..., None] * dy[:, :, None, :]).swapaxes(0, 1))
    ddecay, g = (z.swapaxes(0, 1) for z in linear_recurrence_backward(dh, recurrence)[:2])
    e, dphi, step = ddecay * decay, g * B[..., None] * x[:, :, None, :], delta[:, :, None, :]
    ddelta = (e * A.T + dphi * decay).sum(axis=2)
    dA = (e * step + dphi * (step * decay - phi) / A.T).sum(axis=(0, 1)).T
    dB, dC = (g * phi * x[:, :, None, :]).sum(axis=3), np.einsum("bld,blnd->bln", dy, h)
    dx = (g * phi * B[..., None]).sum(axis=2) + D * dy
    ddt = softplus_backward(ddelta, delta) if softplus else ddelta
    return dx, ddt, dA, dB, dC, (dy * x).sum(axis=(0, 1)), ddt.sum(axis=(0, 1)) if has_bias else None


@contextlib.contextmanager
def exact_hold() -> Iterator[None]:
    pair = {"selective_scan_forward": hold_forward, "selective_scan_backward": hold_backward}
    with mock.patch.multiple(mixer, **pair):
        yield


@contextlib.contextmanager
def rows_apart() -> Iterator[None]:
    """Every row of a window is a sequence of its own, for the mixer's convolutions and its scan."""
    whole = mixer.MambaVisionMixer.forward

    def by_rows(self: Any, x: np.ndarray, tape: Tape | None = None, mask: np.ndarray | None = None) -> np.ndarray:
        assert mask is None
        P = round(x.shape[1] ** 0.5)
        return whole(self, x.reshape(-1, P, x.shape[2]), tape).reshape(x.shape)

    with mock.patch.object(mixer.MambaVisionMixer, "forward", by_rows):
        yield


@contextlib.contextmanager
def rates_not_decayed() -> Iterator[None]:
    """Weight decay passes over A_log, as the release's mark asks for."""
    usual = optimizer.is_decayed
    with mock.patch.object(optimizer, "is_decayed", lambda name, param: usual(name, param) and not name.endswith("A_log")):
        yield


@contextlib.contextmanager
def images_dropped() -> Iterator[None]:
    """Drop path draws once for an image, in place of once for each of the four windows that level 2 has of it."""
    usual = DropPath.draw

    def for_images(self: DropPath, tape: Tape | None, shape: tuple[int, ...], like: np.ndarray) -> np.ndarray | None:
        windows = 4 if shape[1:] == (1, 1) and like.shape[2] == 4 * PRESET.model["dim"] else 1
        mask = usual(self, tape, (shape[0] // windows, *shape[1:]), like)
        return None if mask is None else mask.repeat(windows, axis=0)

    with mock.patch.object(DropPath, "draw", for_images):
        yield


def other_gelu(kind: type) -> Callable[[MambaVision], None]:
    """The other of the two forms of GELU in all blocks of a kind."""

    def change(model: MambaVision) -> None:
        blocks: list[Any] = [block for level in model.levels for block in level.blocks if isinstance(block, kind)]
        for owner in blocks if kind is ConvBlock else [block.mlp for block in blocks]:
            owner.act = GELU("tanh" if owner.act.approximate == "none" else "none")

    return change


def smaller_epsilon(model: MambaVision) -> None:
    """ε of 10⁻⁵ in the stem, as elsewhere."""
    for layer in model.patch_embed.conv_down:
        if isinstance(layer, BatchNorm):
            layer.eps = 1e-5


# The same weights, run otherwise: what is done to the model, and what around its run.
RUN_OTHERWISE: dict[str, tuple[Callable[[MambaVision], None] | None, Callable[[], Any] | None]] = {
    AS_TRAINED: (None, None),
    "the exact hold, in place of Euler's step": (None, exact_hold),
    "every row of a window by itself": (None, rows_apart),
    "convolution blocks with the exact GELU": (other_gelu(ConvBlock), None),
    "MLPs with the GELU by tanh": (other_gelu(Block), None),
    "ε of 10⁻⁵ in the stem": (smaller_epsilon, None),
}
# Trained from scratch: what differs from the demo's model, what is done otherwise, and which row it is compared with.
TRAINED: dict[str, tuple[dict[str, Any], Callable[[], Any] | None, str | None]] = {
    "official": ({}, None, None),
    "the exact hold": ({}, exact_hold, "official"),
    "A_log not decayed": ({}, rates_not_decayed, "official"),
    "four windows": (FOUR_WINDOWS, None, None),
    "four windows, whole images dropped": (FOUR_WINDOWS, images_dropped, "four windows"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", choices=[*RUN_OTHERWISE, *TRAINED], help="one row, and no files")
    parser.add_argument("--work", type=Path, default=Path("build/quirks"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    run = [run_otherwise(name) for name in RUN_OTHERWISE if arguments.only in (None, name)]
    names = [name for name in TRAINED if arguments.only in (None, name)]
    trained = [trained_once(arguments.work, name, seed) for seed in arguments.seeds for name in names]
    if arguments.only:
        print(run, trained)
        return
    text = report(run, trained, hold_ratios())
    print(text)
    if arguments.out:
        results = {"machine": machine(threads()), "epochs": EPOCHS, "run": run, "trained": trained, "hold": hold_ratios()}
        write_results(arguments.out, "fixed_quirks", results, f"{text}\n\n{sentence(results['machine'])}\n")


def run_otherwise(name: str) -> dict[str, Any]:
    """The accuracy of the demo's weights, how far the logits are from what they are as trained, and the share of images that
    get another class."""
    labels, expected, found = load_dataset("fashion-mnist-small")[1].labels, logits(AS_TRAINED), logits(name)
    classes = found.argmax(axis=1)
    return {
        "name": name,
        "accuracy": float(np.mean(classes == labels)),
        "moved": float(np.linalg.norm(found - expected) / np.linalg.norm(expected)),
        "changed": float(np.mean(classes != expected.argmax(axis=1))),
    }


@cache
def logits(name: str, count: int | None = None) -> np.ndarray:
    """Of the first `count` test images, or all."""
    change, around = RUN_OTHERWISE[name]
    demo = read_pretrained(DEMO)
    assert demo.images is not None
    if change is not None:
        change(demo.model)
    images = load_dataset("fashion-mnist-small")[1].images[:count]
    with around() if around is not None else contextlib.nullcontext():
        batches = (images[first : first + 100] for first in range(0, len(images), 100))
        sizes = demo.images["size"], demo.images["mean"], demo.images["std"]
        return np.concatenate([demo.model(prepare(batch, *sizes)) for batch in batches])


def hold_ratios() -> list[float]:
    """For each mixer of the demo, how much the exact hold takes in over Euler's step: Σ |φ B x| / Σ |Δ B x|, over all states,
    channels and tokens of a hundred images."""
    found: list[float] = []

    def noting(x: Any, dt: Any, A: Any, B: Any, C: Any, D: Any, dt_bias: Any = None, **options: Any) -> Any:
        _, cache = hold_forward(x, dt, A, B, C, D, dt_bias)
        assert cache is not None
        taken = np.abs(B[..., None] * x[:, :, None, :])
        found.append(float((cache.phi * taken).sum() / (cache.scan.delta[:, :, None, :] * taken).sum()))
        return usual(x, dt, A, B, C, D, dt_bias, **options)

    demo, usual = read_pretrained(DEMO), mixer.selective_scan_forward
    assert demo.images is not None
    images = load_dataset("fashion-mnist-small")[1].images[:100]
    before = threads()
    use_threads(1)  # one call for each mixer
    try:
        with mock.patch.object(mixer, "selective_scan_forward", noting):
            demo.model(prepare(images, demo.images["size"], demo.images["mean"], demo.images["std"]), Tape(training=False))
    finally:
        use_threads(before)
    return found


def trained_once(work: Path, name: str, seed: int) -> dict[str, Any]:
    """The accuracy of one training; from `work` where it has been done before."""
    path = work / f"fixed-{name}-{seed}.json".replace(" ", "-").replace(",", "")
    if not path.exists():
        model, around, _ = TRAINED[name]
        out = run_folder(work, f"fixed {name}", seed)
        config = PRESET.config(model={**PRESET.model, **model}, epochs=EPOCHS, seed=seed, eval_every=EPOCHS)
        with around() if around is not None else contextlib.nullcontext():
            result = train(config, out, resume=(out / "checkpoint.safetensors").exists(), quiet=True)
        print(f"{name}, seed {seed}: {result.accuracy}", flush=True)
        atomic.write_bytes(path, json.dumps({"name": name, "seed": seed, "accuracy": result.accuracy}).encode())
    return json.loads(path.read_text())


def report(run: list[dict[str, Any]], trained: list[dict[str, Any]], ratios: list[float]) -> str:
    """Two tables in Markdown."""
    lines = ["| the demo's weights, run otherwise | test accuracy | logits move by | other class |", "|---|---:|---:|---:|"]
    for row in run:
        moved = "–" if row["name"] == AS_TRAINED else f"{row['moved']:.1g}"
        lines.append(f"| {row['name']} | {row['accuracy']:.1%} | {moved} | {row['changed']:.1%} of the images |")
    found = {name: [row["accuracy"] for row in trained if row["name"] == name] for name in TRAINED}

    def cell(name: str) -> str:
        values = found[name]
        return f"{mean(values):.1%} ({min(values):.1%}–{max(values):.1%})"

    lines += ["", "| trained from scratch | test accuracy | in its place |", "|---|---:|---:|"]
    lines += [f"| {name} | {cell(name)} | {cell(base)} {base} |" for name, (_, _, base) in TRAINED.items() if base]
    seeds = len({row["seed"] for row in trained})
    lines += [
        "",
        f"The model of `mvnp demo`: above as these pages draw it, below of {EPOCHS} epochs, means of {seeds} seeds and their",
    ]
    lines += [f"range. By the exact hold its scans would take in {min(ratios):.2f} to {max(ratios):.2f} as much, on average."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
