"""Windows as ONNX nodes: mvnp/layers/window.py, for a size that is known or one that is found when the graph runs.

    map (B, C, H, W)    rows of tokens (B·nW·P·P, C)

Batch and windows share an axis, so the batch is free in any case. Height and width are numbers, or values of the graph; the
padding and the number of windows are worked out from them by the same two formulas, here or there.
"""

from __future__ import annotations

from .graph import Graph, Size


class Windows:
    """How a map of H by W is cut into windows of P.

    tokens    L = P², of one window
    down, across    windows in a column and in a row
    padded    False: known to need no padding
    """

    def __init__(self, graph: Graph, at: str, H: Size, W: Size, P: int) -> None:
        self.graph, self.at, self.H, self.W, self.P = graph, at, H, W, P
        self.tokens = P * P
        self._bottom, self._right = self._to_multiple(H), self._to_multiple(W)
        self.down, self.across = self._count(H, self._bottom), self._count(W, self._right)

    @property
    def padded(self) -> bool:
        return (self._bottom, self._right) != (0, 0)

    def partition(self, x: str, channels: int) -> str:
        """A map to the tokens of all its windows, each read row by row; padding is zeros at the bottom and right."""
        graph, at, P = self.graph, self.at, self.P
        if self.padded:
            x = graph.node(at, "Pad", x, graph.sizes(at, 0, 0, 0, 0, 0, 0, self._bottom, self._right))
        cut = graph.node(at, "Reshape", x, graph.sizes(at, -1, channels, self.down, P, self.across, P))
        in_windows = graph.node(at, "Transpose", cut, perm=[0, 2, 4, 3, 5, 1])
        return graph.node(at, "Reshape", in_windows, graph.integers(-1, channels))

    def reverse(self, tokens: str, channels: int) -> str:
        """The tokens back to the map, without the padding."""
        graph, at, P = self.graph, self.at, self.P
        cut = graph.node(at, "Reshape", tokens, graph.sizes(at, -1, self.down, self.across, P, P, channels))
        in_rows = graph.node(at, "Transpose", cut, perm=[0, 5, 1, 3, 2, 4])
        sides = (self._product(self.down), self._product(self.across))
        x = graph.node(at, "Reshape", in_rows, graph.sizes(at, -1, channels, *sides))
        if not self.padded:
            return x
        return graph.node(at, "Slice", x, graph.integers(0, 0), graph.sizes(at, self.H, self.W), graph.integers(2, 3))

    def mask(self, x: str) -> str | None:
        """A row (1,) for each token of the map x: 1, and 0 at padding. None where nothing is padded."""
        if not self.padded:
            return None
        graph, at = self.graph, self.at
        batch = graph.node(at, "Shape", x, start=0, end=1)
        ones = graph.node(at, "Expand", graph.number(1.0), graph.sizes(at, batch, 1, self.H, self.W))
        return self.partition(ones, channels=1)

    def _to_multiple(self, side: Size) -> Size:
        """−side mod P: what is to be padded."""
        if isinstance(side, int):
            return -side % self.P
        return self.graph.node(self.at, "Mod", self.graph.node(self.at, "Neg", side), self.graph.integers(self.P))

    def _count(self, side: Size, padding: Size) -> Size:
        """(side + padding) / P windows."""
        if isinstance(side, int) and isinstance(padding, int):
            return (side + padding) // self.P
        total = self.graph.node(self.at, "Add", *(self.graph.sizes(self.at, size) for size in (side, padding)))
        return self.graph.node(self.at, "Div", total, self.graph.integers(self.P))

    def _product(self, count: Size) -> Size:
        if isinstance(count, int):
            return count * self.P
        return self.graph.node(self.at, "Mul", count, self.graph.integers(self.P))


def size_of(graph: Graph, at: str, x: str) -> tuple[Size, Size]:
    """Height and width of a map, found when the graph runs."""
    return graph.node(at, "Shape", x, start=2, end=3), graph.node(at, "Shape", x, start=3, end=4)
