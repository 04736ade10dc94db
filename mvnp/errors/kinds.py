"""The errors that mvnp raises, by what went wrong. In Python each is also the built-in error that one would expect, so
`except ValueError` works without knowing this file."""

from __future__ import annotations

from signal import Signals


class MvnpError(Exception):
    """Anything that mvnp refuses. Catch this one to catch them all."""


class InputError(MvnpError, ValueError):
    """An argument with a wrong shape, type, value or name."""


class BackendError(MvnpError, RuntimeError):
    """The array library that was asked for cannot be used, or two of them were mixed."""


class CheckpointError(MvnpError, ValueError):
    """A file of weights that is damaged, or does not fit the model."""


class DataError(MvnpError, ValueError):
    """A data set that is missing, damaged or empty."""


class DataWarning(UserWarning):
    """Something about pictures that is worth a look, and keeps nothing from going on."""


class MissingPackageError(MvnpError, ImportError):
    """A package that is not required in general, and is needed for what was asked. The message says how to install it."""


class TrainingError(MvnpError, RuntimeError):
    """Training cannot go on: a loss that is not finite, a run folder that does not fit."""


class TrainingInterrupted(TrainingError):
    """Training was asked to stop, and has saved everything. `signal` says by what; a shell expects status 128 + signal."""

    def __init__(self, message: str, signal: Signals) -> None:
        super().__init__(message)
        self.signal = signal


class ExportError(MvnpError, RuntimeError):
    """A model that cannot be exported: a layer has no form there, a value no room, or the result does not agree."""
