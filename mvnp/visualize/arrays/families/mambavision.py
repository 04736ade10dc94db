"""MambaVision in pictures: windows in its last two levels, in each a scan row by row, or attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backend import Array, array_module, to_numpy
from ....core import Layer, Tape
from ....models.blocks import Block, ConvBlock
from ....models.classifier import channel_last
from ....models.mambavision import MambaVision
from ....models.mixer import MambaVisionMixer
from ....models.stages import ConvLevel, Downsample, HybridLevel, PatchEmbed
from ..geometry import Geometry, WindowGeometry
from ..scan_paths import ScanPath, path, paths_of, scans_of
from .family import Family, FirstLayer, Step, Windows, describes


@paths_of(MambaVisionMixer)
def mixer(mixer: MambaVisionMixer, records: list[Any]) -> list[ScanPath]:
    """One, row by row in each window; B counts windows."""
    (scan,) = scans_of(records)
    return [path("row by row", np.arange(scan.x.shape[1]), 1.0, scan)]


@describes(MambaVision)
class OfMambaVision(Family):
    paper = "Hatamizadeh and Kautz, MambaVision, arXiv:2407.08083."
    watched = (PatchEmbed, ConvBlock, Block, Downsample)

    def levels(self, model: MambaVision, tape: Tape) -> dict[str, Geometry]:
        """The windows of the hybrid levels."""
        found: dict[str, Geometry] = {}
        for level, stride in zip(model.levels, model.strides, strict=True):
            if isinstance(level, HybridLevel):
                H, W = next(cache for layer, cache in tape.entries if layer is level)
                found[level.path] = WindowGeometry(H, W, level.window, stride)
        return found

    def steps(self, model: MambaVision, stage: int) -> list[Step]:
        """Inside a window every token can reach every other, through attention. Where a level has no attention, the scan only
        looks back and its convolution one token ahead, so there it is an upper bound."""
        stem = model.patch_embed.conv_down
        steps: list[Step] = [stem[0], stem[3]]
        for level in model.levels[: stage + 1]:
            if isinstance(level, ConvLevel):
                steps += [conv for block in level.blocks for conv in (block.conv1, block.conv2)]
            else:
                steps.append(Windows(level.window))
            if level is not model.levels[stage] and level.downsample is not None:
                steps.append(level.downsample.reduction[0])
        return steps

    def stage_layer(self, model: MambaVision, stage: int) -> Layer:
        return model.levels[stage]

    def kind(self, layer: Layer) -> str:
        if isinstance(layer, Block):
            return "mixer" if isinstance(layer.mixer, MambaVisionMixer) else "attention"
        kinds = {PatchEmbed: "stem", ConvBlock: "convolution", Downsample: "downsampling"}
        return next(name for kind, name in kinds.items() if isinstance(layer, kind))

    def first_layer(self, model: MambaVision, image: Array) -> FirstLayer:
        """With BatchNorm's gain in the kernels."""
        conv, norm, relu = model.patch_embed.conv_down[:3]
        x = channel_last(image).astype(conv.weight.dtype, copy=False)
        gain = norm.weight.data / array_module(x).sqrt(norm.running_var.data + norm.eps)
        kernels = conv.weight.data * gain[:, None, None, None]
        answers = to_numpy(relu(norm(conv(x)))[0].transpose(2, 0, 1))
        return FirstLayer(to_numpy(kernels), answers, "after BatchNorm and ReLU")
