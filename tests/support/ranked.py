"""Runs of several ranks: what they do, as a program for mpiexec, and how tests start it.

mpiexec -n 2 python ranked.py steps OUT [--threads]     a few steps of a small model, in float64
mpiexec -n 2 python ranked.py run OUT [--resume] [--recipe]    the run of toy_training.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mvnp
from mvnp import MambaVision
from mvnp.data import BatchLoader
from mvnp.execution import parallel, shares
from mvnp.training import AdamW, Ranks, Trainer, evaluate, join, open_run, train_step
from mvnp.training import trainer as trainer_module

from .patience import HANGS
from .randomise import randomised
from .tiny import TINY
from .toy_training import RECIPE, ToyModel, toy_config, toy_data, toy_loaders

PACKAGE, TESTS = str(Path(mvnp.__file__).parents[1]), str(Path(__file__).parents[1])
STEPS, BATCH = 20, 7  # an odd batch: two ranks have shares of different size


def steps(ranks: Ranks, micro_batch: int = 0) -> dict[str, np.ndarray]:
    """Parameters, statistics, losses and norms of some steps with all that ranks could get wrong, and an evaluation."""
    arguments = {**TINY, "dtype": "float64", "drop_path_rate": 0.3, "drop_rate": 0.2, "attn_drop_rate": 0.1, "in_chans": 1}
    model = randomised(MambaVision(**arguments))
    options: dict[str, Any] = {"crop_padding": 1, "image_size": 40}
    train = BatchLoader(toy_data(STEPS * BATCH, "train"), BATCH, train=True, **options)
    test = BatchLoader(toy_data(17, "test"), 4, train=False, image_size=40)
    optimizer = AdamW(model.named_parameters())
    results = []
    for step in range(STEPS):
        images, labels = train.batch(0, step, ranks.shard(BATCH))
        rest: dict[str, Any] = {
            "lr": 1e-3,
            "clip_norm": 0.5,
            "label_smoothing": 0.1,
            "seed": [0, step],
            "micro_batch": micro_batch,
        }
        results.append(train_step(model, optimizer, images, labels, **rest, ranks=ranks, total=BATCH))
    tested = evaluate(model, test, ranks=ranks)
    found = {key: np.asarray(array) for key, array in model.state_dict().items()}
    found["losses"] = np.array([result.loss for result in results])
    found["norms"] = np.array([result.grad_norm for result in results])
    found["tested"] = np.array([tested.accuracy, tested.loss, tested.count])
    return found


def run(out: Path, resume: bool, ranks: Ranks, recipe: bool = False) -> None:
    """The run of toy_training.py in float64. (A gradient that is zero by mathematics is noise for AdamW in float32.)"""
    config = toy_config(**(RECIPE if recipe else {}))
    with ranks.together():
        folder = ranks.from_first(lambda: open_run(out, config, resume))
        Trainer(ToyModel(config.seed, "float64"), *toy_loaders(config), folder, quiet=True, ranks=ranks).run()


def disturb(ranks: Ranks, hold: int, noted: Path) -> None:
    """From step `hold` on wait for a signal, until one rank (which leaves the file `noted`) has it; and, where the environment
    says so, an error in a step."""
    original, calls = trainer_module.train_step, 0
    before = signal.getsignal(signal.SIGTERM)  # a run takes it over, and gives it back once a signal has come

    def disturbed(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        while 0 < hold <= calls and not noted.exists():
            time.sleep(0.01)
            if signal.getsignal(signal.SIGTERM) == before:
                noted.touch()
        if os.environ.get("FAIL_ON") == str(ranks.rank):
            raise OSError("the dog ate it")
        return original(*arguments, **options)

    trainer_module.train_step = disturbed


def mpiexec() -> str:
    """The program that starts ranks; the test is skipped where it or mpi4py is missing."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'mvnp[mpi]'", exc_type=ImportError)
    found = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip("there is no mpiexec: pip install 'mvnp[mpi]'")
    return found


def start(number: int, *arguments: Any, module: str = "support.ranked", **environment: str) -> subprocess.Popen[str]:
    """`mpiexec -n number python -m module arguments`, with what it says to be read."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([PACKAGE, TESTS]), "PYTHONWARNINGS": "error", **environment}
    command = [mpiexec(), "-n", str(number), sys.executable, "-P", "-m", module, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, encoding="utf-8")


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its status, and what it said."""
    out, err = process.communicate(timeout=HANGS)
    return process.returncode, out + err


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("steps", "run"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--recipe", action="store_true")
    parser.add_argument("--hold", type=int, default=0)
    given = parser.parse_args()
    group = join()
    if given.threads:
        parallel.use_threads(2)
        shares.LEAST_PIXELS = 0
    if given.what == "run":
        Path(f"{given.out}.rank{group.rank}").write_text(str(os.getpid()), encoding="utf-8")
        disturb(group, given.hold, Path(f"{given.out}.noted"))
        run(given.out, given.resume, group, given.recipe)
    else:
        arrays = steps(group, micro_batch=2 if given.threads else 0)
        sums = group.all_gather([zlib.crc32(array.tobytes()) for array in arrays.values()])
        assert all(of_rank == sums[0] for of_rank in sums), "the ranks have different weights"
        assert [group.size] * group.size == group.all_gather(group.size)
        if group.first:
            np.savez(given.out, ranks=group.size, **arrays)
