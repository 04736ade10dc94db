"""Where tokens stand: at which step of which sequence, at which place of the map, over which part of the image.

    map (H, W)    nW sequences of L tokens    token (i, j) is drawn on a cell of s pixels around pixel o + (s i, s j)

    WindowGeometry    windows of P·P tokens, numbered from top left to bottom right; the map padded to (Hp, Wp)
    PathGeometry      one sequence over all of the map, in any order, with class tokens, which have no place on it

A convolution of stride 2, kernel 3 and padding 1 centres its output i on its input 2i. After four or five of them, token (i, j)
sees the image around pixel (s i, s j), with s the stride of the level: o is 0. So the grid of cells begins half a cell outside
the image, which is where the tokens of the first row do look: at the edge, and at the zero padding of the convolutions beyond
it. Patches of s·s pixels that are cut without padding are centred on their own middle: o is (s − 1)/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core import padded_size
from ...errors import InputError
from ...layers.window import window_partition


class Geometry:
    """What both have. `stride`: image pixels from one token to the next; `offset`: the o above."""

    H: int
    W: int
    stride: int
    offset: float = 0.0

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the map with its padding."""
        return self.H, self.W

    @property
    def positions(self) -> np.ndarray:
        """int (nW, L, 2): row and column, on the padded map, of each token, in the order of its sequence; −1: none."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        """nW, the number of sequences."""
        return 1

    @property
    def L(self) -> int:
        """Tokens of a sequence."""
        return self.positions.shape[1]

    @property
    def on_map(self) -> np.ndarray:
        """bool (nW, L), False at class tokens."""
        return self.positions[..., 0] >= 0

    @property
    def real(self) -> np.ndarray:
        """bool (nW, L), False at tokens that are padding."""
        row, column = np.moveaxis(self.positions, -1, 0)
        return (row < self.H) & (column < self.W)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the padded map in pixels of the image, as matplotlib's `imshow` takes them."""
        first, (Hp, Wp) = self.offset - self.stride / 2, self.padded
        return first, first + self.stride * Wp, first + self.stride * Hp, first

    @property
    def middle(self) -> tuple[int, int]:
        """Row and column of the middle token of the map."""
        return (self.H - 1) // 2, (self.W - 1) // 2

    @property
    def line_starts(self) -> np.ndarray:
        """The steps of a sequence at which it comes to a new line of the map: to a token that is no neighbour of the last."""
        steps = np.flatnonzero(self.on_map[0])
        far = np.abs(np.diff(self.positions[0, steps], axis=0)).sum(axis=1) > 1
        return steps[np.concatenate([[True], far])]

    @property
    def line(self) -> int:
        """The tokens of a line."""
        return int(np.diff(self.line_starts, append=self.L)[0])

    def pixel(self, place: Any) -> Any:
        """The pixel that a row or column of tokens is centred on."""
        return self.offset + self.stride * place

    def lay_out(self, values: np.ndarray) -> np.ndarray:
        """(nW, L, …), one entry a token, to (Hp, Wp, …), class tokens left out. Crop to [:H, :W] to leave the padding out."""
        if values.shape[:2] != (self.count, self.L):
            raise InputError(
                f"lay_out: values have shape {values.shape}, expected ({self.count}, {self.L}, …): {self._in_words()}"
            )
        laid = np.empty((*self.padded, *values.shape[2:]), values.dtype)
        row, column = np.moveaxis(self.positions[self.on_map], -1, 0)
        laid[row, column] = values[self.on_map]
        return laid

    def spread(self, window: int, values: np.ndarray) -> np.ndarray:
        """What the tokens of one sequence have, (L,), laid out on the padded map (Hp, Wp); NaN elsewhere."""
        everywhere = np.full((self.count, self.L), np.nan)
        everywhere[window] = values
        return self.lay_out(everywhere)

    def find(self, row: int, column: int) -> tuple[int, int]:
        """The sequence, and the token in it, of a place on the map. Raises InputError outside the map and in its padding."""
        if not (0 <= row < self.H and 0 <= column < self.W):
            raise InputError(f"token ({row}, {column}) is not on the map of {self.H}x{self.W} tokens")
        window, token = np.argwhere((self.positions == (row, column)).all(axis=-1))[0]
        return int(window), int(token)

    def along(self, order: np.ndarray) -> Geometry:
        """The same tokens in another order, that of a path."""
        raise NotImplementedError

    def _in_words(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class WindowGeometry(Geometry):
    """The windows of one level.

    H, W      of the map, in tokens
    P         window size
    stride    image pixels from one token to the next
    """

    H: int
    W: int
    P: int
    stride: int

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the map with its padding."""
        return padded_size(self.H, self.W, self.P)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        return self.padded[0] // self.P, self.padded[1] // self.P

    @property
    def count(self) -> int:
        """nW, the number of windows."""
        return self.grid[0] * self.grid[1]

    @property
    def positions(self) -> np.ndarray:
        """int (nW, P·P, 2): row and column, on the padded map, of each token in the order in which it is scanned."""
        places = np.moveaxis(np.indices(self.padded), 0, -1)[None].astype(np.float64)
        return window_partition(places, self.P).astype(np.int64)

    def along(self, order: np.ndarray) -> WindowGeometry:
        """Itself: windows are read as their tokens stand."""
        return self

    def _in_words(self) -> str:
        return f"{self.count} windows of {self.P}x{self.P} tokens"


@dataclass(frozen=True)
class PathGeometry(Geometry):
    """One sequence over the whole map.

    H, W, stride    as in WindowGeometry
    order           the number of each token, row by row from 0, in the order of the sequence; −1: a class token
    offset          the pixel that row and column 0 are centred on
    """

    H: int
    W: int
    stride: int
    order: tuple[int, ...]
    offset: float = 0.0

    @property
    def positions(self) -> np.ndarray:
        """int (1, L, 2): row and column of each token; (−1, −1) of a class token."""
        number = np.array(self.order)
        places = np.stack(np.divmod(number, self.W), axis=-1)
        return np.where(number[:, None] < 0, -1, places)[None]

    def along(self, order: np.ndarray) -> PathGeometry:
        """The same tokens in the order of a path."""
        return PathGeometry(self.H, self.W, self.stride, tuple(self.order[step] for step in order), self.offset)

    def _in_words(self) -> str:
        return f"one sequence of {self.L} tokens"
