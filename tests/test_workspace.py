"""Scratch memory that is used again: mvnp/workspace.py."""

import threading

import numpy as np

from mvnp.workspace import workspace

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
