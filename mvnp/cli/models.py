"""`mvnp models`: the released variants, and the small models for training from scratch."""

from __future__ import annotations

import argparse
import json
from fnmatch import fnmatchcase
from typing import Any

from ..errors import check_choice
from .arguments import Parser, table, whole

SUMMARY = "list the models with their size, cost and published accuracy"

USAGE = "mvnp models [PATTERN ...] [options]"

DESCRIPTION = """\
List the models: the released variants of MambaVision, Vim and VMamba, and
small ones for training from scratch. `mvnp train --model NAME` takes any of
them, and so does mvnp.create_model(NAME) in Python."""

EXAMPLES = """\
examples:
  mvnp models
  mvnp models "*21k*" demo --num-classes 10
  mvnp models --json"""

# ImageNet-1K top-1 in percent, single crop: arXiv:2407.08083, table 1 and, pretrained on ImageNet-21K, the release's table; of
# Vim what its release says, of VMamba arXiv:2401.10166.
TOP_1 = {
    "mamba_vision_T": 82.3,
    "mamba_vision_T2": 82.7,
    "mamba_vision_S": 83.3,
    "mamba_vision_B": 84.2,
    "mamba_vision_B_21k": 84.9,
    "mamba_vision_L": 85.0,
    "mamba_vision_L_21k": 86.1,
    "mamba_vision_L2": 85.3,
    "mamba_vision_L2_512_21k": 87.3,
    "mamba_vision_L3_256_21k": 87.3,
    "mamba_vision_L3_512_21k": 88.1,
    "vim_tiny": 76.1,
    "vim_tiny_stride8": 78.3,
    "vim_small": 80.5,
    "vim_small_stride8": 81.6,
    "vim_base": 81.9,
    "vmamba_tiny_s1l8": 82.6,
    "vmamba_small_s2l15": 83.6,
    "vmamba_base_s2l15": 83.9,
    "vmamba_tiny_s2l5": 82.5,
    "vmamba_small_s1l20": 83.3,
    "vmamba_base_s1l20": 83.8,
    "vanilla_vmamba_tiny": 82.2,
    "vanilla_vmamba_small": 83.5,
    "vanilla_vmamba_base": 83.7,
}

NOTES = """\
parameters  with 1000 classes; the small models with 10 classes and grey images
GMACs       10^9 multiply-accumulates (of 2 FLOPs each) for one image, scans
            included; mvnp/costs/cost.py says what is counted
top-1       percent right on ImageNet-1K, as published for the official weights;
            those of names in _21k were pretrained on ImageNet-21K"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "patterns", nargs="*", default=["*"], metavar="PATTERN", help="names; * and ? stand for letters (default: all)"
    )
    parser.add_argument("--num-classes", type=whole(0), metavar="N", help="count with N classes instead; 0: no head")
    parser.add_argument("--channels", type=whole(1), metavar="N", help="count with images of N channels instead")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, instead of a table")


def run(arguments: argparse.Namespace) -> int:
    from ..costs.cost import model_cost
    from ..training.presets import PRESETS, find_preset

    rows = []
    for name in chosen_models(arguments.patterns):
        preset = find_preset(name)
        data = {"in_chans": 1, "num_classes": 10} if name in PRESETS else {"in_chans": 3, "num_classes": 1000}
        given = {"in_chans": arguments.channels, "num_classes": arguments.num_classes}
        data |= {option: value for option, value in given.items() if value is not None}
        model = preset.make(data["in_chans"], data["num_classes"], allocate=False)
        cost = model_cost(model, preset.image_size)
        found = {
            "model": name,
            "parameters": cost.parameters,
            "flops": cost.flops,
            "input": [model.in_chans, preset.image_size, preset.image_size],
            "num_classes": model.num_classes,
            "top1": TOP_1.get(name),
        }
        if arguments.json:
            print(json.dumps(found), flush=True)
        rows.append(found)
    if not arguments.json:
        print(table(["model", "parameters", "GMACs", "input", "top-1"], map(_row, rows), right=(1, 2, 3, 4)))
        print(f"\n{NOTES}")
    return 0


def chosen_models(patterns: list[str]) -> list[str]:
    """The names that fit, in their order. Raises InputError for a pattern that fits none."""
    from ..models.variants import VARIANTS
    from ..training.presets import PRESETS

    names, chosen = [*VARIANTS, *PRESETS], set()
    for pattern in patterns:
        fitting = [name for name in names if fnmatchcase(name.lower(), pattern.lower())]
        if not fitting:
            check_choice("model", pattern, names)
        chosen.update(fitting)
    return [name for name in names if name in chosen]


def _row(found: dict[str, Any]) -> list[str]:
    flops, (_, height, width) = found["flops"], found["input"]
    top_1 = "-" if found["top1"] is None else f"{found['top1']:.1f}"
    return [
        found["model"],
        f"{found['parameters']:,}",
        f"{flops / 2e9:.{2 if flops > 2e9 else 3}f}",
        f"{height}x{width}",
        top_1,
    ]
