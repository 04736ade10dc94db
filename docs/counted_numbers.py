"""The numbers in sentences that can be counted: by running a layer's source, from the tables of the models, from shapes.

A page writes `` {counted}`each batchnorm training forward` `` for what `each("batchnorm", "training", "forward")` gives. Layers
are counted by docs/_ext/layer_cost.py, at the shapes of benchmarks/layers.py; a row is named by a word of its name.
"""

from __future__ import annotations

from itertools import groupby

from layer_cost import Cost, costs_of

import mvnp
from mvnp.costs.cost import model_cost

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
FLOAT32 = 4  # bytes


def each(stem: str, row: str, way: str) -> str:
    """Operations for each number that a layer gives, in its forward or its backward."""
    cost = _row(stem, row)
    return _digits({"forward": cost.forward, "backward": cost.backward}[way].operations / cost.entries)


def kept(stem: str, row: str) -> str:
    """Bytes that a layer leaves for its backward, beside its inputs."""
    return _bytes(_row(stem, row).kept)


def each_state(way: str) -> str:
    """Operations of the selective scan for each number of its states, which are 8 for a channel."""
    cost = _row("selective_scan", "196x160")
    return _digits({"forward": cost.forward, "backward": cost.backward}[way].operations / cost.entries / 8)


def winograd_share(size: str) -> str:
    """Operations of Winograd's way over those of the definition, all transforms among them."""
    fast, plain = (_row("winograd", f"{way}, {size} to").forward.products for way in ("Winograd", "im2col"))
    return f"{100 * fast / plain:.0f} %"


def states(tokens: str = "196") -> str:
    """Bytes of the states of so many tokens in a scan of the third level of mamba_vision_T, one window, float32."""
    model = mvnp.create_model("mamba_vision_T", allocate=False)
    scan = next(row for row in model_cost(model, 224).rows if row.kind == "scan")
    return _bytes(int(tokens) * scan.shape[-1] * model.config["d_state"] * FLOAT32)


def Same_shapes() -> str:
    """How many pairs of released variants of MambaVision have weights of the same shapes, as the first word of a sentence."""
    return WORDS[len(pairs_of_variants())].capitalize()


def pairs_of_variants() -> list[tuple[str, ...]]:
    """The released variants of MambaVision whose weights have the same shapes."""
    from mvnp.models.variants import VARIANTS

    def shapes(name: str) -> list[tuple[str, tuple[int, ...]]]:
        model = mvnp.create_model(name, allocate=False)
        return [(key, tuple(param.shape)) for key, param in model.named_parameters()]

    names = sorted((name for name, variant in VARIANTS.items() if variant.family == "MambaVision"), key=shapes)
    return [group for _, found in groupby(names, key=shapes) if len(group := tuple(found)) > 1]


def mixer_biases() -> str:
    """How many parameters more mamba_vision_T would have, had the convolutions of its mixers a bias."""
    rows = model_cost(mvnp.create_model("mamba_vision_T", allocate=False), 224).rows
    return f"{sum(row.shape[-1] for row in rows if row.kind == 'Conv1d'):,}"


def qk_norms() -> str:
    """How many parameters more mamba_vision_T has with qk-norm."""
    plain, normed = (
        sum(param.size for _, param in mvnp.create_model("mamba_vision_T", allocate=False, **options).named_parameters())
        for options in ({}, {"qk_scale": True})
    )
    return f"{normed - plain:,}"


def _row(stem: str, word: str) -> Cost:
    return next(cost for cost in costs_of(stem) if word in cost.name)


def _digits(x: float) -> str:
    """Two digits, and no more than there are."""
    return f"{x:.2g}" if x < 10 else f"{x:.0f}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
