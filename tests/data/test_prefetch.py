"""Batches that are made ahead by other processes: mvnp/data/prefetch.py and worker.py."""

import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mvnp.data import BatchLoader, ImageFiles, load_parts
from mvnp.data.prefetch import Prefetch, WorkerError, workers_for
from mvnp.errors import DataError
from support.patience import HANGS
from support.photos import two_classes
from support.ranked import PACKAGE, TESTS
from support.toy_training import toy_data

RECIPE = {"randaugment": "rand-m9-mstd0.5-inc1", "mixup": 0.8, "cutmix": 1.0, "erasing": 0.25}


def loader(**changes):
    options = {"crop_padding": 1, "seed": 3, "augmentation": RECIPE, "image_size": 11, **changes}
    return BatchLoader(toy_data(30, "train"), 6, train=True, **options)


def drawn(workers, start=(0, 0), epochs=3, **options):
    made, found = loader(), []
    with Prefetch(made, workers, epochs, **options) as batches:
        for epoch in range(start[0], epochs):
            for index in range(start[1] if epoch == start[0] else 0, len(made)):
                found.append([array.tobytes() for array in batches.batch(epoch, index)])
    return found


@pytest.fixture(scope="module")
def alone():
    return drawn(0)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_for_any_number_of_workers(alone, workers):
    assert drawn(workers) == alone


def test_from_any_place(alone):
    assert drawn(2, start=(1, 3)) == alone[8:]


def test_parts():
    parts = {"part_of": lambda total: slice(0, total // 2)}
    assert drawn(1, **parts) == drawn(0, **parts)


def test_out_of_order(alone):
    with Prefetch(loader(), 2, 3) as batches:
        got = [batches.batch(0, index)[0].tobytes() for index in (0, 3, 1, 2)]
    assert got == [alone[index][0] for index in (0, 3, 1, 2)]


def test_no_more_than_one_batch_a_worker(monkeypatch):
    with Prefetch(loader(), 2, 1) as batches:
        for index in range(5):
            batches.batch(0, index)
            assert len(batches._coming) + len(batches._idle) == 2
        assert not batches._coming  # nothing is made beyond the last epoch


def processes(batches):
    return [*batches._idle, *(worker for _, worker in batches._coming)]


def test_the_context_ends_the_workers():
    with Prefetch(loader(), 2, 3) as batches:
        batches.batch(0, 0)
        workers = processes(batches)
    assert all(worker.poll() is not None for worker in workers)


@pytest.mark.parametrize("which", [0, 1])
def test_a_worker_that_is_killed(which):
    with Prefetch(loader(), 2, 3) as batches:
        batches.batch(0, 0)
        workers = processes(batches)
        workers[which].kill()
        workers[which].wait()
        with pytest.raises(WorkerError, match=r"was killed by signal 9 at batch .* of epoch 1; if memory.*--workers 1"):
            [batches.batch(0, index) for index in range(1, 5)]
        assert all(worker.poll() is not None for worker in workers)


@pytest.fixture
def photos(tmp_path):
    return two_classes(tmp_path, 4, (20, 30))


def test_errors_are_told_as_if_there_were_no_worker(photos):
    parts = load_parts(photos, image_size=16, whole=True, held_out=0)
    made = BatchLoader(parts.train, 8, train=True, augmentation={"crop_scale": (0.5, 1)}, crop_padding=0)
    (photos / "dog" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    told = []
    for workers in (0, 1):
        with Prefetch(made, workers, 1) as batches, pytest.raises(DataError) as caught:
            batches.batch(0, 0)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "dog" in told[0]


def test_warnings_are_passed_on(photos):
    narrow = Image.fromarray(np.full((20, 30), 1000, np.uint16) + np.arange(30, dtype=np.uint16))
    narrow.save(photos / "cat" / "0.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = load_parts(photos, image_size=16, held_out=0)
    files = ImageFiles(parts.train.files, 16, 3)
    made = BatchLoader(replace(parts.train, images=files), 8, train=True, crop_padding=0)
    with Prefetch(made, 1, 1) as batches, pytest.warns(match="use less than a tenth of the range"):
        batches.batch(0, 0)


def test_workers_end_with_the_process_that_they_work_for():
    code = (
        "import os, signal, sys\n"
        "from mvnp.data import BatchLoader\nfrom mvnp.data.prefetch import Prefetch\n"
        "from support.toy_training import toy_data\n"
        "batches = Prefetch(BatchLoader(toy_data(30, 'train'), 6, train=True, crop_padding=1), 2, 9)\n"
        "batches.batch(0, 0)\n"
        "print(*[w.pid for w in [*batches._idle, *(w for _, w in batches._coming)]], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([PACKAGE, TESTS])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=HANGS)
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    until = time.monotonic() + HANGS
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(pid):
    """Whether a process is there, and is not merely waited for by nobody."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (OSError, ValueError):
        return False


def test_how_many_suit(photos):
    parts = load_parts(photos, image_size=16, held_out=0)
    assert workers_for(BatchLoader(parts.train, 4, train=True)) == 0
    files = replace(parts.train, images=ImageFiles(parts.train.files, 16, 3))
    assert workers_for(BatchLoader(files, 4, train=True)) == 1
    assert workers_for(BatchLoader(parts.train, 4, train=True, augmentation=RECIPE)) == 1
    assert workers_for(BatchLoader(parts.train, 4, train=True, augmentation={"mixup": 1.0})) == 0
