"""A classifier as a backbone for detection and segmentation: maps of several stages, each behind a
norm of its own, no head.

    image (B, in_chans, H, W)
      → stage i       (B, channels[i], H_i, W_i)     for each i in out_indices
      → outnorm{i}    LayerNorm over the channels, or BatchNorm

The trunk is the classifier's, of any family, with its keys, so its weights fit; the norms of the
outputs are new and start at the identity of their kind. What lies behind the last output is not
made.

MambaVision's stage i is (B, dim·2^i, H/2^(i+2), W/2^(i+2)), rounded up. Its official detection
models cut windows of 112 and 56 in levels 2 and 3, the segmentation models
64 and 32 (S: 160 and 56): with a window as large as the map a level is one window. Smaller maps are
padded to a whole one.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, section 4; the keys `outnorm{i}` and the windows
are those of the official release. A feature pyramid on top of such maps: Lin et al.,
arXiv:1612.03144.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..backend import Array
from ..core import Initializer, Layer, Tape
from ..errors import InputError, check_array, check_choice
from ..execution.shares import in_shares
from ..layers.batchnorm import BatchNorm
from ..layers.layernorm import LayerNorm
from .classifier import Classifier, channel_first, channel_last
from .variants import FAMILIES, VARIANTS, check_name, check_options, defaults_of, options_of

NORMS: dict[str, type[LayerNorm | BatchNorm] | None] = {
    "layer": LayerNorm,
    "batch": BatchNorm,
    "none": None,
}


class Backbone(Layer):
    """`backbone(x)` gives a list of maps, one for each of `out_indices`.

    name           of a released variant, whose family and arguments it takes; None: they are given
    family         "MambaVision", or another name in FAMILIES
    out_indices    which of the stages, ascending; "all": all of them
    out_norm       "layer": LayerNorm over the channels, as official; "batch": BatchNorm; "none":
                   the stages as they are
    arguments      those of the family's class but num_classes, and what else only a head needs

    `config` has them all: `Backbone(**backbone.config)` is built alike. Raises InputError for
    arguments that do not fit.
    """

    key_of: ClassVar[dict[str, str]] = {"trunk": ""}

    def __init__(
        self,
        name: str | None = None,
        *,
        family: str = "MambaVision",
        out_indices: Sequence[int] | str = "all",
        out_norm: str = "layer",
        allocate: bool = True,
        **arguments: Any,
    ) -> None:
        if name is not None:
            _check_variant(name)
            family = VARIANTS[name].family
            arguments = {**VARIANTS[name].arguments(), **arguments}
        check_choice("family", family, FAMILIES)
        unneeded = FAMILIES[family].HEAD_ARGUMENTS
        for option in unneeded:
            if option in arguments:
                raise InputError(
                    f"Backbone: {option} is an argument of the classifier; a backbone has no head,"
                    " leave it out"
                )
        check_options(family, arguments, " of a Backbone")
        given = {*arguments, *defaults_of(family), "num_classes"}
        if missing := [option for option in options_of(family) if option not in given]:
            raise InputError(
                f"Backbone: without a name, {family} needs {', '.join(missing)}; give them, or the"
                " name of a variant, as in Backbone('mamba_vision_T')"
            )
        check_choice("out_norm", out_norm, NORMS)
        self.trunk: Any = FAMILIES[family](**arguments, num_classes=0, allocate=allocate)
        indices = _checked_indices(out_indices, len(self.trunk.channels))
        own = {name: value for name, value in self.trunk.config.items() if name not in unneeded}
        self.config = {"family": family, **own, "out_indices": indices, "out_norm": out_norm}
        self.in_chans: int = self.trunk.in_chans
        self.out_indices = tuple(indices)
        self.trunk.cut_after(indices[-1])
        kind = NORMS[out_norm]
        if kind is not None:
            # With memory in any case: a classifier's weights lack them.
            constants = Initializer(dtype=self.config["dtype"])
            for index in indices:
                vars(self)[f"outnorm{index}"] = kind(self._width(index), init=constants)
        self.name_paths()

    @classmethod
    def of(
        cls,
        model: Classifier,
        *,
        out_indices: Sequence[int] | str = "all",
        out_norm: str = "layer",
        **changes: Any,
    ) -> Backbone:
        """A backbone with a copy of a classifier's trunk; `changes` are arguments that leave its
        weights as they are: `window_size` above all, `drop_path_rate`, `padding`."""
        unneeded = model.HEAD_ARGUMENTS
        arguments = {name: value for name, value in model.config.items() if name not in unneeded}
        backbone = cls(
            family=type(model).__name__,
            out_indices=out_indices,
            out_norm=out_norm,
            allocate=False,
            **{**arguments, **changes},
        )
        backbone.load_trunk(model.state_dict(copy=False))
        backbone.trunk.know(preparation=model.preparation)
        return backbone

    @property
    def channels(self) -> tuple[int, ...]:
        """The widths of the maps, one for each of `out_indices`."""
        return tuple(map(self._width, self.out_indices))

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image for a pixel of each map, along either side."""
        return tuple(self.trunk.strides[index] for index in self.out_indices)

    def _width(self, index: int) -> int:
        return self.trunk.channels[index]

    def __getattr__(self, name: str) -> Any:
        """What it does not have itself, its trunk has: `image_size`, `levels`."""
        if name == "trunk":  # it is not there yet, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self.trunk, name)

    def out_norm(self, index: int) -> LayerNorm | BatchNorm | None:
        """The norm that stage `index` is given behind; None: none."""
        return vars(self).get(f"outnorm{index}")

    def astype(self, dtype: str) -> Backbone:
        """A copy with parameters and buffers in another dtype; its `config` says so."""
        other = super().astype(dtype)
        other.config["dtype"] = other.trunk.config["dtype"] = str(np.dtype(dtype))
        return other

    def images(self, x: Array) -> Array:
        """x in the model's precision. Raises InputError unless it is images of a size that fits."""
        check_array("Backbone", "x", x, ("B", self.in_chans, "H", "W"))
        return self.trunk.images(x)

    def dmaps(self, dy: Sequence[Array]) -> list[Array]:
        """All in the model's precision. Raises InputError unless they are like the maps."""
        if len(dy) != len(self.out_indices):
            raise InputError(
                f"Backbone: backward got {len(dy)} gradients, expected {len(self.out_indices)}, one"
                f" for each of out_indices {self.out_indices};"
                " zeros for a map that nothing depends on"
            )
        return [
            self.trunk.in_precision(
                f"the gradient of stage {i}", d, ("B", self._width(i), "H", "W")
            )
            for i, d in zip(self.out_indices, dy, strict=True)
        ]

    @in_shares(images)
    def forward(  # type: ignore[override]
        self, x: Array, tape: Tape | None = None
    ) -> list[Array]:
        """Maps (B, channels[i], H_i, W_i), for each i in `out_indices`, of images
        (B, in_chans, H, W)."""
        stages = self.trunk.stages(x, tape)
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
        dstages: list[Array | None] = [None] * (self.out_indices[-1] + 1)
        for index, d in zip(reversed(self.out_indices), reversed(dy), strict=True):
            norm, dmap = self.out_norm(index), channel_last(d)
            dstages[index] = dmap if norm is None else norm.backward(dmap, tape)
        return self.trunk.stages_backward(dstages, tape)

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


def _checked_indices(indices: Any, stages: int) -> list[int]:
    known = range(stages)
    if isinstance(indices, str) and indices == "all":
        return list(known)
    listed = indices if isinstance(indices, Sequence) else ()
    chosen = [i for i in listed if i in known and not isinstance(i, bool)]
    if not chosen or chosen != list(listed) or chosen != sorted(set(chosen)):
        raise InputError(
            f"Backbone: out_indices is {indices!r}, expected some of the stages"
            f" {', '.join(map(str, known))}, ascending"
        )
    return [int(index) for index in chosen]


def _check_variant(name: Any) -> None:
    """Raise InputError unless it names a variant, and say how the others are had."""
    try:
        check_name(name, VARIANTS)
    except InputError as error:
        raise InputError(
            f"{error}; of a model to be trained, Backbone.of(mvnp.create_model('demo')) is one"
        ) from error
