"""A record of each time that device code waits for the GPU or copies to it, with the line of mvnp that did it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import mvnp

PACKAGE = Path(mvnp.__file__).parent
OWN_FILES = tuple(
    str(Path(__file__).with_name(f"{stem}.py")) for stem in ("host_events", "strict_array", "strict_calls", "strict_cupy")
)
SHOWN_CALLS = 3  # a transfer through to_numpy says little without its callers


@dataclass(frozen=True)
class Event:
    """What happened, and where: `file:line function`, the innermost call first."""

    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.what} at {self.where}"


@dataclass
class Recorder:
    """syncs: the host waited for the device. uploads: the host sent data to it, which costs time but no wait."""

    syncs: list[Event] = field(default_factory=list)
    uploads: list[Event] = field(default_factory=list)

    def sync(self, what: str) -> None:
        self.syncs.append(Event(what, _where()))

    def upload(self, what: str) -> None:
        self.uploads.append(Event(what, _where()))

    def clear(self) -> None:
        """Forget all. What a test does to prepare is nobody's fault."""
        self.syncs.clear()
        self.uploads.clear()

    def assert_no_syncs(self, during: str) -> None:
        """Fail with every place that waited."""
        lines = [f"  {event}" for event in self.syncs]
        assert not lines, f"{during} waited {len(lines)} times for the device:\n" + "\n".join(lines)


def _where() -> str:
    """The innermost lines of mvnp on the call stack; where there is none, the line outside the stand-in."""
    places, outside, frame = [], "", sys._getframe(1)
    while frame is not None and len(places) < SHOWN_CALLS:
        path, line = Path(frame.f_code.co_filename), f"{frame.f_lineno} {frame.f_code.co_name}"
        if path.is_relative_to(PACKAGE):
            places.append(f"{path.relative_to(PACKAGE.parent).as_posix()}:{line}")
        elif not outside and str(path) not in OWN_FILES:
            outside = f"{path.name}:{line}"
        frame = frame.f_back
    return " < ".join(places) or outside
