"""Layer, Param and Tape: what every layer shares.

A layer holds parameters and nothing else. All that one pass through the network leaves behind (caches for the backward,
gradients, running statistics still to be applied, the random generator) is on a *tape* that the caller makes and passes
along. So one layer can be used twice in a network, threads can share a model, and inference, which has no tape, keeps
nothing.

    tape = Tape(training=True, seed=0)
    y = layer(x, tape)              # pushes what the backward needs
    dx = layer.backward(dy, tape)   # pops it, in the reverse order
    layer.gradients(tape)           # {name: array}
    tape.commit()                   # running statistics take effect
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np

from .backend import Array, from_numpy, to_numpy
from .errors import CheckpointError, MvnpError, check_dtype
from .half import restored, stored
from .parallel import run

Self = TypeVar("Self", bound="Layer")


class Param:
    """A trainable array. `data` is the array; an optimiser updates it."""

    trainable = True

    def __init__(self, data: Array) -> None:
        self.data = data

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(to_numpy(self.data), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape}, {self.dtype})"


class Buffer(Param):
    """An array that belongs to a layer's state but is not trained: a running mean, a counter."""

    trainable = False


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

    alone = True  # False: other processes have more of the batch (mvnp/training/ranks.py)

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
        """What each piece of the batch has for `value`: here one, the batch is whole. See mvnp/pieces.py."""
        return self.gather_all([value])

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


class Layer:
    """A node of the network: parameters, child layers, a forward and a backward.

    Parameters and children are found among the attributes: a `Param`, a `Layer`, or a (nested) list of layers. An attribute's
    name is its part of the state-dict key, and a list's positions are names too, so that
    `model.levels[2].blocks[0].mixer.in_proj.weight` is `levels.2.blocks.0.mixer.in_proj.weight`.
    """

    # Another name for an attribute in state-dict keys. The empty name stands for the layer itself.
    key_of: ClassVar[dict[str, str]] = {}

    path: str = ""  # where the layer stands in its model, set by `name_paths`

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        raise NotImplementedError

    def backward(self, dy: Array, tape: Tape) -> Array:
        raise NotImplementedError

    def __call__(self, x: Array, tape: Tape | None = None) -> Array:
        return self.forward(x, tape)

    def record(self, tape: Tape | None, result: tuple[Array, Any]) -> Array:
        """Take apart what a `<layer>_forward` function gave: the cache goes on the tape, if there is one; y is returned."""
        y, cache = result
        if tape is not None:
            tape.push(self, cache)
        return y

    @property
    def label(self) -> str:
        """The class and, inside a model, the place: `LayerNorm (levels.2.blocks.0.norm1)`."""
        return type(self).__name__ + (f" ({self.path})" if self.path else "")

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers right below this one, with their names."""
        for name, value in vars(self).items():
            yield from _layers_in(self.key_of.get(name, name), value)

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """This layer and all below it, each with its path."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_layers(_join(prefix, name))

    def named_state(self) -> Iterator[tuple[str, Param]]:
        """Every parameter and buffer with its key, in a fixed order."""
        for path, layer in self.named_layers():
            for name, value in vars(layer).items():
                if isinstance(value, Param):
                    yield _join(path, layer.key_of.get(name, name)), value

    def named_parameters(self) -> Iterator[tuple[str, Param]]:
        """Every trainable parameter with its key."""
        return ((key, param) for key, param in self.named_state() if param.trainable)

    def name_paths(self) -> None:
        """Tell every layer below where it stands, for messages and for finding its record on a tape."""
        for path, layer in self.named_layers():
            layer.path = path

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(param.size for _, param in self.named_parameters())

    def gradients(self, tape: Tape) -> dict[str, Array]:
        """{key: gradient} of every parameter that a backward on `tape` has reached."""
        found = ((key, tape.gradient(param)) for key, param in self.named_parameters())
        return {key: gradient for key, gradient in found if gradient is not None}

    def state_dict(self, copy: bool = True) -> dict[str, Array]:
        """{key: array} of all parameters and buffers, as copies; `copy=False` shares the memory."""
        return {key: param.data.copy() if copy else param.data for key, param in self.named_state()}

    def load_state_dict(self, mapping: Mapping[str, Any], strict: bool = True, copy: bool = True) -> None:
        """Fill parameters and buffers from arrays with the same keys and shapes; each is copied, in the layer's dtype.

        `copy=False` takes over an array that is as it should be (dtype, row-major, writeable) without copying it: for
        weights that were read from a file and that nobody else will change.

        Raises CheckpointError that lists every missing, unexpected and misshapen entry at once, and then loads none.
        With `strict=False` missing and unexpected keys are passed over; shapes must fit all the same.
        """
        state = dict(self.named_state())
        problems = mismatches(state, mapping, strict)
        if problems:
            raise CheckpointError(
                f"this state dict does not fit {type(self).__name__}: {len(problems)} entries differ\n  "
                + "\n  ".join(problems)
                + "\nWere the weights made for another variant or number of classes? strict=False passes over missing and"
                " unexpected keys."
            )
        for key, param in state.items():
            if key not in mapping:
                continue
            value = mapping[key]
            host = to_numpy(value.data if isinstance(value, Param) else value)
            # None: copied only where dtype or layout ask for it.
            host = np.array(host, dtype=param.dtype, order="C", copy=True if copy or not host.flags.writeable else None)
            param.data = from_numpy(host)

    def astype(self: Self, dtype: str) -> Self:
        """A copy of the layer with its floating parameters and buffers in another dtype."""
        check_dtype("astype", dtype)
        twin = copy.deepcopy(self)
        for _, param in twin.named_state():
            if param.dtype.kind == "f":
                param.data = param.data.astype(dtype)
        return twin


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _layers_in(name: str, value: Any) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield name, value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _layers_in(_join(name, str(index)), item)


def mismatches(expected: Mapping[str, Any], given: Mapping[str, Any], strict: bool = True) -> list[str]:
    """A line for each entry of `given` whose shape or dtype does not fit and, if `strict`, that is missing or unexpected."""
    problems = []
    if strict:
        problems += [f"missing: {key} {array.shape}" for key, array in expected.items() if key not in given]
        problems += [f"unexpected: {key} {np.shape(given[key])}" for key in given if key not in expected]
    for key, array in expected.items():
        if key in given:
            problems += _misfits(key, given[key], array.shape)
    return problems


def _misfits(key: str, value: Any, shape: tuple[int, ...]) -> list[str]:
    try:
        # A torch tensor's dtype has no kind: it is looked at as the array that it will be copied to.
        value = value if hasattr(getattr(value, "dtype", None), "kind") else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        return [f"mistyped: {key} is a {type(value).__name__} that makes no array ({error})"]
    if tuple(value.shape) != shape:
        return [f"misshapen: {key} has shape {tuple(value.shape)}, expected {shape}"]
    return [] if value.dtype.kind in "fiu" else [f"mistyped: {key} has dtype {value.dtype}, expected real numbers"]
