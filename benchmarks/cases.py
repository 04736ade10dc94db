"""The whole-model cases that are timed, and the peers each is timed beside."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

PEERS = {
    "torch": "PyTorch",
    "compile": "torch.compile",
    "onnx": "ONNX Runtime, PyTorch's export",
    "own": "ONNX Runtime, mvnp's export",
    "openvino": "OpenVINO, mvnp's export",
    "kernels": "mvnp with kernels",
    "former": "mvnp as it was",
}
EXPORTED = {"onnx": "torch", "own": "mvnp", "openvino": "mvnp"}  # who writes the file that a peer runs


@dataclass(frozen=True)
class Case:
    """One line of the tables, before it is timed.

    mode     "inference" or "training": forward, backward and AdamW
    scan     False: on both sides every selective scan is replaced by its input
    peers    keys of PEERS
    book     True: mvnp runs without kernels, by the array code alone
    quick    whether `--quick` times it too
    """

    key: str
    model: str
    mode: str
    batch: int
    height: int = 224
    width: int = 224
    scan: bool = True
    book: bool = False
    peers: tuple[str, ...] = ("torch",)
    quick: bool = False

    @property
    def group(self) -> str:
        """The table that the case belongs to, as `--only` names it."""
        if not self.scan:
            return "scan"
        if self.book:
            return "book"
        return "training" if self.mode == "training" else "models"

    @property
    def title(self) -> str:
        """What the tables call it."""
        size = f"{self.height}x{self.width}"
        what = "training step" if self.mode == "training" else "inference"
        return f"{self.model[-1]} {what}, {size}, batch {self.batch}" + ("" if self.scan else ", no scan")

    def operations(self) -> int:
        """FLOPs of one call: those of the forward, three times as many with the backward."""
        from mvnp.costs.cost import model_cost
        from mvnp.models.variants import create_model

        cost = model_cost(create_model(self.model), self.height, self.width)
        flops = cost.flops if self.scan else 2 * cost.macs
        return flops * self.batch * (3 if self.mode == "training" else 1)


def floor_seconds(operations: float, rate: float) -> float:
    """How long `operations` take at `rate` operations a second, were they all one big matrix product."""
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"the matrix rate is {rate}, expected a positive number")
    return operations / rate


T, S = "mamba_vision_T", "mamba_vision_S"

OTHERS = ("onnx", "own", "openvino")
_WITH_SCAN = [
    Case("t1", T, "inference", 1, peers=("torch", *OTHERS), quick=True),
    Case("t8", T, "inference", 8, peers=("torch", *OTHERS, "compile"), quick=True),
    Case("t32", T, "inference", 32, peers=("torch", *OTHERS)),
    Case("t512", T, "inference", 1, 512, 512),
    Case("t1024", T, "inference", 1, 1024, 768),
    Case("s1", S, "inference", 1),
    Case("s8", S, "inference", 8),
    Case("train8", T, "training", 8, quick=True),
]
CENTRAL = [case for case in _WITH_SCAN if case.model == T and (case.height, case.width) == (224, 224)]
_WITHOUT_SCAN = [replace(case, key=f"{case.key}-noscan", scan=False, peers=("torch",), quick=False) for case in CENTRAL]
_BOOK = [replace(case, key=f"{case.key}-book", book=True, peers=("kernels", "former"), quick=False) for case in CENTRAL]
CASES = {case.key: case for case in [*_WITH_SCAN, *_WITHOUT_SCAN, *_BOOK]}
