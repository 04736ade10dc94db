"""Optimizer: what every optimiser shares. A file each has the equations: sgd.py, adamw.py, lamb.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..backend import Array, array_module, from_numpy, to_numpy
from ..core import Layer, Param, mismatches
from ..errors import CheckpointError, InputError, are_numbers, is_number, refusing, shown


def is_decayed(name: str, param: Param) -> bool:
    """Whether weight decay acts on a parameter: one of two dimensions and more that is not called a bias. The size of biases
    and of the gains of norms says nothing about how complex a function the network is."""
    return param.ndim >= 2 and not name.endswith(".bias")


class Optimizer:
    """Updates parameters in place.

    parameters      a model, or (name, Param) pairs as its `named_parameters()` gives them; what is left out stays as it is
    weight_decay    λ, for the parameters of `is_decayed`
    lr_scales       factors of the learning rate, by name; 1 for those that are not named (see layer_decay.py)

    Raises InputError for a setting out of range, and for a parameter that has no memory of its own (a model made with
    `allocate=False`).
    """

    moments: ClassVar[tuple[str, ...]]  # names of the attributes that hold running moments by parameter, zero at first

    @refusing
    def __init__(
        self,
        parameters: Layer | Iterable[tuple[str, Param]],
        weight_decay: float,
        lr_scales: Mapping[str, float] | None = None,
    ) -> None:
        self.parameters = _named(type(self).__name__, parameters)
        self.weight_decay = weight_decay
        self.check(is_number(weight_decay) and weight_decay >= 0.0, "weight_decay", weight_decay, "a number of at least 0")
        values = list(lr_scales.values()) if isinstance(lr_scales, Mapping) else None
        named = lr_scales is None or (are_numbers(values) and all(value >= 0 for value in values or ()))
        self.check(named, "lr_scales", lr_scales, "a dict of numbers of at least 0 by name")
        self.lr_scales = dict(lr_scales or {})
        strangers = [name for name in self.lr_scales if name not in self.parameters]
        if strangers:
            raise InputError(
                f"{type(self).__name__}: lr_scales names {', '.join(strangers[:3])}, which is no parameter of this optimiser"
            )
        for name, param in self.parameters.items():
            if not getattr(param.data.flags, "writeable", True):  # CuPy's arrays have no such flag
                raise InputError(
                    f"{type(self).__name__}: {name} is a placeholder without memory; load weights first, or make the model"
                    " with allocate=True"
                )
        self.steps = 0
        for moment in self.moments:
            zeros = {name: array_module(param.data).zeros_like(param.data) for name, param in self.parameters.items()}
            setattr(self, moment, zeros)

    def step(self, gradients: Mapping[str, Array], lr: float) -> None:
        """One step at learning rate `lr`. `gradients` has one for each parameter; others are passed over.

        Raises InputError, before anything is changed, where a gradient is missing or misshapen, and for a rate that is none.
        """
        self.check(is_number(lr) and lr >= 0, "lr", lr, "a number of at least 0")
        fitting = self.fitting(gradients)
        self.steps += 1
        self.update(fitting, lr)

    def fitting(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """The gradients of this optimiser's parameters, in their order. Raises InputError where one is missing or misshapen."""
        who = type(self).__name__
        self.check(isinstance(gradients, Mapping), "gradients", gradients, "a dict of arrays, such as model.gradients(tape)")
        for name, param in self.parameters.items():
            if name not in gradients:
                raise InputError(f"{who}: no gradient for {name}; run the backward of the whole model before the step")
            shape = tuple(getattr(gradients[name], "shape", ("none",)))
            if shape != param.shape:
                came = f"is {shown(gradients[name])}" if shape == ("none",) else f"has shape {shape}"
                raise InputError(f"{who}: the gradient of {name} {came}, expected {param.shape}")
        return {name: gradients[name] for name in self.parameters}

    def update(self, gradients: dict[str, Array], lr: float) -> None:
        """Step number `self.steps`, with gradients that fit."""
        raise NotImplementedError

    def decay_of(self, name: str) -> float:
        """λ of a parameter."""
        return self.weight_decay if is_decayed(name, self.parameters[name]) else 0.0

    def state_dict(self, copy: bool = True) -> dict[str, Array]:
        """{"step", "<moment>.<name>"}: all that a later optimiser needs to go on; `copy=False` shares the memory."""
        moments = {f"{moment}.{name}": array for moment in self.moments for name, array in getattr(self, moment).items()}
        return {
            "step": np.array(self.steps, np.int64),
            **{key: array.copy() if copy else array for key, array in moments.items()},
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave. Raises CheckpointError that lists all that does not fit, and then takes none."""
        problems = mismatches(self.state_dict(copy=False), state)
        if problems:
            raise CheckpointError("this optimiser state does not fit the model:\n  " + "\n  ".join(problems))
        self.steps = int(to_numpy(state["step"]))
        for moment in self.moments:
            by_name = getattr(self, moment)
            for name, old in by_name.items():
                by_name[name] = from_numpy(np.array(to_numpy(state[f"{moment}.{name}"]), dtype=old.dtype))

    def check(self, fits: bool, name: str, value: Any, expected: str) -> None:
        """Raises InputError for a setting that does not fit."""
        if not fits:
            raise InputError(f"{type(self).__name__}: {name} is {shown(value)}, expected {expected}")

    def check_adaptive(self, betas: tuple[float, float], eps: float) -> None:
        """Raises InputError for decays β₁, β₂ and an ε that no running moments can have."""
        self.check(are_numbers(betas, 2) and all(0.0 <= beta < 1.0 for beta in betas), "betas", betas, "two numbers in [0, 1)")
        self.check(is_number(eps) and eps > 0.0, "eps", eps, "a number above 0")


def _named(who: str, parameters: Layer | Iterable[tuple[str, Param]]) -> dict[str, Param]:
    if isinstance(parameters, Layer):
        return dict(parameters.named_parameters())
    pairs: list[Any] = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], Param)):
            raise InputError(
                f"{who}: parameters holds a {type(pair).__name__}, expected a model, or (name, Param) pairs as its"
                " named_parameters() gives"
            )
    return dict(pairs)
