"""Checks an answer: runs the reader's file in a process of its own, asks it for gradients, and judges what it says.

The verdict is made here, where the reader's code never runs: its process is given inputs and cotangents, and gives back arrays
(wire.py). What was right is asked again, of a fresh process, at inputs that nobody has seen, in another order.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from ..errors import InputError, refusing
from .examine import Finding, differs, findings_of
from .exercise import Exercise, Inputs, Part, Setting
from .source import shortcut
from .theirs import Local, Raised, Theirs, Tried, described, loaded
from .wire import WireError, receive, send, unpacked

SECONDS = 30
GRACE = 30  # beyond the limit, before the process is ended from outside: to start, and for code that no clock interrupts
ROUNDS = 8  # at least, and fewer than twice as many, in which a right answer is asked again
PRINTED = 2000  # bytes of what the file prints that are kept
MARK = "_MVNP_LEARN"  # in the environment of the process and of all that it starts


@dataclass
class Outcome:
    """What came of a check. `failed` tells why the file could not be examined at all."""

    findings: list[Finding] = field(default_factory=list)
    failed: str = ""
    printed: str = ""

    @property
    def right(self) -> bool:
        """Whether every backward is."""
        return not self.failed and bool(self.findings) and all(finding.ok for finding in self.findings)

    @property
    def unwritten(self) -> bool:
        """Whether nothing was written yet."""
        return bool(self.findings) and all(finding.unwritten for finding in self.findings)

    @property
    def so_far(self) -> bool:
        """Whether what is written is right, and some is still to come."""
        told = [finding.ok or finding.so_far or finding.unwritten for finding in self.findings]
        return bool(told) and all(told) and not self.failed and not self.right


class Failed(Exception):
    """The file could not be examined."""


@refusing
def check_answer(file: Path, exercise: Exercise, seconds: float = SECONDS, grace: float = GRACE) -> Outcome:
    """Check the file of an exercise. Raises InputError where it is not there."""
    if not file.is_file():
        raise InputError(f"{file} is not there; `mvnp learn open {exercise.stem}` writes it")
    with contextlib.suppress(UnicodeDecodeError):  # told where it is run
        if reached := shortcut(file.read_text(encoding="utf-8"), exercise):
            return Outcome(failed=reached)
    first = Remote(file, exercise, seconds, grace)
    outcome = Outcome()
    try:
        with first:
            outcome.findings = findings_of(first, exercise)
        if outcome.right:
            with Remote(file, exercise, seconds, grace) as second:
                _ask_again(second, exercise, outcome)
    except Failed as failed:
        outcome = Outcome(failed=str(failed))
    outcome.printed = first.printed
    return outcome


@refusing
def check_text(text: str, exercise: Exercise) -> Outcome:
    """Check an answer in this process, where none other can be started, as in a browser. What it prints is printed."""
    if reached := shortcut(text, exercise):
        return Outcome(failed=reached)
    name = f"{exercise.stem}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # where a line that raises is looked up
    outcome = Outcome()
    try:
        outcome.findings = findings_of(Local(loaded(text, name), name), exercise)
        if outcome.right:
            with contextlib.redirect_stdout(io.StringIO()):
                _ask_again(Local(loaded(text, name), name), exercise, outcome)
    except (SystemExit, Exception) as error:
        outcome = Outcome(failed=described(error, name))
    return outcome


def _ask_again(theirs: Theirs, exercise: Exercise, outcome: Outcome) -> None:
    """At inputs that nobody has seen, of functions that have not been asked yet; over and over, so that an answer that is right
    for a number of calls alone is asked more often than the first time, and cannot know how often."""
    for _ in range(ROUNDS + secrets.randbelow(ROUNDS)):
        differing = differs(theirs, exercise, secrets.randbits(32))
        if differing is not None:
            place = (differing.backward, differing.setting)
            outcome.findings = [differing if (each.backward, each.setting) == place else each for each in outcome.findings]
            return


class Remote:
    """The functions of the reader's file, in a process of their own that lasts as long as this context."""

    def __init__(self, file: Path, exercise: Exercise, seconds: float, grace: float) -> None:
        self.file, self.exercise, self.seconds, self.grace = file, exercise, seconds, grace
        self.printed = ""
        self._missing: list[str] = []

    def __enter__(self) -> Remote:
        self._mark = secrets.token_hex(16)
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", MARK: self._mark}
        environment |= {"MVNP_BACKEND": "numpy", "MVNP_KERNELS": "off"}  # kernels would be compiled, and kept in files
        arguments = [str(self.file.resolve()), self.exercise.stem, f"{self.seconds:g}"]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "mvnp.learn.child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # so that what it starts can be ended with it; Ctrl-C comes to us, and we end it
        )
        assert self._process.stderr is not None
        self._kept = bytearray()
        self._reader = threading.Thread(target=_keep_beginning, args=(self._process.stderr, self._kept), daemon=True)
        self._reader.start()
        self._watcher = threading.Thread(target=self._end_others_after_it, daemon=True)
        self._watcher.start()
        self._out_of_time = False
        self._left = self.seconds + self.grace
        try:
            names = [name for part in self.exercise.parts for name in (part.forward, part.backward)]
            self._missing = list(self._ask({"names": names}, {})[0]["missing"])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        self._watcher.join()
        self._reader.join(timeout=1.0)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        text = bytes(self._kept[:PRINTED]).decode("utf-8", errors="replace").strip()
        self.printed = _plain(text, "\n\t") + ("\n… and more" if len(self._kept) > PRINTED else "")

    def missing(self, names: Iterable[str]) -> str | None:
        """The first of these that is no function of the file's."""
        return next((name for name in names if name in self._missing), None)

    def run(
        self, part: Part, setting: Setting, square: bool, inputs: Inputs, dy: np.ndarray | None, quiet: bool = False
    ) -> Tried:
        """The forward and, with a dy, the backward. Raises Raised, and Failed where the process has ended."""
        number = next(number for number, each in enumerate(self.exercise.parts) if each is part)
        place = next(place for place, each in enumerate(part.settings) if each is setting)
        question = {"part": number, "setting": place, "square": square, "with_dy": dy is not None, "quiet": quiet}
        answer, arrays = self._ask(question, {**inputs, **({} if dy is None else {"dy": dy})})
        try:
            if "raised" in answer:
                about = bool(answer["unwritten"]), bool(answer["of_shapes"])
                raise Raised(str(answer["raised"]), _plain(str(answer["described"])), *about)
            (y,) = unpacked(answer["y"], arrays)
            changed = [name for name in ("dy", *inputs) if name in answer["changed"]]
            return Tried(bool(answer["pair"]), y, unpacked(answer["result"], arrays), changed)
        except (WireError, KeyError, TypeError, ValueError) as error:
            raise Failed(DISTURBED) from error

    def _ask(self, question: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        clock, begin = threading.Timer(max(self._left, 0.0), self._stop), time.monotonic()
        clock.daemon = True
        clock.start()
        try:
            send(self._process.stdin, question, arrays)  # type: ignore[arg-type]
            answer = receive(self._process.stdout)  # type: ignore[arg-type]
        except (WireError, BrokenPipeError) as error:
            raise Failed(self._ended()) from error
        finally:
            clock.cancel()
            self._left -= time.monotonic() - begin
        if answer is None:
            raise Failed(self._ended())
        if "failed" in answer[0]:
            raise Failed(_plain(str(answer[0]["failed"])))
        return answer

    def _has_ended(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        return self._process.poll() is not None

    def _ended(self) -> str:
        if not self._out_of_time and not self._has_ended():
            return DISTURBED
        return _told(None if self._out_of_time else self._process.wait(), self.seconds)

    def _stop(self) -> None:
        self._out_of_time = True
        self._end()

    def _end_others_after_it(self) -> None:
        """What it has started would hold its end of the wire open."""
        self._process.wait()
        self._end()

    def _end(self) -> None:
        """End the process and whatever it has started, wherever that has gone."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # of no effect where it has ended
        for _ in range(10):  # one of them may start another in this moment
            others = [pid for pid in _marked(self._mark) if pid != self._process.pid]
            if not others:
                return
            for pid in others:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


DISTURBED = "what it says to its check cannot be understood: does it write to open files that are not its own?"


def _marked(mark: str) -> list[int]:
    """Processes that have the mark in their environment, where the system shows it (Linux)."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found


def _plain(text: str, kept: str = "") -> str:
    """Text of theirs that can be shown: control characters, which a terminal would act on, as escapes."""
    return "".join(
        sign if sign.isprintable() or sign in kept else sign.encode("unicode_escape").decode("ascii") for sign in text
    )


def _keep_beginning(stream: IO[bytes], kept: bytearray) -> None:
    """Endless printing is to fill neither memory nor disk."""
    with contextlib.suppress(OSError, ValueError):  # closed under it
        while block := os.read(stream.fileno(), 1 << 16):
            kept.extend(block[: PRINTED + 1 - len(kept)])


def _told(status: int | None, seconds: float) -> str:
    if status is None:
        return f"it did not end within {seconds:g} s, and was stopped"
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        return f"Python itself was ended by {name} while it ran; has the memory run out?"
    return f"Python ended with exit status {status} before the check was done: does the file call an exit?"
