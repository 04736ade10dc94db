"""Batches that are made ahead, by processes of their own, while the network trains on those before.

Worker k of n makes batches k, k + n, k + 2n, …; each has one ready, or under way, and waits with it until it is fetched. So n
workers hold n batches, whatever happens. As a batch depends on nothing but its number (loader.py), the batches are the same for
any number of workers, and for none.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import MvnpError
from .folder import ImageFiles
from .loader import BatchLoader

PACKAGES = str(Path(__file__).resolve().parents[2])  # where the workers are to find this very mvnp
Place = tuple[int, int]  # epoch, index


class WorkerError(MvnpError):
    """A worker process has ended, which none does by itself."""


class Prefetch:
    """The batches of a loader, for who asks for them in their order.

    workers    processes; 0: each batch is made when it is asked for
    epochs     how many there are: nothing is made beyond
    part_of    which part of a batch of so many images is wanted; None: all

    Used as a context, which ends the workers.
    """

    def __init__(self, loader: BatchLoader, workers: int, epochs: int, part_of: Callable[[int], slice] | None = None) -> None:
        self.loader, self.epochs = loader, epochs
        self._part_of = part_of or (lambda _: slice(None))
        self._coming: deque[tuple[Place, subprocess.Popen[bytes]]] = deque()
        self._idle: deque[subprocess.Popen[bytes]] = deque()
        self._count = workers

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index` of `epoch`, as the loader makes it. Raises what that raises, and WorkerError."""
        if not self._count:
            return self.loader.batch(epoch, index, self._part_of(self.loader.batch_length(index)))
        if not self._coming or self._coming[0][0] != (epoch, index):
            self._begin((epoch, index))
        (_, worker) = self._coming.popleft()
        result, told = self._fetched(worker, epoch, index)
        self._idle.append(worker)
        self._ask()
        for message in told:
            warnings.warn(message, stacklevel=2)
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """End the workers. What they have made is thrown away."""
        workers = [*self._idle, *(worker for _, worker in self._coming)]
        self._idle.clear()
        self._coming.clear()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    _close(pipe)

    def _begin(self, place: Place) -> None:
        """Have batches made from this one on."""
        if self._coming or not self._idle:  # others are under way
            self.close()
            self._idle.extend(self._started() for _ in range(self._count))
        self._next: Place | None = place
        self._ask()

    def _ask(self) -> None:
        while self._idle and self._next is not None:
            epoch, index = self._next
            worker = self._idle.popleft()
            self._send(worker, (epoch, index, self._part_of(self.loader.batch_length(index))))
            self._coming.append(((epoch, index), worker))
            following = (epoch, index + 1) if index + 1 < len(self.loader) else (epoch + 1, 0)
            self._next = following if following[0] < self.epochs else None

    def _started(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [PACKAGES, os.environ.get("PYTHONPATH")]))
        one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MVNP_THREADS"), "1")
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "mvnp.data.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **one, "PYTHONPATH": path, "MVNP_BACKEND": "numpy"},
            start_new_session=True,  # Ctrl-C is none of its business: it ends with its standard input
        )
        self._send(worker, self.loader)
        return worker

    def _send(self, worker: subprocess.Popen[bytes], what: Any) -> None:
        assert worker.stdin is not None
        try:
            pickle.dump(what, worker.stdin, protocol=5)
            worker.stdin.flush()
        except BrokenPipeError:
            pass  # told when its batch is fetched

    def _fetched(self, worker: subprocess.Popen[bytes], epoch: int, index: int) -> Any:
        assert worker.stdout is not None
        try:
            return pickle.load(worker.stdout)
        except (EOFError, pickle.UnpicklingError) as error:
            status = worker.wait()
            self._idle.append(worker)
            self.close()
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            raise WorkerError(
                f"a process that makes batches {how} at batch {index + 1} of epoch {epoch + 1}; if memory ran out, use fewer"
                f" (--workers {self._count - 1})"
            ) from error


def workers_for(loader: BatchLoader) -> int:
    """How many suit a loader where nobody says so: one, for pictures that are decoded, or changed one by one."""
    made = loader.augmentation
    changed = bool(made.randaugment or made.colour_jitter or made.crop_scale)
    return int(isinstance(loader.dataset.images, ImageFiles) or changed)


def _close(pipe: Any) -> None:
    with contextlib.suppress(OSError):  # what it still had to write, nobody reads
        pipe.close()
