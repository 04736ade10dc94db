"""What a person sees of a run, on standard error."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm

from ..errors import printable

LINE_EVERY = 30.0  # seconds between lines where there is no terminal to draw a bar on


class Progress:
    """A bar for each epoch on a terminal; elsewhere (a file, a pipe) a line now and then. `quiet`: nothing at all.

    A terminal that is closed in the midst makes it quiet: what is worked out goes on.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet or sys.stderr is None  # as it is in a program without a console
        self.draws = not self.quiet and sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._last_line = time.monotonic()

    def say(self, text: str) -> None:
        """A line that stays, or several. Names in it may come from anywhere: control characters are shown as escapes."""
        self.close()
        self._last_line = time.monotonic()
        if not self.quiet:
            with self._terminal():
                print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)

    def begin(self, title: str, total: int, done: int = 0) -> None:
        """A new bar of `total` batches, of which `done` are behind us."""
        self.close()
        self._title, self._total, self._done = title, total, done
        if self.draws:
            self._bar = tqdm(total=total, initial=done, desc=title, unit="batch", leave=False, dynamic_ncols=True)

    def advance(self, note: str = "") -> None:
        """One batch more."""
        self._done += 1
        if self._bar is not None:
            with self._terminal():
                self._bar.set_postfix_str(note, refresh=False)
                self._bar.update()
        elif not self.quiet and time.monotonic() - self._last_line > LINE_EVERY:
            self.say(f"{self._title}: batch {self._done} of {self._total}{note and ', '}{note}")

    def close(self) -> None:
        if self._bar is not None:
            with self._terminal():
                self._bar.close()
            self._bar = None

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.quiet, self.draws = True, False
            if self._bar is not None:
                self._bar.disable = True  # it would write a last time
                self._bar = None


class Speed:
    """Images a second in an epoch, of the steps alone. Used as a context around each step."""

    def __init__(self) -> None:
        self.images = 0
        self.seconds = self.last = self._waited = 0.0

    def __enter__(self) -> None:
        self._begin = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.last = time.monotonic() - self._begin
        self.seconds += self.last

    def has_batches(self) -> None:
        """Within a step: what came before was waiting for its batches."""
        self._waited += time.monotonic() - self._begin

    def waiting(self) -> float | None:
        """The share of the time that steps waited for their batches."""
        return self._waited / self.seconds if self.seconds else None

    def rate(self) -> float | None:
        """None where this process has trained no step of the epoch."""
        return self.images / self.seconds if self.images and self.seconds else None

    def __str__(self) -> str:
        return f", {self.rate():.0f} images/s" if self.rate() else ""
