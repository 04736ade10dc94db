"""Where the official release, the paper and good sense part ways, and the switches between them.

    dt_bias      "twice"        Δ = softplus(W dt + b + b): the bias is added in dt_proj and again
                                in the scan (official)
                 "once"         Δ = softplus(W dt + b), as in Mamba
    dt_init      "overwritten"  dt_proj starts like every linear layer, so Δ ≈ 0.69 at first
                                (official)
                 "published"    b = softplus⁻¹(Δ) with Δ log-uniform in 0.001–0.1, W uniform in
                                ±1/√R, as in Mamba
    head_norm    "batch"        BatchNorm before the pooling (official)
                 "layer"        LayerNorm over the channels (Edifice)
    padding      "visible"      padded tokens take part in the scan and in attention (official)
                 "masked"       they are left out: the scan passes over them and no query sees
                                their keys

`official` is what loads the released weights. `paper` is the paper with Mamba's published Δ.
`corrected` also masks padding.

Source: behaviour of the official release; Gu, Dao: Mamba, arXiv:2312.00752, section 3.6 for the
initialisation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ..errors import check_choice

CHOICES = {
    "dt_bias": ("twice", "once"),
    "dt_init": ("overwritten", "published"),
    "head_norm": ("batch", "layer"),
    "padding": ("visible", "masked"),
}


@dataclass(frozen=True)
class Quirks:
    """One choice for each switch; the defaults are the official release's."""

    dt_bias: str = "twice"
    dt_init: str = "overwritten"
    head_norm: str = "batch"
    padding: str = "visible"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_choice(name, value, CHOICES[name])


PRESETS = {
    "official": Quirks(),
    "paper": Quirks(dt_bias="once", dt_init="published"),
    "corrected": Quirks(dt_bias="once", dt_init="published", padding="masked"),
}


def resolve(preset: str, **switches: str | None) -> Quirks:
    """The named preset with these switches in place of its own; None leaves a switch as it is."""
    check_choice("quirks", preset, PRESETS)
    return replace(
        PRESETS[preset], **{name: value for name, value in switches.items() if value is not None}
    )
