"""`mvnp`: finds the command, runs it, and turns what can go wrong into one message and an exit status.

0      done
1      done, but not all is well: a gradient is wrong (`mvnp check`, `mvnp learn check`), or pictures could not be read and were
       left out
2      what was asked for cannot be done; a message on standard error says why, and no traceback
130    Ctrl-C (128 + the number of the signal, as shells count)
141    whoever read the output stopped reading (`mvnp models | head -1`)
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ..atomic import drop_empty_folders
from ..backend import current_module, tf32
from ..errors import DataWarning, MvnpError, check_choice, printable
from ..execution.parallel import threads
from ..execution.scratch import keep_freed_memory
from ..kernels import convolution_method, kernels_on
from ..version import __version__
from . import (
    augment,
    check,
    classify,
    convert,
    demo,
    export,
    features,
    finetune,
    info,
    learn,
    models,
    report,
    summary,
    train,
    validate,
    visualize,
)
from .arguments import Parser
from .weights import say

COMMANDS = {
    "demo": demo,
    "train": train,
    "finetune": finetune,
    "report": report,
    "augment": augment,
    "classify": classify,
    "features": features,
    "validate": validate,
    "visualize": visualize,
    "convert": convert,
    "export": export,
    "summary": summary,
    "check": check,
    "learn": learn,
    "models": models,
    "info": info,
}
FAILED, INTERRUPTED, BROKEN_PIPE = 2, 130, 141

DESCRIPTION = """\
MambaVision in NumPy and CuPy, by hand: every layer with its backward, as
explicit array code."""

EPILOG = """\
commands:
{commands}

`mvnp COMMAND --help` tells more about a command, with an example.

environment:
  MVNP_BACKEND=numpy    compute on the CPU (the default)
  MVNP_BACKEND=cupy     compute on an NVIDIA GPU, where CuPy is installed
  MVNP_KERNELS=off      array code alone, without kernels for the CPU or GPU
  MVNP_TF32=on          products of float32 matrices on a GPU round to TF32, for its tensor cores
  MVNP_CONVOLUTION=X    how kernels convolve: auto (the default), im2col, winograd
  MVNP_THREADS=N        threads that share a batch (default: one for each core)
  HF_HUB_OFFLINE=1      weights from the hub's cache alone
  NUMBA_CACHE_DIR=DIR   where compiled kernels are kept; else XDG_CACHE_HOME, or
                        ~/.cache
  VISUAL, EDITOR        the editor of mvnp learn --edit

To begin: `mvnp demo` trains a small model in a few minutes and writes a page of
pictures."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, that of this process unless another is given, and return the exit status."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # for a terminal that lacks a letter
    try:
        try:
            status = _run(list(sys.argv[1:] if argv is None else argv))
        except SystemExit as request:  # argparse, after --help and --version
            status = request.code if isinstance(request.code, int) else 0
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a failure can still be told
    except KeyboardInterrupt:
        status = _failed("interrupted", INTERRUPTED)
    except BrokenPipeError:
        status = BROKEN_PIPE
    except MvnpError as error:
        # Training that was asked to stop has saved itself, and its message says how to go on: that is no error.
        stopped_by = getattr(error, "signal", None)
        status = _failed(f"error: {error}") if stopped_by is None else _failed(str(error), 128 + stopped_by)
    except OSError as error:
        status = _failed(f"error: {_described(error)}")
    except MemoryError as error:
        status = _failed(f"error: not enough memory ({error}); use a smaller batch, image or model")
    if status != 0:
        drop_empty_folders()
    _drop_unwritten_output()
    return status


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        commands = "\n".join(f"  {name:<9} {command.SUMMARY}" for name, command in COMMANDS.items())
        epilog = EPILOG.format(commands=commands)
        parser = Parser("mvnp", usage="mvnp COMMAND [options]", description=DESCRIPTION, epilog=epilog)
        parser.add_argument("--version", action="version", version=f"mvnp {__version__}", help="show the version and exit")
        parser.parse_all(arguments)
        parser.print_help()
        return 0
    name = arguments[0]
    check_choice("command", name, COMMANDS)
    command = COMMANDS[name]
    parser = Parser(f"mvnp {name}", usage=command.USAGE, description=command.DESCRIPTION, epilog=command.EXAMPLES)
    command.add_arguments(parser)
    parsed = parser.parse_all(arguments[1:])
    current_module()  # an MVNP_BACKEND that cannot be used is told before any work is done
    kernels_on()  # and so is an MVNP_KERNELS
    convolution_method()  # or an MVNP_CONVOLUTION
    tf32()  # or an MVNP_TF32, though no GPU is there
    threads()  # or an MVNP_THREADS
    keep_freed_memory()
    with warnings.catch_warnings():
        warnings.simplefilter("default", DataWarning)
        warnings.showwarning = _Warnings().show
        return command.run(parsed)


class _Warnings:
    """Lines on standard error in place of Python's two for each warning; those of pictures, which may be many, a few times."""

    MOST = 3

    def __init__(self) -> None:
        self._of_pictures = 0
        self._other = warnings.showwarning

    def show(self, message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, DataWarning):
            self._other(message, category, *place, **more)
            return
        self._of_pictures += 1
        if self._of_pictures <= self.MOST:
            say(f"warning: {message}")
        elif self._of_pictures == self.MOST + 1:
            say("warning: and so it is with more pictures")


def _failed(message: str, status: int = FAILED) -> int:
    if sys.stderr is not None:  # it is, where the shell has closed it
        with contextlib.suppress(OSError):
            print(f"mvnp: {_lines(message)}", file=sys.stderr, flush=True)
    return status


def _lines(message: str) -> str:
    return "\n".join(map(printable, message.split("\n")))


def _described(error: OSError) -> str:
    """`runs/a: Permission denied`, where Python would say `[Errno 13] Permission denied: 'runs/a'`."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{os.fspath(error.filename)}: {reason}" if isinstance(error.filename, str | os.PathLike) else reason


def _drop_unwritten_output() -> None:
    """After a pipe broke or a disk was full, Python would try to write the rest at its end, and complain again."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # a stream that is no file has nothing to drop
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
