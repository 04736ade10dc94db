"""Threads: tasks side by side, one on each core.

NumPy and the kernels let go of Python's lock while they compute, so threads do run at the same time. The matrix library has
threads of its own, for single products; while tasks run side by side it is held to one thread for each, or the two kinds would
fight over the cores.

    run            long tasks, such as shares of a batch through the whole network; whoever else wants the cores waits
    cores_taken    for those who bring threads of their own, as kernels do; where the cores are taken they do without

`MVNP_THREADS` or `use_threads` set how many; the default is what the matrix library would use, at most one for each core.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InputError, shown

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")

MOST_THREADS = 1024

_chosen: int | None = None
_turn = threading.Lock()  # held while tasks run side by side
_workers: list[_Worker] = []
_limits: list[Any] = []  # those of the matrix library that hold now


class _Inside(threading.local):
    task = False  # whether this thread runs one of the tasks; what a class has is found sooner than what is missing


_inside = _Inside()


class ThreadGroup:
    """Tasks that run side by side and exchange values, as processes do over MPI.

    size       how many; all have to come each time, or those who have come wait until `run` aborts the group
    outside    gives a list of the values of this group and of all others like it; by default there are no others
    """

    def __init__(self, size: int, outside: Callable[[Any], list[Any]] = lambda values: [values]) -> None:
        self.size = size
        values: list[Any] = [None] * size
        gathered: list[list[Any]] = [[]]

        def gather() -> None:  # the last to come does it, before anyone goes on
            gathered[0] = [value for of_a_group in outside(list(values)) for value in of_a_group]

        self._values, self._gathered = values, gathered

        # Not a method: a group that is part of a cycle would keep its tapes until Python looks for cycles.
        self._barrier = threading.Barrier(size, gather)

    def all_gather(self, rank: int, value: T) -> list[T]:
        """The values of all tasks, in their order."""
        self._values[rank] = value
        self._barrier.wait()
        return self._gathered[0]  # replaced at the next exchange, for which everyone has to have come back

    def abort(self) -> None:
        """Nobody waits any longer: those who do get a BrokenBarrierError."""
        self._barrier.abort()


def use_threads(number: int) -> None:
    """Run the shares of a batch in `number` threads; 1: everything in the calling thread. Raises InputError for
    a number that cannot be."""
    global _chosen
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_THREADS:
        raise InputError(f"use_threads: {shown(number)} threads, expected an integer from 1 to {MOST_THREADS}")
    _chosen = number


def threads() -> int:
    """How many threads work on the shares of a batch; 1 within a share, which is not cut again."""
    if _inside.task:
        return 1
    return _default_threads() if _chosen is None else _chosen


@cache
def _default_threads() -> int:
    asked = os.environ.get("MVNP_THREADS")
    if asked:
        number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0
        if not 1 <= number <= MOST_THREADS:
            raise InputError(f"MVNP_THREADS is {shown(asked)}, expected an integer from 1 to {MOST_THREADS}")
        return number
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Who has told the matrix library to use fewer threads wants the cores for something else.
    return min([cores, *(library["num_threads"] for library in _blas().info())])


def run(tasks: Sequence[Callable[[], T]], group: ThreadGroup | None = None) -> list[T]:
    """The tasks' results, in order. The tasks run side by side in `threads()` threads, the calling one among them.

    group    in which the tasks exchange values; then each has a thread

    What a task raises is raised here, once those that have begun have ended; no more are begun then.
    """
    number = min(threads(), len(tasks)) if group is None else len(tasks)
    if number < 2:
        return [task() for task in tasks]
    with _turn, _blas_limited(max(1, threads() // len(tasks))):
        return _side_by_side(tasks, number, group)


class cores_taken:
    """`with cores_taken() as ours`: whether the cores are the caller's until the end of the block, for threads of its own: not
    within a task, and not while anyone else has them. A class, as a generator would take a microsecond more, at each kernel."""

    def __enter__(self) -> bool:
        self._turn = _turn
        self._ours = threads() > 1 and self._turn.acquire(blocking=False)
        return self._ours

    def __exit__(self, *of_an_error: object) -> None:
        if self._ours:
            self._turn.release()


def _side_by_side(tasks: Sequence[Callable[[], T]], number: int, group: ThreadGroup | None = None) -> list[T]:
    waiting = deque(enumerate(tasks))
    results: list[Any] = [None] * len(tasks)
    errors: list[BaseException] = []

    def work() -> None:
        _inside.task = True
        try:
            while (next_one := _taken(waiting)) is not None:
                index, task = next_one
                results[index] = task()
        except BaseException as error:
            errors.append(error)
            waiting.clear()
            if group is not None:
                group.abort()
        finally:
            _inside.task = False

    while len(_workers) < number - 1:
        _workers.append(_Worker())
    helpers = _workers[: number - 1]
    try:
        for helper in helpers:
            # In a copy of the caller's context, so that np.errstate holds there too.
            helper.begin(contextvars.copy_context(), work)
        work()
        for helper in helpers:
            helper.wait()
    except BaseException:  # Ctrl-C, in the lines above: nobody knows what these helpers are at, and others take their place
        waiting.clear()
        if group is not None:
            group.abort()
        for helper in helpers:
            helper.dismiss()
            _workers.remove(helper)
        raise
    # A BrokenBarrierError only says that another task has failed.
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return results


def _taken(waiting: deque[Any]) -> Any:
    """The next of those that wait, or None: in one step, for several threads take from it."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


class _Worker:
    """A thread that stays, so that its scratch memory does, and helps the calling one. Waking it takes a few microseconds."""

    def __init__(self) -> None:
        self._begun, self._ended = threading.Lock(), threading.Lock()
        self._begun.acquire()
        self._ended.acquire()
        self._call: Callable[[], Any] = lambda: None
        self._stays = True
        threading.Thread(target=self._serve, name="mvnp", daemon=True).start()

    def begin(self, context: contextvars.Context, work: Callable[[], None]) -> None:
        """Have work(), which raises nothing, run in this thread."""
        self._call = lambda: context.run(work)
        self._begun.release()

    def wait(self) -> None:
        """Return when it has ended."""
        self._ended.acquire()

    def dismiss(self) -> None:
        """Have the thread end, once it has done what it was given."""
        self._stays, self._call = False, lambda: None
        if self._begun.locked():
            self._begun.release()

    def _serve(self) -> None:
        while self._stays:
            self._begun.acquire()
            self._call()
            self._call = lambda: None  # what it worked on is not held until the next time
            if self._ended.locked():
                self._ended.release()


def _after_fork() -> None:
    """A forked child has none of its parent's threads, and may have come while the matrix library was held to one."""
    global _turn
    _turn = threading.Lock()
    _workers.clear()
    _inside.task = False
    for limit in _limits:
        limit.restore_original_limits()
    _limits.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def _blas_limited(number: int) -> Iterator[None]:
    """The matrix library uses `number` threads for a product."""
    limit = _blas().limit(limits=number)
    _limits.append(limit)
    try:
        yield
    finally:
        if limit in _limits:
            _limits.remove(limit)
            limit.restore_original_limits()


@cache
def _blas() -> ThreadpoolController:
    """The matrix libraries that are loaded."""
    from threadpoolctl import ThreadpoolController  # here: a single thread, as in a browser, has no need of it

    return ThreadpoolController().select(user_api="blas")
