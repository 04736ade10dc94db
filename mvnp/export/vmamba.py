"""VMamba from images to outputs, part by part as in mvnp/models, each part as ONNX nodes.

Between the stages maps are (B, C, H, W); inside a stage they are rows (B·H·W, C), pixel by pixel. The sequences of K scans are
(K, B, L, E), and one operator Scan runs all of them side by side.
"""

from __future__ import annotations

from ..core import Layer, Param
from ..errors import ExportError
from ..layers.cross_scan import ROUTES
from ..layers.depthwise_conv2d import DepthwiseConv2d
from ..layers.gelu import GELU
from ..layers.layernorm import LayerNorm
from ..layers.relu import ReLU
from ..layers.silu import SiLU
from ..models.mlp import Mlp
from ..models.ss2d import SS2D, Cascade
from ..models.vmamba import VMamba
from ..models.vss_stages import GatedMlp, PatchMerging, Sequence, VSSBlock
from .graph import Graph, Size
from .layers import conv2d, gelu, layer_norm, linear, recurrence, relu, silu
from .model import ImageSize, Walked, form, map_norm, unknown
from .windows import Windows, size_of

LAST = -(2**63)  # a slice to here, in steps of −1, ends with the first

Sides = tuple[Size, Size]


@form(VMamba)
def vmamba(graph: Graph, model: VMamba, images: str, image_size: ImageSize) -> Walked:
    """The stages, the vectors behind them, and the logits."""
    x, size = in_turn(graph, model.patch_embed, images), image_size
    size = _stem_size(model, size)
    if model.pos_embed is not None:
        x = graph.node("pos_embed", "Add", x, graph.weight(model.pos_embed.values))
    maps: list[tuple[str, list[Size]]] = []
    for index, level in enumerate(model.levels):
        channels = model.channels[index]
        x = stage(graph, level.blocks, x, channels, size or size_of(graph, level.path, x))
        maps.append((x, [channels, *(size or (f"height_{index}", f"width_{index}"))]))
        if level.downsample is not None:
            x = downsample(graph, level.downsample, x, channels, size)
            size = _halved(level.downsample, size)

    def pooled() -> str:
        last = map_norm(graph, model.norm, maps[-1][0])
        mean = graph.node(model.avgpool.path, "GlobalAveragePool", last)
        return graph.node(model.avgpool.path, "Flatten", mean, axis=1)

    def logits() -> str:
        assert model.head is not None
        return linear(graph, model.head, pooled())

    return Walked(lambda: maps, pooled, logits)


def _stem_size(model: VMamba, size: ImageSize) -> ImageSize:
    """Height and width behind the stem; None: not known yet."""
    if size is None:
        return None
    config = model.config
    if config["patchembed_version"] == "v2":
        return -(-size[0] // 4), -(-size[1] // 4)
    small = [side for side in size if side < config["patch_size"]]
    if small:
        raise ExportError(f"an image of {size[0]}x{size[1]} is smaller than a patch of {config['patch_size']}")
    return size[0] // config["patch_size"], size[1] // config["patch_size"]


def _halved(layer: Layer, size: ImageSize) -> ImageSize:
    if size is None:
        return None
    drops = isinstance(layer, Sequence) and layer.state_dict(copy=False)["1.weight"].shape[2] == 2
    return (size[0] // 2, size[1] // 2) if drops else (-(-size[0] // 2), -(-size[1] // 2))


def in_turn(graph: Graph, layer: Sequence, x: str) -> str:
    """Convolutions, norms and activations on a map."""
    for step in layer.steps:
        match step:
            case None:
                continue
            case LayerNorm():
                x = map_norm(graph, step, x)
            case GELU():
                x = gelu(graph, step, x)
            case _:
                x = conv2d(graph, step, x)  # type: ignore[arg-type]
    return x


def downsample(graph: Graph, layer: Layer, x: str, channels: int, size: ImageSize) -> str:
    """A map to one of half its height and width."""
    match layer:
        case Sequence():
            return in_turn(graph, layer, x)
        case PatchMerging():
            return patch_merging(graph, layer, x, channels, size or size_of(graph, layer.path, x))
    raise unknown(layer)


def patch_merging(graph: Graph, layer: PatchMerging, x: str, channels: int, size: Sides) -> str:
    """Windows of 2x2, each read column by column."""
    at, outputs = layer.path, layer.reduction.weight.shape[0]
    windows = Windows(graph, at, *size, 2)
    pixels = graph.node(at, "Reshape", windows.partition(x, channels), graph.integers(-1, 2, 2, channels))
    by_column = graph.node(at, "Transpose", pixels, perm=[0, 2, 1, 3])
    squares = graph.node(at, "Reshape", by_column, graph.integers(-1, 4 * channels))
    merged = linear(graph, layer.reduction, layer_norm(graph, layer.norm, squares))
    return to_map(graph, at, merged, outputs, (windows.down, windows.across))


def stage(graph: Graph, blocks: list[VSSBlock], x: str, channels: int, size: Sides) -> str:
    """A map to a map."""
    at = blocks[0].path
    rows = to_rows(graph, at, x, channels)
    for each in blocks:
        rows = block(graph, each, rows, size)
    return to_map(graph, at, rows, channels, size)


def block(graph: Graph, layer: VSSBlock, x: str, size: Sides) -> str:
    y = ss2d(graph, layer.op, layer_norm(graph, layer.norm, x), size)
    x = graph.node(layer.path, "Add", x, y)
    if layer.mlp is None or layer.norm2 is None:
        return x
    y = mlp(graph, layer.mlp, layer_norm(graph, layer.norm2, x))
    return graph.node(layer.path, "Add", x, y)


def mlp(graph: Graph, layer: Mlp | GatedMlp, x: str) -> str:
    hidden = linear(graph, layer.fc1, x)
    if isinstance(layer, GatedMlp):
        a, b = graph.parts(layer.path, "Split", 2, hidden, num_outputs=2, axis=1)
        return linear(graph, layer.fc2, graph.node(layer.path, "Mul", a, activation(graph, layer.act, b)))
    return linear(graph, layer.fc2, activation(graph, layer.act, hidden))


def activation(graph: Graph, layer: Layer, x: str) -> str:
    match layer:
        case GELU():
            return gelu(graph, layer, x)
        case ReLU():
            return relu(graph, layer.path, x)
        case SiLU():
            return silu(graph, layer.path, x)
    raise unknown(layer)


def ss2d(graph: Graph, layer: SS2D, x: str, size: Sides) -> str:
    """Equations 1 to 7 of mvnp/models/ss2d.py, on rows."""
    at, E = layer.path, layer.out_proj.weight.shape[1]
    v, z = linear(graph, layer.in_proj, x), ""
    if layer.gate != "none":
        v, z = graph.parts(at, "Split", 2, v, num_outputs=2, axis=1)
        z = z if layer.gate_act is None else activation(graph, layer.gate_act, z)
    v = to_map(graph, at, v, E, size)
    if layer.conv2d is not None:
        v = depthwise_conv2d(graph, layer.conv2d, v)
    u = activation(graph, layer.act, v)
    m = cascade(graph, layer, u, size) if isinstance(layer, Cascade) else routes(graph, layer, u, size)
    match layer.norm_layer:
        case DepthwiseConv2d():
            m = to_rows(graph, at, depthwise_conv2d(graph, layer.norm_layer, m), E)
        case LayerNorm():
            m = layer_norm(graph, layer.norm_layer, to_rows(graph, at, m, E))
        case None:
            m = to_rows(graph, at, m, E)
        case _:
            raise unknown(layer.norm_layer)
    return linear(graph, layer.out_proj, graph.node(at, "Mul", m, z) if z else m)


def depthwise_conv2d(graph: Graph, layer: DepthwiseConv2d, x: str) -> str:
    """A map: a convolution with a group for each channel. The extra zeros of an even kernel are at the bottom and right."""
    channels, _, *kernel = layer.weight.shape
    before = [(side - 1) // 2 for side in kernel]
    pads = [*before, *(side - 1 - p for side, p in zip(kernel, before, strict=True))]
    weights = [graph.weight(param) for param in (layer.weight, layer.bias) if param is not None]
    return graph.node(layer.path, "Conv", x, *weights, group=channels, pads=pads)


def routes(graph: Graph, layer: SS2D, u: str, size: Sides) -> str:
    """A map, read along the routes, scanned, and laid back."""
    at, E = layer.path, layer.out_proj.weight.shape[1]
    (H, W), turned = size, {False: u}
    if any(route % 2 for route in layer.routes):
        turned[True] = graph.node(at, "Transpose", u, perm=[0, 1, 3, 2])

    def tokens(route: int) -> str:
        rows = graph.node(at, "Reshape", turned[route % 2 == 1], graph.integers(0, E, -1))  # (B, E, L)
        forth = graph.node(at, "Transpose", rows, perm=[0, 2, 1])
        return reverse(graph, at, forth, 1) if route >= 2 else forth

    read = {route: tokens(route) for route in ROUTES if route in layer.routes}
    y = graph.parts(at, "Split", len(layer.routes), scans(graph, layer, [read[route] for route in layer.routes]),
                    num_outputs=len(layer.routes), axis=0)  # fmt: skip
    total = ""
    for y_k, route in zip(y, layer.routes, strict=True):
        of_route = graph.node(at, "Squeeze", y_k, graph.integers(0))  # (B, L, E)
        forth = reverse(graph, at, of_route, 1) if route >= 2 else of_route
        by_channel = graph.node(at, "Transpose", forth, perm=[0, 2, 1])
        sides = (W, H) if route % 2 else (H, W)
        laid = graph.node(at, "Reshape", by_channel, graph.sizes(at, 0, E, *sides))
        laid = graph.node(at, "Transpose", laid, perm=[0, 1, 3, 2]) if route % 2 else laid
        total = graph.node(at, "Add", total, laid) if total else laid
    return total


def cascade(graph: Graph, layer: SS2D, u: str, size: Sides) -> str:
    """A map, scanned along every row, and then along every column."""
    at, E = layer.path, layer.out_proj.weight.shape[1]
    sides = size
    ones, zeros = graph.numbers(f"ones_{E}", [1.0] * E), graph.numbers(f"zeros_{E}", [0.0] * E)
    for first in (0, 2):
        pixels = graph.node(at, "Transpose", u, perm=[0, 2, 3, 1])
        plain = graph.node(at, "LayerNormalization", pixels, ones, zeros, axis=-1, epsilon=1e-5)
        lines = graph.node(at, "Reshape", plain, graph.sizes(at, -1, sides[1], E))
        y = scans(graph, layer, [lines, reverse(graph, at, lines, 1)], first)
        both = graph.node(at, "ReduceSum", y, graph.integers(0), keepdims=0)
        u = graph.node(at, "Reshape", both, graph.sizes(at, -1, *sides, E))
        u = graph.node(at, "Transpose", u, perm=[0, 3, 2, 1])  # (B, E, W, H): columns are the rows of what comes next
        sides = (sides[1], sides[0])
    return u


def scans(graph: Graph, layer: SS2D, sequences: list[str], first: int = 0) -> str:
    """y (K, M, L, E) of K sequences (M, L, E), each with the parameters of one group, from the group `first` on: equations 4
    and 5 of mvnp/models/ss2d.py."""
    at, count = f"{layer.path}.scan", len(sequences)
    E, N, R = layer.out_proj.weight.shape[1], layer.d_state, layer.rank

    def groups(param: Param, *shape: int) -> str:
        """The parameter as (count, *shape)."""
        whole = graph.node(at, "Reshape", graph.weight(param), graph.integers(-1, *shape))
        if (first, count) == (0, 4):
            return whole
        return graph.node(at, "Slice", whole, graph.integers(first), graph.integers(first + count), graph.integers(0))

    def by_token(x: str, width: int) -> str:
        """(K, M·L, width) to (L, K·M, width)."""
        apart = graph.node(at, "Reshape", x, graph.node(at, "Concat", shape, graph.integers(width), axis=0))
        first_l = graph.node(at, "Transpose", apart, perm=[2, 0, 1, 3])
        return graph.node(at, "Reshape", first_l, length_and(-1, width))

    def length_and(*sizes: Size) -> str:
        return graph.sizes(at, length, *sizes)

    def turned(weight: str) -> str:
        return graph.node(at, "Transpose", weight, perm=[0, 2, 1])

    stacked = graph.node(at, "Concat", *(graph.node(at, "Unsqueeze", s, graph.integers(0)) for s in sequences), axis=0)
    shape = graph.node(at, "Shape", stacked, start=0, end=3)  # K, M, L
    length = graph.node(at, "Shape", stacked, start=2, end=3)
    s = graph.node(at, "Reshape", stacked, graph.integers(count, -1, E))
    q = graph.node(at, "MatMul", s, turned(groups(layer.x_proj_weight, R + 2 * N, E)))
    low, B, C = graph.parts(at, "Split", 3, q, graph.integers(R, N, N), axis=2)
    raw = graph.node(at, "MatMul", low, turned(groups(layer.dt_projs_weight, E, R)))
    delta = graph.node(at, "Softplus", graph.node(at, "Add", raw, groups(layer.dt_projs_bias, 1, E)))

    rate = graph.node(at, "Neg", graph.node(at, "Exp", groups(layer.A_logs, E, N)))
    A = graph.node(at, "Reshape", turned(rate), graph.integers(count, 1, N, E))
    steps = graph.node(at, "Reshape", by_token(delta, E), length_and(count, -1, 1, E))
    decays = graph.node(at, "Exp", graph.node(at, "Mul", steps, A))  # (L, K, M, N, E)
    decays = graph.node(at, "Reshape", decays, length_and(-1, N, E))
    driven = graph.node(at, "Unsqueeze", by_token(graph.node(at, "Mul", delta, s), E), graph.integers(2))
    inputs = graph.node(at, "Mul", driven, graph.node(at, "Unsqueeze", by_token(B, N), graph.integers(3)))
    states = recurrence(graph, at, decays, inputs, (0, N, E))

    gates = graph.node(at, "Unsqueeze", by_token(C, N), graph.integers(2))
    sums = graph.node(at, "Squeeze", graph.node(at, "MatMul", gates, states), graph.integers(2))  # (L, K·M, E)
    y = graph.node(at, "Transpose", graph.node(at, "Reshape", sums, length_and(count, -1, E)), perm=[1, 2, 0, 3])
    skip = graph.node(at, "Mul", stacked, groups(layer.Ds, 1, 1, E))
    return graph.node(at, "Add", y, skip)


def reverse(graph: Graph, at: str, x: str, axis: int) -> str:
    """The last token first."""
    ends = (graph.integers(-1), graph.integers(LAST), graph.integers(axis), graph.integers(-1))
    return graph.node(at, "Slice", x, *ends)


def to_rows(graph: Graph, at: str, x: str, channels: int) -> str:
    """(B, C, H, W) to (B·H·W, C)."""
    channel_last = graph.node(at, "Transpose", x, perm=[0, 2, 3, 1])
    return graph.node(at, "Reshape", channel_last, graph.integers(-1, channels))


def to_map(graph: Graph, at: str, rows: str, channels: int, size: Sides) -> str:
    """(B·H·W, C) to (B, C, H, W)."""
    channel_last = graph.node(at, "Reshape", rows, graph.sizes(at, -1, *size, channels))
    return graph.node(at, "Transpose", channel_last, perm=[0, 3, 1, 2])
