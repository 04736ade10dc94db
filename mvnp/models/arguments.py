"""The arguments of models: as JSON can hold them, and checked before anything is built."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError, check_dtype, check_rate


def plain(owner: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The same arguments as numbers, strings and lists, ready for JSON. Raises InputError for an
    unknown dtype."""
    return {
        **{name: _plain(value) for name, value in arguments.items()},
        "dtype": str(check_dtype(owner, arguments["dtype"])),
    }


def check_arguments(config: dict[str, Any]) -> None:
    """Raise InputError, naming the argument, unless a MambaVision can be built from these."""
    for name in ("depths", "num_heads", "window_size"):
        values = config[name]
        if (
            not isinstance(values, list)
            or len(values) != 4
            or not all(_is_integer(v) and v >= 1 for v in values)
        ):
            raise InputError(
                f"MambaVision: {name} is {values!r}, expected four integers of at least 1, one for"
                " each level"
            )
    leasts = {
        "dim": 1,
        "in_dim": 1,
        "in_chans": 1,
        "num_classes": 0,
        "d_state": 1,
        "d_conv": 1,
        "seed": 0,
    }
    for name, least in leasts.items():
        check_integer("MambaVision", name, config[name], least)
    for level in (2, 3):
        width, heads = config["dim"] * 2**level, config["num_heads"][level]
        if width % heads:
            raise InputError(
                f"MambaVision: num_heads[{level}] = {heads} does not divide the width of level"
                f" {level}, {2**level}·dim = {width}; choose a divisor of it"
            )
    for name in ("drop_path_rate", "drop_rate", "attn_drop_rate"):
        check_number("MambaVision", name, config[name])
        check_rate("MambaVision", name, config[name])
    check_number("MambaVision", "mlp_ratio", config["mlp_ratio"])
    if int(4 * config["dim"] * config["mlp_ratio"]) < 1:
        raise InputError(
            f"MambaVision: mlp_ratio is {config['mlp_ratio']}, expected a positive number"
        )
    for name in ("layer_scale", "layer_scale_conv"):
        if config[name] is not None:
            check_number("MambaVision", name, config[name], instead=", or None for no layer scale")


def check_integer(owner: str, name: str, value: Any, least: int) -> None:
    """Raise InputError unless `value` is an integer of at least `least`."""
    if not _is_integer(value) or value < least:
        raise InputError(f"{owner}: {name} is {value!r}, expected an integer of at least {least}")


def check_number(owner: str, name: str, value: Any, instead: str = "") -> None:
    """Raise InputError unless `value` is a finite number; `instead` says what else would do."""
    if not (_is_integer(value) or isinstance(value, float)) or not math.isfinite(value):
        raise InputError(f"{owner}: {name} is {value!r}, expected a number{instead}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
