"""One process to a run's folder.

Two that train into one folder would write over each other's checkpoints, and neither could be trusted. So the one that trains
holds `.lock` in it, by the system's own lock of that file: the system lets go of it when the process ends, however it ends, and
so a lock is never left behind. What stands in the file says who holds it, and means nothing once nobody does.

Where a file system knows no locks (some network ones), nothing is held.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
import sys
import time
import weakref
from pathlib import Path
from typing import Any

from ..errors import TrainingError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NAME = ".lock"
_AWAY = 2**30  # the byte that Windows locks, which keeps others from reading it: not one of those that say who holds it
_TIME = "%Y-%m-%d %H:%M:%S"
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


class RunLock:
    """Holds a folder for this process as long as the object lives. Within a process it may be had several times."""

    def __init__(self, descriptor: int | None, path: Path) -> None:
        self.release = weakref.finalize(self, _release, descriptor, path, os.getpid())

    def __reduce__(self) -> Any:
        """To another rank goes one that holds nothing: the first holds the folder for all."""
        return RunLock, (None, Path())


_locks: weakref.WeakValueDictionary[Path, RunLock] = weakref.WeakValueDictionary()


def hold(folder: Path) -> RunLock:
    """The lock of a folder. Raises TrainingError that says who holds it, where another process does."""
    path = folder.resolve() / NAME
    lock = _locks.get(path)
    if lock is None or not lock.release.alive:
        lock = _locks[path] = RunLock(_locked(path), path)
    return lock


def _locked(path: Path) -> int | None:
    while True:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o666)
        try:
            opened = os.fstat(descriptor)
            if not stat.S_ISREG(opened.st_mode):
                raise TrainingError(f"{path} is no file, expected a run's lock; move it away, or choose another folder")
            _take(descriptor)
            if _is_still(path, opened):
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, _us(), 0) if hasattr(os, "pwrite") else os.write(descriptor, _us())
                return descriptor
        except OSError as error:
            holder = _holder(path) if error.errno in _HELD else None
            os.close(descriptor)
            if error.errno in _HELD:
                raise TrainingError(
                    f"{path.parent} is in use: {holder} trains there; wait for it to end, stop it, or choose another folder"
                ) from error
            return None  # a file system without locks
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was removed by who held it, between our opening and our locking it


def _take(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, _AWAY, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still(path: Path, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), opened)
    except FileNotFoundError:
        return False


def _us() -> bytes:
    about = {"process": os.getpid(), "machine": platform.node(), "since": time.strftime(_TIME)}
    return json.dumps(about).encode()


def _holder(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            about: Any = json.loads(file.read(1000))
        process, since = int(about["process"]), time.strptime(about["since"], _TIME)
        where = "" if about["machine"] == platform.node() else f" on {str(about['machine'])[:60]!r}"
        return f"process {process}{where}, since {time.strftime(_TIME, since)},"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


def _release(descriptor: int | None, path: Path, owner: int) -> None:
    if descriptor is None:
        return
    if os.getpid() == owner:  # and not a process that it has forked
        try:
            if _is_still(path, os.fstat(descriptor)):
                path.unlink(missing_ok=True)
        except OSError:  # Windows keeps a file that is open; the next one takes it as it is
            pass
    os.close(descriptor)
