"""Scratch memory that is used again: mvnp/execution/scratch.py."""

import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

from mvnp.execution.scratch import workspace

F4, F8 = np.dtype("float32"), np.dtype("float64")


def test_the_same_memory_again():
    first = workspace(np, "test.again", (4, 5), F8)
    second = workspace(np, "test.again", (10,), F4)
    assert (second.shape, second.dtype) == ((10,), F4)
    assert np.shares_memory(first, second)
    assert not np.shares_memory(first, workspace(np, "test.other", (4, 5), F8))


def test_it_grows():
    workspace(np, "test.grows", (2,), F8)
    large = workspace(np, "test.grows", (3, 100), F8)
    large[...] = 1.0
    assert large.shape == (3, 100)
    assert np.shares_memory(large, workspace(np, "test.grows", (2,), F8))


def test_threads_have_their_own():
    here, there = workspace(np, "test.threads", (8,), F4), []
    thread = threading.Thread(target=lambda: there.append(workspace(np, "test.threads", (8,), F4)))
    thread.start()
    thread.join()
    assert not np.shares_memory(here, there[0])


def test_on_cupy_it_is_new(strict_cupy):
    import cupy

    first, second = (workspace(cupy, "test.cupy", (3,), F4) for _ in range(2))
    assert isinstance(first, cupy.ndarray)
    assert first is not second


FAULTS = """
import resource, sys
import numpy as np
from mvnp.execution.scratch import keep_freed_memory

assert keep_freed_memory() if sys.argv[1] == "keep" else True
def pages():  # 64 MB, written and dropped
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(1 << 14, "float32")[...] = 1
    for array in [np.empty(1 << 24, "uint8") for _ in range(4)]:
        array[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(sum(pages() for _ in range(5)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept():
    def page_faults(how):
        ended = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, encoding="utf-8", check=True)
        return int(ended.stdout)

    assert page_faults("keep") < 100 < page_faults("let go")
