"""`mvnp models`: the released variants, and the small models for training from scratch."""

from __future__ import annotations

import argparse

from .arguments import Parser, table

SUMMARY = "list the models with their size, cost and published accuracy"

USAGE = "mvnp models"

DESCRIPTION = """\
List the models: the released variants of MambaVision, Vim and VMamba, and
small ones for training from scratch. `mvnp train --model NAME` takes any of them, and in
Python mvnp.create_model(NAME) the released ones."""

EXAMPLES = """\
example:
  mvnp models"""

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
    """None but --help."""


def run(arguments: argparse.Namespace) -> int:
    from ..costs.cost import model_cost
    from ..models.classifier import Classifier
    from ..models.variants import VARIANTS, create_model
    from ..training.presets import PRESETS

    def row(name: str, model: Classifier, image_size: int, top_1: str) -> list[str]:
        cost = model_cost(model, image_size)
        return [
            name,
            f"{cost.parameters:,}",
            f"{cost.flops / 2e9:.{2 if cost.flops > 2e9 else 3}f}",
            f"{image_size}x{image_size}",
            top_1,
        ]

    rows = [
        row(name, create_model(name, allocate=False), variant.input_size, f"{TOP_1[name]:.1f}")
        for name, variant in VARIANTS.items()
    ]
    for name, preset in PRESETS.items():
        model = preset.make(channels=1, classes=10, allocate=False)
        rows.append(row(name, model, preset.image_size, "-"))
    print(table(["model", "parameters", "GMACs", "input", "top-1"], rows, right=(1, 2, 3, 4)))
    print(f"\n{NOTES}")
    return 0
