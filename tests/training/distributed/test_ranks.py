"""Several processes that train together: mvnp/training/distributed/ranks.py, mpi.py, buckets.py, watcher.py."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mvnp.errors import InputError, MissingPackageError
from mvnp.training import Ranks, join, read_checkpoint, read_log
from mvnp.training.distributed import buckets, mpi
from mvnp.training.distributed.mpi import LAUNCHER_VARIABLES
from support import ranked
from support.patience import HANGS
from support.tolerance import DEEP, adamw_noise, assert_close
from support.toy_training import outcome

SEVERAL_RUNS = pytest.mark.slow(reason="several processes that wait for each other, started one after the other")


@pytest.fixture(scope="module")
def one_process():
    return ranked.steps(Ranks())


@pytest.mark.parametrize(("number", "options"), [(2, []), (3, []), (2, ["--threads"])])
def test_the_same_as_one_process(one_process, tmp_path, number, options):
    """Twenty steps in float64. Three ranks share a batch of seven as 2, 2, 3; with --threads, threads cut the shares
    again, and caches are forgotten and worked out again."""
    status, said = ranked.finish(ranked.start(number, "steps", tmp_path / "found.npz", *options))
    assert status == 0, said
    with np.load(tmp_path / "found.npz") as found:
        assert found["ranks"] == number
        assert set(found.files) == {"ranks", *one_process}
        for key, want in one_process.items():
            assert_close(found[key], want, noise=adamw_noise(1e-3, ranked.STEPS, gradient=0.5), message=key)
        assert_close(found["losses"], one_process["losses"], terms=DEEP)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The folder of a run of one process that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    ranked.run(out, False, Ranks())
    return out


def wait_for_steps(out: Path, number: int) -> None:
    end = time.monotonic() + HANGS
    while not (out / "log.jsonl").exists() or (out / "log.jsonl").read_bytes().count(b"\n") < number:
        assert time.monotonic() < end, "the run does not begin"
        time.sleep(0.01)


def assert_close_outcome(got: Path, want: Path) -> None:
    one, other = (read_checkpoint(path / "checkpoint.safetensors") for path in (got, want))
    assert (one.position.step, one.position.epoch) == (other.position.step, other.position.epoch)
    for key, array in other.arrays.items():
        assert_close(one.arrays[key], array, noise=adamw_noise(0.05, one.position.step, gradient=1.0), message=key)
    lines, expected = outcome(got)["log"], outcome(want)["log"]
    assert [(line["event"], line["step"]) for line in lines] == [(line["event"], line["step"]) for line in expected]
    assert_close([line.get("loss", 0) for line in lines], [line.get("loss", 0) for line in expected], terms=DEEP)


@SEVERAL_RUNS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_and_resumed_by_another_number(whole_run, tmp_path, number):
    out = tmp_path / "run"
    process = ranked.start(2, "run", out, "--hold", 6)
    wait_for_steps(out, 4)
    process.send_signal(number)
    status, said = ranked.finish(process)
    assert status != 0
    assert said.count("stopped by") == 1
    assert f"To go on: mpiexec -n 2 mvnp train --resume --out {out}" in said
    assert "was killed or failed" not in said
    stopped = read_checkpoint(out / "checkpoint.safetensors").position.step
    assert 4 <= stopped < 15
    assert [line["step"] for line in read_log(out / "log.jsonl") if line["event"] == "step"] == list(range(1, stopped + 1))
    status, said = ranked.finish(ranked.start(1 if number == signal.SIGINT else 3, "run", out, "--resume"))
    assert status == 0, said
    assert_close_outcome(out, whole_run)


def test_the_whole_recipe(tmp_path):
    """Mixed pictures whose partners another rank has, the average of the weights as a teacher, steps of two batches."""
    ranked.run(tmp_path / "one", False, Ranks(), recipe=True)
    status, said = ranked.finish(ranked.start(2, "run", tmp_path / "two", "--recipe"))
    assert status == 0, said
    one, two = (read_checkpoint(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    # The bias in front of a norm has no gradient but rounding, of which Adam makes whole steps; the norm's mean takes it away.
    blind = ("inner.bias", "norm.running_mean")
    for key, array in one.arrays.items():
        if not key.endswith(blind):
            np.testing.assert_allclose(two.arrays[key], array, rtol=1e-7, atol=1e-7, err_msg=key)
    losses = [[line["loss"] for line in outcome(tmp_path / name)["log"] if "loss" in line] for name in ("one", "two")]
    np.testing.assert_allclose(*losses, rtol=1e-7)


@SEVERAL_RUNS
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed(whole_run, tmp_path, victim):
    out = tmp_path / "run"
    process = ranked.start(2, "run", out, "--hold", 8)
    wait_for_steps(out, 6)
    os.kill(int(Path(f"{out}.rank{victim}").read_text(encoding="utf-8")), signal.SIGKILL)
    status, said = ranked.finish(process)
    assert status != 0
    assert "mvnp: a process of this training was killed or failed, and with it all" in said
    assert f"To go on: mpiexec -n 2 mvnp train --resume --out {out}" in said
    assert read_checkpoint(out / "checkpoint.safetensors").position.step >= 4  # there is one every second step
    status, said = ranked.finish(ranked.start(2, "run", out, "--resume"))
    assert status == 0, said
    assert_close_outcome(out, whole_run)


def test_a_rank_that_fails_alone(tmp_path):
    """The others wait for it in the middle of a step, and would for ever."""
    status, said = ranked.finish(ranked.start(2, "run", tmp_path / "run", FAIL_ON="1"))
    assert status != 0
    assert "mvnp: error on rank 1 of 2, which ends all: the dog ate it" in said
    assert read_checkpoint(tmp_path / "run/checkpoint.safetensors").position.step == 0


def test_the_command(tmp_path):
    model = [
        "--dim",
        "4",
        "--in-dim",
        "3",
        "--depths",
        "1",
        "1",
        "1",
        "1",
        "--heads",
        "1",
        "1",
        "2",
        "2",
        "--windows",
        "8",
        "8",
        "2",
        "2",
    ]
    command = ["train", "--out", tmp_path / "run", "--epochs", 1, "--batch-size", 150, "--classes", 0, 1, *model]
    status, said = ranked.finish(ranked.start(2, *command, module="mvnp"))
    assert status == 0, said
    assert said.count("test accuracy") == 2  # the epoch's line and the result, of one rank
    status, said = ranked.finish(ranked.start(2, *command, module="mvnp"))
    assert status != 0
    assert said.count("already holds a run") == 1  # what all refuse, one says
    assert "which ends all" not in said


class Loopback:
    """An MPI communicator whose two ranks have the same numbers."""

    def __init__(self):
        self.sizes = []

    def Iallreduce(self, numbers, total):
        self.sizes.append(numbers.size)
        total[...] = 2 * numbers
        return self

    def Wait(self):
        pass


def test_buckets():
    rng = np.random.default_rng(0)
    shapes = {"a": (3, 4), "b": (5,), "c": (), "d": (40,), "e": (2, 3)}
    arrays = {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}
    arrays["f"] = rng.standard_normal(3)
    communicator = Loopback()
    sums = buckets.all_reduce(communicator, arrays, bucket_bytes=4 * 18)
    assert communicator.sizes == [18, 40, 6, 3]  # a, b, c fill one; d is larger than any; f has another dtype
    assert list(sums) == list(arrays)
    for name, array in arrays.items():
        assert (sums[name].shape, sums[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(sums[name], 2 * array)


def test_shares():
    ranks = Ranks()
    ranks.size = 3
    shares = []
    for ranks.rank in range(3):
        shares += range(8)[ranks.shard(8)]
        with pytest.raises(InputError, match="a batch of 2 cannot be shared by 3 ranks"):
            ranks.shard(2)
    assert shares == list(range(8))


def test_join(monkeypatch):
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert join().size == 1
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    mpi._mpi_ranks.cache_clear()
    with pytest.raises(MissingPackageError, match=r"need mpi4py.*pip install 'mvnp\[mpi\]'"):
        join()
