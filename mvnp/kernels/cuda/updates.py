"""The twin of mvnp/training/updates.py, for AdamW and LAMB: a dozen launches for all parameters together, in place of a dozen
for each.

Parameters and moments lie in one row of memory each (`Flat`), of which the arrays that everybody else sees are views;
gradients are gathered into another. The norm, the factor that clips, and whether the step is taken at all are found on the
device, and read with the loss when all has been launched. What each thread does stands in updates.cu."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...backend import Array, array_module, to_numpy
from .launch import Kernels, accumulator_dtype, contiguous

KERNELS = Kernels("updates")
CHUNK, THREADS, MANY = 1024, 256, 32  # as in updates.cu
GATHERERS = 64  # blocks for each gradient


def guarded_update(
    loss: Array, optimizer: Any, gradients: Mapping[str, Array], lr: float, clip_norm: float | None
) -> tuple[float, float]:
    """As in mvnp/training/updates.py."""
    launches = LAUNCHES.get(vars(type(optimizer)).get("fused", ""))
    if launches is None or not _taken(optimizer, gradients):
        return NotImplemented
    fitting = optimizer.fitting(gradients)
    flat = _flat_of(optimizer)
    optimizer.steps += 1
    found = flat.gather(fitting, loss, clip_norm)
    launches(flat, optimizer, found, float(lr))
    nats, norm, _ = (float(value) for value in to_numpy(found))
    if not (math.isfinite(nats) and math.isfinite(norm)):
        optimizer.steps -= 1
    return nats, norm


class Flat:
    """All parameters of an optimiser, one after the other, and its moments likewise."""

    def __init__(self, optimizer: Any) -> None:
        params = optimizer.parameters
        first = next(iter(params.values())).data
        xp, dtype, real = array_module(first), first.dtype, accumulator_dtype(first.dtype)
        chunks = [-(-param.size // CHUNK) for param in params.values()]
        ends = list(itertools.accumulate(chunks))
        starts = [0, *ends[:-1]]
        self.names, self.chunks = list(params), ends[-1]
        self.settings = _settings(optimizer)
        tables = {
            "starts": np.array(starts, np.int32) * CHUNK,
            "sizes": np.array([param.size for param in params.values()], np.int32),
            "owner": np.repeat(np.arange(len(chunks), dtype=np.int32), chunks),
            "first": np.array([0, *ends], np.int32),
            "rates": np.array([rate for rate, _ in self.settings], real),
            "decays": np.array([decay for _, decay in self.settings], real),
        }
        self.tables = {name: xp.asarray(table) for name, table in tables.items()}
        self.rows = {row: xp.zeros(self.chunks * CHUNK, dtype) for row in ("p", "g", *optimizer.moments)}
        places = zip(self.names, starts, params.values(), strict=True)
        self.slices = {name: (slice(start * CHUNK, start * CHUNK + param.size), param.shape) for name, start, param in places}
        self.views: dict[str, dict[str, Array]] = {
            row: {name: self.rows[row][part].reshape(shape) for name, (part, shape) in self.slices.items()}
            for row in ("p", *optimizer.moments)
        }
        self.squares = xp.empty(max(len(chunks) * GATHERERS, 2 * self.chunks), real)
        self.ratios, self.found = xp.empty(len(chunks), real), xp.empty(3, real)

    def take_in(self, optimizer: Any) -> None:
        """Have the arrays of the optimiser lie here, also those that have been replaced since: by loading, say."""
        for name, view in self.views["p"].items():
            param = optimizer.parameters[name]
            if param.data is not view:
                view[...] = param.data
                param.data = view
        for moment in optimizer.moments:
            arrays = getattr(optimizer, moment)
            for name, view in self.views[moment].items():
                if arrays[name] is not view:
                    view[...] = arrays[name]
                    arrays[name] = view

    def gather(self, gradients: Mapping[str, Array], loss: Array, clip_norm: float | None) -> Array:
        """The gradients into one row; (loss, norm, factor that clips) on the device."""
        row, tables = self.rows["g"], self.tables
        arrays = [contiguous(gradients[name], row.dtype) for name in self.names]
        for first in range(0, len(arrays), MANY):
            some = arrays[first : first + MANY]
            sizes = self.squares, tables["starts"], tables["sizes"], first, len(some)
            padding = (some[0],) * (MANY - len(some))
            KERNELS.launch("gather", (GATHERERS, len(some)), THREADS, row, *sizes, *some, *padding)
        limit = -1.0 if clip_norm is None else float(clip_norm)
        one = contiguous(loss, self.found.dtype)
        KERNELS.launch("find_norm", 1, 1024, self.found, self.squares, one, len(arrays) * GATHERERS, limit)
        return self.found

    def launch(self, name: str, *arguments: Any) -> None:
        """A kernel with a block for each chunk."""
        KERNELS.launch(name, self.chunks, THREADS, *arguments)


def _adamw(flat: Flat, optimizer: Any, found: Array, lr: float) -> None:
    rows, tables, (beta1, beta2), t = flat.rows, flat.tables, optimizer.betas, optimizer.steps
    rates = tables["owner"], tables["rates"], tables["decays"]
    betas = beta1, 1 - beta1, beta2, 1 - beta2
    constants = (lr, *betas, 1 / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t), optimizer.eps)
    flat.launch("adamw", rows["p"], rows["g"], rows["m"], rows["v"], found, *rates, *map(float, constants))


def _lamb(flat: Flat, optimizer: Any, found: Array, lr: float) -> None:
    rows, tables, (beta1, beta2), t = flat.rows, flat.tables, optimizer.betas, optimizer.steps
    arrays = rows["p"], rows["g"], rows["m"], rows["v"], found
    rates, limit = (tables["owner"], tables["rates"], tables["decays"]), optimizer.max_grad_norm
    corrections = (1 / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t)) if optimizer.bias_correction else (1.0, 1.0)
    betas = beta1, 1 - beta1 if optimizer.grad_averaging else 1.0, beta2, 1 - beta2
    constants = (lr, -1.0 if limit is None else limit, *betas, *corrections, optimizer.eps)
    flat.launch("lamb_direction", *arrays, *rates, flat.squares, *map(float, constants), bool(optimizer.decoupled))
    tables_of_ratios = flat.ratios, flat.squares, tables["first"], tables["decays"]
    flags = bool(optimizer.always_adapt), bool(optimizer.trust_clip)
    KERNELS.launch("lamb_ratios", len(flat.names), THREADS, *tables_of_ratios, *flags)
    flat.launch("lamb_step", rows["p"], rows["g"], found, tables["owner"], tables["rates"], flat.ratios, lr)


LAUNCHES = {"adamw": _adamw, "lamb": _lamb}


def _flat_of(optimizer: Any) -> Flat:
    """That of the optimiser, made anew where its settings have changed."""
    flat = vars(optimizer).get("_flat")
    if flat is None or flat.settings != _settings(optimizer):
        flat = optimizer._flat = Flat(optimizer)
    flat.take_in(optimizer)
    return flat


def _settings(optimizer: Any) -> list[tuple[float, float]]:
    """A factor of the rate, and λ, of each parameter."""
    return [(optimizer.lr_scales.get(name, 1.0), optimizer.decay_of(name)) for name in optimizer.parameters]


def _taken(optimizer: Any, gradients: Mapping[str, Array]) -> bool:
    """Whether all is of one floating dtype, and each gradient is of a parameter of the optimiser: the norm is that of all."""
    arrays = [param.data for param in optimizer.parameters.values()] + [gradients.get(name) for name in optimizer.parameters]
    if not arrays or len(gradients) != len(optimizer.parameters) or any(array is None for array in arrays):
        return False
    kind, dtype = type(arrays[0]), arrays[0].dtype
    return dtype in (np.float32, np.float64) and all(type(array) is kind and array.dtype == dtype for array in arrays)
