"""Studies of many trainings: processes of one thread side by side, lines of what they found, and differences in pairs.

A study is a list of runs. Each is a process of its own, a script of this folder that prints one line of JSON at its end. What
is done is a line of a file and is not done again; so a study can be broken off, or killed, at any time.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mvnp import atomic
from mvnp.errors import MvnpError

Row = dict[str, Any]
Task = TypeVar("Task")

# 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom; what follows is nearer to the normal one than 0.1.
QUANTILES: tuple[float, ...] = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
QUANTILES += (2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)
ONE_THREAD = dict.fromkeys(("MVNP_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Difference:
    """Of a row to its base, in points: the mean over seeds, and half of its 95 % interval (NaN of a single seed)."""

    mean: float
    half: float

    @property
    def verdict(self) -> str:
        if math.isnan(self.half):
            return "one seed"
        if abs(self.mean) <= self.half:
            return "within the noise"
        return "better" if self.mean > 0 else "worse"

    def __str__(self) -> str:
        return f"{self.mean:+.2f}" + ("" if math.isnan(self.half) else f" ± {self.half:.2f}")


def paired(row: Sequence[float], base: Sequence[float]) -> Difference:
    """Of accuracies, seed by seed in the same order."""
    points = [100 * (a - b) for a, b in zip(row, base, strict=True)]
    n = len(points)
    if n < 2:
        return Difference(points[0], math.nan)
    quantile = QUANTILES[min(n - 1, len(QUANTILES)) - 1]
    return Difference(statistics.mean(points), quantile * statistics.stdev(points) / math.sqrt(n))


@dataclass
class Runs:
    """A file of lines of JSON, each of which `keys` tell from all others. Only one process writes it, whole each time."""

    path: Path
    keys: tuple[str, ...] = ("arm", "seed", "epochs")
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def find(self, *key: Any) -> Row | None:
        return next((row for row in self.rows if tuple(row[each] for each in self.keys) == key), None)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(self.path, "".join(f"{json.dumps(each)}\n" for each in self.rows).encode())


def in_process(script: str, arguments: Sequence[str], about: str) -> Row:
    """What a script of this folder prints as its last line, from a process with one thread that calls `answer`.

    SystemExit says what went wrong."""
    read, write = os.pipe()
    try:
        command = [sys.executable, script, *arguments]
        done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdin=read, capture_output=True, text=True)
    finally:
        os.close(read)
        os.close(write)
    if done.returncode:
        raise SystemExit(f"{about}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(find: Callable[[], Row]) -> None:
    """A child's whole work: the row that it was asked for, printed as JSON, or a line that says why there is none."""
    end_with_parent()
    try:
        print(json.dumps(find()))
    except MvnpError as error:
        raise SystemExit(str(error)) from error


def end_with_parent() -> None:
    """Lets this process end when its parent does, however that ends: nobody is left to take what it finds, and who runs the
    study anew finds the run's folder free. Its standard input is the pipe of `in_process`, in which there is never anything."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def side_by_side(
    todo: Sequence[Task],
    jobs: int,
    run: Callable[[Task], Row],
    keep: Callable[[Task, Row], str],
    total: int | None = None,
    size: Callable[[Task], float] = lambda task: 1.0,
) -> None:
    """Runs all tasks in their order, `jobs` at a time, and says how long the rest will take.

    keep     is told of each that is done, in this thread, and gives it in words
    total    tasks with those that were done before
    size     of a task, in any unit: what its time is in proportion to
    """
    before = (len(todo) if total is None else total) - len(todo)
    print(f"{before} of {before + len(todo)} runs are done already", flush=True)
    begin, whole, passed, count = time.monotonic(), sum(size(task) for task in todo), 0.0, before
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(run, task): task for task in todo}
        try:
            for future in as_completed(waiting):
                told = keep(waiting[future], future.result())
                passed, count = passed + size(waiting[future]), count + 1
                left = remaining(time.monotonic() - begin, passed, whole)
                print(f"{count} of {before + len(todo)}: {told}; about {in_words(left)} left", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def remaining(seconds: float, done: float, total: float) -> float:
    """Seconds until all is done, if it goes on as `done` has gone in `seconds`."""
    return seconds / done * (total - done)


def in_words(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ()) -> list[str]:
    """The lines of a table. Columns are flush right, but for the first and those of `left`."""
    rule = ["---" if not number or name in left else "---:" for number, name in enumerate(head)]
    return [f"| {' | '.join(head)} |", f"|{'|'.join(rule)}|", *(f"| {' | '.join(row)} |" for row in rows)]
