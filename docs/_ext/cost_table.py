"""`{cost} layernorm`: what a layer costs at its shapes in mamba_vision_T, counted by running its source.

The counting is that of layer_cost.py. Below the table: how often the layer occurs in the model, from mvnp/costs/cost.py.
"""

from __future__ import annotations

import importlib
import re
from functools import cache

from docutils import nodes
from layer_cost import Cost, costs_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import mvnp
from mvnp.costs.cost import ModelCost, model_cost

VARIANT, SIZE = "mamba_vision_T", 224
KINDS = {"selective_scan": "scan", "attention": "attention", "window": "windows"}  # rows of model_cost that are no class


class CostTable(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        stem = self.arguments[0]
        costs = costs_of(stem)
        if not costs:
            raise self.error(f"cost: no row of benchmarks/layers.py is for {stem}")
        self.env.note_dependency(self.env.srcdir.parent / "mvnp" / "layers" / f"{stem}.py")
        return [nodes.container("", *self.parse_text_to_nodes("\n".join(table_of(stem, costs))), classes=["made-table"])]


def table_of(stem: str, costs: list[Cost]) -> list[str]:
    """A table in Markdown, two lines for each shape, and what the whole model has of the layer."""
    rows = [
        "| one image, float32 | | in products | other operations | bytes | operations a byte |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for cost in costs:
        for name, label, one in ((cost.name, "forward", cost.forward), ("", "backward", cost.backward)):
            numbers = f"{_short(one.products)} | {_short(one.others)} | {_short(one.bytes)} | {one.intensity:.2g}"
            rows.append(f"| {_sized(name)} | {label} | {numbers} |")
    kept = "; ".join(f"{_short(cost.kept)} bytes ({_sized(cost.name)})" for cost in costs if cost.kept)
    return [
        *rows,
        "",
        f"Kept for the backward, beside the input: {kept or 'nothing'}. {in_the_model(stem)}",
        "",
        "*Counted when this page was built, by running the source on arrays that count: an operation is a multiplication or"
        " addition of a matrix product, or one result of any other function; bytes are what the calls read and write.*",
    ]


def in_the_model(stem: str) -> str:
    """How often mamba_vision_T has the layer, and how much of its parameters and products."""
    names = {name for name, thing in vars(importlib.import_module(f"mvnp.layers.{stem}")).items() if isinstance(thing, type)}
    names.add(KINDS.get(stem, ""))
    whole = _whole_model()
    rows = [row for row in whole.rows if row.kind in names]
    if not rows:
        return ""
    text = f"{VARIANT} does this {len(rows)} times for an image of {SIZE}×{SIZE}"
    if parameters := sum(row.parameters for row in rows):
        text += f", with {parameters:,} of its {whole.parameters:,} parameters"
    if macs := sum(row.macs for row in rows):
        text += f" and {macs / whole.macs:.1%} of its {whole.macs / 1e9:.2f}·10⁹ multiply-accumulates"
    return text + "."


@cache
def _whole_model() -> ModelCost:
    return model_cost(mvnp.create_model(VARIANT, allocate=False), SIZE)


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
