"""VMamba in pictures: in every level the whole map, read along the routes of four scans."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backend import Array, to_numpy
from ....core import Layer, Tape
from ....layers.conv2d import Conv2d
from ....layers.cross_scan import cross_scan
from ....models.classifier import channel_last
from ....models.ss2d import SS2D
from ....models.vmamba import VMamba
from ....models.vss_stages import FirstConv2d, PatchMerging, Sequence, VSSBlock
from ..geometry import Geometry, PathGeometry
from ..scan_paths import ScanPath, path, paths_of, scans_of
from .family import WHOLE_MAP, Family, FirstLayer, Squares, Step, describes, offset_of

NAMES = ("row by row", "column by column", "rows backwards", "columns backwards")  # of the routes of cross_scan.py


@paths_of(SS2D)
def ss2d(mixer: SS2D, records: list[Any]) -> list[ScanPath]:
    """The routes of the four groups of parameters. Tokens are the pixels of the map, row by row."""
    H, W = size_of(records)
    pixels = np.arange(float(H * W)).reshape(1, H, W, 1)
    orders = cross_scan(pixels, mixer.routes)[:, 0, :, 0].astype(int)
    names = [NAMES[route] for route in mixer.routes]
    repeated = len(set(names)) < len(names)
    names = [f"{name}, {group}" if repeated else name for group, name in enumerate(names, 1)]
    return [path(name, order, 1.0, scan) for name, order, scan in zip(names, orders, scans_of(records), strict=True)]


def size_of(records: list[Any]) -> tuple[int, int]:
    """H, W of the map, among what the mixer left on the tape."""
    return next(record for record in records if isinstance(record, tuple) and isinstance(record[0], int))


@describes(VMamba)
class OfVMamba(Family):
    paper = "Liu et al., VMamba, arXiv:2401.10166."
    watched = (Sequence, PatchMerging, VSSBlock)

    def levels(self, model: VMamba, tape: Tape) -> dict[str, Geometry]:
        """All levels but those of a cascade, which reads each line by itself."""
        found: dict[str, Geometry] = {}
        for stage, (level, stride) in enumerate(zip(model.levels, model.strides, strict=True)):
            op = level.blocks[0].op
            if type(op) is not SS2D:
                continue
            H, W = size_of([record for layer, record in tape.entries if layer is op])
            offset = offset_of(self.steps(model, stage))
            found[level.path] = PathGeometry(H, W, stride, tuple(range(H * W)), offset)
        return found

    def steps(self, model: VMamba, stage: int) -> list[Step]:
        """With all routes alike, and a single block, an upper bound."""
        steps: list[Step] = [step for step in model.patch_embed.steps if isinstance(step, Conv2d)]
        for level in model.levels[: stage + 1]:
            steps.append(WHOLE_MAP)
            if level is model.levels[stage]:
                break
            between = level.downsample
            if isinstance(between, Sequence):
                steps += [step for step in between.steps if isinstance(step, Conv2d)]
            else:
                steps.append(Squares(2))
        return steps

    def stage_layer(self, model: VMamba, stage: int) -> Layer:
        return model.levels[stage]

    def kind(self, layer: Layer) -> str:
        if isinstance(layer, VSSBlock):
            return "mixer"
        return "stem" if layer.path == "patch_embed" else "downsampling"

    def first_layer(self, model: VMamba, image: Array) -> FirstLayer:
        conv = model.patch_embed.steps[0]
        assert isinstance(conv, FirstConv2d)
        answers = conv(channel_last(image).astype(conv.weight.dtype, copy=False))[0].transpose(2, 0, 1)
        return FirstLayer(to_numpy(conv.weight.data), to_numpy(answers), "before any norm")
