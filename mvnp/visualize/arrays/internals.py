"""What a model's scans and attention layers did with one image.

    seen = internals(model, image)                      # image (1, C, H, W), prepared as for the model
    scan = seen.scans["levels.2.blocks.0.mixer"]
    scan.delta, scan.decay, scan.B, scan.C, scan.states
    seen.attentions["levels.2.blocks.1.mixer"].weights  # (nW, heads, L, L)
    internals(model, image, ["levels.3.blocks.0"])      # this block alone

The forward pass is an ordinary one with a tape that does not train: the tape holds what the backwards would need, and that
is what is looked at. Layers know nothing of it, and a run without a tape is as before. States are not on the tape: those of
the blocks asked for are computed again. Letters: nW windows, L = P·P tokens
of a window, D inner channels, N states of each. All arrays are on the host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from ...backend import Array, to_numpy
from ...core import Tape
from ...errors import InputError, check_array, check_choice
from ...layers.attention import AttentionCache
from ...layers.selective_scan import ScanCache, selective_scan_states
from ...models.attention import MultiHeadAttention
from ...models.mambavision import MambaVision
from ...models.mixer import MambaVisionMixer
from ...models.stages import HybridLevel
from .geometry import WindowGeometry


@dataclass(frozen=True)
class ScanRecord:
    """One mixer's scan: h_t = Ā_t h_(t−1) + Δ_t B_t x_t,  y_t = C_t h_t + D x_t.

    x, delta (nW, L, D)    A (D, N)    B, C (nW, L, N)    D (D,)    states h (nW, L, D, N)
    """

    path: str
    windows: WindowGeometry
    x: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    states: np.ndarray

    @property
    def decay(self) -> np.ndarray:
        """Ā = exp(Δ A), (nW, L, D, N): the share of each state that a token leaves standing."""
        return np.exp(self.delta[..., None] * self.A)

    @property
    def timescale(self) -> np.ndarray:
        """τ = −1 / log ā, (D, N), in tokens: after τ of them, with the image's mean Δ, a state has faded to 1/e."""
        rate = self.delta[self.windows.real].mean(axis=0)[:, None] * -self.A
        return 1.0 / np.maximum(rate, np.finfo(rate.dtype).tiny)


@dataclass(frozen=True)
class AttentionRecord:
    """One attention layer: weights (nW, heads, L, L). Row t of the last two axes is what query t takes from each token."""

    path: str
    windows: WindowGeometry
    weights: np.ndarray


@dataclass(frozen=True)
class Internals:
    """One forward pass: the logits (num_classes,), and by their layers' paths the scans, attentions and levels' windows."""

    logits: np.ndarray
    scans: dict[str, ScanRecord]
    attentions: dict[str, AttentionRecord]
    windows: dict[str, WindowGeometry]


def internals(model: MambaVision, image: Array, blocks: Iterable[str] | None = None) -> Internals:
    """Run `model` on one image (1, C, H, W), and collect what its scans and attention layers recorded.

    blocks    paths such as 'levels.2.blocks.0': only these are recorded; None: all. Logits and windows always are.

    Raises InputError for anything but one floating image with the model's channels, and for a block that is neither scan nor
    attention.
    """
    check_array("internals", "image", image, (1, model.in_chans, "H", "W"))
    mixing = _paths(model, MambaVisionMixer, MultiHeadAttention)
    if isinstance(blocks, str):
        raise InputError(f"blocks is the string {blocks!r}, expected a list of paths: [{blocks!r}]")
    wanted = set(mixing) if blocks is None else {choose_block(mixing, block) for block in blocks}
    tape = Tape(training=False)
    logits = model(image, tape)
    windows: dict[str, WindowGeometry] = {}
    for number, level in enumerate(model.levels):
        if isinstance(level, HybridLevel):
            H, W = next(cache for layer, cache in tape.entries if layer is level)
            windows[level.path] = WindowGeometry(H, W, level.window, stride=4 << number)

    scans: dict[str, ScanRecord] = {}
    attentions: dict[str, AttentionRecord] = {}
    for layer, cache in tape.entries:
        if layer.path not in wanted:
            continue
        if isinstance(cache, ScanCache):
            scans[layer.path] = _scan_record(layer.path, _level_of(layer.path, windows), cache)
        elif isinstance(cache, AttentionCache):
            weights = to_numpy(cache.weights)
            attentions[layer.path] = AttentionRecord(layer.path, _level_of(layer.path, windows), weights)
    return Internals(to_numpy(logits)[0], scans, attentions, windows)


def record_scan(model: MambaVision, image: Array, block: str | None = None) -> ScanRecord:
    """The record of one block with a scan; None: the first. Raises InputError where `block` names no such block."""
    path = choose_block(_paths(model, MambaVisionMixer), block)
    return internals(model, image, [path]).scans[path]


def record_attention(model: MambaVision, image: Array, block: str | None = None) -> AttentionRecord:
    """The record of one block with attention; None: the first. Raises InputError where `block` names no such block."""
    path = choose_block(_paths(model, MultiHeadAttention), block)
    return internals(model, image, [path]).attentions[path]


def choose_block(records: Collection[str], block: str | None) -> str:
    """The path in `records` that `block` names, as 'levels.2.blocks.0' or with its '.mixer'; None: the first."""
    if not records:
        raise InputError(
            "this model has no block of that kind; levels with at least two blocks have both, unless `pattern` says otherwise"
        )
    if block is None:
        return next(iter(records))
    path = block if block.endswith(".mixer") else f"{block}.mixer"
    check_choice("block", path, records)
    return path


def _paths(model: MambaVision, *kinds: type) -> list[str]:
    return [path for path, layer in model.named_layers() if isinstance(layer, kinds)]


def _level_of(path: str, windows: dict[str, WindowGeometry]) -> WindowGeometry:
    return next(geometry for level, geometry in windows.items() if path.startswith(f"{level}."))


def _scan_record(path: str, windows: WindowGeometry, cache: ScanCache) -> ScanRecord:
    x, delta, A, B, C, D = (to_numpy(array) for array in cache[:6])
    states = to_numpy(selective_scan_states(cache)).swapaxes(-1, -2)  # (nW, L, N, D) as computed
    return ScanRecord(path, windows, x, delta, A, B, C, D, states)
