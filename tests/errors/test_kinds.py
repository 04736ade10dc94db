"""The errors themselves: mvnp/errors/kinds.py."""

import pickle
from signal import SIGTERM

import pytest

from mvnp import errors
from mvnp.check.gradcheck import GradientError
from mvnp.core import TapeError
from mvnp.errors import (
    BackendError,
    CheckpointError,
    DataError,
    ExportError,
    InputError,
    MissingPackageError,
    MvnpError,
    TrainingError,
    TrainingInterrupted,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InputError, ValueError),
        (BackendError, RuntimeError),
        (CheckpointError, ValueError),
        (DataError, ValueError),
        (TrainingError, RuntimeError),
        (MissingPackageError, ImportError),
        (ExportError, RuntimeError),
        (TapeError, RuntimeError),
        (GradientError, AssertionError),
    ],
)
def test_each_error_is_one_of_ours_and_a_built_in_one(error, builtin):
    for catcher in (MvnpError, builtin):
        with pytest.raises(catcher, match="what came"):
            raise error("what came")


def test_no_error_is_forgotten_above():
    classes = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, MvnpError)}
    ours = {InputError, BackendError, CheckpointError, DataError, TrainingError, MissingPackageError, ExportError}
    ours |= {TrainingInterrupted}  # a TrainingError, made with a signal
    assert classes == {MvnpError} | ours


def test_they_are_named_by_their_room():
    assert f"{InputError.__module__}.{InputError.__name__}" == "mvnp.errors.InputError"
    again = pickle.loads(pickle.dumps(InputError("what came")))
    assert (type(again), again.args) == (InputError, ("what came",))


def test_an_interruption_says_by_which_signal():
    error = TrainingInterrupted("all is saved", SIGTERM)
    assert (str(error), error.signal) == ("all is saved", SIGTERM)
