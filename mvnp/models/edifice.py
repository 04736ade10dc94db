"""The Edifice face: the same network under the option names of the Elixir library Edifice.

A model that is built here gives features (B, 8·dim) or, with `num_classes`, logits; its head is
LayerNorm over the channels, global average pool, linear. Everything else is MambaVision as it is:
windows with padding, split heads, trainable A = −n, the D skip, any image size.

Options and outputs: Edifice 0.2.0, `Edifice.Vision.MambaVision` and `Edifice.Vision.Backbone`.
"""

from __future__ import annotations

from typing import Any

from ..errors import InputError, check_rate, nearest
from .arguments import check_integer, check_number
from .mambavision import MambaVision

DEFAULTS: dict[str, Any] = {
    "image_size": 224,
    "in_channels": 3,
    "dim": 80,
    "depths": (1, 3, 8, 4),
    "num_heads": (2, 4, 8, 16),
    "mlp_ratio": 4,
    "dropout": 0.0,
    "d_state": 8,
    "d_conv": 3,
    "num_classes": None,
}

OURS = ("window_size", "seed", "dtype")  # arguments of MambaVision that may be given besides


def build(**options: Any) -> MambaVision:
    """A model giving (B, 8·dim) features, or (B, num_classes) logits where `num_classes` is given.

    image_size     what `input_shape` reports, 224; the model takes any size, square or not
    in_channels    3
    dim            80; depths (1, 3, 8, 4); num_heads (2, 4, 8, 16); mlp_ratio 4
    dropout        0.0: the dropout rate of the blocks and their drop-path rate
    d_state        8; d_conv 3
    num_classes    None

    `window_size`, `seed` and `dtype` are passed on to MambaVision. Raises InputError for an unknown
    option.
    """
    options = _with_defaults(options)
    return MambaVision(
        dim=options["dim"],
        in_dim=_stem_width(options["dim"]),
        depths=options["depths"],
        num_heads=options["num_heads"],
        window_size=options.get("window_size", (8, 8, 14, 7)),
        mlp_ratio=options["mlp_ratio"],
        drop_path_rate=options["dropout"],
        drop_rate=options["dropout"],
        in_chans=options["in_channels"],
        num_classes=options["num_classes"] or 0,
        d_state=options["d_state"],
        d_conv=options["d_conv"],
        head_norm="layer",
        **{name: options[name] for name in ("seed", "dtype") if name in options},
    )


def build_backbone(**options: Any) -> MambaVision:
    """`build` without a head: (B, 8·dim) features, whatever `num_classes` says."""
    return build(**{**options, "num_classes": None})


def output_size(**options: Any) -> int:
    """The width of what `build` with the same options gives."""
    options = _with_defaults(options)
    return options["num_classes"] or 8 * options["dim"]


def feature_size(**options: Any) -> int:
    """The width of what `build_backbone` with the same options gives: 8·dim."""
    return 8 * _with_defaults(options)["dim"]


def input_shape(**options: Any) -> tuple[None, int, int, int]:
    """(None, in_channels, image_size, image_size); None stands for any batch size."""
    options = _with_defaults(options)
    return None, options["in_channels"], options["image_size"], options["image_size"]


def tiny_config() -> dict[str, Any]:
    """Options of the tiny variant, the trunk of mamba_vision_T."""
    return {"dim": 80, "depths": [1, 3, 8, 4], "num_heads": [2, 4, 8, 16]}


def small_config() -> dict[str, Any]:
    """Options of the small variant, the trunk of mamba_vision_S."""
    return {"dim": 96, "depths": [3, 3, 7, 5], "num_heads": [2, 4, 8, 16]}


def base_config() -> dict[str, Any]:
    """Options of the base variant, the trunk of mamba_vision_B without layer scale."""
    return {"dim": 128, "depths": [3, 3, 10, 5], "num_heads": [2, 4, 8, 16]}


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    known = [*DEFAULTS, *OURS]
    for name in options:
        if name not in known:
            raise InputError(
                f"unknown option {name!r}{nearest(name, known)}; options are {', '.join(known)}"
            )
    options = {**DEFAULTS, **options}
    for name in ("image_size", "in_channels", "dim"):
        check_integer("edifice", name, options[name], least=1)
    if options["num_classes"] is not None:
        check_integer("edifice", "num_classes", options["num_classes"], least=0)
    check_number("edifice", "dropout", options["dropout"])
    check_rate("edifice", "dropout", options["dropout"])
    return options


def _stem_width(dim: int) -> int:
    """The width of the stem's first convolution, which is no option here: the released models',
    else min(dim, 64)."""
    return 32 if dim == 80 else min(dim, 64)
