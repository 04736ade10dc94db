"""Ctrl-C that loses nothing: the step under way is finished, the run saved, and then it ends.

So it is with the signals of a system that shuts down, and of a terminal that was closed or a connection that was lost.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# Windows has no SIGHUP.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class StopRequest:
    """While this context lasts, SIGINT (Ctrl-C), SIGTERM and SIGHUP are noted in `signal` instead of ending the program.

    A second one does what it would have done without us. A signal that the program ignores, as under nohup, stays ignored.
    Outside the main thread, where Python delivers no signals, nothing is installed.
    """

    def __init__(self, announce: bool = True) -> None:
        self.signal: signal.Signals | None = None
        self._announce = announce
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before is not None and before != signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()
        if self._announce:
            # Not print: the signal may have come in the middle of one. And no error from here, wherever the step is.
            with contextlib.suppress(OSError):
                os.write(2, b"\nstopping after this step; once more to stop at once\n")
