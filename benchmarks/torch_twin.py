"""MambaVision in PyTorch, written from the equations of mvnp/models: the peer that benchmarks measure against.

The scan runs token by token, as the official model has to where there is no CUDA. State-dict keys are the official ones, so
weights pass between the two implementations as they are; `compare.py` checks that outputs agree before it times anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reference_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor) -> Tensor:
    """Equations 1 to 3 of mvnp/layers/selective_scan.py as Mamba's reference takes them: channels first, all decays and inputs
    at once, (batch, channels, tokens, states) each, then a loop over the tokens. Gu, Dao: Mamba, arXiv:2312.00752,
    algorithm 2."""
    u, delta, B, C = (tensor.transpose(1, 2) for tensor in (x, dt, B, C))
    delta = F.softplus(delta + bias[:, None])
    decays = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    inputs = torch.einsum("bdl,bnl,bdl->bdln", delta, B, u)
    h = x.new_zeros(*decays.shape[:2], A.shape[1])
    outputs = []
    for t in range(x.shape[1]):
        h = decays[:, :, t] * h + inputs[:, :, t]
        outputs.append(torch.einsum("bdn,bn->bd", h, C[..., t]))
    return (torch.stack(outputs, dim=-1) + D[:, None] * u).transpose(1, 2)


def lean_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor) -> Tensor:
    """The same, each token's decay and input when its turn comes. Faster, above all backward, and what is exported: an unrolled
    loop of products is easier on a compiler than one that cuts large tensors."""
    delta = F.softplus(dt + bias)
    h = x.new_zeros(x.shape[0], x.shape[2], A.shape[1])
    outputs = []
    for t in range(x.shape[1]):
        step = delta[:, t, :, None]
        h = torch.exp(step * A) * h + step * B[:, t, None, :] * x[:, t, :, None]
        outputs.append((h * C[:, t, None, :]).sum(-1))
    return torch.stack(outputs, dim=1) + D * x


SCANS = {"reference": reference_scan, "lean": lean_scan}


class Mixer(nn.Module):
    def __init__(self, channels: int, scan: str | None, d_state: int = 8, d_conv: int = 3) -> None:
        super().__init__()
        self.scan = None if scan is None else SCANS[scan]
        inner, self.rank, self.d_state = channels // 2, math.ceil(channels / 16), d_state
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, d_state + 1)).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.in_proj = nn.Linear(channels, channels, bias=False)
        self.x_proj = nn.Linear(inner, self.rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.out_proj = nn.Linear(channels, channels, bias=False)
        self.conv1d_x = nn.Conv1d(inner, inner, d_conv, padding="same", groups=inner, bias=False)
        self.conv1d_z = nn.Conv1d(inner, inner, d_conv, padding="same", groups=inner, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        u, z = self.in_proj(x).chunk(2, dim=-1)
        u = F.silu(self.conv1d_x(u.transpose(1, 2))).transpose(1, 2)
        z = F.silu(self.conv1d_z(z.transpose(1, 2))).transpose(1, 2)
        dt, B, C = self.x_proj(u).split([self.rank, self.d_state, self.d_state], dim=-1)
        dt, A = self.dt_proj(dt), -torch.exp(self.A_log)
        s = u if self.scan is None else self.scan(u, dt, A, B, C, self.D, self.dt_proj.bias)
        return self.out_proj(torch.cat([s, z], dim=-1))


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        B, L, C = x.shape
        q, k, v = self.qkv(x).reshape(B, L, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, L, C))


class Mlp(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, channels: int, mixer: nn.Module, mlp_ratio: float, layer_scale: float | None) -> None:
        super().__init__()
        scale = None if layer_scale is None else torch.full((channels,), layer_scale)
        self.gamma_1, self.gamma_2 = (1.0, 1.0) if scale is None else (nn.Parameter(scale.clone()), nn.Parameter(scale.clone()))
        self.norm1, self.mixer = nn.LayerNorm(channels), mixer
        self.norm2, self.mlp = nn.LayerNorm(channels), Mlp(channels, int(channels * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._scaled(self.gamma_1, self.mixer(self.norm1(x)))
        return x + self._scaled(self.gamma_2, self.mlp(self.norm2(x)))

    @staticmethod
    def _scaled(gamma: Any, branch: Tensor) -> Tensor:
        return gamma * branch if isinstance(gamma, Tensor) else branch


class ConvBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.conv2, self.norm2 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.norm1(self.conv1(x)), approximate="tanh")
        return x + self.norm2(self.conv2(y))


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction(x)


class Level(nn.Module):
    """Blocks on the map, or (with a window) on the tokens of each window of the zero-padded map."""

    def __init__(self, blocks: list[nn.Module], window: int | None, downsample: Downsample | None) -> None:
        super().__init__()
        self.blocks, self.window, self.downsample = nn.ModuleList(blocks), window, downsample

    def forward(self, x: Tensor) -> Tensor:
        if self.window is None:
            for block in self.blocks:
                x = block(x)
            return x
        P = self.window
        B, C, H, W = x.shape
        x = F.pad(x, (0, -W % P, 0, -H % P))
        Hp, Wp = x.shape[2:]
        tokens = x.reshape(B, C, Hp // P, P, Wp // P, P).permute(0, 2, 4, 3, 5, 1).reshape(-1, P * P, C)
        for block in self.blocks:
            tokens = block(tokens)
        x = tokens.reshape(B, Hp // P, Wp // P, P, P, C).permute(0, 5, 1, 3, 2, 4).reshape(B, C, Hp, Wp)
        return x[:, :, :H, :W]


class PatchEmbed(nn.Module):
    def __init__(self, in_chans: int, in_dim: int, dim: int) -> None:
        super().__init__()
        self.conv_down = nn.Sequential(
            nn.Conv2d(in_chans, in_dim, 3, 2, 1, bias=False),
            nn.BatchNorm2d(in_dim, eps=1e-4),
            nn.ReLU(),
            nn.Conv2d(in_dim, dim, 3, 2, 1, bias=False),
            nn.BatchNorm2d(dim, eps=1e-4),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_down(x)


class TorchMambaVision(nn.Module):
    """The released variants, and any of their kind: what the benchmarks need.

    scan    a name in SCANS, or None: every scan gives back its input, so that all the rest can be timed alone
    """

    def __init__(
        self,
        dim: int,
        in_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: Sequence[int],
        mlp_ratio: float = 4.0,
        in_chans: int = 3,
        num_classes: int = 1000,
        scan: str | None = "reference",
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(in_chans, in_dim, dim)
        levels = []
        for level, depth in enumerate(depths):
            channels = dim * 2**level
            blocks: list[nn.Module] = []
            for index in range(depth):
                if level < 2:
                    blocks.append(ConvBlock(channels))
                    continue
                by_scan = index < math.ceil(depth / 2)
                mixer = Mixer(channels, scan) if by_scan else Attention(channels, num_heads[level])
                blocks.append(Block(channels, mixer, mlp_ratio, layer_scale))
            window = None if level < 2 else window_size[level]
            levels.append(Level(blocks, window, Downsample(channels) if level < 3 else None))
        self.levels = nn.ModuleList(levels)
        self.norm = nn.BatchNorm2d(8 * dim)
        self.head = nn.Linear(8 * dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        for level in self.levels:
            x = level(x)
            if level.downsample is not None:
                x = level.downsample(x)
        return self.head(self.norm(x).mean(dim=(2, 3)))
