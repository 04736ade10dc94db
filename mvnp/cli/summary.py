"""`mvnp summary`: a model layer by layer."""

from __future__ import annotations

import argparse
import json
import math
import os
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import Parser, table, whole
from .model_options import pattern
from .models import chosen_models
from .pictures import image_size
from .weights import add_weights_options, open_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..costs.cost import LayerCost, ModelCost
    from ..models.backbone import Backbone
    from ..models.classifier import Classifier

SUMMARY = "show a model layer by layer: shapes, parameters, operations, memory"

USAGE = "mvnp summary [MODEL ... | --weights W] [options]"

DESCRIPTION = """\
Show every layer of a model in the order of its forward: the shape of its
output, its parameters, its arithmetic, scans included, and the memory of its
output. MODEL is a variant or a preset (see mvnp models), in which * and ? stand
for letters. All is worked out from shapes alone; nothing is run or measured."""

EXAMPLES = """\
examples:
  mvnp summary                            mamba_vision_T at 224x224
  mvnp summary mamba_vision_S --size 384x512 --batch 8
  mvnp summary mamba_vision_T --mixer mamba --pattern last_quarter
  mvnp summary 'vim_*' --json
  mvnp summary --weights runs/best.safetensors --json"""

DEFAULT_MODEL = "mamba_vision_T"

NOTES = """\
output      channels last, for one picture; within windows (windows, tokens, C)
parameters  what is trained; a batch norm's running statistics are not
MFLOPs      10^6 floating-point operations for one picture: two for each multiply-
            accumulate, and the scans'; mvnp/costs/cost.py says what is counted
memory      of the outputs of {batch}, in {dtype}, if all were kept. Worked out
            from their shapes, not measured: in evaluation most are let go at
            once, and layers need room for intermediate results besides"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"variant or preset (default: {DEFAULT_MODEL})")
    parser.add_argument("--size", type=image_size, metavar="S", help="of the pictures: a side, or HxW (default: the model's)")
    parser.add_argument("--batch", type=whole(1), default=1, metavar="N", help="pictures, for the memory (default: 1)")
    parser.add_argument("--num-classes", type=whole(0), metavar="N", help="of the head; 0: none (default: the model's)")
    parser.add_argument("--mixer", metavar="NAME", help="another mixer of a MambaVision (mvnp/models/mixer.py)")
    parser.add_argument("--pattern", type=pattern, metavar="NAME", help="where its attention stands (mvnp/models/pattern.py)")
    parser.add_argument("--json", action="store_true", help="one JSON object a model, instead of a table")
    add_weights_options(parser, required=False)


def run(arguments: argparse.Namespace) -> int:
    from ..costs.cost import model_cost

    show = _show_json if arguments.json else _show
    for number, (name, model, default_size) in enumerate(_chosen(arguments)):
        size = arguments.size or default_size
        height, width = size if isinstance(size, tuple) else (size, size)
        cost = model_cost(model, height, width)
        if number and not arguments.json:
            print("\n")
        show(name, model, (height, width), arguments.batch, cost)
    return 0


def _chosen(arguments: argparse.Namespace) -> Iterator[tuple[str, Classifier | Backbone, int | tuple[int, int]]]:
    """The name of each, the model, and the size of its pictures."""
    from ..models.variants import VARIANTS, check_options
    from ..training.presets import PRESETS, find_preset

    changes = {name: getattr(arguments, name) for name in ("mixer", "pattern") if getattr(arguments, name) is not None}
    if arguments.weights is not None:
        for option in changes:
            raise InputError(f"--{option} makes another model, which these weights do not fit; leave it out, or --weights")
        if arguments.models:
            raise InputError(f"give a model ({arguments.models[0]}) or --weights, and not both")
        classes = {} if arguments.num_classes is None else {"num_classes": arguments.num_classes}
        pretrained = open_model(arguments, backbone=True, **classes)
        size = (pretrained.images or {}).get("size", 224)
        yield pretrained.variant or arguments.weights, pretrained.model, size
        return
    more = {"variant": "--variant", "ema": "--ema", "entry": "--entry", "no_strict": "--no-strict"}
    more |= {"num_heads": "--heads", "window_size": "--windows"}
    if given := [option for name, option in more.items() if getattr(arguments, name)]:
        raise InputError(f"{given[0]} says more about --weights, and none are given")
    asked = {"in_chans": arguments.in_chans, "num_classes": arguments.num_classes}
    for name in arguments.models:
        if os.path.exists(name) and name not in (*PRESETS, *VARIANTS):
            raise InputError(f"{name} is a file or folder, and no model's name; --weights {name} counts the model in it")
    for name in chosen_models(arguments.models or [DEFAULT_MODEL]):
        preset = find_preset(name)
        check_options(preset.family, changes, f" of {name}")
        # The presets as `mvnp models` counts them and the demo trains them.
        data = {"in_chans": 1, "num_classes": 10} if name in PRESETS else {"in_chans": 3, "num_classes": 1000}
        data |= {option: value for option, value in asked.items() if value is not None}
        yield name, preset.make(data["in_chans"], data["num_classes"], allocate=False, **changes), preset.image_size


def _memory(row: LayerCost, model: Classifier | Backbone, batch: int) -> int:
    """Bytes of a layer's output."""
    return batch * math.prod(row.shape) * {"float32": 4, "float64": 8}[model.config["dtype"]]


def _flops(row: LayerCost) -> int:
    return 2 * row.macs + row.scan_flops


def _show(name: str, model: Classifier | Backbone, size: tuple[int, int], batch: int, cost: ModelCost) -> None:
    def line(first: str, kind: str, shape: str, rows: list[LayerCost]) -> list[str]:
        parameters = sum(row.parameters for row in rows)
        flops = sum(map(_flops, rows))
        memory = sum(_memory(row, model, batch) for row in rows)
        counts = [f"{parameters:,}" if parameters else "-", f"{flops / 1e6:,.3f}" if flops else "-", _bytes(memory)]
        return [first, kind, shape, *counts]

    rows = [line(row.path, row.kind, " x ".join(map(str, row.shape)), [row]) for row in cost.rows]
    parts = dict.fromkeys(row.part for row in cost.rows)
    totals = [line(part, "", "", [row for row in cost.rows if row.part == part]) for part in parts]
    totals.append(line("all", "", "", list(cost.rows)))
    height, width = size
    print(f"{name}, {model.in_chans} x {height} x {width}\n")
    header = ["layer", "kind", "output", "parameters", "MFLOPs", "memory"]
    lines = table(header, [*rows, *totals], right=(3, 4, 5)).splitlines()
    print("\n".join([*lines[: len(rows) + 1], "", *lines[len(rows) + 1 :]]))
    digits = 2 if cost.flops > 2e9 else 3  # as `mvnp models` shows them
    weights = sum(param.size * param.dtype.itemsize for _, param in model.named_parameters())
    print(
        f"\n{cost.flops / 2e9:.{digits}f} GMACs, {cost.flops / 1e9:.{digits}f} GFLOPs, of which"
        f" {cost.scan_flops / 1e6:.2f} MFLOPs are the scans'; the parameters are {_bytes(weights)}"
    )
    pictures = "one picture" if batch == 1 else f"{batch} pictures"
    print(f"\n{NOTES.format(batch=pictures, dtype=model.config['dtype'])}")


def _bytes(count: int) -> str:
    """In B, kB or MB, of 1000 and 10^6 bytes, as files are measured."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _show_json(name: str, model: Classifier | Backbone, size: tuple[int, int], batch: int, cost: ModelCost) -> None:
    rows: list[dict[str, Any]] = [
        {
            "layer": row.path,
            "kind": row.kind,
            "output": list(row.shape),
            "parameters": row.parameters,
            "macs": row.macs,
            "scan_flops": row.scan_flops,
            "flops": _flops(row),
            "output_bytes": _memory(row, model, batch),
        }
        for row in cost.rows
    ]
    total = {
        "parameters": cost.parameters,
        "macs": cost.macs,
        "scan_flops": cost.scan_flops,
        "flops": cost.flops,
        "output_bytes": sum(row["output_bytes"] for row in rows),
    }
    about = {"model": name, "input": [model.in_chans, *size], "batch": batch, "dtype": model.config["dtype"]}
    print(json.dumps({**about, "total": total, "layers": rows}))
