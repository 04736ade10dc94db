"""Threads: mvnp/execution/parallel.py."""

import gc
import os
import threading
import time
import weakref
from functools import partial

import numpy as np
import pytest

from mvnp import Tape
from mvnp.errors import InputError
from mvnp.execution import parallel, shares
from mvnp.execution.parallel import ThreadGroup, cores_taken, run, threads, use_threads
from support.checks import normal
from support.patience import HANGS
from support.tiny import tiny


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
    with pytest.raises(InputError, match=r"use_threads: .* threads, expected an integer from 1 to 1024"):
        use_threads(number)


def test_the_environment_says_how_many(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", None)
    for asked, expected in (("3", 3), ("1", 1)):
        parallel._default_threads.cache_clear()
        monkeypatch.setenv("MVNP_THREADS", asked)
        assert threads() == expected
    parallel._default_threads.cache_clear()
    monkeypatch.setenv("MVNP_THREADS", "many")
    with pytest.raises(InputError, match="MVNP_THREADS is 'many', expected an integer from 1 to 1024"):
        threads()
    monkeypatch.delenv("MVNP_THREADS")
    assert 1 <= threads() <= (os.cpu_count() or 1)
    parallel._default_threads.cache_clear()


# Cores for others


def test_cores_are_taken_by_one_at_a_time(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 2)
    with cores_taken() as first, cores_taken() as second:
        assert (first, second) == (True, False)
    with pytest.raises(KeyError), cores_taken():
        raise KeyError
    with cores_taken() as again:
        assert again
        monkeypatch.setattr(parallel, "_chosen", 1)
    with cores_taken() as alone:
        assert not alone


def test_a_task_cannot_take_the_cores(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 2)

    def taken():
        with cores_taken() as ours:
            return ours

    assert run([taken, taken]) == [False, False]
    assert taken()


def test_a_task_that_is_interrupted_from_outside(monkeypatch):
    """Ctrl-C while the caller waits for a helper: the helper is given up, and others take its place."""
    begun, go_on = threading.Event(), threading.Event()

    def long():
        begun.set()
        go_on.wait(30)

    class Interrupted(parallel._Worker):
        def wait(self):
            begun.wait(30)
            raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "_workers", [Interrupted()])
    main = threading.get_ident()
    with pytest.raises(KeyboardInterrupt):
        run([lambda: long() if threading.get_ident() != main else begun.wait(30)] * 2)
    assert parallel._workers == []
    both = threading.Barrier(2, timeout=HANGS)
    assert sorted(run([both.wait, both.wait])) == [0, 1]
    go_on.set()


def test_groups_within_groups():
    """What other processes have comes by way of the last to arrive, once for all."""
    asked = []

    def outside(values):
        asked.append(values)
        return [["before"], values, ["behind"]]

    group = ThreadGroup(2, outside)
    expected = ["before", 0, 1, "behind"]
    assert run([lambda: group.all_gather(0, 0), lambda: group.all_gather(1, 1)], group) == [expected, expected]
    assert asked == [[0, 1]]


def test_a_group_that_cannot_ask_outside():
    def outside(values):
        raise OSError("the network is down")

    group = ThreadGroup(2, outside)
    with pytest.raises(OSError, match="the network is down"):
        run([lambda: group.all_gather(0, 0), lambda: group.all_gather(1, 1)], group)


def test_a_group_is_no_part_of_a_cycle():
    """It knows the tape of the whole batch, whose gradients would stay until Python looks for cycles."""

    class Outside:
        def gather(self, values):
            return [values]

    outside = Outside()
    group, gone = ThreadGroup(2, outside.gather), weakref.ref(outside)
    run([partial(group.all_gather, rank, rank) for rank in (0, 1)], group)
    gc.disable()
    try:
        del outside, group
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_of_a_task_has_the_matrix_library_as_it_was():
    def numbers():
        return [library["num_threads"] for library in parallel._blas().info()]

    before = numbers()

    def fork():
        child = os.fork()
        if child == 0:
            os._exit(0 if numbers() == before and not parallel._turn.locked() else 1)
        return os.waitpid(child, 0)[1]

    assert run([fork, int]) == [0, 0]


def test_eight_threads_use_one_model(monkeypatch):
    """Some evaluate, some train, at the same time: each gets what it gets alone."""
    monkeypatch.setattr(shares, "LEAST_PIXELS", 0)
    model = tiny(drop_path_rate=0.2)
    inputs = [normal((2 + index % 2, 3, 32, 32), seed=index).astype("f4") for index in range(8)]

    def use(index):
        tape = Tape(seed=index) if index % 2 else None
        y = model(inputs[index], tape)
        return [y] if tape is None else [y, model.backward(y, tape), *model.gradients(tape).values()]

    alone, together = [use(index) for index in range(8)], [None] * 8

    def work(index):
        together[index] = [use(index) for _ in range(3)]

    users = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join(timeout=HANGS)
    for index in range(8):
        for outcome in together[index]:
            for got, want in zip(outcome, alone[index], strict=True):
                np.testing.assert_array_equal(got, want)
