"""Three families that images are classified by, as small modules in PyTorch, and how they are trained as mvnp trains: what
benchmarks/recipe.py compares MambaVision with.

ConvNeXt, a vision transformer and a ResNet, each with about as many parameters as the demo model on grey pictures of 64x64.
Written from the papers' equations, in PyTorch's own words. Batches, schedule, clipping and optimiser are mvnp's: the loader
makes the batches, and mvnp's optimiser moves the weights, which both sides see in the same memory. So what differs is the
network alone.

Liu et al.: A ConvNet for the 2020s, arXiv:2201.03545. Dosovitskiy et al.: An image is worth 16x16 words, arXiv:2010.11929.
He et al.: Deep residual learning for image recognition, arXiv:1512.03385. Huang et al.: Deep networks with stochastic depth,
arXiv:1603.09382.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_twin import TorchMambaVision

from mvnp import atomic
from mvnp.core import Param
from mvnp.data import BatchLoader
from mvnp.models import MambaVision
from mvnp.training import TrainingConfig, train_step
from mvnp.training.ingredients import make_optimizer, rate_of
from mvnp.training.updates import guarded_update

SIZE = 64  # side of the pictures


class DropPath(nn.Module):
    """Leaves a branch out for single images, and makes up for it where it stays."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1)) >= self.rate
        return x * kept / (1 - self.rate)


def rates(most: float, blocks: int) -> Iterator[float]:
    """Of drop path, from 0 at the first block to `most` at the last."""
    return iter(np.linspace(0.0, most, blocks).tolist())


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of maps (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.narrow(F.gelu(self.wide(y)))
        return x + self.drop_path(y.permute(0, 3, 1, 2))


class ConvNeXt(nn.Module):
    def __init__(
        self, classes: int, drop_path: float, dims: tuple[int, ...] = (20, 40, 80, 140), depths: tuple[int, ...] = (1, 1, 3, 2)
    ) -> None:
        super().__init__()
        rate = rates(drop_path, sum(depths))
        layers: list[nn.Module] = [nn.Conv2d(1, dims[0], 4, 4), ChannelNorm(dims[0], eps=1e-6)]
        for stage, (channels, depth) in enumerate(zip(dims, depths, strict=True)):
            if stage:
                layers += [ChannelNorm(dims[stage - 1], eps=1e-6), nn.Conv2d(dims[stage - 1], channels, 2, 2)]
            layers += [ConvNeXtBlock(channels, next(rate)) for _ in range(depth)]
        self.layers, self.norm, self.head = nn.Sequential(*layers), nn.LayerNorm(dims[-1]), nn.Linear(dims[-1], classes)
        _begin(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.layers(x).mean(dim=(2, 3))))


class TransformerBlock(nn.Module):
    def __init__(self, channels: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        B, L, C = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(B, L, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.drop_path(self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, L, C)))
        return x + self.drop_path(self.narrow(F.gelu(self.wide(self.norm2(x)))))


class ViT(nn.Module):
    """Patches of 16x16, learnt positions, the mean of the tokens in place of a class token."""

    def __init__(
        self, classes: int, drop_path: float, channels: int = 96, depth: int = 5, heads: int = 3, patch: int = 16
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, channels, patch, patch)
        self.position = nn.Parameter(torch.zeros(1, (SIZE // patch) ** 2, channels))
        rate = rates(drop_path, depth)
        self.blocks = nn.Sequential(*(TransformerBlock(channels, heads, next(rate)) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(channels), nn.Linear(channels, classes)
        _begin(self)
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x).mean(dim=1)))


class BasicBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, drop_path: float) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.norm2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.other = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(self.other(x) + self.drop_path(y))


class ResNet(nn.Module):
    def __init__(
        self,
        classes: int,
        drop_path: float,
        stem: int = 12,
        widths: tuple[int, ...] = (12, 24, 48, 124),
        depths: tuple[int, ...] = (2, 2, 2, 2),
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem), nn.ReLU()]
        layers.append(nn.MaxPool2d(3, 2, 1))
        rate, channels = rates(drop_path, sum(depths)), stem
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                layers.append(BasicBlock(channels, width, 2 if stage and not block else 1, next(rate)))
                channels = width
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean(dim=(2, 3)))


def _begin(net: nn.Module) -> None:
    """Initial weights of products: normal of deviation 0.02, cut at two of them; biases zero."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


PEERS: dict[str, type[nn.Module]] = {"ConvNeXt": ConvNeXt, "ViT": ViT, "ResNet": ResNet}


def make_peer(name: str, classes: int, drop_path: float, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return PEERS[name](classes, drop_path)


class Steps:
    """Steps of a PyTorch network by mvnp's optimiser: the settings are a run's, the weights lie where PyTorch has them."""

    def __init__(self, net: nn.Module, config: TrainingConfig) -> None:
        self.net, self.config = net, config
        self.shared = {name: Param(p.detach().numpy()) for name, p in net.named_parameters()}
        self.optimizer = make_optimizer(config, SimpleNamespace(named_parameters=self.shared.items))  # type: ignore[arg-type]

    def step(self, images: np.ndarray, targets: np.ndarray, lr: float) -> float:
        """The loss before the step. SystemExit where it is not finite."""
        dtype = next(self.net.parameters()).dtype
        aim = torch.from_numpy(targets)
        loss = F.cross_entropy(
            self.net(torch.from_numpy(images).to(dtype)),
            aim.to(dtype) if aim.is_floating_point() else aim,
            label_smoothing=self.config.label_smoothing,
        )
        self.net.zero_grad()
        loss.backward()
        gradients = {name: _numpy(p.grad) for name, p in self.net.named_parameters()}
        nats, norm = guarded_update(loss.detach().numpy(), self.optimizer, gradients, lr, self.config.clip_norm)
        if not np.isfinite([nats, norm]).all():
            raise SystemExit(
                f"{type(self.net).__name__}: the loss is {nats}, the norm of the gradients {norm}, at rate {lr:.2g}"
            )
        return nats


def _numpy(gradient: Tensor | None) -> np.ndarray:
    return np.ascontiguousarray(gradient.numpy()) if gradient is not None else np.zeros(0, np.float32)


def train_peer(name: str, config: TrainingConfig, loader: BatchLoader, folder: Path) -> nn.Module:
    """A network of PEERS, trained as `config` says. After each epoch it is kept in `folder`, and goes on from there."""
    net = make_peer(name, len(loader.dataset.classes), config.model["drop_path_rate"], config.seed)
    steps, kept, first = Steps(net, config), folder / "peer.npz", 0
    if kept.exists():
        with np.load(kept) as arrays:
            first = int(arrays["epoch"])
            for key, value in net.state_dict().items():
                value.copy_(torch.from_numpy(arrays[f"net.{key}"]))
            steps.optimizer.load_state_dict({key[10:]: arrays[key] for key in arrays.files if key.startswith("optimizer.")})
    net.train()
    for epoch in range(first, config.epochs):
        torch.manual_seed(config.seed * 10_000 + epoch)  # of drop path
        for number in range(len(loader)):
            steps.step(*loader.batch(epoch, number), rate_of(config, epoch * len(loader) + number, len(loader)))
        arrays = {f"net.{key}": value.numpy() for key, value in net.state_dict().items()}
        arrays |= {f"optimizer.{key}": np.asarray(value) for key, value in steps.optimizer.state_dict(copy=False).items()}
        folder.mkdir(parents=True, exist_ok=True)
        arrays["epoch"] = np.array(epoch + 1)
        atomic.write_with(kept, lambda file: np.savez(file, **arrays))  # noqa: B023, it is called at once
    return net.eval()


def predictor(net: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """Images to logits."""

    def logits(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net(torch.from_numpy(images)).numpy()

    return logits


def agreement(config: TrainingConfig, loader: BatchLoader, steps: int = 50) -> float:
    """The largest relative difference of the losses of mvnp and its PyTorch twin, over steps from the same weights on the same
    batches, in float64. Nothing is left to chance in either: there is no drop path."""
    arguments: dict[str, Any] = {key: value for key, value in config.model.items() if key != "drop_path_rate"}
    classes, channels = len(loader.dataset.classes), loader.dataset.channels
    ours = MambaVision(**arguments, in_chans=channels, num_classes=classes, dtype="float64", seed=config.seed)
    twin = TorchMambaVision(**arguments, in_chans=channels, num_classes=classes, scan="lean").double()
    twin.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in ours.state_dict().items()})
    twin.train()
    theirs, optimizer, worst = Steps(twin, config), make_optimizer(config, ours), 0.0
    for step in range(steps):
        images, targets = loader.batch(*divmod(step, len(loader)))
        lr = rate_of(config, step, len(loader))
        settings = {"clip_norm": config.clip_norm, "label_smoothing": config.label_smoothing}
        own = train_step(ours, optimizer, images, targets, lr=lr, **settings).loss  # type: ignore[arg-type]
        worst = max(worst, abs(theirs.step(images, targets, lr) - own) / own)
    return worst
