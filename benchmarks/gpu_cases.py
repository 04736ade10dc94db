"""What benchmarks/gpu.py measures: its cases and engines, and the least that a GPU has to do for each."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from cases import Case

ENGINES = {
    "mvnp": "mvnp",
    "torch": "PyTorch, reference scan",
    "fused": "PyTorch, fused scan",
    "bound": "PyTorch, scan left out",
}
# float32: no product or convolution rounds its factors. TF32: all do. mixed: TF32, and float16 where an engine uses it.
PRECISIONS = ("float32", "TF32", "mixed")
BATCHES = {"inference": (1, 32, 128), "training": (32, 128)}
MODELS = ("mamba_vision_T", "mamba_vision_S", "mamba_vision_B")


@dataclass(frozen=True)
class GpuCase:
    """One line of the table, before it is timed. `precision`: of PRECISIONS; see there."""

    case: Case
    precision: str

    @property
    def key(self) -> str:
        """How it is named on a command line."""
        return f"{self.case.key}-{self.precision}"

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.case.title}, {self.precision}"

    def traffic(self) -> int:
        """Bytes that cannot be avoided: the parameters once, and the output of each layer written once and read once; three
        times as many with the backward."""
        from mvnp.costs.cost import model_cost
        from mvnp.models.variants import create_model

        cost = model_cost(create_model(self.case.model, allocate=False), self.case.height, self.case.width)
        outputs = sum(_product(row.shape) for row in cost.rows)
        numbers = cost.parameters + 2 * outputs * self.case.batch
        return numbers * (2 if self.precision == "mixed" else 4) * (3 if self.case.mode == "training" else 1)

    def floor_seconds(self, rate: float, bandwidth: float) -> float:
        """How long it takes at least: its operations at `rate` a second, or its bytes at `bandwidth`, whichever is longer."""
        return max(self.case.operations() / rate, self.traffic() / bandwidth)

    def reason_against(self, engine: str) -> str | None:
        """Why an engine cannot be measured here; None: it can."""
        if engine == "mvnp" and self.precision == "mixed" and self.case.mode == "inference":
            return "mixed precision of mvnp is for training"
        packages = {"mvnp": ("cupy",), "torch": ("torch",), "fused": ("torch", "mamba_ssm"), "bound": ("torch",)}[engine]
        lacking = [name for name in packages if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(lacking)}" if lacking else None


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


GPU_CASES = {
    found.key: found
    for model in MODELS
    for mode, batches in BATCHES.items()
    for batch in batches
    for precision in PRECISIONS
    for found in [GpuCase(Case(f"{model[-1].lower()}-{mode}-{batch}", model, mode, batch), precision)]
}
