"""Where tokens stand: in which window, at which place of the map, over which part of the image.

    map (H, W)    padded map (Hp, Wp)    nW windows of P·P tokens, numbered from top left to bottom right

Every convolution of stride 2 has kernel 3 and padding 1, so its output i is centred on its input 2i. After four or five
of them, token (i, j) sees the image around pixel (s i, s j), with s the stride of the level: 16 or 32. It is drawn there,
as a cell of s pixels around that point. So the grid of cells begins half a cell outside the image, which is where the
tokens of the first row do look: at the edge, and at the zero padding of the convolutions beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core import padded_size
from ...errors import InputError
from ...layers.window import window_partition


@dataclass(frozen=True)
class WindowGeometry:
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

    @property
    def real(self) -> np.ndarray:
        """bool (nW, P·P), False at tokens that are padding."""
        row, column = np.moveaxis(self.positions, -1, 0)
        return (row < self.H) & (column < self.W)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the padded map in pixels of the image, as matplotlib's `imshow` takes them."""
        half = self.stride / 2
        Hp, Wp = self.padded
        return -half, self.stride * Wp - half, self.stride * Hp - half, -half

    def lay_out(self, values: np.ndarray) -> np.ndarray:
        """(nW, P·P, …), one entry a token, to (Hp, Wp, …). Crop to [:H, :W] to leave the padding out."""
        if values.shape[:2] != (self.count, self.P * self.P):
            raise InputError(
                f"lay_out: values have shape {values.shape}, expected ({self.count}, {self.P * self.P}, …):"
                f" {self.count} windows of {self.P}x{self.P} tokens"
            )
        laid = np.empty((*self.padded, *values.shape[2:]), values.dtype)
        row, column = np.moveaxis(self.positions, -1, 0)
        laid[row, column] = values
        return laid

    @property
    def middle(self) -> tuple[int, int]:
        """Row and column of the middle token of the map."""
        return (self.H - 1) // 2, (self.W - 1) // 2

    def spread(self, window: int, values: np.ndarray) -> np.ndarray:
        """What the tokens of one window have, (P·P,), laid out on the padded map (Hp, Wp); NaN elsewhere."""
        everywhere = np.full((self.count, self.P * self.P), np.nan)
        everywhere[window] = values
        return self.lay_out(everywhere)

    def find(self, row: int, column: int) -> tuple[int, int]:
        """The window, and the token in it, of a place on the map. Raises InputError outside the map and in its padding."""
        if not (0 <= row < self.H and 0 <= column < self.W):
            raise InputError(f"token ({row}, {column}) is not on the map of {self.H}x{self.W} tokens")
        window = row // self.P * self.grid[1] + column // self.P
        return window, row % self.P * self.P + column % self.P
