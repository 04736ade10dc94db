"""Cores that work on one call of a kernel: mvnp/kernels/cpu/team.py."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

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
            y[i] = 2 * x[i] + extra

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
        deadline = time.monotonic() + HANGS
        while not all(helper.asleep for helper in team._helpers):
            assert time.monotonic() < deadline
            time.sleep(0.001)
    assert len(team._helpers) >= 2


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
        y = np.zeros(view.shape)
        in_parts(copy, (2, 2), -(-len(view) // 2), 1e9, view, y)
        np.testing.assert_array_equal(y, view)


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
