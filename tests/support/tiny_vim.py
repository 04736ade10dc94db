"""A Vim small enough for gradient checks, and the arguments of the official constructor in our words."""

from __future__ import annotations

from typing import Any

from mvnp import Vim

from .randomise import randomised

TINY_VIM: dict[str, Any] = {
    "img_size": (12, 10),
    "patch_size": 4,
    "stride": 3,
    "embed_dim": 6,
    "depth": 2,
    "in_chans": 2,
    "num_classes": 3,
    "d_state": 2,
}


def tiny_vim(**overrides: Any) -> Vim:
    """With random parameters: see randomise.py."""
    return randomised(Vim(**{**TINY_VIM, **overrides}), seed=1)


def from_official(official: dict[str, Any]) -> dict[str, Any]:
    """Arguments of Vim that make the same network as these of the official VisionMamba."""
    same = ("img_size", "patch_size", "stride", "embed_dim", "depth", "num_classes", "d_state")
    place = "double" if official.get("use_double_cls_token") else "middle" if official.get("use_middle_cls_token") else "head"
    one = "paired" if official.get("if_bidirectional") else "one"
    return {
        **{name: official[name] for name in same},
        "in_chans": official["channels"],
        "class_token": place if official["if_cls_token"] else None,
        "pool": {"mean": "mean", "max": "max", "none": "last"}[official["final_pool_type"]],
        "directions": {"v2": "both", "v1": "shared", "none": one}[official["bimamba_type"]],
        "halve": official["if_divide_out"],
        "norm": "rms" if official["rms_norm"] else "layer",
        "layer_scale": official.get("init_layer_scale"),
    }
