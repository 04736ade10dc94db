"""Windows and attention."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from ..exercise import Exercise, Ingredients, Inputs, Mistake, Pair, Part, Setting

P = 2  # the window's side in the exercise; it does not divide the map, so that there is padding


def _window(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    B, H, W, C = given["x"].shape
    return {"dy": dy, "size": (B, -(-H // P), -(-W // P), P, P, C), "lay": _lay, "crop": lambda x: x[:, :H, :W]}


def _lay(dy: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Windows (B, rows, columns, P, P) to pixels."""
    return _pixels(dy.reshape(size).transpose(0, 1, 3, 2, 4, 5), size)


def _pixels(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(size[0], size[1] * P, size[2] * P, size[5])


def _window_mistakes(have: Ingredients) -> list[Mistake]:
    B, rows, columns, _, _, C = have["size"]
    H, W = have["crop"](np.zeros((1, rows * P, columns * P, 1))).shape[1:3]

    def laid(*order: int) -> Any:
        return lambda dy, size: _pixels(dy.reshape(size).transpose(order), size)

    def by_columns(dy: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return _pixels(dy.reshape(B, columns, rows, P, P, C).transpose(0, 2, 3, 1, 4, 5), size)

    def windows_first(dy: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return _pixels(dy.reshape(rows, columns, B, P, P, C).transpose(2, 0, 3, 1, 4, 5), size)

    def padded(dy: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return np.ascontiguousarray(_lay(dy, size))

    last, cut = (rows * P - H, columns * P - W), "the padding stands at the right and at the bottom, and is cropped elsewhere"
    interleaved = "windows are interleaved: a pixel's row is (row of windows, row in the window), in this order; its column too"
    return [
        Mistake("rows and columns inside a window are exchanged", {"lay": laid(0, 1, 4, 2, 3, 5)}),
        Mistake(
            "the axes are not brought into the order of pixels: reshaped without a transposition",
            {"lay": laid(0, 1, 2, 3, 4, 5)},
        ),
        *(
            Mistake(interleaved, {"lay": laid(*order)})
            for order in ((0, 3, 1, 2, 4, 5), (0, 1, 3, 4, 2, 5), (0, 3, 1, 4, 2, 5))
        ),
        Mistake("the windows are laid out column by column; they are counted row by row", {"lay": by_columns}),
        Mistake("the batch is taken for the fastest axis of the windows; it is the slowest", {"lay": windows_first}),
        Mistake(
            "the order of the windows in an image is reversed", {"lay": lambda dy, size: _lay(_turn(dy, size, (1, 2)), size)}
        ),
        Mistake("the order of the pixels in a window is reversed", {"lay": lambda dy, size: _lay(dy[:, ::-1], size)}),
        Mistake("the image is upside down", {"lay": lambda dy, size: padded(dy, size)[:, ::-1]}),
        Mistake("the image is mirrored", {"lay": lambda dy, size: padded(dy, size)[:, :, ::-1]}),
        Mistake(cut, {"crop": lambda x: x[:, last[0] :, last[1] :]}),
        Mistake(cut, {"crop": lambda x: x[:, last[0] :, :W]}),
        Mistake(cut, {"crop": lambda x: x[:, :H, last[1] :]}),
        Mistake("the images of the batch are in reverse order", {"lay": lambda dy, size: padded(dy, size)[::-1]}),
        Mistake(
            "only the windows' first pixels arrive",
            {"lay": lambda dy, size: _lay(np.where(np.arange(P * P)[:, None] == 0, dy, 0.0), size)},
        ),
    ]


def _turn(dy: np.ndarray, size: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    return np.flip(dy.reshape(size), axes).reshape(dy.shape)


def _call_window(module: ModuleType, options: dict[str, Any]) -> Pair:
    def forward(x: np.ndarray) -> tuple[np.ndarray, Any]:
        return module.window_partition(x, P), x.shape[1:3]

    return forward, lambda dy, cache: module.window_reverse(dy, P, *cache)


WINDOW = Exercise(
    "window",
    "numbers that only move",
    (
        Part(
            "window_partition", "window_reverse", "B·nW P·P C", ("x",),
            (Setting({"x": "B H W C"}, {"B": 2, "H": 5, "W": 3, "C": 2, "B·nW": 12, "P·P": P * P}),),
            _window, {"x": {"the pixels laid back": lambda dy, size, lay, crop: crop(lay(dy, size))}}, _window_mistakes,
            apart=False, call=_call_window,
        ),
    ),
)  # fmt: skip


ROUTES = range(4)


def _cross(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    _, H, W, _ = given["x"].shape
    return {"ds": dy, "size": (H, W), "lay": _lay_route}


def _lay_route(s: np.ndarray, route: int, size: tuple[int, int]) -> np.ndarray:
    """The tokens (B, L, C) of a route as a map."""
    H, W = size
    forth = s[:, ::-1] if route >= 2 else s
    sides = (W, H) if route % 2 else (H, W)
    folded = forth.reshape(len(s), *sides, s.shape[2])
    return folded.swapaxes(1, 2) if route % 2 else folded


def _cross_mistakes(have: Ingredients) -> list[Mistake]:
    def by_columns(s: np.ndarray, route: int, size: tuple[int, int]) -> np.ndarray:
        return _lay_route(s, route + 1 - route % 2, size)

    def untransposed(s: np.ndarray, route: int, size: tuple[int, int]) -> np.ndarray:
        return _lay_route(s, route, size) if route % 2 == 0 else _lay_route(s, route - 1, size)

    def unturned(s: np.ndarray, route: int, size: tuple[int, int]) -> np.ndarray:
        return _lay_route(s, route % 2, size)

    def all_turned(s: np.ndarray, route: int, size: tuple[int, int]) -> np.ndarray:
        return _lay_route(s, route % 2 + 2, size)

    def other_pairs(s: np.ndarray, route: int, size: tuple[int, int]) -> np.ndarray:
        return _lay_route(s, (0, 2, 1, 3)[route], size)

    return [
        Mistake("a route by columns is folded as (H, W): it is (W, H), and then transposed", {"lay": untransposed}),
        Mistake("routes 2 and 3 are not turned back before they are laid on the map", {"lay": unturned}),
        Mistake("routes 0 and 1 are turned back, which begin at the first pixel", {"lay": all_turned}),
        Mistake(
            "the routes are in another order: row by row, column by column, and then each of these backwards",
            {"lay": other_pairs},
        ),
        Mistake("all routes are taken for routes by columns", {"lay": by_columns}),
        Mistake("the batch is taken for the routes", {"ds": have["ds"][:, ::-1]}),
        Mistake("the order of the routes is reversed", {"ds": have["ds"][::-1]}),
    ]


def _laid(route: int) -> Any:
    return lambda ds, lay, size: lay(ds[route], route, size)


def _call_cross(module: ModuleType, options: dict[str, Any]) -> Pair:
    def forward(x: np.ndarray) -> tuple[np.ndarray, Any]:
        return module.cross_scan(x), x.shape[1:3]

    return forward, lambda ds, cache: module.cross_merge(ds, *cache)


CROSS_SCAN = Exercise(
    "cross_scan",
    "read four times, added four times",
    (
        Part(
            "cross_scan", "cross_merge", "K B L C", ("x",),
            (Setting({"x": "B H W C"}, {"B": 2, "H": 3, "W": 4, "C": 2, "K": 4, "L": 12}),),
            _cross, {"x": {f"P_kᵀ ds_k, of route k = {route}": _laid(route) for route in ROUTES}}, _cross_mistakes,
            call=_call_cross,
        ),
    ),
    also=("check_routes",),
)  # fmt: skip


def _attention(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    q, k, v = (given[name] for name in "qkv")
    scale = 1.0 / math.sqrt(q.shape[-1])
    scores = q @ k.swapaxes(-1, -2) * scale
    if (mask := options.get("mask")) is not None:
        scores = np.where(mask[:, None, None, :], scores, -math.inf)
    a = np.exp(scores - scores.max(-1, keepdims=True))
    a /= a.sum(-1, keepdims=True)
    m = options.get("dropout")
    m = np.ones_like(a) if m is None else m
    da = dy @ v.swapaxes(-1, -2)
    return {
        "do": dy, "q": q, "k": k, "v": v, "a": a, "m": m, "scale": scale, "da": da, "weights": a,
        "total": lambda z: z.sum(-1, keepdims=True), "turned": lambda z: z.swapaxes(-1, -2), "of_mask": m,
    }  # fmt: skip


def _attention_mistakes(have: Ingredients) -> list[Mistake]:
    a, m, da, scale = have["a"], have["m"], have["da"], have["scale"]
    ones = np.ones_like(a)
    dropped = [] if (m == 1).all() else [
        Mistake("the dropout mask m is missing: the weights that were used are m a", {"m": ones, "of_mask": ones}),
        Mistake("the dropout mask m is applied to ds; it belongs to da, before softmax's backward",
                {"a": a * m, "m": ones, "weights": a, "of_mask": ones}),
    ]  # fmt: skip
    return [
        *dropped,
        Mistake("softmax's backward is missing: da stands where ds belongs", {"a": ones, "total": lambda z: 0.0 * z}),
        Mistake(
            "the sum in softmax's backward runs over the queries; it runs over the keys",
            {"total": lambda z: z.sum(-2, keepdims=True)},
        ),
        Mistake("the sum in softmax's backward is a mean", {"total": lambda z: z.mean(-1, keepdims=True)}),
        Mistake("the sum in softmax's backward lacks a: it is Σ_j da_j a_j", {"weights": ones}),
        Mistake("the factor 1/√d of the scores is missing", {"scale": 1.0}),
        Mistake("the factor is 1/d, expected 1/√d", {"scale": scale * scale}),
        Mistake("√d stands where 1/√d belongs", {"scale": 1.0 / scale}),
        Mistake(
            "the matrix of (query, key) is not transposed where keys or values gather from queries", {"turned": lambda z: z}
        ),
        Mistake("the matrix of (query, key) is transposed where it should not be", {"da": da.swapaxes(-1, -2)}),
        Mistake("da is made with k; o = a v makes it do vᵀ", {"da": have["do"] @ have["k"].swapaxes(-1, -2)}),
        Mistake("da is made with q; o = a v makes it do vᵀ", {"da": have["do"] @ have["q"].swapaxes(-1, -2)}),
    ]


def _straight(scale: float, a: np.ndarray, m: np.ndarray, da: np.ndarray) -> np.ndarray:
    return scale * a * m * da


def _summed(scale: float, a: np.ndarray, m: np.ndarray, da: np.ndarray, weights: np.ndarray, total: Any) -> np.ndarray:
    return -scale * a * total(m * da * weights)


_QKV = dict.fromkeys("qkv", "B h L d"), {"B": 2, "h": 2, "L": 4, "d": 3}
_MASK = np.array([[True, True, True, False], [True, False, True, True]])


def _dropped(given: Inputs) -> dict[str, Any]:
    B, h, L, _ = given["q"].shape
    return {"dropout": (np.random.default_rng(5).random((B, h, L, L)) >= 0.3) / 0.7}


ATTENTION = Exercise(
    "attention",
    "three inputs, one softmax",
    (
        Part(
            "attention_forward", "attention_backward", "B h L d", ("q", "k", "v"),
            (
                Setting(*_QKV),
                Setting(*_QKV, "masked keys", lambda given: {"mask": _MASK}),
                Setting(*_QKV, "dropout", _dropped),
            ),
            _attention,
            {
                "q": {
                    "a da k/√d": lambda scale, a, m, da, k: _straight(scale, a, m, da) @ k,
                    "− a (Σ_j da_j a_j) k/√d": lambda scale, a, m, da, k, weights, total: (
                        _summed(scale, a, m, da, weights, total) @ k
                    ),
                },
                "k": {
                    "(a da)ᵀ q/√d": lambda scale, a, m, da, q, turned: turned(_straight(scale, a, m, da)) @ q,
                    "− (a Σ_j da_j a_j)ᵀ q/√d": lambda scale, a, m, da, q, weights, total, turned: (
                        turned(_summed(scale, a, m, da, weights, total)) @ q
                    ),
                },
                "v": {"aᵀ do": lambda a, of_mask, do, turned: turned(a * of_mask) @ do},
            },
            _attention_mistakes, {"scale": "1/√d", "weights": "a_j in the sum", "of_mask": "m"},
        ),
    ),
)  # fmt: skip
