"""The arguments of models: as JSON can hold them, and checked before anything is built."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, check_choice, check_dtype, check_rate, is_number, shown
from .mixer import MIXERS
from .pattern import kinds

MOST = 2**20  # of a width, a depth, a window, heads, channels, states
MOST_CLASSES = 2**24
MOST_WINDOW = 2**12  # of a map of an image of 65,536 pixels a side
MOST_SEED = 2**64 - 1
MOST_PARAMETERS = 10**11  # 400 GB in float32
MOST_BLOCKS = 10**4  # of all levels together


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
        values, most = config[name], MOST_WINDOW if name == "window_size" else MOST
        if (
            not isinstance(values, list)
            or len(values) != 4
            or not all(_is_integer(v) and 1 <= v <= most for v in values)
        ):
            raise InputError(
                f"MambaVision: {name} is {shown(values)}, expected four integers of at least 1, one"
                f" for each level{_limit(values, most)}"
            )
    leasts = {
        "dim": 1,
        "in_dim": 1,
        "in_chans": 1,
        "num_classes": 0,
        "d_state": 1,
        "d_conv": 1,
        "pattern_seed": 0,
        "seed": 0,
    }
    mosts = {"num_classes": MOST_CLASSES, "pattern_seed": MOST_SEED, "seed": MOST_SEED}
    for name, least in leasts.items():
        check_integer("MambaVision", name, config[name], least, mosts.get(name, MOST))
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
    if config["mlp_ratio"] > MOST:
        raise InputError(
            f"MambaVision: mlp_ratio is {shown(config['mlp_ratio'])}, expected at most {MOST}"
        )
    if int(4 * config["dim"] * config["mlp_ratio"]) < 1:
        raise InputError(
            f"MambaVision: mlp_ratio is {config['mlp_ratio']}, expected a positive number"
        )
    check_choice("mixer", config["mixer"], MIXERS)
    _check_size(config)
    kinds(config["pattern"], config["depths"])
    for name in ("layer_scale", "layer_scale_conv"):
        if config[name] is not None:
            check_number("MambaVision", name, config[name], instead=", or None for no layer scale")


def check_integer(owner: str, name: str, value: Any, least: int, most: int = 2**31 - 1) -> None:
    """Raise InputError unless `value` is an integer from `least` to `most`."""
    if not _is_integer(value) or value < least:
        raise InputError(
            f"{owner}: {name} is {shown(value)}, expected an integer of at least {least}"
        )
    if value > most:
        raise InputError(f"{owner}: {name} is {shown(value)}, expected at most {most}")


def check_number(owner: str, name: str, value: Any, instead: str = "") -> None:
    """Raise InputError unless `value` is a finite number; `instead` says what else would do."""
    if not is_number(value):
        raise InputError(f"{owner}: {name} is {shown(value)}, expected a number{instead}")


def _check_size(config: dict[str, Any]) -> None:
    """Raise InputError for a model that no machine holds, before anything is drawn. What is counted
    are the matrices of its blocks, roughly."""
    dim, in_dim = config["dim"], config["in_dim"]
    conv = 18  # times width²: two kernels of 3x3, or one to twice the width
    total = config["num_classes"] * 8 * dim + 9 * in_dim * (config["in_chans"] + dim)
    for level, depth in enumerate(config["depths"]):
        width = dim * 2**level
        block = conv if level < 2 else 3 + 2 * config["mlp_ratio"]
        downsample = conv * (level < 3)
        total += width * (depth * (block * width + config["d_state"]) + downsample * width)
    given = f"dim {config['dim']}, depths {config['depths']}"
    check_count("MambaVision", given, sum(config["depths"]), total)


def check_count(owner: str, given: str, blocks: int, parameters: float) -> None:
    """Raise InputError for more blocks or parameters than a machine holds; `given` makes them."""
    if blocks > MOST_BLOCKS:
        raise InputError(f"{owner}: {given}: {blocks:,} blocks, expected at most {MOST_BLOCKS:,}")
    if parameters > MOST_PARAMETERS:
        raise InputError(
            f"{owner}: {given} and what else was given make about {parameters:.0e} parameters,"
            f" expected at most {MOST_PARAMETERS:.0e}"
        )


def _limit(values: Any, most: int) -> str:
    """What to add where a number is too large."""
    too_large = isinstance(values, list) and any(_is_integer(v) and v > most for v in values)
    return f", at most {most}" if too_large else ""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
