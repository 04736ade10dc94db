"""Cores that work on one call of a kernel: mvnp/kernels/cpu/team.py."""

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mvnp.execution import parallel
from mvnp.kernels.cpu import KernelError
from support.patience import HANGS
from support.twins import needs_numba

pytestmark = needs_numba

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 3)


def doubling():
    from mvnp.kernels.cpu.jit import kernel

    @kernel
    def double(x, y, extra):
        for i in range(len(x)):
            if x[i] < 0:
                raise ValueError
            y[i] += 2 * x[i] + extra

    return double


def check(double, count=1000, seed=0):
    from mvnp.kernels.cpu.team import in_parts

    x, y = np.random.default_rng(seed).random(count), np.zeros(count)
    in_parts(double, (1, 1), count, 1e9, x, y, 3.0)
    np.testing.assert_array_equal(y, 2 * x + 3)


def test_job_after_job():
    double = doubling()
    for seed in range(300):
        check(double, 1 + 7 * seed, seed)


def test_helpers_go_to_sleep_and_wake_again():
    from mvnp.kernels.cpu import team

    double = doubling()
    for seed in range(3):
        check(double, seed=seed)
        wait_until(lambda: all(helper.asleep for helper in team._helpers))
    assert len(team._helpers) >= 2


@pytest.mark.parametrize(
    ("cores", "units", "cost", "woken", "parts"),
    [
        (3, 1000, 9999.0, 0, 1),  # over too soon
        (3, 1000, 1e4, 2, 6),
        (2, 1000, 1e4, 1, 4),
        (1, 1000, 1e9, 0, 1),
        (3, 5, 1e9, 2, 5),
        (3, 2, 1e9, 2, 2),
        (3, 1, 1e9, 0, 1),
    ],
)
@pytest.mark.parametrize("taken", [False, True])
def test_how_many_parts_there_are_and_for_whom(cores, units, cost, woken, parts, taken, monkeypatch):
    """Two for each core, of units that stay whole. Alone, and while others have the cores, the caller takes all of it."""
    from mvnp.kernels.cpu import team

    calls = []

    def noted(board, parts, units):
        calls.append((board is team._shared, parts, units))
        return False

    monkeypatch.setattr(team, "_together", lambda body, cuts: noted)
    monkeypatch.setattr(team, "_wake", lambda number: calls.append(number))
    monkeypatch.setattr(parallel, "_chosen", cores)
    if taken:
        with parallel.cores_taken():
            team.in_parts(None, (), units, cost)
    else:
        team.in_parts(None, (), units, cost)
    alone = not woken or (taken and cores > 1)
    assert calls == ([(False, 1, units)] if alone else [woken, (True, parts, units)])


def wait_until(condition):
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_helpers_serve_when_they_are_woken(monkeypatch):
    from mvnp.kernels.cpu import team

    served = threading.Semaphore(0)
    monkeypatch.setattr(team, "_serve", lambda board: served.release())
    monkeypatch.setattr(team, "_helpers", [team._Helper()])
    assert not served.acquire(timeout=0.05), "nobody has woken it"
    for number in (1, 3, 2):
        team._wake(number)
        for _ in range(number):
            assert served.acquire(timeout=HANGS)
        wait_until(lambda: all(helper.asleep for helper in team._helpers))
    assert len(team._helpers) == 3
    threads = [thread for thread in threading.enumerate() if thread.name == "mvnp kernels"]
    assert len(threads) >= 3
    assert all(thread.daemon for thread in threads), "or they would keep a process alive"


def test_the_end_of_a_process_waits_for_helpers(monkeypatch):
    from mvnp.kernels.cpu import team

    busy = [SimpleNamespace(asleep=False), SimpleNamespace(asleep=False)]
    monkeypatch.setattr(team, "_helpers", list(busy))
    monkeypatch.setattr(team, "time", SimpleNamespace(sleep=lambda seconds: setattr(busy.pop(), "asleep", True)))
    team._until_asleep()
    assert not busy


def test_a_board_of_jobs():
    """Whatever lay on it, a job has its own number and counts its own parts. Each place is a line of the cache, 64 bytes."""
    from mvnp.kernels.cpu import team

    places = team.NEXT, team.JOB, team.ARGUMENTS, team.DONE, team.FAILED
    board = team._board()
    assert [place * board.itemsize for place in places] == list(range(0, board.nbytes, 64))
    board[team.DONE] = board[team.FAILED] = 1
    together = team._together(doubling(), (1, 1))
    for job, parts in ((1, 4), (2, 1), (3, 7)):
        x, y = np.random.default_rng(job).random(100), np.zeros(100)
        assert not together(board, parts, 100, x, y, 3.0)
        np.testing.assert_array_equal(y, 2 * x + 3)
        assert (board[team.NEXT], board[team.DONE], board[team.FAILED]) == (job << 32, parts, 0)


def test_parts_are_done_side_by_side():
    """Two that wait for each other."""
    from mvnp.kernels.cpu import team
    from mvnp.kernels.cpu.jit import kernel

    add_one, read, let_others = team._add_one, team._read, team._let_others

    @kernel
    def meet(x, here):
        add_one(here, 0)
        while read(here, 0) < 2:
            let_others()

    board, over = team._board(), threading.Event()

    def serve():
        while not over.is_set():
            team._serve(board)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert not team._together(meet, (1,))(board, 2, 2, np.zeros(2), np.zeros(1, np.int64))
    finally:
        over.set()
        thread.join()


def test_names_of_what_is_kept_on_disk():
    from mvnp.kernels.cpu import gelu, silu, team

    shared = [
        team._together(body, cuts) for body in (gelu._forward, gelu._backward, silu._forward) for cuts in ((1, 1), (2, 2))
    ]
    names = {(one.py_func.__module__, one.py_func.__qualname__) for one in shared}
    assert len(names) == len(shared)


def test_several_threads_at_once():
    """One of them has the team, or none; the others compute by themselves."""
    double, errors = doubling(), []
    check(double)

    def work(number):
        try:
            for seed in range(50):
                check(double, 500 + number, seed)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_an_error_in_a_part_is_one_of_the_call():
    from mvnp.kernels.cpu.team import in_parts

    double = doubling()
    for place in (0, 500, 999):
        x = np.ones(1000)
        x[place] = -1
        for cost in (1.0, 1e9):
            with pytest.raises(KernelError, match="the CPU kernel double failed"):
                in_parts(double, (1, 1), 1000, cost, x, np.zeros(1000), 0.0)
        check(double)


def test_views_are_cut_where_they_lie():
    from mvnp.kernels.cpu.jit import kernel
    from mvnp.kernels.cpu.team import in_parts

    @kernel
    def copy(x, y):
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                y[i, j] = x[i, j]

    x = np.arange(60.0).reshape(6, 10)
    for view in (x[::2, 1:9], x.T, x[::-1], x[:, ::-3]):
        memory = np.zeros((len(view) + 1, view.shape[1]))
        in_parts(copy, (2, 2), -(-len(view) // 2), 1e9, view, memory[:-1])
        np.testing.assert_array_equal(memory[:-1], view)
        np.testing.assert_array_equal(memory[-1], 0)


def test_rows_of_an_array_in_row_major_order_are_one():
    """A kernel may take what it gets as so many numbers."""
    from mvnp.kernels.cpu.jit import kernel
    from mvnp.kernels.cpu.team import in_parts

    @kernel
    def twice(x, y):
        flat = x.reshape(-1)
        for i in range(y.size):
            y[i // y.shape[1], i % y.shape[1]] += 2 * flat[i]

    x, y = np.arange(60.0).reshape(20, 3), np.zeros((20, 3))
    in_parts(twice, (1, 1), 20, 1e9, x, y)
    np.testing.assert_array_equal(y, 2 * x)


PROGRAM = """
import os
import numpy as np
from mvnp.execution import parallel
from mvnp.kernels.cpu.rows import over_rows
from mvnp.kernels.cpu.gelu import _forward
parallel._chosen = 3
def check():
    x = np.full(1000, 30.0)
    y = np.zeros(1000)
    over_rows(_forward, (x, y), cost=1e6)
    assert (y == x).all()
for _ in range(20):
    check()
    {again}
    check()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_helpers_of_its_own():
    again = "child = os.fork()\n    if child == 0: check(); os._exit(0)\n    assert os.waitpid(child, 0)[1] == 0"
    assert run(PROGRAM.format(again=again)) == "done"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_nothing_is_left_of_the_parents_jobs_after_a_fork():
    from mvnp.kernels.cpu import team

    check(doubling())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(len(team._helpers) + int(team._shared.any()))
    assert os.waitpid(child, 0)[1] == 0
    assert team._helpers
    assert team._shared.any()


def test_helpers_do_not_keep_a_process_alive():
    assert run(PROGRAM.format(again="pass")) == "done"


def test_what_is_read_from_the_disk_is_the_kernel_that_was_meant(tmp_path):
    """Several modules call their kernel `_forward`; another process may have compiled each."""
    program = """
import sys
import numpy as np
import mvnp.layers.{0} as layer
forward = layer.{0}_forward
x = np.linspace(-3, 3, 50)
np.testing.assert_allclose(forward(x)[0], forward.book(x)[0], rtol=1e-12)
"""
    names = ("gelu", "silu", "relu", "softplus")
    for name in names:
        run(program.format(name), NUMBA_CACHE_DIR=str(tmp_path), MVNP_KERNELS="on")
    assert len(list(tmp_path.rglob("*.kernel"))) >= len(names)
    run("".join(program.format(name) for name in names), NUMBA_CACHE_DIR=str(tmp_path), MVNP_KERNELS="on")


def run(program: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore::DeprecationWarning", **variables}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
