"""CuPy's own code on a CUDA that counts and computes nothing (tests/support/counting_cuda): how many launches there are, that
all go to the current device and stream, that nothing waits, is sent or allocated on the way, and no warning is given."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import counting_cuda
from support.cuda_on_cpu import build_folder
from support.patience import HANGS
from support.strict_cupy import installed

NOT_HERE = ("mask",)  # CuPy asks the device for numbers that its kernel's text depends on

TESTS = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(bool(counting_cuda.lacking()), reason=counting_cuda.lacking())


@functools.cache
def result(task: str, *arguments: str) -> Any:
    """What a task of tests/support/counting_cuda/tasks.py prints."""
    paths = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]), "CUPY_CACHE_DIR": str(build_folder() / "cupy")}
    command = [sys.executable, "-m", "support.counting_cuda.tasks", task, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=os.environ | paths, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def work(counts: dict[str, Any]) -> int:
    """All that the host has to queue: kernels, products of cuBLAS, copies and fills."""
    return sum(counts[name] for name in ("launches", "products", "copies", "fills"))


def test_what_the_stand_in_records_is_what_cupy_does():
    from test_strict_cupy import COMPUTATIONS, HOST

    counted, different = result("operations"), []
    with installed() as recorder:
        import cupy

        for name, compute in COMPUTATIONS.items():
            x = cupy.asarray(HOST)
            recorder.clear()
            compute(cupy, x)
            said = {"uploads": bool(recorder.uploads), "waits": bool(recorder.syncs)}
            if name not in NOT_HERE and said != {what: bool(counted[name][what]) for what in said}:
                different.append((name, said, counted[name]))
    assert not different
    assert {name for name, found in counted.items() if found["failed"]} == {"windows", *NOT_HERE}
    assert counted["windows"]["uploads"] > 0
    assert counted["windows"]["waits"] > 0


def test_shapes_and_dtypes_are_numpys():
    found = result("layers")
    assert found["different"] == []
    assert found["compared"] > 300


def test_two_that_load_the_compiler():
    if said := result("compilers")["lacking"]:
        pytest.skip(said)


@pytest.mark.parametrize("where", ["device", "stream"])
def test_all_goes_where_the_caller_is(where):
    found = result("place", where)
    expected = [[1, 0]] if where == "device" else [[0, found["stream"]]]
    assert [place[:2] for place in found["places"]] == expected
    assert found["places"][0][2] > 500


# The most that there may be: images in batches of 8, all that is queued counted along.
MOST_INFERENCE, MOST_STEP = 330, 1700


def test_inference():
    found = result("inference", "mamba_vision_T", "8")
    assert work(found) <= MOST_INFERENCE
    assert work(found["fixed"]) <= work(found) - 10  # BatchNorm has been folded before
    for counts in (found, found["fixed"]):
        nothing = ("waits", "reads", "uploads", "allocations", "pinned", "refused")
        assert {name: counts[name] for name in nothing} == dict.fromkeys(nothing, 0)
        assert len(counts["places"]) == 1
    assert not any(name.startswith("cupy_mat_ptrs") for name in found["kernels"])


@pytest.mark.parametrize("kind", ["AdamW", "LAMB"])
def test_training_step(kind):
    found = result("step", "mamba_vision_T", "8", kind)
    assert work(found) <= MOST_STEP
    assert (found["waits"], found["reads"]) == (1, 1)
    assert (found["allocations"], found["refused"]) == (0, 0)
    assert len(found["places"]) == 1
    optimizer = ("gather", "find_norm", "adamw", "lamb_direction", "lamb_ratios", "lamb_step")
    launched = sum(found["kernels"].get(name, 0) for name in optimizer)
    assert 9 <= launched <= 12


@pytest.mark.slow(reason="kernels of two more families are compiled")
@pytest.mark.parametrize(("name", "inference", "step"), [("vim_tiny", 800, 2400), ("vmamba_tiny_s1l8", 800, 2700)])
def test_other_families(name, inference, step):
    assert work(result("inference", name, "8")) <= inference
    assert work(result("step", name, "8")) <= step


def test_tf32_is_on_where_it_is_chosen():
    found = result("precision")
    assert [found[choice]["tf32_products"] for choice in ("default", "off")] == [0, 0]
    assert found["on"]["tf32_products"] >= 0.8 * found["on"]["products"] > 20  # of the least, CuPy makes float32 ones


def test_the_script_for_a_first_run_on_a_gpu_runs():
    found = result("first_run")
    assert len(found["done"]) == len(set(found["done"])) >= 17
    assert found["refused"] == 0
