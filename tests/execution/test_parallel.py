"""Threads: mvnp/execution/parallel.py."""

import os
import threading
import time

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.execution import parallel
from mvnp.execution.parallel import ThreadGroup, run, threads, use_threads
from support.patience import HANGS


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 2)


def test_results_are_in_order():
    def task(number):
        time.sleep(0.01 * (3 - number))
        return number

    assert run([lambda n=n: task(n) for n in range(4)]) == [0, 1, 2, 3]
    assert run([]) == []


def test_tasks_run_at_the_same_time():
    both = threading.Barrier(2, timeout=HANGS)
    assert sorted(run([both.wait, both.wait])) == [0, 1]


def test_one_thread_or_one_task_stays_in_the_caller(monkeypatch):
    assert run([threading.get_ident]) == [threading.get_ident()]
    use_threads(1)
    assert run([threading.get_ident] * 3) == [threading.get_ident()] * 3


def test_within_a_task_nothing_is_cut_again():
    def task():
        return threads(), run([threading.get_ident, threading.get_ident]), threading.get_ident()

    for inside, nested, ident in run([task, task]):
        assert inside == 1
        assert nested == [ident, ident]
    assert threads() == 2


def test_threads_stay():
    first, second = (set(run([threading.get_ident] * 8)) for _ in range(2))
    assert len(first | second) <= 2


def test_the_matrix_library_is_held_to_one_thread_and_let_go():
    def numbers():
        return [library["num_threads"] for library in parallel._blas().info()]

    before = numbers()
    assert all(number == 1 for inside in run([numbers, numbers]) for number in inside)
    assert numbers() == before


def test_error_states_hold_in_threads():
    both = threading.Barrier(2, timeout=HANGS)  # so that each thread takes one

    def overflow():
        both.wait()
        return np.float32(1e38) * np.float32(1e38)

    with np.errstate(over="ignore"):
        assert run([overflow, overflow]) == [np.inf, np.inf]
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        run([overflow, overflow])


def test_what_a_task_raises_is_raised():
    def fail():
        raise KeyError("a task")

    with pytest.raises(KeyError, match="a task"):
        run([lambda: 1, fail])
    assert run([lambda: 1, lambda: 2]) == [1, 2]


def test_all_gather():
    group = ThreadGroup(2)

    def member(number):
        return [group.all_gather(number, (number, turn)) for turn in range(50)]

    expected = [[(0, turn), (1, turn)] for turn in range(50)]
    assert run([lambda: member(0), lambda: member(1)], group) == [expected, expected]


def test_nobody_waits_for_one_who_has_failed():
    group = ThreadGroup(2)

    def fail():
        raise ValueError("cannot come")

    with pytest.raises(ValueError, match="cannot come"):
        run([lambda: group.all_gather(0, "here"), fail], group)


def test_calls_from_several_threads_take_turns():
    results = [None] * 4

    def call(index):
        group = ThreadGroup(2)
        results[index] = run([lambda: group.all_gather(0, index), lambda: group.all_gather(1, -index)], group)

    callers = [threading.Thread(target=call, args=(index,)) for index in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=HANGS)
    assert results == [[[index, -index]] * 2 for index in range(4)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_makes_its_own_threads():
    run([lambda: 1, lambda: 2])
    child = os.fork()
    if child == 0:
        os._exit(0 if run([lambda: 1, lambda: 2]) == [1, 2] else 1)
    deadline = time.monotonic() + HANGS
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended == (child, 0)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "two"])
def test_wrong_number(number):
    with pytest.raises(InputError, match=r"use_threads: .* threads, expected an integer of at least 1"):
        use_threads(number)


def test_the_environment_says_how_many(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", None)
    for asked, expected in (("3", 3), ("1", 1)):
        parallel._default_threads.cache_clear()
        monkeypatch.setenv("MVNP_THREADS", asked)
        assert threads() == expected
    parallel._default_threads.cache_clear()
    monkeypatch.setenv("MVNP_THREADS", "many")
    with pytest.raises(InputError, match="MVNP_THREADS is 'many', expected an integer of at least 1"):
        threads()
    monkeypatch.delenv("MVNP_THREADS")
    assert 1 <= threads() <= (os.cpu_count() or 1)
    parallel._default_threads.cache_clear()
