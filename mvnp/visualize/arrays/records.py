"""What is kept of one forward: the scans of each mixer, the weights of each attention layer, and where their tokens stand.

nW windows, or 1 where a whole map is one sequence; L tokens of each; D inner channels, N states of each. All is on the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Geometry


@dataclass(frozen=True)
class ScanRecord:
    """One scan of a mixer: h_t = Ā_t h_(t−1) + Δ_t B_t x_t,  y_t = C_t h_t + D x_t.

    x, delta (nW, L, D)    A (D, N)    B, C (nW, L, N)    D (D,)    states h (nW, L, D, N)

    path       of the mixer
    windows    where the tokens stand, in the order of this scan
    route      its name: "row by row", "back", …
    weight     what its y counts for among the scans of the mixer
    order      the number of the token that each step meets, among the tokens of the mixer in their own order
    tokens     where these stand: the same for all scans of the mixer
    several    whether the mixer has other scans
    """

    path: str
    windows: Geometry
    x: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    states: np.ndarray
    route: str
    weight: float
    order: np.ndarray
    tokens: Geometry
    several: bool

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
    windows: Geometry
    weights: np.ndarray

    @property
    def tokens(self) -> Geometry:
        """Where the tokens stand."""
        return self.windows


@dataclass(frozen=True)
class Internals:
    """One forward pass.

    logits        (num_classes,), of a model without a head what it pools
    routes        the scans of each mixer by its path: one, or one for each way in which it reads its tokens
    attentions    by path
    windows       by the path of a level, where its tokens stand, in the order in which its blocks take them
    """

    logits: np.ndarray
    routes: dict[str, tuple[ScanRecord, ...]]
    attentions: dict[str, AttentionRecord]
    windows: dict[str, Geometry]

    @property
    def scans(self) -> dict[str, ScanRecord]:
        """The first scan of each mixer by its path."""
        return {path: scans[0] for path, scans in self.routes.items()}
