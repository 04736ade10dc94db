"""Ranks over MPI, by way of mpi4py: `mpiexec -n 4 mvnp train ...`.

BatchNorm's statistics are a few numbers for each channel and go as Python objects; gradients go as buffers. All ranks get the
statistics in the order of the ranks and work out the same numbers from them, and MPI gives all the same sums: so the copies of
the weights stay alike, bit for bit, and are never sent.

MPI: A Message-Passing Interface Standard, version 4.1, chapter 6.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from ...backend import Array, backend_name, current_module, from_numpy, to_numpy
from ...errors import MissingPackageError, MvnpError, TrainingError
from ...execution.parallel import threads, use_threads
from ..watcher import Watcher
from . import buckets
from .ranks import Ranks

T = TypeVar("T")

# What launchers tell those that they start: MPICH and its kin, Open MPI, any with PMIx.
LAUNCHER_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK")
PATIENCE = 5.0  # seconds in which ranks that fail for the same reason do so


def join() -> Ranks:
    """The ranks that mpiexec has started, this process among them; a process by itself where there was no mpiexec.

    Raises MissingPackageError where mpi4py is wanted and cannot be used; TrainingError where MPI allows no threads.
    """
    return _mpi_ranks() if any(name in os.environ for name in LAUNCHER_VARIABLES) else Ranks()


@cache
def _mpi_ranks() -> Ranks:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI for it to load
        raise MissingPackageError(
            f"several processes that train together need mpi4py, which cannot be used ({error}); pip install 'mvnp[mpi]' has it"
            " with an MPI of its own"
        ) from error
    if MPI.COMM_WORLD.size == 1:
        return Ranks()
    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
        raise TrainingError("this MPI allows no calls from threads (MPI_THREAD_SERIALIZED), which BatchNorm makes; use another")
    return MpiRanks(MPI)


class MpiRanks(Ranks):
    """The processes of one `mpiexec`. `MPI`: the module of mpi4py."""

    def __init__(self, MPI: Any) -> None:
        self._world = MPI.COMM_WORLD
        self.rank, self.size = self._world.rank, self._world.size
        # Where those that have failed meet: the others may be in the middle of something else.
        self._failed = self._world.Dup()
        self._watcher: Watcher | None = None
        self._within = False
        beside = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        _share_machine(beside.rank, beside.size)

    def all_gather(self, value: T) -> list[T]:
        return [_mapped(from_numpy, other) for other in self._world.allgather(_mapped(to_numpy, value))]

    def all_reduce(self, arrays: dict[str, Array]) -> dict[str, Array]:
        return buckets.all_reduce(self._world, arrays)

    def from_first(self, function: Callable[[], T]) -> T:
        result, problem = None, None
        if self.first:
            try:
                result = function()
            except Exception as error:
                problem = error
        result, problem = self._world.bcast((result, problem))
        if problem is not None:
            raise problem
        return result  # type: ignore[return-value]

    def watch(self, message: str) -> None:
        if self.first:
            self._watcher = Watcher(message)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What all ranks raise, the first raises and the others end silently; what only some raise ends all of them."""
        if self._within:  # the outermost one does it
            yield
            return
        self._within = True
        try:
            yield
        except BaseException as error:
            status = _status(error)
            if not self._all_failed():
                self._abort(error, status)
            if not self.first:
                raise SystemExit(status) from error
            raise
        finally:
            self._within = False
            if self._watcher is not None:
                self._watcher.dismiss()
                self._watcher = None

    def _all_failed(self) -> bool:
        """Whether every rank comes here within a few seconds."""
        request, end = self._failed.Ibarrier(), time.monotonic() + PATIENCE
        while not request.Test():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def _abort(self, error: BaseException, status: int) -> None:
        """End all ranks: they wait for this one, which does not come."""
        if not isinstance(error, MvnpError | OSError | KeyboardInterrupt | MemoryError):
            traceback.print_exception(error)
        reason = str(error) or type(error).__name__
        print(f"mvnp: error on rank {self.rank} of {self.size}, which ends all: {reason}", file=sys.stderr, flush=True)
        self._world.Abort(status)


def _status(error: BaseException) -> int:
    """The exit status that the command line would give."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    stopped_by = getattr(error, "signal", None)
    return 2 if stopped_by is None else 128 + stopped_by


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The value with `function` applied to each array in it."""
    if isinstance(value, list | tuple):
        return type(value)(_mapped(function, entry) for entry in value)
    return function(value) if hasattr(value, "shape") else value


def _share_machine(rank: int, size: int) -> None:
    """Ranks on the same machine, of which this is number `rank` of `size`, share its cores or take a GPU each."""
    if backend_name() == "cupy":
        runtime = current_module().cuda
        runtime.Device(rank % runtime.runtime.getDeviceCount()).use()
    elif "MVNP_THREADS" not in os.environ:
        share = max(1, threads() // size)
        use_threads(share)
        threadpool_limits(share, user_api="blas")
