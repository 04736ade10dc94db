"""Threads: the pieces of a batch side by side, one on each core.

NumPy lets go of Python's lock while it computes, so threads do run at the same time. They are worth it where each has much
to do between two meetings: here each takes a piece of the batch through the whole network. The matrix library has threads of
its own, for single products; while pieces run side by side it is held to one thread for each, or the two kinds would fight
over the cores.

`MVNP_THREADS` or `use_threads` set how many; the default is what the matrix library would use, at most one for each core.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from ..errors import InputError

T = TypeVar("T")

_chosen: int | None = None
_turn = threading.Lock()  # held while tasks run side by side
_inside = threading.local()  # `.task` is true in a thread that runs one of them


class Meeting:
    """Where tasks that run side by side tell each other something: each gives a value and gets those of all.

    All members have to come, each time, or those who have come wait for ever: `run` calls the meeting off when a task fails.
    """

    def __init__(self, members: int) -> None:
        self.members = members
        self._barrier = threading.Barrier(members)
        # Two tables in turn: while the slow ones still read the one, the fast ones may be writing into the other.
        self._tables: list[list[Any]] = [[None] * members, [None] * members]
        self._turns = [0] * members

    def gather(self, member: int, value: T) -> list[T]:
        """The values of all members, in their order."""
        table = self._tables[self._turns[member] % 2]
        self._turns[member] += 1
        table[member] = value
        self._barrier.wait()
        return list(table)

    def call_off(self) -> None:
        """Let nobody wait any longer: those who do get a BrokenBarrierError."""
        self._barrier.abort()


def use_threads(number: int) -> None:
    """Run the pieces of a batch in `number` threads; 1: everything in the calling thread. Raises InputError below 1."""
    global _chosen
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InputError(f"use_threads: {number!r} threads, expected an integer of at least 1")
    _chosen = number


def threads() -> int:
    """How many threads work on the pieces of a batch; 1 within a piece, which is not cut again."""
    if getattr(_inside, "task", False):
        return 1
    return _default_threads() if _chosen is None else _chosen


@cache
def _default_threads() -> int:
    asked = os.environ.get("MVNP_THREADS")
    if asked:
        if not asked.isdigit() or int(asked) < 1:
            raise InputError(f"MVNP_THREADS is {asked!r}, expected an integer of at least 1")
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Who has told the matrix library to use fewer threads wants the cores for something else.
    return min([cores, *(library["num_threads"] for library in _blas().info())])


def run(tasks: Sequence[Callable[[], T]], meeting: Meeting | None = None) -> list[T]:
    """The tasks' results, in order. The tasks run side by side in `threads()` threads, the calling one among them.

    meeting    where the tasks meet; there must be no more of them than threads

    What a task raises is raised here, once those that have begun have ended; no more are begun then.
    """
    number = min(threads(), len(tasks))
    if number < 2:
        return [task() for task in tasks]
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
            if meeting is not None:
                meeting.call_off()
        finally:
            _inside.task = False

    with _turn, _blas().limit(limits=max(1, threads() // len(tasks))):
        # In a copy of the caller's context each, so that np.errstate holds there too.
        helpers = [_workers(threads() - 1).submit(contextvars.copy_context().run, work) for _ in range(number - 1)]
        work()
        wait(helpers)
    # A BrokenBarrierError only says that another task has failed.
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return results


def run_briefly(tasks: Sequence[Callable[[], Any]]) -> None:
    """The tasks side by side, at most one for each thread; one after the other while the threads have others. They multiply no
    matrices and run no tasks of their own: nothing is set up for that, which is most of what `run` costs.

    What a task raises is raised here, once all have ended.
    """
    if len(tasks) < 2 or not _turn.acquire(blocking=False):
        for task in tasks:
            task()
        return
    try:
        helpers = [_workers(threads() - 1).submit(task) for task in tasks[1:]]
        try:
            tasks[0]()
        finally:
            errors = [helper.exception() for helper in helpers]  # which waits
    finally:
        _turn.release()
    for error in errors:
        if error is not None:
            raise error


def _taken(waiting: deque[Any]) -> Any:
    """The next of those that wait, or None: in one step, for several threads take from it."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


@cache
def _workers(number: int) -> ThreadPoolExecutor:
    """Threads that stay, so that their workspaces do, to help the calling one."""
    return ThreadPoolExecutor(number, thread_name_prefix="mvnp")


def _forget_workers() -> None:
    """A forked child has none of its parent's threads."""
    global _turn
    _turn = threading.Lock()
    _workers.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


@cache
def _blas() -> ThreadpoolController:
    """The matrix libraries that are loaded."""
    return ThreadpoolController().select(user_api="blas")
