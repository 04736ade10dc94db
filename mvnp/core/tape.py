"""Tape: what one pass through a network leaves behind."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array
from ..errors import MvnpError
from ..execution.half import restored, stored
from ..execution.parallel import run
from .param import Buffer, Param

if TYPE_CHECKING:
    from .layer import Layer


class TapeError(MvnpError, RuntimeError):
    """A backward that does not answer the forward that was recorded."""


class Tape:
    """What one pass through a network records.

    training   True: batch statistics, dropout and drop path. False: evaluation behaviour, but recorded, so that it can
               be differentiated (saliency) or looked into.
    seed       of the generator that dropout and drop path draw from
    inputs     False: the gradient of the images is not wanted, and the model's backward gives None for it. Training has no
               use for it, and it belongs to the largest map of all.

    micro_batch    0, or how many samples at a time the levels of scan and attention may keep caches for, at the cost of a
                   second forward in the backward (recompute.py)
    half           whether caches and the gradients of the parameters are stored in float16 (half.py)
    """

    micro_batch = 0
    half = False

    alone = True  # False: other processes have more of the batch (mvnp/training/distributed/ranks.py)

    def __init__(self, training: bool = True, seed: int | list[int] = 0, inputs: bool = True) -> None:
        self.training, self.inputs = training, inputs
        self.rng: Any = np.random.default_rng(seed)
        self.entries: list[tuple[Layer, Any]] = []
        self._gradients: dict[int, Array] = {}
        self._pending: list[tuple[Buffer, Array]] = []

    def push(self, layer: Layer, cache: Any) -> None:
        """Record what `layer` needs for its backward."""
        if self.half:
            cache = stored(cache, {id(value.data) for value in vars(layer).values() if isinstance(value, Param)})
        self.entries.append((layer, cache))

    def pop(self, layer: Layer) -> Any:
        """Give back what `layer` pushed last. Raises TapeError where another layer's record is on top, or none."""
        if not self.entries:
            raise TapeError(
                f"backward of {layer.label}, but the tape is empty: run forward with this tape first, once for each backward"
            )
        owner, cache = self.entries.pop()
        if owner is not layer:
            raise TapeError(
                f"backward of {layer.label}, but the tape's last record is of {owner.label}:"
                " backwards run in the reverse order of the forwards"
            )
        return restored(cache) if self.half else cache

    def accumulate(self, param: Param, gradient: Array) -> None:
        """Add to the gradient of `param`: a parameter that was used twice has the sum of both uses."""
        if tuple(gradient.shape) != param.shape:
            raise TapeError(f"a gradient of shape {tuple(gradient.shape)} for a parameter of shape {param.shape}")
        self._add(id(param), gradient)

    def take_gradients(self, other: Tape) -> None:
        """Add all gradients that another tape has found to this one's; the other has none then."""
        found, other._gradients = other._gradients, {}
        run([partial(self._add, key, gradient) for key, gradient in found.items()])

    def _add(self, key: int, gradient: Array) -> None:
        before = self._gradients.get(key)
        total = gradient if before is None else restored(before) + restored(gradient)
        self._gradients[key] = total.astype("float16") if self.half else total

    def gradient(self, param: Param) -> Array | None:
        """The gradient of `param`, or None where no backward has reached it."""
        return self._gradients.get(id(param))

    def defer(self, buffer: Buffer, value: Array) -> None:
        """Note a new value for a buffer, for `commit` to apply."""
        self._pending.append((buffer, value))

    def gather(self, value: Any) -> list[Any]:
        """What each piece of the batch has for `value`: here one, the batch is whole. See mvnp/execution/pieces.py."""
        return self.gather_all([value])

    def all_gather(self, value: Any) -> list[Any]:
        """What each share of the batch has for `value`."""
        return self.gather(value)

    def gather_all(self, values: list[Any]) -> list[Any]:
        """The values of this process's pieces, and of those of the other processes that share the batch."""
        return values

    def pending(self, buffer: Buffer) -> Array:
        """The value that `buffer` will have after `commit`: a layer that runs twice updates its own update."""
        return next((value for owner, value in reversed(self._pending) if owner is buffer), buffer.data)

    def commit(self) -> None:
        """Apply the running statistics that this pass found. Forward alone changes no layer."""
        for buffer, value in self._pending:
            buffer.data = value
        self._pending.clear()
