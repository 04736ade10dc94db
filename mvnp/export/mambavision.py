"""MambaVision from images to outputs, part by part as in mvnp/models, each part as ONNX nodes.

What only training knows is left out: dropout, drop path, the counters of the batch norms. The switches of
mvnp/models/quirks.py are in the layers, and are followed here: a bias that is added twice, padding that is seen or masked.
"""

from __future__ import annotations

from ..layers.batchnorm import BatchNorm
from ..layers.conv1d import Conv1d
from ..layers.layernorm import LayerNorm
from ..models.attention import MultiHeadAttention
from ..models.blocks import Block, ConvBlock
from ..models.mambavision import MambaVision
from ..models.mixer import NO_STEP, MambaVisionMixer
from ..models.mlp import Mlp
from ..models.stages import ConvLevel, HybridLevel, PatchEmbed
from .graph import Graph, Size
from .layers import (
    attention,
    batch_norm,
    conv1d,
    conv2d,
    gate,
    gelu,
    is_true,
    layer_norm,
    layer_scale,
    linear,
    relu,
    selective_scan,
)
from .model import ImageSize, Walked, form, unknown
from .windows import Windows, size_of


@form(MambaVision)
def mambavision(graph: Graph, model: MambaVision, images: str, image_size: ImageSize) -> Walked:
    """The stages, the vectors behind them, and the logits."""
    maps, shapes = stages(graph, model, images, image_size), []
    for index, (channels, size) in enumerate(zip(model.channels, stage_sizes(image_size), strict=True)):
        shapes.append([channels, *(size or (f"height_{index}", f"width_{index}"))])

    def vectors() -> str:
        return pooled(graph, model, maps[-1])

    def logits() -> str:
        assert model.head is not None
        return linear(graph, model.head, vectors())

    return Walked(lambda: list(zip(maps, shapes, strict=False)), vectors, logits)


def stages(graph: Graph, model: MambaVision, images: str, image_size: ImageSize) -> list[str]:
    """The maps of all levels, each before its downsampling."""
    x, sizes = patch_embed(graph, model.patch_embed, images), stage_sizes(image_size)
    found = []
    for level, size in zip(model.levels, sizes, strict=False):
        match level:
            case ConvLevel():
                x = conv_level(graph, level, x)
            case HybridLevel():
                x = hybrid_level(graph, level, x, size or size_of(graph, level.path, x))
            case _:
                raise unknown(level)
        found.append(x)
        if level.downsample is not None:
            x = conv2d(graph, level.downsample.reduction[0], x)
    return found


def pooled(graph: Graph, model: MambaVision, last: str) -> str:
    """(B, 8·dim) of the last map: norm, and the mean over height and width."""
    at = model.avgpool.path
    match model.norm:
        case BatchNorm():
            mean = graph.node(at, "GlobalAveragePool", batch_norm(graph, model.norm, last))
            return graph.node(at, "Flatten", mean, axis=1)
        case LayerNorm():
            channel_last = graph.node(model.norm.path, "Transpose", last, perm=[0, 2, 3, 1])
            normed = layer_norm(graph, model.norm, channel_last)
            return graph.node(at, "ReduceMean", normed, graph.integers(1, 2), keepdims=0)
    raise unknown(model.norm)


def stage_sizes(image_size: ImageSize) -> list[ImageSize]:
    """Height and width of the four maps: a quarter of the image's and a half each time, rounded up; None: not known yet."""
    if image_size is None:
        return [None] * 4
    height, width = image_size
    return [(-(-height // side), -(-width // side)) for side in (4, 8, 16, 32)]


def patch_embed(graph: Graph, stem: PatchEmbed, x: str) -> str:
    conv1, norm1, relu1, conv2, norm2, relu2 = stem.conv_down
    x = relu(graph, relu1.path, batch_norm(graph, norm1, conv2d(graph, conv1, x)))
    return relu(graph, relu2.path, batch_norm(graph, norm2, conv2d(graph, conv2, x)))


def conv_level(graph: Graph, level: ConvLevel, x: str) -> str:
    for block in level.blocks:
        x = conv_block(graph, block, x)
    return x


def hybrid_level(graph: Graph, level: HybridLevel, x: str, size: tuple[Size, Size]) -> str:
    channels = level.blocks[0].norm1.weight.shape[0]
    windows = Windows(graph, level.path, *size, level.window)
    mask = windows.mask(x) if level.mask_padding else None
    tokens = windows.partition(x, channels)
    for block in level.blocks:
        tokens = hybrid_block(graph, block, tokens, windows.tokens, mask)
    return windows.reverse(tokens, channels)


def conv_block(graph: Graph, block: ConvBlock, x: str) -> str:
    y = gelu(graph, block.act, batch_norm(graph, block.norm1, conv2d(graph, block.conv1, x)))
    y = batch_norm(graph, block.norm2, conv2d(graph, block.conv2, y))
    return graph.node(block.path, "Add", x, layer_scale(graph, block.gamma, y, rows=False))


def hybrid_block(graph: Graph, block: Block, x: str, L: int, mask: str | None) -> str:
    y = layer_norm(graph, block.norm1, x)
    match block.mixer:
        case MambaVisionMixer():
            y = mixer(graph, block.mixer, y, L, mask)
        case MultiHeadAttention():
            y = attention(graph, block.mixer, y, L, mask)
        case _:
            raise unknown(block.mixer)
    x = graph.node(block.path, "Add", x, layer_scale(graph, block.gamma_1, y))
    y = mlp(graph, block.mlp, layer_norm(graph, block.norm2, x))
    return graph.node(block.path, "Add", x, layer_scale(graph, block.gamma_2, y))


def mlp(graph: Graph, layer: Mlp, x: str) -> str:
    return linear(graph, layer.fc2, gelu(graph, layer.act, linear(graph, layer.fc1, x)))


def mixer(graph: Graph, layer: MambaVisionMixer, x: str, L: int, mask: str | None) -> str:
    """Equations 1 to 6 of mvnp/models/mixer.py, on rows (M·L, C); `mask` (M·L, 1) is 0 at tokens to be passed over."""
    at, D = layer.path, layer.D.shape[0]
    R, N = layer.rank, layer.d_state

    def branch(conv: Conv1d | None, half: str) -> str:
        if conv is None:
            return half
        windows = graph.node(at, "Reshape", half, graph.integers(-1, L, D))
        smooth = conv1d(graph, conv, windows)
        return graph.node(at, "Reshape", smooth, graph.integers(-1, D))

    xz = linear(graph, layer.in_proj, x)
    if mask is not None:
        xz = graph.node(at, "Mul", xz, mask)
    u, z = graph.parts(at, "Split", 2, xz, num_outputs=2, axis=1)
    u, z = branch(layer.conv1d_x, u), branch(layer.conv1d_z, z)

    low, B, C = graph.parts(at, "Split", 3, linear(graph, layer.x_proj, u), graph.integers(R, N, N), axis=1)
    dt = linear(graph, layer.dt_proj, low)
    if mask is not None:
        dt = graph.node(at, "Where", is_true(graph, at, mask), dt, graph.number(NO_STEP))
    if layer.bias_twice and layer.dt_proj.bias is not None:
        dt = graph.node(at, "Add", dt, graph.weight(layer.dt_proj.bias))
    delta = graph.node(at, "Softplus", dt)
    s = selective_scan(graph, f"{at}.scan", u, delta, layer.A_log, B, C, layer.D, L)
    joined = gate(graph, at, s, z) if layer.kind.gated else graph.node(at, "Concat", s, z, axis=1)
    return linear(graph, layer.out_proj, joined)
