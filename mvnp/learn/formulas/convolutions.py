"""Convolutions: by the definition, pixel by pixel, whatever way the layer goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from ..exercise import Exercise, Ingredients, Inputs, Mistake, Part, Setting, Terms, flat

TAPS = 4  # of the longest kernel in the exercise for conv1d


def _conv1d(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    K = given["weight"].shape[2]
    return {"dy": dy, "x": given["x"], "w": given["weight"][:, 0], "p": (K - 1) // 2, "order": np.arange(K)}


def _shifted(z: np.ndarray, by: int) -> np.ndarray:
    """z_(t + by) along axis 1, 0 outside."""
    L, out = z.shape[1], np.zeros_like(z)
    if abs(by) < L:
        out[:, max(0, -by) : L - max(0, by)] = z[:, max(0, by) : L - max(0, -by)]
    return out


def _tap(k: int) -> Callable[..., np.ndarray]:
    """w_k dy_(s − k + p), nothing for a kernel that has no tap k."""

    def term(dy: np.ndarray, w: np.ndarray, p: int, order: np.ndarray) -> np.ndarray:
        return w[:, order[k]] * _shifted(dy, p - k) if k < w.shape[1] else np.zeros_like(dy)

    return term


def _tap_weight(k: int) -> Callable[..., np.ndarray]:
    """Σ dy_t x_(t + k − p), at its place in dw."""

    def term(dy: np.ndarray, x: np.ndarray, w: np.ndarray, p: int, order: np.ndarray) -> np.ndarray:
        out = np.zeros((w.shape[0], 1, w.shape[1]))
        if k < w.shape[1]:
            out[:, 0, order[k]] = flat(dy * _shifted(x, k - p)).sum(0)
        return out

    return term


def _conv1d_mistakes(have: Ingredients) -> list[Mistake]:
    p, order, dy, w = have["p"], have["order"], have["dy"], have["w"]
    K, middle = len(order), np.full_like(order, p)
    orders = [range(K), range(K)[::-1], sorted(range(K), key=lambda k: k != p)]
    inside = [_shifted(np.ones_like(dy), k - p) for k in range(K)]  # 1 where tap k finds a token
    unmoved = np.stack([flat(dy * have["x"] * found).sum(0) for found in inside], axis=1)[:, None]
    overwrites = "the taps overwrite each other: a token was read by several, and gets the sum"
    return [
        *(Mistake(overwrites, gradients={"x": _overwritten(dy, w, p, taps)}) for taps in orders),
        Mistake("x_t stands where x_(t + k − p) belongs: each tap looks at another token", gradients={"weight": unmoved}),
        Mistake(
            "the kernel runs the wrong way round: what tap k took from t + k − p it pays back there", {"order": order[::-1]}
        ),
        Mistake("every tap is one token too far to the right", {"p": p + 1}),
        Mistake("every tap is one token too far to the left", {"p": p - 1}),
        Mistake("the padding p = ⌊(K − 1)/2⌋ is not subtracted", {"p": 0}),
        Mistake("the middle tap is used for all", {"order": middle}),
        Mistake("the first tap is used for all", {"order": 0 * order}),
        Mistake("x stands where dy belongs", {"dy": have["x"]}),
    ]


def _overwritten(dy: np.ndarray, w: np.ndarray, p: int, taps: Iterable[int]) -> np.ndarray:
    """dx where each tap writes its share in place of what was there."""
    dx, inside = np.zeros_like(dy), np.ones_like(dy)
    for k in taps:
        dx = np.where(_shifted(inside, p - k) > 0, w[:, k] * _shifted(dy, p - k), dx)
    return dx


CONV1D = Exercise(
    "conv1d",
    "a kernel read backwards",
    (
        Part(
            "conv1d_forward", "conv1d_backward", "B L D", ("x", "weight", "bias"),
            (
                Setting({"x": "B L D", "weight": "D 1 K", "bias": "D"}, {"B": 2, "L": 5, "D": 3, "K": 3}, "kernel 3"),
                Setting({"x": "B L D", "weight": "D 1 K"}, {"B": 2, "L": 5, "D": 3, "K": 4}, "kernel 4, no bias"),
            ),
            _conv1d,
            {
                "x": {f"w_{k} dy_(s − {k} + p), of tap k = {k}": _tap(k) for k in range(TAPS)},
                "weight": {f"Σ_t dy_t x_(t + {k} − p), of tap k = {k}": _tap_weight(k) for k in range(TAPS)},
                "bias": {"Σ_t dy_t": lambda dy: flat(dy).sum(0)},
            },
            _conv1d_mistakes,
        ),
    ),
)  # fmt: skip


def _conv2d(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    return {
        "dy": dy,
        "x": given["x"],
        "w": given["weight"],
        "stride": options.get("stride", (1, 1)),
        "padding": options.get("padding", (1, 1)),
        "collect": _collect,
        "correlate": _correlate,
    }


def _padded(x: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    return np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))


def _collect(
    dy: np.ndarray, w: np.ndarray, size: tuple[int, ...], stride: tuple[int, int], add: bool = True, step: int = 1
) -> np.ndarray:
    """Every output pixel pays back to the pixels it saw, in the padded image. Without `add` the last tap overwrites.

    step    −1: the taps from the last to the first, as where the loop runs over pixels
    """
    out = np.zeros(size)
    Ho, Wo = dy.shape[1:3]
    for i in range(w.shape[2])[::step]:
        for j in range(w.shape[3])[::step]:
            target = out[:, i : i + Ho * stride[0] : stride[0], j : j + Wo * stride[1] : stride[1]]
            target[...] = (target if add else 0.0) + (dy @ w[:, :, i, j])[:, : target.shape[1], : target.shape[2]]
    return out


def _correlate(dy: np.ndarray, padded: np.ndarray, w: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """dw_ij = Σ dy_hw x_(hs + i − p, ws + j − p)."""
    out = np.zeros_like(w)
    Ho, Wo = dy.shape[1:3]
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            seen = padded[:, i : i + Ho * stride[0] : stride[0], j : j + Wo * stride[1] : stride[1]]
            out[:, :, i, j] = flat(dy).T @ flat(seen)
    return out


def _dx(dy: np.ndarray, x: np.ndarray, w: np.ndarray, stride: Any, padding: Any, collect: Any) -> np.ndarray:
    H, W = x.shape[1:3]
    dpadded = collect(dy, w, _padded(x, padding).shape, stride)
    return dpadded[:, padding[0] : padding[0] + H, padding[1] : padding[1] + W]


def _dw(dy: np.ndarray, x: np.ndarray, w: np.ndarray, stride: Any, padding: Any, correlate: Any) -> np.ndarray:
    return correlate(dy, _padded(x, padding), w, stride)


def _conv2d_mistakes(have: Ingredients) -> list[Mistake]:
    w, x, padding, stride = have["w"], have["x"], have["padding"], have["stride"]
    H, W = x.shape[1:3]

    def cut_at_corner(dy: np.ndarray, w: np.ndarray, size: tuple[int, ...], stride: Any) -> np.ndarray:
        whole = _collect(dy, w, size, stride)
        return _padded(whole[:, :H, :W], padding)

    def cut_at_end(dy: np.ndarray, w: np.ndarray, size: tuple[int, ...], stride: Any) -> np.ndarray:
        whole = _collect(dy, w, size, stride)
        return _padded(whole[:, size[1] - H :, size[2] - W :], padding)

    def turned(dy: np.ndarray, padded: np.ndarray, w: np.ndarray, stride: Any) -> np.ndarray:
        return _correlate(dy, padded, w, stride)[:, :, ::-1, ::-1]

    def exchanged(dy: np.ndarray, padded: np.ndarray, w: np.ndarray, stride: Any) -> np.ndarray:
        return _correlate(dy, padded, w, stride).swapaxes(2, 3)

    overwritten = "patches overlap, and a pixel gets the sum over all of them; here the last one overwrites the others"
    found = [
        Mistake(
            "the taps run the wrong way round: the kernel is turned by 180° where it should not be, or the reverse",
            {"w": w[:, :, ::-1, ::-1], "correlate": turned},
        ),
        Mistake("the kernel's rows and columns i and j are exchanged", {"w": w.swapaxes(2, 3), "correlate": exchanged}),
        Mistake(
            "the kernel's input and output channels are exchanged: it is to be transposed in these", {"w": w.swapaxes(0, 1)}
        ),
        Mistake("the kernel's rows run the wrong way round", {"w": w[:, :, ::-1]}),
        Mistake("the kernel's columns run the wrong way round", {"w": w[:, :, :, ::-1]}),
        *(Mistake(overwritten, {"collect": partial(_collect, add=False, step=step)}) for step in (1, -1)),
        Mistake("the padding is cropped at the wrong place: p pixels on either side", {"collect": cut_at_corner}),
        Mistake("the padding is cropped at the wrong place: p pixels on either side", {"collect": cut_at_end}),
        Mistake("the patches are taken without the padding", {"padding": (0, 0)}),
        Mistake("the patches are one pixel off", {"padding": (padding[0] + 1, padding[1] + 1)}),
        Mistake("the patches are one pixel off", {"padding": (max(0, padding[0] - 1), max(0, padding[1] - 1))}),
    ]
    if stride != (1, 1):
        found.append(Mistake("the stride is ignored: the patch of y_hw begins at (hs, ws)", {"stride": (1, 1)}))
    return found


_IMAGE = {"x": "B H W I", "weight": "O I Kh Kw", "bias": "O"}
_TERMS: dict[str, Terms] = {
    "x": {"Σ_ij w_ij dy": _dx},
    "weight": {"Σ_hw dy_hw x": _dw},
    "bias": {"Σ dy": lambda dy: flat(dy).sum(0)},
}


def _conv2d_setting(what: str, Kh: int, Kw: int, stride: int, padding: int, bias: bool = True) -> Setting:
    axes = _IMAGE if bias else {name: letters for name, letters in _IMAGE.items() if name != "bias"}
    sizes = {"B": 2, "H": 5, "W": 4, "I": 2, "O": 3, "Kh": Kh, "Kw": Kw}
    return Setting(axes, sizes, what, lambda given: {"stride": (stride, stride), "padding": (padding, padding)})


CONV2D = Exercise(
    "conv2d",
    "patches out, patches back",
    (
        Part(
            "conv2d_forward", "conv2d_backward", "B H W O", ("x", "weight", "bias"),
            (
                _conv2d_setting("3x3, padding 1", 3, 3, 1, 1),
                _conv2d_setting("3x3, stride 2, padding 1, no bias", 3, 3, 2, 1, bias=False),
                _conv2d_setting("2x1, stride 3", 2, 1, 3, 0),
            ),
            _conv2d, _TERMS, _conv2d_mistakes,
        ),
    ),
)  # fmt: skip

_SMALL = {"B": 2, "H": 5, "W": 6, "I": 2, "O": 3}

WINOGRAD = Exercise(
    "winograd",
    "going back through three matrices",
    (
        Part(
            "winograd_forward", "winograd_backward", "B H W O", ("x", "weight", "bias"),
            (
                Setting({"x": "B H W I", "weight": "O I 3 3", "bias": "O"}, _SMALL),
                Setting(
                    {"x": "B H W I", "weight": "O I 3 3"}, {"B": 1, "H": 7, "W": 3, "I": 2, "O": 2}, "no padding, no bias",
                    lambda given: {"padding": (0, 0)},
                ),
            ),
            _conv2d, _TERMS, _conv2d_mistakes,
        ),
    ),
)  # fmt: skip


PIXEL_TAPS = 6  # of either kernel in the exercise for depthwise_conv2d, 2x3 and 3x2


def _depthwise(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    D, _, Kh, Kw = given["weight"].shape
    places = [(i - (Kh - 1) // 2, j - (Kw - 1) // 2) for i, j in np.ndindex(Kh, Kw)]
    return {"dy": dy, "x": given["x"], "w": given["weight"].reshape(D, -1), "places": places, "size": (D, 1, Kh, Kw)}


def _moved(z: np.ndarray, place: tuple[int, int]) -> np.ndarray:
    """z_(h + place[0], w + place[1]) of maps (B, H, W, D), 0 outside."""
    return _shifted(_shifted(z, place[0]).swapaxes(1, 2), place[1]).swapaxes(1, 2)


def _pixel_tap(k: int) -> Callable[..., np.ndarray]:
    """w_k dy, of the outputs that tap k reads the pixel for."""

    def term(dy: np.ndarray, w: np.ndarray, places: list[tuple[int, int]]) -> np.ndarray:
        return w[:, k] * _moved(dy, (-places[k][0], -places[k][1]))

    return term


def _pixel_tap_weight(k: int) -> Callable[..., np.ndarray]:
    """Σ dy x, of the pixels that tap k meets, at its place in dw."""

    def term(dy: np.ndarray, x: np.ndarray, places: list[tuple[int, int]], size: tuple[int, ...]) -> np.ndarray:
        out = np.zeros((size[0], PIXEL_TAPS))
        out[:, k] = flat(dy * _moved(x, places[k])).sum(0)
        return out.reshape(size)

    return term


def _depthwise_mistakes(have: Ingredients) -> list[Mistake]:
    places, w, (D, _, Kh, Kw) = have["places"], have["w"], have["size"]
    turned = "the kernel is to be turned by 180° where dx is made: what tap (i, j) took from a pixel it pays back there"

    def by(down: int, right: int) -> list[tuple[int, int]]:
        return [(row + down, column + right) for row, column in places]

    def of_taps(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return w.reshape(D, Kh, Kw)[:, rows, columns].reshape(D, -1)

    rows, columns = np.indices((Kh, Kw))
    return [
        Mistake(turned, {"w": w[:, ::-1]}),
        Mistake(turned, {"places": [(-row, -column) for row, column in places]}),
        Mistake(
            "the kernel is turned upside down only; both of its axes are to be turned", {"w": of_taps(rows[::-1], columns)}
        ),
        Mistake(
            "the kernel is mirrored left to right only; both of its axes are to be turned",
            {"w": of_taps(rows, columns[:, ::-1])},
        ),
        *(Mistake(f"every tap is one row too far {way}", {"places": by(down, 0)}) for way, down in (("down", 1), ("up", -1))),
        *(
            Mistake(f"every tap is one column too far to the {way}", {"places": by(0, right)})
            for way, right in (("right", 1), ("left", -1))
        ),
        Mistake("the paddings p and q are not subtracted", {"places": list(np.ndindex(Kh, Kw))}),
        Mistake("x_hw stands where x_(h + i − p, w + j − q) belongs", {"places": [(0, 0)] * len(places)}),
        Mistake("the first tap is used for all", {"w": np.repeat(w[:, :1], len(places), axis=1)}),
        Mistake("x stands where dy belongs", {"dy": have["x"]}),
    ]


DEPTHWISE_CONV2D = Exercise(
    "depthwise_conv2d",
    "a kernel turned by 180°",
    (
        Part(
            "depthwise_conv2d_forward", "depthwise_conv2d_backward", "B H W D", ("x", "weight", "bias"),
            (
                Setting({"x": "B H W D", "weight": "D 1 2 3", "bias": "D"}, {"B": 2, "H": 4, "W": 5, "D": 3}, "kernel 2x3"),
                Setting({"x": "B H W D", "weight": "D 1 3 2"}, {"B": 2, "H": 4, "W": 5, "D": 3}, "kernel 3x2, no bias"),
            ),
            _depthwise,
            {
                "x": {
                    f"w_ij dy_(h − i + p, w − j + q), of tap number {k} of a kernel": _pixel_tap(k) for k in range(PIXEL_TAPS)
                },
                "weight": {
                    f"Σ_hw dy_hw x_(h + i − p, w + j − q), of tap number {k} of a kernel": _pixel_tap_weight(k)
                    for k in range(PIXEL_TAPS)
                },
                "bias": {"Σ_hw dy_hw": lambda dy: flat(dy).sum(0)},
            },
            _depthwise_mistakes,
        ),
    ),
    also=("_before", "_taps"),
)  # fmt: skip
