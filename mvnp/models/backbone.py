"""MambaVision as a backbone for detection and segmentation: maps of several stages, each behind a
norm of its own, no head.

    image (B, in_chans, H, W)
      → stage i       (B, dim·2^i, H/2^(i+2), W/2^(i+2))     for each i in out_indices
      → outnorm{i}    LayerNorm over the channels, or BatchNorm

Sizes that do not divide are rounded up. The trunk is the classifier's, with its keys, so its
weights fit; the norms of the outputs are new and start at the identity of their kind. Levels behind
the last output are not made.

The official detection models cut windows of 112 and 56 in levels 2 and 3, the segmentation models
64 and 32 (S: 160 and 56): with a window as large as the map a level is one window. Smaller maps are
padded to a whole one.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, section 4; the keys `outnorm{i}` and the windows
are those of the official release. A feature pyramid on top of such maps: Lin et al.,
arXiv:1612.03144.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..backend import Array
from ..core import Initializer, Tape
from ..errors import InputError, check_choice
from ..execution.shares import in_shares
from ..layers.batchnorm import BatchNorm
from ..layers.layernorm import LayerNorm
from .mambavision import MambaVision
from .quirks import resolve
from .trunk import Trunk, channel_first, channel_last
from .variants import VARIANTS

NORMS: dict[str, type[LayerNorm | BatchNorm] | None] = {
    "layer": LayerNorm,
    "batch": BatchNorm,
    "none": None,
}

_HEAD = ("num_classes", "head_norm")  # arguments of MambaVision that a backbone has no use for
_SWITCHES = ("dt_bias", "dt_init", "padding")


class Backbone(Trunk):
    """`backbone(x)` gives a list of maps, one for each of `out_indices`.

    name           of a released variant, whose arguments it takes; None: they are all given
    out_indices    which of the stages 0 to 3, ascending
    out_norm       "layer": LayerNorm over the channels, as official; "batch": BatchNorm; "none":
                   the stages as they are
    arguments      those of MambaVision but num_classes and head_norm

    `config` has them all: `Backbone(**backbone.config)` is built alike. Raises InputError for
    arguments that do not fit.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        out_norm: str = "layer",
        allocate: bool = True,
        **arguments: Any,
    ) -> None:
        if name is not None:
            check_choice("model", name, VARIANTS)
            arguments = {**VARIANTS[name].arguments(), **arguments}
        for option in _HEAD:
            if option in arguments:
                raise InputError(
                    f"Backbone: {option} is an argument of the classifier; a backbone has no head,"
                    " leave it out"
                )
        indices = _checked_indices(out_indices)
        check_choice("out_norm", out_norm, NORMS)
        # MambaVision checks the arguments and has their defaults; without memory it costs nothing.
        complete = MambaVision(**arguments, num_classes=0, allocate=False).config
        own = {name: value for name, value in complete.items() if name not in _HEAD}
        self.config = {**own, "out_indices": indices, "out_norm": out_norm}
        switches = resolve(self.config["quirks"], **{name: self.config[name] for name in _SWITCHES})
        init = Initializer(self.config["seed"], self.config["dtype"], allocate)
        self.out_indices = tuple(indices)
        self._build_trunk(switches, init, levels=indices[-1] + 1)
        kind = NORMS[out_norm]
        if kind is not None:
            constants = Initializer(
                dtype=self.config["dtype"]
            )  # with memory in any case: a classifier's weights lack them
            for index in indices:
                vars(self)[f"outnorm{index}"] = kind(self._width(index), init=constants)
        self.name_paths()

    @classmethod
    def of(
        cls,
        model: MambaVision,
        *,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        out_norm: str = "layer",
        **changes: Any,
    ) -> Backbone:
        """A backbone with a copy of a classifier's trunk; `changes` are arguments that leave its
        weights as they are: `window_size` above all, `drop_path_rate`, `padding`."""
        arguments = {name: value for name, value in model.config.items() if name not in _HEAD}
        backbone = cls(
            out_indices=out_indices, out_norm=out_norm, allocate=False, **{**arguments, **changes}
        )
        backbone.load_trunk(model.state_dict(copy=False))
        return backbone

    @property
    def channels(self) -> tuple[int, ...]:
        """The widths of the maps, one for each of `out_indices`."""
        return tuple(map(self._width, self.out_indices))

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image for a pixel of each map, along either side."""
        return tuple(4 * 2**index for index in self.out_indices)

    def _width(self, index: int) -> int:
        return self.config["dim"] * 2**index

    def out_norm(self, index: int) -> LayerNorm | BatchNorm | None:
        """The norm that stage `index` is given behind; None: none."""
        return vars(self).get(f"outnorm{index}")

    def dmaps(self, dy: Sequence[Array]) -> list[Array]:
        """All in the model's precision. Raises InputError unless they are like the maps."""
        if len(dy) != len(self.out_indices):
            raise InputError(
                f"Backbone: backward got {len(dy)} gradients, expected {len(self.out_indices)}, one"
                f" for each of out_indices {self.out_indices};"
                " zeros for a map that nothing depends on"
            )
        return [
            self.in_precision(f"the gradient of stage {i}", d, ("B", self._width(i), "H", "W"))
            for i, d in zip(self.out_indices, dy, strict=True)
        ]

    @in_shares(Trunk.images)
    def forward(  # type: ignore[override]
        self, x: Array, tape: Tape | None = None
    ) -> list[Array]:
        """Maps (B, dim·2^i, H_i, W_i), for each i in `out_indices`, of images (B, in_chans, H, W)
        of any size."""
        stages = self.stages(x, tape)
        maps = []
        for index in self.out_indices:
            norm = self.out_norm(index)
            maps.append(stages[index] if norm is None else norm(stages[index], tape))
        return [channel_first(each) for each in maps]

    @in_shares(dmaps)
    def backward(  # type: ignore[override]
        self, dy: Sequence[Array], tape: Tape
    ) -> Array | None:
        """dx (B, in_chans, H, W), from the gradients of all maps; None without `tape.inputs`."""
        dstages: list[Array | None] = [None] * len(self.levels)
        for index, d in zip(reversed(self.out_indices), reversed(dy), strict=True):
            norm, dmap = self.out_norm(index), channel_last(d)
            dstages[index] = dmap if norm is None else norm.backward(dmap, tape)
        return self.stages_backward(dstages, tape)

    def load_trunk(self, weights: Mapping[str, Any]) -> None:
        """Fill the trunk from a classifier's state dict, and the norms of the outputs where it has
        them.

        Weights of a classifier's head and of levels that this backbone does not have are passed
        over. Raises CheckpointError that lists what is missing or misshapen, and then loads none.
        """
        state = self.state_dict(copy=False)
        norms = {key: array for key, array in state.items() if key.startswith("outnorm")}
        self.load_state_dict(
            {**norms, **{key: array for key, array in weights.items() if key in state}}
        )


def _checked_indices(indices: Any) -> list[int]:
    is_list = isinstance(indices, Sequence) and not isinstance(indices, str)
    stages = (
        [i for i in indices if i in (0, 1, 2, 3) and not isinstance(i, bool)] if is_list else []
    )
    if not stages or stages != list(indices) or stages != sorted(set(stages)):
        raise InputError(
            f"Backbone: out_indices is {indices!r}, expected some of the stages 0, 1, 2, 3,"
            " ascending"
        )
    return [int(index) for index in stages]
