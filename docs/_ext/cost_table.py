"""`{cost} layernorm`: what a layer costs at its shapes in mamba_vision_T, counted by running its source.

The counting is that of layer_cost.py. Above the table, which is folded: what is kept, and how often the layer occurs in a
model, from mvnp/costs/cost.py.
"""

from __future__ import annotations

import importlib
import re
from functools import cache

from docutils import nodes
from fold import fold
from layer_cost import Cost, costs_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import mvnp
from mvnp.costs.cost import ModelCost, model_cost
from mvnp.costs.walk import LayerCost

SIZE = 224
VARIANTS = ("mamba_vision_T", "mamba_vision_B", "vim_tiny", "vmamba_tiny_s1l8")  # the first that has the layer is asked

# What stands in model_cost under another name than a class of the layer's file: (kinds of rows, whether these are all of it).
OTHERWISE = {
    "selective_scan": ("scan", True),
    "attention": ("attention", True),
    "window": ("windows", True),
    "silu": ("Conv1d", False),
    "softmax": ("attention", False),
    "softplus": ("scan", False),
    "linear_recurrence": ("scan", False),
}
INSIDE = {"Conv1d": "the convolutions of its mixers", "attention": "attention", "scan": "its scans"}


class CostTable(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        stem = self.arguments[0]
        costs = costs_of(stem)
        if not costs:
            raise self.error(f"cost: no row of benchmarks/layers.py is for {stem}")
        self.env.note_dependency(self.env.srcdir.parent / "mvnp" / "layers" / f"{stem}.py")
        table = nodes.container("", *self.parse_text_to_nodes("\n".join(table_of(costs))), classes=["made-table"])
        return [*self.parse_text_to_nodes(in_short(stem, costs)), fold("Operations and bytes, counted", table)]


def in_short(stem: str, costs: list[Cost]) -> str:
    """What the forward leaves for the backward, and what the whole model has of the layer."""
    kept = "; ".join(f"{_short(cost.kept)} bytes ({_sized(cost.name)})" for cost in costs if cost.kept)
    return f"Kept for the backward, beside the input: {kept or 'nothing'}. {in_the_model(stem)}"


def table_of(costs: list[Cost]) -> list[str]:
    """A table in Markdown, two lines for each shape."""
    rows = [
        "| one image, float32 | | in products | other operations | bytes | operations a byte |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for cost in costs:
        for name, label, one in ((cost.name, "forward", cost.forward), ("", "backward", cost.backward)):
            numbers = f"{_short(one.products)} | {_short(one.others)} | {_short(one.bytes)} | {one.intensity:.2g}"
            rows.append(f"| {_sized(name)} | {label} | {numbers} |")
    return [
        *rows,
        "",
        "*Counted when this page was built, by running the source on arrays that count: an operation is a multiplication or"
        " addition of a matrix product, or one result of any other function; bytes are what the calls read and write.*",
    ]


def in_the_model(stem: str) -> str:
    """How often the first of VARIANTS that has the layer has it, and how much of its parameters and products."""
    for variant in VARIANTS:
        whole = _whole(variant)
        rows, owner = rows_of(whole, stem)
        if rows:
            break
    else:
        return ""
    text = f"{variant} does this {_times(len(rows))} for an image of {SIZE}×{SIZE}"
    if owner:
        return f"{text}, in {owner}."
    rows = [*rows, *_projections(whole, rows)] if stem == "attention" else rows
    if parameters := sum(row.parameters for row in rows):
        text += f", with {parameters:,} of its {whole.parameters:,} parameters"
    if macs := sum(row.macs for row in rows):
        share = f"{_share(macs / whole.macs)} of its {whole.macs / 1e9:.2f}·10⁹ multiply-accumulates"
        text += f" and {share}" if parameters else f", with {share}"
    return f"{text}{', projections included' if stem == 'attention' else ''}."


def rows_of(whole: ModelCost, stem: str) -> tuple[list[LayerCost], str]:
    """The rows of a model that are of this layer; and where they are of another that has it inside, what that is."""
    kind, own = OTHERWISE.get(stem, ("", True))
    module = importlib.import_module(f"mvnp.layers.{stem}")
    # Those that the file defines: it may import others to build on.
    names = {name for name, thing in vars(module).items() if isinstance(thing, type) and thing.__module__ == module.__name__}
    found = [row for row in whole.rows if row.kind in names]
    if found or not kind:
        return found, ""
    return [row for row in whole.rows if row.kind == kind], "" if own else INSIDE[kind]


def _projections(whole: ModelCost, rows: list[LayerCost]) -> list[LayerCost]:
    """What stands below the paths of these rows."""
    return [row for row in whole.rows if any(row.path.startswith(f"{other.path}.") for other in rows)]


@cache
def _whole(variant: str) -> ModelCost:
    return model_cost(mvnp.create_model(variant, allocate=False), SIZE)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _share(x: float) -> str:
    """Two digits of a percentage, however small."""
    return f"{100 * x:.1f} %" if x >= 0.001 else f"{100 * x:.1g} %"


def _sized(name: str) -> str:
    """The x between two numbers as ×; that of Softmax stays."""
    return re.sub(r"(?<=\d)x(?=\d)", "×", name)


def _short(number: int) -> str:
    """Three digits: 1.23 M, 45.6 k."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.{max(0, 2 - len(str(int(scaled))) + 1)}f}{unit}"
    return str(number)


def setup(app: Sphinx) -> dict:
    app.add_directive("cost", CostTable)
    return {"parallel_read_safe": True}
