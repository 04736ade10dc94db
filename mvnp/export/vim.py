"""Vim from images to outputs, part by part as in mvnp/models, each part as ONNX nodes. Tokens are (B, L, d)."""

from __future__ import annotations

import math

from ..layers.layernorm import LayerNorm
from ..layers.rmsnorm import RMSNorm
from ..models.vim import Vim, VimBlock
from ..models.vim_mixer import VimMixer, Way
from .graph import Graph, Size
from .layers import conv1d, conv2d, gate, layer_norm, layer_scale, linear, rms_norm, selective_scan
from .model import ImageSize, Walked, form

LAST = -(2**63)  # a slice to here, in steps of −1, ends with the first


@form(Vim)
def vim(graph: Graph, model: Vim, images: str, image_size: ImageSize) -> Walked:
    """The stages, the feature, and the logits."""
    L, d = model.pos_embed.shape[1:]
    r, m, ends = blocks(graph, model, tokens(graph, model, images), L)

    def normed() -> str:
        return norm(graph, model.norm_f, graph.node("layers", "Add", r, m))

    def maps() -> list[tuple[str, list[Size]]]:
        return [(stage(graph, model, end), [d, *model.grid]) for end in ends]

    def pooled() -> str:
        if model.takes_largest:
            return graph.node("pool", "ReduceMax", normed(), graph.integers(1), keepdims=0)
        chosen = runs_of(graph, "pool", normed(), model.feature_runs)
        return graph.node("pool", "ReduceMean", chosen, graph.integers(1), keepdims=0)

    def logits() -> str:
        assert model.head is not None
        if not model.takes_largest:
            return linear(graph, model.head, pooled())
        rows = linear(graph, model.head, graph.node("head", "Reshape", normed(), graph.integers(-1, d)))
        of_tokens = graph.node("pool", "Reshape", rows, graph.integers(-1, L, model.num_classes))
        return graph.node("pool", "ReduceMax", of_tokens, graph.integers(1), keepdims=0)

    return Walked(maps, pooled, logits)


def tokens(graph: Graph, model: Vim, images: str) -> str:
    """Patches and class tokens, with their positions."""
    at, d = "tokens", model.width
    patches = conv2d(graph, model.patch_embed.proj, images)
    flat = graph.node(at, "Reshape", patches, graph.integers(-1, d, math.prod(model.grid)))
    x = graph.node(at, "Transpose", flat, perm=[0, 2, 1])
    batch = graph.node(at, "Shape", x, start=0, end=1)
    for param, place in zip(model.class_tokens, model.class_places, strict=True):
        token = graph.node(at, "Expand", graph.weight(param), graph.sizes(at, batch, 1, d))
        before = [runs_of(graph, at, x, [slice(0, place)])] if place else []
        x = graph.node(at, "Concat", *before, token, runs_of(graph, at, x, [slice(place, 2**31 - 1)]), axis=1)
    return graph.node(at, "Add", x, graph.weight(model.pos_embed))


def blocks(graph: Graph, model: Vim, r: str, L: int) -> tuple[str, str, list[str]]:
    """r and m behind the last block, and m at the end of each stage."""
    m, ends = "", []
    for number, step in enumerate(model.steps, 1):
        r = graph.node(step[0].path, "Add", r, m) if m else r
        m = block(graph, step[0], r, L)
        if len(step) == 2:
            back = turn(graph, step[1].path, block(graph, step[1], turn(graph, step[1].path, r), L))
            m, r = graph.node(step[1].path, "Add", m, back), graph.node(step[1].path, "Add", r, r)
        if number in model.stage_ends:
            ends.append(m)
    return r, m, ends


def block(graph: Graph, layer: VimBlock, r: str, L: int) -> str:
    return mixer(graph, layer.mixer, norm(graph, layer.norm, r), L)


def norm(graph: Graph, layer: RMSNorm | LayerNorm, x: str) -> str:
    return rms_norm(graph, layer, x) if isinstance(layer, RMSNorm) else layer_norm(graph, layer, x)


def mixer(graph: Graph, layer: VimMixer, x: str, L: int) -> str:
    """Equations 1 to 5 of mvnp/models/vim_mixer.py."""
    at, E, R, N = layer.path, layer.D.shape[0], layer.rank, layer.d_state

    def rows(of: str, width: int) -> str:
        return graph.node(at, "Reshape", of, graph.integers(-1, width))

    def by_token(of: str, width: int) -> str:
        return graph.node(at, "Reshape", of, graph.integers(-1, L, width))

    def of_scan(x: str, way: Way) -> list[str]:
        u = rows(conv1d(graph, way.conv1d, by_token(x, E)), E)
        low, B, C = graph.parts(at, "Split", 3, linear(graph, way.x_proj, u), graph.integers(R, N, N), axis=1)
        return [u, graph.node(at, "Softplus", linear(graph, way.dt_proj, low)), B, C]

    def turned(of: str, width: int) -> str:
        return rows(turn(graph, at, by_token(of, width)), width)

    x, z = graph.parts(at, "Split", 2, linear(graph, layer.in_proj, rows(x, E // 2)), num_outputs=2, axis=1)
    inputs = of_scan(x, layer.there)
    s = selective_scan(graph, f"{at}.scan", inputs[0], inputs[1], layer.A_log, inputs[2], inputs[3], layer.D, L)
    if layer.directions != "one":
        D = layer.D_b if layer.directions == "both" else layer.D
        if layer.directions == "both":
            inputs = of_scan(turned(x, E), layer.back)
        else:
            inputs = [turned(of, width) for of, width in zip(inputs, (E, E, N, N), strict=True)]
        s_b = selective_scan(graph, f"{at}.scan_b", inputs[0], inputs[1], layer.A_b_log, inputs[2], inputs[3], D, L)
        s = graph.node(at, "Add", s, turned(s_b, E))
    if layer.halve:
        s = graph.node(at, "Mul", s, graph.number(0.5))
    y = linear(graph, layer.out_proj, gate(graph, at, s, z))
    return by_token(layer_scale(graph, layer.gamma, y), E // 2)


def stage(graph: Graph, model: Vim, m: str) -> str:
    """The patches of all tokens, as a map (B, d, h, w)."""
    patches = runs_of(graph, "stages", m, model.patch_runs)
    channel_first = graph.node("stages", "Transpose", patches, perm=[0, 2, 1])
    return graph.node("stages", "Reshape", channel_first, graph.integers(-1, model.width, *model.grid))


def turn(graph: Graph, at: str, x: str) -> str:
    """The last token first."""
    ends = (graph.integers(-1), graph.integers(LAST), graph.integers(1), graph.integers(-1))
    return graph.node(at, "Slice", x, *ends)


def runs_of(graph: Graph, at: str, x: str, runs: list[slice]) -> str:
    """These tokens, one run behind the other."""
    parts = [graph.node(at, "Slice", x, graph.integers(run.start), graph.integers(run.stop), graph.integers(1)) for run in runs]
    return parts[0] if len(parts) == 1 else graph.node(at, "Concat", *parts, axis=1)
