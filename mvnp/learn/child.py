"""The process that runs the reader's file: `python -m mvnp.learn.child FILE LAYER SECONDS`.

It is a process of its own so that an endless loop, an exit or a crash ends there; and it only runs what it is asked to, and
says what came of it. The verdict is made where the questions come from (answer.py), out of reach.

Questions come on standard input, and answers go to standard output, as the process was given them (wire.py). Before the
reader's code runs both are put away, and whatever it prints goes to standard error. It can start and end no processes and
change no files, has a limit of memory and time, and finds the solution neither among the modules nor on the disk.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, BinaryIO

import numpy as np

from .course import find_exercise
from .exercise import PACKAGE, Exercise
from .theirs import Local, Raised, described, loaded
from .wire import packed, receive, send

if sys.platform != "win32":
    import resource

MEMORY = 2**31  # bytes, beyond what the process has when the reader's code begins

_STARTS = ("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn", "os.system", "os.startfile", "subprocess.Popen")
_PROCESSES = (*_STARTS, "pty.spawn", "os.kill", "signal.pidfd")
_CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"}
_CHANGES |= {"shutil.rmtree", "shutil.move", "os.utime", "os.setxattr"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class OutOfTime(BaseException):
    """Raised in the reader's code by the clock. No Exception, so that no `except Exception` of theirs holds it."""


class Clock:
    """Counts the time of the reader's code alone."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        if hasattr(signal, "setitimer"):  # elsewhere the parent's limit has to do
            signal.signal(signal.SIGALRM, _out_of_time)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        begin = time.monotonic()
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, max(self.left, 1e-3))
        try:
            yield
        finally:
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            self.left -= time.monotonic() - begin


def main(file: str, stem: str, seconds: str) -> None:
    """Answer questions about FILE until there are no more."""
    questions, answers = _put_away()
    exercise, clock = find_exercise(stem), Clock(float(seconds))
    _take_out_the_solution(exercise)
    _limit()
    sys.addaudithook(_refusing(exercise))
    module: ModuleType | None = None
    while (question := receive(questions)) is not None:
        header, arrays = question
        result: dict[str, Any] = {}
        returned: dict[str, np.ndarray] = {}
        try:
            with clock.running():
                if module is None:
                    module, result = _loaded(file, header["names"])
                else:
                    result, returned = _tried(Local(module, file), exercise, header, arrays)
        except OutOfTime as error:
            told = described(error, file).replace(OutOfTime.__name__, f"it did not end within {seconds} s")
            result, returned = {"failed": told}, {}
        except SystemExit as error:
            result, returned = {"failed": f"{described(error, file)}: a backward returns, it does not exit"}, {}
        try:
            send(answers, result, returned)
        except ValueError as error:
            send(answers, {"failed": str(error)}, {})


def _put_away() -> tuple[BinaryIO, BinaryIO]:
    """The ends of the wire; in their place, nothing to read, and standard error to print to."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return questions, answers


def _loaded(file: str, names: list[str]) -> tuple[ModuleType | None, dict[str, Any]]:
    """The module of the reader's file, and which of its functions there are; or why it cannot be run."""
    try:
        module = loaded(Path(file).read_text(encoding="utf-8"), file)
    except UnicodeDecodeError:
        return None, {"failed": "it is not text in UTF-8; save it as UTF-8"}
    except (SystemExit, Exception) as error:
        return None, {"failed": described(error, file)}
    return module, {"missing": [name for name in names if Local(module).missing([name])]}


def _tried(
    theirs: Local, exercise: Exercise, header: Mapping[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    part = exercise.parts[header["part"]]
    dy = arrays.pop("dy", None) if header["with_dy"] else None
    try:
        tried = theirs.run(part, part.settings[header["setting"]], header["square"], arrays, dy, header["quiet"])
    except Raised as raised:
        about = {"described": raised.described, "unwritten": raised.unwritten, "of_shapes": raised.of_shapes}
        return {"raised": str(raised), **about}, {}
    (_, y), ys = packed((tried.y,))
    form, results = packed(tried.result)
    named = {**{f"y{name}": array for name, array in ys.items()}, **results}
    y_form = [f"y{each}" if isinstance(each, str) else each for each in y]
    return {"pair": tried.pair, "y": ["tuple", y_form], "result": form, "changed": tried.changed}, named


def _take_out_the_solution(exercise: Exercise) -> None:
    """Wherever a backward of the exercise is, in the layer's module, others and twins, one stands that says what it is."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise ImportError("this is the solution: the backward is to be written, not imported")

    real = importlib.import_module(f"mvnp.layers.{exercise.stem}")
    solved = [getattr(real, backward) for backward in exercise.backwards]
    solved += [function.book for function in solved if hasattr(function, "book")]
    for name, module in list(sys.modules.items()):
        if name.startswith("mvnp."):
            for attribute, value in list(vars(module).items()):
                twin = name.endswith(f".{exercise.stem}") and attribute in exercise.backwards
                if twin or any(value is function for function in solved):
                    setattr(module, attribute, refuse)


def _limit() -> None:
    if sys.platform == "win32":
        return
    limits = [(resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)]
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limits.append((resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + MEMORY))
    except (OSError, ValueError):  # not Linux: its size is not known
        limits.append((resource.RLIMIT_DATA, 2 * MEMORY))
    for which, limit in limits:
        with contextlib.suppress(OSError, ValueError):
            _, most = resource.getrlimit(which)
            lower = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(which, (lower, lower))


def _refusing(exercise: Exercise) -> Any:
    """An audit hook, which cannot be taken away again."""
    folders = [PACKAGE / "layers", PACKAGE / "kernels" / "cpu", PACKAGE / "kernels" / "cuda"]
    folders = [folder.resolve() / inner for folder in folders for inner in ("", "__pycache__")]
    closed = {str(folder) for folder in folders}  # a file in them could be opened from there, by its name alone
    sources = (*(str(folder / f"{exercise.stem}.") for folder in folders), str(PACKAGE.resolve() / "learn" / "formulas"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_PROCESSES) and (event, *arguments[:1]) != ("os.kill", os.getpid()):
            raise RuntimeError("a backward starts no processes, and ends none")
        if event in _CHANGES:
            raise PermissionError("a backward changes no files")
        if event == "open" and isinstance(arguments[0], str | bytes):
            path, mode, flags = arguments
            writes = set(mode or "") & set("wax+") or (isinstance(flags, int) and flags & _WRITES)
            if writes and os.fsdecode(path) != os.devnull:
                raise PermissionError("a backward writes no files")
            real = os.path.realpath(os.fsdecode(path))  # however it is named
            if real in closed or real.startswith(sources):
                raise PermissionError("the solution is not to be read: the backward is to be written")

    return hook


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise OutOfTime


if __name__ == "__main__":
    main(*sys.argv[1:])
