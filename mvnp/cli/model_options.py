"""Options that are arguments of the model, for `mvnp train`: one table a family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arguments import number, whole

DEFAULT_MODEL = "demo"


def pattern(text: str) -> str | list[str]:
    """A pattern by its name, or by its two words with a comma between them."""
    return text.split(",") if "," in text else text


def _or_none(text: str) -> str | None:
    return None if text == "none" else text


# Options that are arguments of the model: option, name, type, how many, help
METAVARS = {number: "X", str: "NAME", pattern: "NAME", _or_none: "NAME"}  # of the others: N
MODEL: list[tuple[str, str, Any, int | str, str]] = [
    ("--dim", "dim", whole(1), 1, "width of the first level; each level doubles it"),
    ("--in-dim", "in_dim", whole(1), 1, "width of the stem's first convolution"),
    ("--depths", "depths", whole(1), "+", "blocks of the levels"),
    ("--heads", "num_heads", whole(1), 4, "attention heads of the four levels"),
    ("--windows", "window_size", whole(1), 4, "window sizes of the four levels"),
    ("--mlp-ratio", "mlp_ratio", number, 1, "hidden width of the MLPs over their width"),
    ("--drop-path", "drop_path_rate", number, 1, "drop path of the last block"),
    ("--dropout", "drop_rate", number, 1, "dropout in the MLPs and after attention"),
    ("--d-state", "d_state", whole(1), 1, "states for each channel of a scan"),
    (
        "--mixer",
        "mixer",
        str,
        1,
        "concat; gated, gated_one_conv or mamba, each with _wide behind it or not (mvnp/models/mixer.py)",
    ),
    ("--pattern", "pattern", pattern, 1, "where attention stands: last_quarter, MMMS,MMMS … (mvnp/models/pattern.py)"),
    ("--pattern-seed", "pattern_seed", whole(0), 1, "draws the pattern random"),
]
VIM: list[tuple[str, str, Any, int | str, str]] = [
    ("--patch-size", "patch_size", whole(1), 1, "side of the patches; of VMamba too"),
    ("--stride", "stride", whole(1), 1, "pixels from patch to patch"),
    ("--embed-dim", "embed_dim", whole(1), 1, "width"),
    ("--depth", "depth", whole(1), 1, "blocks"),
    ("--class-token", "class_token", _or_none, 1, "middle, head, double or none"),
    ("--pool", "pool", str, 1, "mean, max or last, where there is no class token"),
    ("--directions", "directions", str, 1, "both, one, shared or paired"),
]
VMAMBA: list[tuple[str, str, Any, int | str, str]] = [
    ("--dims", "dims", whole(1), "+", "widths of the levels, as many as --depths"),
    ("--ssm-ratio", "ssm_ratio", number, 1, "channels of the scans over the width"),
    ("--vmamba-version", "version", str, 1, "v2 or v0"),
    ("--forward-type", "forward_type", str, 1, "which ways the scans go, such as v052d_noz"),
]


def add_model_options(add: Callable[..., None], parser: Any) -> None:
    """--model, and what is to differ from it."""
    from ..models.variants import defaults_of
    from ..training.presets import PRESETS

    preset = PRESETS[DEFAULT_MODEL]
    model = parser.add_argument_group("model", "A preset or variant (see mvnp models), and what is to differ from it.")
    add(model, "--model", "preset or variant", DEFAULT_MODEL, metavar="NAME")
    for group, options in (
        (model, MODEL),
        (parser.add_argument_group("model: Vim"), VIM),
        (parser.add_argument_group("model: VMamba"), VMAMBA),
    ):
        for option, name, kind, count, what in options:
            default = {**defaults_of("MambaVision"), **preset.model}.get(name) if group is model else None
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
            many = {} if count == 1 else {"nargs": count}
            add(group, option, what, shown, dest=name, type=kind, metavar=METAVARS.get(kind, "N"), **many)
    add(model, "--quirks", "official, paper or corrected (mvnp/models/quirks.py)", "official", metavar="NAME")


def given_model(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the model that were given."""
    model = {name: given[name] for _, name, *_ in (*MODEL, *VIM, *VMAMBA) if name in given}
    return {**model, "quirks": given["quirks"]} if "quirks" in given else model
