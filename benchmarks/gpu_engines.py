"""The engines of benchmarks/gpu.py: each measures one case in a process of its own. None of this runs without a GPU."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engine_mvnp import images
from gpu_cases import GpuCase
from gpu_timer import cupy_clock, seconds, torch_clock


def measure(gpu_case: GpuCase, engine: str, weights: Path) -> dict[str, float]:
    """Seconds of one call and peak memory in MB."""
    return _mvnp(gpu_case) if engine == "mvnp" else _torch(gpu_case, engine, weights)


def rates() -> dict[str, Any]:
    """The device's name, and what it reaches: operations a second in float32 products, bytes a second in copies."""
    import cupy

    clock = cupy_clock()
    square, large = cupy.ones((8192, 8192), "float32"), cupy.ones(1 << 28, "float32")
    target = cupy.empty_like(large)
    return {
        "device": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
        "rate": 2 * 8192**3 / seconds(lambda: square @ square, clock),
        "bandwidth": 2 * large.nbytes / seconds(lambda: cupy.copyto(target, large), clock),
    }


def _mvnp(gpu_case: GpuCase) -> dict[str, float]:
    os.environ["MVNP_BACKEND"] = "cupy"
    import mvnp
    from mvnp.backend import gpu_memory, use_tf32
    from mvnp.execution.fixed import fixed_weights
    from mvnp.training import AdamW, train_step
    from mvnp.training.loss_scale import FIRST

    case = gpu_case.case
    use_tf32("off" if gpu_case.precision == "float32" else "on")
    model, x = mvnp.create_model(case.model, drop_path_rate=0.0), mvnp.from_numpy(images(case))
    if case.mode == "inference":
        with fixed_weights():
            taken = seconds(lambda: model(x), cupy_clock())
    else:
        optimizer, labels = AdamW(model.named_parameters()), np.arange(case.batch)
        # A small scale: a step that overflows would be skipped, and would be too quick.
        scale = FIRST / 256 if gpu_case.precision == "mixed" else None
        taken = seconds(lambda: train_step(model, optimizer, x, labels, lr=1e-4, loss_scale=scale), cupy_clock())
    return {"seconds": taken, "peak_mb": (gpu_memory() or 0) / 1e6}


def _torch(gpu_case: GpuCase, engine: str, weights: Path) -> dict[str, float]:
    import torch
    import torch_twin
    from engine_torch import twin

    torch_twin.SCANS["fused"] = _fused_scan
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = gpu_case.precision != "float32"
    case = gpu_case.case if engine != "bound" else dataclasses.replace(gpu_case.case, scan=False)
    model = twin(case, weights, "fused" if engine == "fused" else "reference").cuda()
    x = torch.from_numpy(images(case)).cuda()
    mixed = torch.autocast("cuda", torch.float16, enabled=gpu_case.precision == "mixed")
    taken = seconds(_torch_call(model, x, case.mode, mixed), torch_clock())
    return {"seconds": taken, "peak_mb": torch.cuda.max_memory_reserved() / 1e6}


def _torch_call(model: Any, x: Any, mode: str, mixed: Any) -> Callable[[], Any]:
    import torch

    if mode == "inference":
        model.eval()

        def forward() -> Any:
            with torch.inference_mode(), mixed:
                return model(x)

        return forward
    optimizer, labels = torch.optim.AdamW(model.parameters(), lr=1e-4), torch.arange(len(x), device="cuda")
    scaler = torch.amp.GradScaler("cuda", enabled=mixed._enabled)

    def step() -> None:
        optimizer.zero_grad()
        with mixed:
            loss = torch.nn.functional.cross_entropy(model(x), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def _fused_scan(x: Any, dt: Any, A: Any, B: Any, C: Any, D: Any, bias: Any) -> Any:
    """torch_twin.reference_scan by the kernel of mamba_ssm, which takes channels first. Gu, Dao: Mamba, section 3.3.2."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    u, delta, B, C = (tensor.transpose(1, 2).contiguous() for tensor in (x, dt, B, C))
    y = selective_scan_fn(u, delta, A, B, C, D, delta_bias=bias.float(), delta_softplus=True)
    return y.transpose(1, 2)
