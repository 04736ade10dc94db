"""Scans along several paths: what each reads when, and the attention that hides in all of them together.

    a path meets token o_i at its step i    u, Δ, y (B, L, D) in the order of the path    L tokens
    A (D, N)    B, C (B, L, N)    D (D,)    weight w, 1 or 1/2

A mixer may scan its tokens more than once: Vim there and back, VMamba along four routes over a map. Each scan is linear in its
u, with the α of hidden_attention.py in the order of its path. Put back to the tokens' own order, α'_(o_i, o_j) = α_ij, and

    y = Σ_paths w (α' u' + D u')                                                   (1)

is what the mixer's gate is given. The α' of the way there is lower triangular, that of the way back upper: together every token
takes from every other. Of VMamba, whose routes come in two such pairs, (1) is what the norm behind the scans is given.

A mixer says what its paths are in a rule for its class, in the file of its family in families/:

    @paths_of(VimMixer)
    def vim(mixer: VimMixer, records: list[Any]) -> list[ScanPath]: ...

Ali, Zimerman, Wolf: The Hidden Attention of Mamba Models, arXiv:2403.01590, for α, and for the sum over directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...backend import Array, to_numpy
from ...core import Layer, Tape
from ...errors import InputError, check_array, check_choice, refusing
from ...layers.selective_scan import ScanCache
from ...models.classifier import Classifier
from .hidden_attention import hidden_attention


@dataclass(frozen=True)
class ScanPath:
    """One scan of a mixer, on the host. `order`: the number of the token that each step meets."""

    name: str
    order: np.ndarray
    weight: float
    u: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray

    @property
    def attention(self) -> np.ndarray:
        """w α', with w D on its diagonal, float64 (B, D, L, L): what token t takes from token s, in the tokens' own order."""
        alpha = hidden_attention(self.delta, self.A, self.B, self.C)
        steps = np.arange(alpha.shape[-1])
        alpha[..., steps, steps] += self.D[:, None]
        back = np.argsort(self.order)
        return self.weight * alpha[..., back[:, None], back]

    @property
    def u_of_tokens(self) -> np.ndarray:
        """u' of (1), (B, L, D): what the scan was given, in the tokens' own order."""
        return self.u[:, np.argsort(self.order)]

    @property
    def y(self) -> np.ndarray:
        """This path's share of (1), float64 (B, L, D), by its attention."""
        return np.einsum("bdts,bsd->btd", self.attention, self.u_of_tokens)


Rule = Callable[[Any, list[Any]], list[ScanPath]]

RULES: dict[type[Layer], Rule] = {}


def paths_of(kind: type[Layer]) -> Callable[[Rule], Rule]:
    """Decorates what makes the paths of a mixer of this class, from what its forward left on the tape, in order."""

    def decorate(rule: Rule) -> Rule:
        RULES[kind] = rule
        return rule

    return decorate


def path(name: str, order: np.ndarray, weight: float, scan: ScanCache) -> ScanPath:
    """A path, from the cache of its scan."""
    u, delta, A, B, C, D = (to_numpy(array) for array in scan[:6])
    return ScanPath(name, order, weight, u, delta, A, B, C, D)


def scans_of(records: list[Any]) -> list[ScanCache]:
    """The caches of the scans among them."""
    return [record for record in records if isinstance(record, ScanCache)]


@refusing
def scan_paths(model: Classifier, image: Array, block: str | None = None) -> list[ScanPath]:
    """The paths of one mixer, as `model` runs on one image (1, in_chans, H, W).

    block    path of the mixer or of its block, "layers.0" or "layers.0.mixer"; None: the first with a scan

    Raises InputError for anything but one image that fits the model, a block without a scan, and a model that has none.
    """
    check_array("scan_paths", "image", image, (1, model.in_chans, "H", "W"))
    mixers = {at: layer for at, layer in model.named_layers() if type(layer) in RULES}
    if not mixers:
        raise InputError(f"scan_paths: a {type(model).__name__} like this has no mixer whose scans are known here")
    inside = None if block is None else next((at for at in mixers if at == block or at.startswith(f"{block}.")), None)
    if block is not None and inside is None:
        check_choice("block", block, mixers)
    chosen = mixers[inside or next(iter(mixers))]
    tape = Tape(training=False)
    model.forward(image, tape)
    return RULES[type(chosen)](chosen, [record for layer, record in tape.entries if layer is chosen])
