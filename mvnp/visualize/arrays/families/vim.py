"""Vim in pictures: one sequence of all patches and class tokens, read there and back by every block."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backend import Array, to_numpy
from ....core import Layer, Tape
from ....errors import InputError
from ....models.classifier import channel_first, channel_last
from ....models.vim import Patches, Vim, VimBlock
from ....models.vim_mixer import VimMixer
from ..geometry import Geometry, PathGeometry
from ..scan_paths import ScanPath, path, paths_of, scans_of
from .family import WHOLE_MAP, Family, FirstLayer, Step, describes, offset_of


@paths_of(VimMixer)
def mixer(mixer: VimMixer, records: list[Any]) -> list[ScanPath]:
    """There and, unless there is one direction only, back; class tokens are tokens here."""
    scans = scans_of(records)
    there = np.arange(scans[0].x.shape[1])
    weight = 0.5 if mixer.halve else 1.0
    orders = (("there", there), ("back", there[::-1]))
    return [path(name, order, weight, scan) for (name, order), scan in zip(orders, scans, strict=False)]


@describes(Vim)
class OfVim(Family):
    paper = "Zhu et al., Vision Mamba, arXiv:2401.09417."
    watched = (Patches, VimBlock)

    def levels(self, model: Vim, tape: Tape) -> dict[str, Geometry]:
        """One for all blocks."""
        order = np.full(model.pos_embed.shape[1], -1)
        patches = np.concatenate([np.arange(len(order))[run] for run in model.patch_runs])
        order[patches] = np.arange(len(patches))
        offset = offset_of([model.patch_embed.proj])
        return {"layers": PathGeometry(*model.grid, model.strides[0], tuple(order.tolist()), offset)}

    def tokens(self, model: Vim, path: str, level: Geometry) -> Geometry:
        """Of blocks in pairs the second is given its tokens turned round."""
        turned = model.config["directions"] == "paired" and int(path.split(".")[1]) % 2
        return level.along(np.arange(level.L)[::-1]) if turned else level

    def steps(self, model: Vim, stage: int) -> list[Step]:
        """With one direction, and a single block, an upper bound: a token does not see those behind it."""
        return [model.patch_embed.proj, WHOLE_MAP]

    def stage_layer(self, model: Vim, stage: int) -> Layer:
        if model.config["directions"] == "paired":
            raise InputError("the stages of a Vim with directions='paired' are sums over two blocks, and no block's own output")
        return model.layers[model.stage_ends[stage] - 1]

    def stage_map(self, model: Vim, output: Array) -> Array:
        """The patches of all tokens (B, L, d)."""
        return channel_first(model._map(output))

    def kind(self, layer: Layer) -> str:
        return "stem" if isinstance(layer, Patches) else "mixer"

    def first_layer(self, model: Vim, image: Array) -> FirstLayer:
        conv = model.patch_embed.proj
        answers = conv(channel_last(image).astype(conv.weight.dtype, copy=False))[0].transpose(2, 0, 1)
        return FirstLayer(to_numpy(conv.weight.data), to_numpy(answers), "before the positions are added")
