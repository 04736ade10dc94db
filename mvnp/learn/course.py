"""The course: every layer of mvnp/layers, in the order of the pages: each exercise needs little beyond those before it."""

from __future__ import annotations

from ..errors import check_choice, refusing
from .exercise import Exercise
from .formulas.convolutions import CONV1D, CONV2D, DEPTHWISE_CONV2D, WINOGRAD
from .formulas.dense import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, LINEAR, MESA, POOL, SOFTMAX
from .formulas.norms import BATCHNORM, LAYERNORM, RMSNORM
from .formulas.pointwise import DROP_PATH, DROPOUT, GATE, GELU, LAYER_SCALE, RELU, SILU, SOFTPLUS
from .formulas.scans import CHECKPOINTED_SCAN, LINEAR_RECURRENCE, SELECTIVE_SCAN
from .formulas.tokens import ATTENTION, CROSS_SCAN, WINDOW

CHAPTERS: dict[str, tuple[Exercise, ...]] = {
    "one value at a time": (LINEAR, RELU, GELU, SILU, GATE, SOFTPLUS, DROPOUT, DROP_PATH, LAYER_SCALE, POOL),
    "values that depend on each other": (SOFTMAX, CROSS_ENTROPY, BINARY_CROSS_ENTROPY, MESA, LAYERNORM, RMSNORM, BATCHNORM),
    "neighbours": (CONV1D, CONV2D, WINOGRAD, DEPTHWISE_CONV2D, WINDOW, CROSS_SCAN),
    "all tokens at once": (ATTENTION,),
    "one token after another": (LINEAR_RECURRENCE, SELECTIVE_SCAN, CHECKPOINTED_SCAN),
}

EXERCISES: tuple[Exercise, ...] = tuple(exercise for chapter in CHAPTERS.values() for exercise in chapter)


@refusing
def find_exercise(stem: str) -> Exercise:
    """The exercise of a layer. Raises InputError for an unknown name, with the nearest one."""
    by_stem = {exercise.stem: exercise for exercise in EXERCISES}
    check_choice("exercise", stem, by_stem)
    return by_stem[stem]


def number(exercise: Exercise) -> int:
    """Its place in the course, from 1."""
    return EXERCISES.index(exercise) + 1
