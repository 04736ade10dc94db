"""Cross-scan and cross-merge: a map as four sequences, and four sequences as a map.

    x (B, H, W, C)    s, y (K, B, L, C), L = HW    K routes, by default all four

    route       order of tokens         on a 2x3 map numbered 0 1 2 / 3 4 5
    0           row by row              0 1 2 3 4 5
    1           column by column        0 3 1 4 2 5
    2           route 0 backwards       5 4 3 2 1 0
    3           route 1 backwards       5 2 4 1 3 0

    cross_scan     s_k = P_k x            each route's reading of the same map              (1)
    cross_merge    x = Σ_k P_kᵀ y_k       each token put back where its route read it       (2)

P_k only moves numbers: it is a permutation, and P_kᵀ = P_k⁻¹. So each is the adjoint of the other,
⟨cross_scan(x), y⟩ = ⟨x, cross_merge(y)⟩, and its backward; and of four routes
cross_merge(cross_scan(x)) is 4x, not x.

A scan knows at a token only what came before it. Of any two pixels each comes first in two of the
four routes, so after them a token has heard from all of the map; and its neighbour in the next row,
W steps away in route 0, is the next token of route 1.

Liu et al.: VMamba, arXiv:2401.10166, section 4.2."""

from collections.abc import Sequence

from ..backend import Array, array_module
from ..errors import InputError, check_array
from ..kernels import twin

ROUTES = (0, 1, 2, 3)


@twin
def cross_scan(x: Array, routes: Sequence[int] = ROUTES) -> Array:
    """(1): (B, H, W, C) to (K, B, L, C). Its backward is `cross_merge(ds, H, W, routes)`."""
    check_array("cross_scan", "x", x, ("B", "H", "W", "C"))
    check_routes("cross_scan", routes)
    B, H, W, C = x.shape
    rows, columns = x.reshape(B, H * W, C), x.swapaxes(1, 2).reshape(B, H * W, C)
    by_route = (rows, columns, rows[:, ::-1], columns[:, ::-1])
    return array_module(x).stack([by_route[route] for route in routes])  # (1)


@twin
def cross_merge(y: Array, H: int, W: int, routes: Sequence[int] = ROUTES) -> Array:
    """(2): (K, B, L, C) to (B, H, W, C). Its backward is `cross_scan(dx, routes)`."""
    check_routes("cross_merge", routes)
    check_array("cross_merge", "y", y, (len(routes), "B", H * W, "C"))
    B, C = y.shape[1], y.shape[3]
    maps = []
    for y_k, route in zip(y, routes, strict=True):
        tokens = y_k[:, ::-1] if route >= 2 else y_k
        by_column = route % 2 == 1
        folded = tokens.reshape(B, W, H, C) if by_column else tokens.reshape(B, H, W, C)
        maps.append(folded.swapaxes(1, 2) if by_column else folded)
    return sum(maps[1:], start=maps[0])  # (2)


def check_routes(owner: str, routes: Sequence[int]) -> None:
    """Raise InputError unless there is a route, and each is one of the four."""
    if not routes or any(route not in ROUTES for route in routes):
        raise InputError(f"{owner}: routes are {tuple(routes)}, expected some of {ROUTES}")
