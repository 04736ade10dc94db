"""Layer: what every layer shares.

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
import functools
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..backend import Array, from_numpy, to_numpy
from ..errors import CheckpointError, InputError, check_dtype, refusing
from .param import Param
from .state import listed, mismatches
from .tape import Tape, TapeError
from .tree import tree

Self = TypeVar("Self", bound="Layer")


class Layer:
    """A node of the network: parameters, child layers, a forward and a backward.

    Parameters and children are found among the attributes: a `Param`, a `Layer`, or a (nested) list of layers. An attribute's
    name is its part of the state-dict key, and a list's positions are names too, so that
    `model.levels[2].blocks[0].mixer.in_proj.weight` is `levels.2.blocks.0.mixer.in_proj.weight`.
    """

    # Another name for an attribute in state-dict keys. The empty name stands for the layer itself.
    key_of: ClassVar[dict[str, str]] = {}

    path: str = ""  # where the layer stands in its model, set by `name_paths`

    def __init_subclass__(cls, **options: Any) -> None:
        """Every backward that a layer defines leaves the tape as it was if it raises (`Tape.attempt`), and every `__init__`
        says which argument it cannot take (`refusing`)."""
        super().__init_subclass__(**options)
        for name, method in list(vars(cls).items()):
            if name.endswith("backward") and not name.startswith("_") and isinstance(method, FunctionType):
                setattr(cls, name, _undone_if_it_raises(method))
        if "__init__" in vars(cls):
            cls.__init__ = refusing(cls.__init__)  # type: ignore[method-assign]

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        raise NotImplementedError

    def backward(self, dy: Array, tape: Tape) -> Array:
        raise NotImplementedError

    def __call__(self, x: Array, tape: Tape | None = None) -> np.ndarray:
        if tape is not None and not isinstance(tape, Tape):
            raise InputError(f"{self.label}: tape is {tape!r}, expected an mvnp.Tape to record on, or None to record nothing")
        return self.forward(x, tape)

    def record(self, tape: Tape | None, result: tuple[Array, Any]) -> Array:
        """Take apart what a `<layer>_forward` function gave: the cache goes on the tape, if there is one; y is returned."""
        y, cache = result
        if tape is not None:
            tape.push(self, cache)
        return y

    def accumulate(self, tape: Tape, gradients: tuple[Array | None, ...], *params: Param | None) -> Array:
        """Take apart what a `<layer>_backward` function gave: the tape adds up the gradients of `params`; dx, the first, is
        returned. An absent parameter, a bias that is None, stands in the list all the same."""
        dx, *of_params = gradients
        for param, gradient in zip(params, of_params, strict=True):
            tape.accumulate(param, gradient)
        return dx

    def __repr__(self) -> str:
        """A tree of the layers below, with the shapes of their parameters and how many numbers they are."""
        return tree(self)

    @property
    def label(self) -> str:
        """The class and, inside a model, the place: `LayerNorm (levels.2.blocks.0.norm1)`."""
        return type(self).__name__ + (f" ({self.path})" if self.path else "")

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers right below this one, with their names."""
        for name, value in list(vars(self).items()):  # a list: another thread may note something meanwhile
            yield from _layers_in(self.key_of.get(name, name), value)

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """This layer and all below it, each with its path."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_layers(_join(prefix, name))

    def named_state(self) -> Iterator[tuple[str, Param]]:
        """Every parameter and buffer with its key, in a fixed order."""
        for path, layer in self.named_layers():
            for name, value in list(vars(layer).items()):
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

    def gradients(self, tape: Tape) -> dict[str, np.ndarray]:
        """{key: gradient} of every parameter that a backward on `tape` has reached. Raises TapeError where it reached none."""
        if not isinstance(tape, Tape):
            raise InputError(f"{self.label}: gradients are on the mvnp.Tape of a backward, and this is {tape!r}")
        grads = {key: tape.gradient(param) for key, param in self.named_parameters()}
        reached = {key: gradient for key, gradient in grads.items() if gradient is not None}
        if grads and not reached:
            raise TapeError(
                f"{self.label}: this tape holds no gradient of its parameters; run forward and backward with this tape first"
            )
        return reached

    def check_filled(self, purpose: str) -> None:
        """Raise InputError, saying what cannot be done, unless all parameters and buffers have values of their own."""
        if vars(self).get("_filled"):
            return
        empty = [key for key, param in self.named_state() if not param.filled]
        if empty:
            raise InputError(
                f"{self.label}: it has no weights yet to {purpose}: it was made with allocate=False, and {len(empty)} of its"
                f" arrays, such as {empty[0]}, wait for load_state_dict"
            )
        self._filled = True

    def state_dict(self, copy: bool = True) -> dict[str, np.ndarray]:
        """{key: array} of all parameters and buffers, as copies; `copy=False` shares the memory. Where there is none yet
        (`allocate=False`) an array has a shape, and no values that could be written to a file."""
        return {key: param.data.copy() if copy and param.filled else param.data for key, param in self.named_state()}

    def load_state_dict(self, mapping: Mapping[str, Any], strict: bool = True, copy: bool = True) -> None:
        """Fill parameters and buffers from arrays with the same keys and shapes; each is copied, in the layer's dtype.

        `copy=False` takes over an array that is as it should be (dtype, row-major, writeable) without copying it: for
        weights that were read from a file and that nobody else will change.

        Raises CheckpointError that lists missing, unexpected and misshapen entries at once, and then loads none.
        With `strict=False` missing and unexpected keys are passed over; shapes must fit all the same.
        """
        if not isinstance(mapping, Mapping):
            raise InputError(f"load_state_dict: a {type(mapping).__name__} was given, expected a dict, {{key: array}}")
        state = dict(self.named_state())
        problems = mismatches(state, mapping, strict)
        if problems:
            name, shared = type(self).__name__, len(state.keys() & mapping.keys())
            hint = "Were the weights made for another variant or number of classes?"
            if 2 * shared < len(state):
                hint = (
                    f"It has {shared} of the {len(state)} keys of {name}: are the weights of another network? load_pretrained"
                    " says of a file which it knows, and builds that."
                )
            raise CheckpointError(
                f"this state dict does not fit {name}: {len(problems)} entries differ\n  {listed(problems)}\n{hint}"
                " strict=False passes over missing and unexpected keys."
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
        self.check_filled("convert")
        other = copy.deepcopy(self)
        for _, param in other.named_state():
            if param.dtype.kind == "f":
                param.data = param.data.astype(dtype)
        return other


def _undone_if_it_raises(backward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(backward)
    def attempted(self: Layer, *args: Any, **kwargs: Any) -> Any:
        tape = kwargs.get("tape", args[1] if len(args) > 1 else None)
        if tape is None and len(args) < 2 and "tape" not in kwargs:
            return backward(self, *args, **kwargs)  # Python says what is missing
        if not isinstance(tape, Tape):
            raise InputError(f"{self.label}: its backward takes the mvnp.Tape of its forward, and got {tape!r}")
        return tape.attempt(functools.partial(backward, self, *args, **kwargs))

    return attempted


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _layers_in(name: str, value: Any) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield name, value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _layers_in(_join(name, str(index)), item)
