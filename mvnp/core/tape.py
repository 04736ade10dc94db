"""Tape: what one pass through a network leaves behind.

    forward     layers push what their backward needs                       push
    backward    they pop it in the reverse order, and add gradients         pop, accumulate
    statistics  new values of buffers wait until the pass is accepted       defer, pending, commit
    batch       a layer whose samples know of each other asks for all       all_gather

A pass that is run in another way (on a share of a batch, with caches in half precision) has a tape of its own kind: see
mvnp/execution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..backend import Array
from ..errors import MvnpError, seeded
from .param import Buffer, Param

if TYPE_CHECKING:
    from .layer import Layer

T = TypeVar("T")

# Gives what every share of a batch has for a value, in order.
AllGather = Callable[[Any], list[Any]]


def alone(value: T) -> list[T]:
    """The AllGather of a batch that is whole: one."""
    return [value]


class TapeError(MvnpError, RuntimeError):
    """A backward that does not answer the forward that was recorded."""


class Tape:
    """What one pass through a network records.

    training   True: batch statistics, dropout and drop path. False: evaluation behaviour, but recorded, so that it can
               be differentiated (saliency) or looked into.
    seed       of the generator `rng` that dropout and drop path draw from
    inputs     False: the gradient of the images is not wanted, and the model's backward gives None for it. Training has no
               use for it, and it belongs to the largest map of all.

    entries    (layer, cache) of each forward that waits for its backward
    grads      {id of a parameter: its gradient}
    updates    (buffer, value) that `commit` applies, in order
    """

    def __init__(self, training: bool = True, seed: int | list[int] = 0, inputs: bool = True) -> None:
        self.training, self.inputs = training, inputs
        self.rng: Any = seeded("Tape", seed)
        self.entries: list[tuple[Layer, Any]] = []
        self.grads: dict[int, Array] = {}
        self.updates: list[tuple[Buffer, Array]] = []
        self._popped: list[tuple[Layer, Any]] | None = None  # by the backward that runs, for as long as it can be undone
        self._running = False
        self._failure = ""

    # Caches

    def push(self, layer: Layer, cache: Any) -> None:
        """Record what `layer` needs for its backward."""
        self._check()
        self.entries.append((layer, self.store(layer, cache)))

    def pop(self, layer: Layer) -> Any:
        """Give back what `layer` pushed last. Raises TapeError where another layer's record is on top, or none."""
        self._check()
        if not self.entries:
            raise TapeError(
                f"backward of {layer.label}, but the tape is empty: run forward with this tape first, once for each backward"
            )
        owner, cache = self.entries[-1]
        if owner is not layer:
            raise TapeError(
                f"backward of {layer.label}, but the tape's last record is of {owner.label}:"
                " backwards run in the reverse order of the forwards"
            )
        del self.entries[-1]
        if self._popped is not None:
            self._popped.append((owner, cache))
        return self.restore(cache)

    def top(self, layer: Layer) -> Any:
        """What `pop(layer)` would give, which stays where it is; None where it would raise."""
        return self.entries[-1][1] if self.entries and self.entries[-1][0] is layer else None

    def store(self, layer: Layer, cache: Any) -> Any:
        """The form in which a cache waits on the tape."""
        return cache

    def restore(self, cache: Any) -> Any:
        """The cache of which `store` made this form."""
        return cache

    # Gradients

    def accumulate(self, param: Param | None, gradient: Array | None) -> None:
        """Add to the gradient of `param`: a parameter that was used twice has the sum of both uses. None stands for a parameter
        that the layer does without."""
        if param is None:
            return
        if gradient is None or tuple(gradient.shape) != param.shape:
            came = "no gradient" if gradient is None else f"a gradient of shape {tuple(gradient.shape)}"
            raise TapeError(f"{came} for a parameter of shape {param.shape}")
        self.add(id(param), gradient)

    def add(self, key: int, gradient: Array) -> None:
        """Add to the gradient of the parameter with this id."""
        self.seal()
        total = self.grads.get(key)
        self.grads[key] = gradient if total is None else total + gradient

    def gradient(self, param: Param) -> Array | None:
        """The gradient of `param`, or None where no backward has reached it."""
        self._check()
        return self.grads.get(id(param))

    # A backward that fails

    def attempt(self, backward: Callable[[], T]) -> T:
        """backward(), of a layer. Where it raises, the tape is as it was before, so that the right backward can follow.

        Only until a gradient has been added, or else all caches would have to be kept until the end. What fails later, in the
        middle of a network, leaves a tape that is spent: it raises TapeError from then on.
        """
        if self._running:  # inside another layer's, which stands for all of it
            return backward()
        self._running, self._popped = True, []
        try:
            return backward()
        except BaseException as error:
            if self._popped is None:
                self._failure = f"{type(error).__name__}: {error}"
            else:
                self.entries.extend(reversed(self._popped))
            raise
        finally:
            self._running, self._popped = False, None

    def seal(self) -> None:
        """What has been popped will not be put back any more."""
        self._popped = None

    def _check(self) -> None:
        if self._failure:
            raise TapeError(
                f"this tape is spent: a backward on it failed half way ({self._failure}); run forward again, with a new tape"
            )

    # Statistics

    def defer(self, buffer: Buffer, value: Array) -> None:
        """Note a new value for a buffer, for `commit` to apply."""
        self.updates.append((buffer, value))

    def pending(self, buffer: Buffer) -> Array:
        """The value that `buffer` will have after `commit`: a layer that runs twice updates its own update."""
        return next((value for owner, value in reversed(self.updates) if owner is buffer), buffer.data)

    def commit(self) -> None:
        """Apply the running statistics that this pass found. Forward alone changes no layer."""
        for buffer, value in self.updates:
            buffer.data = value
        self.updates.clear()

    def all_gather(self, value: T) -> list[T]:
        """`value` of every share of the batch, in order."""
        return alone(value)
