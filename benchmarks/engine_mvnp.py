"""mvnp's side of a model case: a function that makes one call."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from cases import Case


def images(case: Case) -> np.ndarray:
    """The case's input, the same for every engine: (batch, 3, height, width)."""
    shape = (case.batch, 3, case.height, case.width)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def make(case: Case) -> Callable[[], Any]:
    """A call gives the logits, or makes one training step and gives its loss."""
    import mvnp
    from mvnp.execution.scratch import keep_freed_memory
    from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
    from mvnp.training.adamw import AdamW

    keep_freed_memory()  # as mvnp's commands do
    if not case.scan:
        leave_out_scan()
    model, x = mvnp.create_model(case.model, drop_path_rate=0.0), images(case)
    if case.mode == "inference":
        return lambda: model(x)
    optimiser, labels = AdamW(model.named_parameters()), np.arange(case.batch)

    def step() -> Any:
        tape = mvnp.Tape(training=True, inputs=False)  # PyTorch leaves out the gradient of the images too
        loss, cache = cross_entropy_forward(model(x, tape), labels)
        model.backward(cross_entropy_backward(1.0, cache), tape)
        optimiser.step(model.gradients(tape), lr=1e-3)
        tape.commit()
        return loss

    return step


def leave_out_scan() -> None:
    """From now on in this process every mixer's scan is y = x. Nothing flows back through its gates."""
    from mvnp.models import mixer

    def forward(x: Any, dt: Any, A: Any, B: Any, C: Any, D: Any, dt_bias: Any = None, **options: Any) -> Any:
        return x, SimpleNamespace(dt=dt, A=A, B=B, C=C, D=D, dt_bias=dt_bias)

    def backward(dy: Any, cache: Any, **options: Any) -> Any:
        return dy, *(None if array is None else np.zeros_like(array) for array in vars(cache).values())

    mixer.selective_scan_forward, mixer.selective_scan_backward = forward, backward
