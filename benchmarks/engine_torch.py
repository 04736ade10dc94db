"""PyTorch's side of a model case: eager, or compiled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import Case
from engine_mvnp import images
from torch_twin import TorchMambaVision

ARGUMENTS = "arguments"  # the entry of the weights' file that is no parameter


def save_weights(model: str, path: Path) -> None:
    """Write mvnp's first values of a model, and the arguments of the twin that takes them."""
    import mvnp
    from mvnp.models.variants import VARIANTS

    arguments = VARIANTS[model].arguments()
    known = {name: value for name, value in arguments.items() if name != "drop_path_rate"}
    state = mvnp.create_model(model, drop_path_rate=0.0).state_dict()
    with open(path, "wb") as file:
        np.savez(file, **{ARGUMENTS: json.dumps(known)}, **{key: np.array(value) for key, value in state.items()})


def twin(case: Case, weights: Path, scan: str) -> TorchMambaVision:
    """The model with these weights, and with this one of torch_twin.SCANS unless the case leaves it out. The weights
    are read one by one and mvnp is not imported: both would add to the peak memory."""
    with np.load(weights) as saved, torch.no_grad():
        model = TorchMambaVision(**json.loads(str(saved[ARGUMENTS])), scan=scan if case.scan else None)
        state = model.state_dict()
        if set(state) != set(saved.files) - {ARGUMENTS}:
            raise ValueError(f"{weights} and the twin have different parameters")
        for key, tensor in state.items():
            tensor.copy_(torch.from_numpy(saved[key]))
    return model


def make(case: Case, weights: Path, threads: int, compiled: bool = False) -> Callable[[], Any]:
    """A call gives the logits, or makes one training step and gives its loss."""
    torch.set_num_threads(threads)
    model, x = twin(case, weights, "lean" if compiled else "reference"), torch.from_numpy(images(case))
    function = torch.compile(model) if compiled else model
    if case.mode == "inference":
        model.eval()

        def forward() -> Any:
            with torch.inference_mode():
                return function(x).numpy()

        return forward
    labels, optimiser = torch.arange(case.batch), torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> Any:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(function(x), labels)
        loss.backward()
        optimiser.step()
        return loss.detach().numpy()

    return step
