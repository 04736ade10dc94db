"""The errors that mvnp raises, and the checks that raise most of them.

Every message names what came, what was expected and what to do about it. The command line prints such a message
without a traceback and exits with status 2.
"""

from .checks import (
    MOST_SIDE,
    Pattern,
    are_numbers,
    as_pair,
    check_array,
    check_arrays,
    check_choice,
    check_dtype,
    check_fits_mask,
    check_flags,
    check_mask,
    check_path,
    check_positive,
    check_rate,
    check_scalar,
    check_target,
    is_number,
    render,
    seeded,
)
from .kinds import (
    BackendError,
    CheckpointError,
    DataError,
    DataWarning,
    ExportError,
    InputError,
    MissingPackageError,
    MvnpError,
    TrainingError,
    TrainingInterrupted,
)
from .refusing import refusal, refusing
from .texts import nearest, printable, shown

__all__ = [
    "MOST_SIDE",
    "BackendError",
    "CheckpointError",
    "DataError",
    "DataWarning",
    "ExportError",
    "InputError",
    "MissingPackageError",
    "MvnpError",
    "Pattern",
    "TrainingError",
    "TrainingInterrupted",
    "are_numbers",
    "as_pair",
    "check_array",
    "check_arrays",
    "check_choice",
    "check_dtype",
    "check_fits_mask",
    "check_flags",
    "check_mask",
    "check_path",
    "check_positive",
    "check_rate",
    "check_scalar",
    "check_target",
    "is_number",
    "nearest",
    "printable",
    "refusal",
    "refusing",
    "render",
    "seeded",
    "shown",
]

for _name in __all__:
    if _name.endswith(("Error", "Interrupted", "Warning")):
        globals()[_name].__module__ = __name__  # as tracebacks, pickles and readers name them
