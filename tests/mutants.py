"""Does the suite notice when somebody breaks a formula? Every fault that can be made from the source is tried.

    python tests/mutants.py                      layers, models and the kernels for the CPU
    python tests/mutants.py softmax core         modules of that stem, and those of a room
    python tests/mutants.py --sample 50 --seed 1     some of them, drawn at random
    python tests/mutants.py layers/softmax:24    those of one line
    python tests/mutants.py softmax --list       what would be tried

Each fault (support/mutants.py) runs against the tests of its module, and where they stay green, against those of its twin and
of the models (support/mutant_trial.py). A fault that none of them notices is reported as missed, unless equivalent_mutants.py
says why it cannot be noticed. The exit status is 0 where nothing was missed and that list is right.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from equivalent_mutants import EQUIVALENT

from support.mutant_trial import ROOT, Outcome, Stage, modules_that_use, outcome, preload, start
from support.mutants import PACKAGE, Mutant, mutants

ROOMS = ("layers", "models", "kernels/cpu")
# Machinery around the kernels, with tests of processes and files.
NO_TWINS = ("kernels/cpu/__init__", "kernels/cpu/jit", "kernels/cpu/cache")
COMPOSITES = tuple(f"tests/models/test_{stem}.py" for stem in ("mlp", "mixer", "quirks", "edifice", "reference", "backbone"))

WAITS_FOR_EVER = 900  # seconds by the clock, for what uses no processor time


def modules(wanted: Iterable[str] = ()) -> list[str]:
    """Modules of the package by stem, path or room; without any, those of the three rooms."""
    every = [str(path.relative_to(PACKAGE).with_suffix("")) for path in sorted(PACKAGE.rglob("*.py"))]
    wanted = list(wanted)
    found = []
    for name in wanted or ROOMS:
        matching = [module for module in every if module == name or module.startswith(f"{name}/")]
        if name in ROOMS:
            matching = [module for module in matching if module not in NO_TWINS]
        if not matching:
            of_stem = [module for module in every if module.rpartition("/")[2] == name]
            matching = [module for module in of_stem if module.rpartition("/")[0] in ROOMS] or of_stem
        if not matching:
            raise SystemExit(f"mutants.py: no module or room of mvnp is called {name!r}")
        found += [module for module in matching if module not in found]
    return found


def faults(wanted: Iterable[str] = ()) -> list[Mutant]:
    """The mutants of modules, as `modules` names them; "name:24" has those of a line."""
    lines: dict[str, set[int]] = {}
    for name in wanted:
        name, _, line = name.partition(":")
        for module in modules([name]):
            lines.setdefault(module, set()).update({int(line)} if line else ())
    chosen = lines or {module: set() for module in modules()}
    return [mutant for module, only in chosen.items() for mutant in mutants(module) if not only or mutant.line in only]


def stages(module: str) -> list[Stage]:
    """The tests that should notice a fault in a module, the nearest first."""
    room, _, stem = module.rpartition("/")
    near = _test_files(room, stem)
    composites = tuple(file for file in COMPOSITES if file not in near and (ROOT / file).exists())
    twins = _existing(f"tests/kernels/cpu/test_{stem}.py")
    if room == "kernels/cpu" and not twins:  # a helper of kernels: the tests of those that it helps, the smallest first
        helped = sorted(sorted(modules_that_use(module)), key=_size)
        twins = _existing(*(f"tests/kernels/cpu/test_{name.rpartition('.')[2]}.py" for name in helped))
    if room == "layers":
        found = [Stage(near, "off"), Stage(twins, "on"), Stage(composites, "off")]
    elif room == "models":
        found = [Stage(near, "off"), Stage(composites, "off")]
    elif room == "kernels/cpu":
        found = [Stage(twins, "on"), Stage(_existing(f"tests/layers/test_{stem}.py"), "on"), Stage(composites, "on")]
    else:
        found = [Stage(near, "on")]
    return [stage for stage in found if stage.files]


def _size(name: str) -> int:
    """Bytes of a module's file, or 0 for a package."""
    path = PACKAGE.parent / f"{name.replace('.', '/')}.py"
    return path.stat().st_size if path.exists() else 0


def _existing(*files: str) -> tuple[str, ...]:
    return tuple(file for file in files if (ROOT / file).exists())


def _test_files(room: str, stem: str) -> tuple[str, ...]:
    """The test files of a module: that in the same place or above it, or else wherever one of its stem is."""
    for folder in (Path("tests") / room, *(Path("tests") / room).parents):
        if found := _existing(str(folder / f"test_{stem}.py")):
            return found
    return tuple(sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob(f"test_{stem}.py")))


class Trials:
    """Runs mutants through their stages, several at a time."""

    def __init__(self, chosen: list[Mutant], jobs: int, folder: Path, seconds: int, tests: tuple[str, ...] = ()) -> None:
        self.jobs, self.folder, self.seconds = jobs, folder, seconds
        self.stages = {module: stages(module) for module in dict.fromkeys(mutant.module for mutant in chosen)}
        if tests:
            self.stages = {module: [Stage(tests, found[0].kernels)] for module, found in self.stages.items()}
        self.ready: deque[tuple[Mutant | None, Stage, int]] = deque(
            (m, s[0], 0) for m in chosen if (s := self.stages[m.module])
        )
        self.untested = [m for m in chosen if not self.stages[m.module]]
        self.limits: dict[Stage, int] = {}  # seconds of processor time
        self.unusable: dict[Stage, str] = {}  # stages that fail without any fault, and what they say
        self.waiting: dict[Stage, list[tuple[Mutant, Stage, int]]] = {}
        self.running: dict[int, tuple[Mutant | None, Stage, int, Path, float]] = {}
        self.started = 0

    def run(self) -> Iterator[tuple[Mutant, Stage, Outcome]]:
        """(mutant, last stage, its outcome), as they come. "passed" is a mutant that nothing noticed."""
        try:
            while self.ready or self.running:
                while self.ready and len(self.running) < self.jobs:
                    self._start(*self.ready.popleft())
                ended = self._ended()
                if ended is None:
                    continue
                mutant, stage, number, result = ended
                if mutant is None:
                    self._without_fault(stage, result)
                elif result.how == "broken":
                    raise SystemExit(f"{result.log}\nmutants.py: {stage} could not be run with {mutant}")
                elif result.how != "passed" or not self._next(mutant, number):
                    yield mutant, stage, result
        finally:
            for child in self.running:
                os.killpg(child, signal.SIGKILL)

    def _without_fault(self, stage: Stage, result: Outcome) -> None:
        """Let the mutants in that waited for how a stage goes without any."""
        waiting = self.waiting.pop(stage)
        if result.how == "passed":
            # Room for examples that take longer, and for kernels that have been compiled before here.
            self.limits[stage] = int(self.seconds + 5 * result.seconds)
            self.ready.extendleft(reversed(waiting))
            return
        self.unusable[stage] = result.log
        for mutant, _, number in waiting:
            if not self._next(mutant, number):
                self.untested.append(mutant)

    def _next(self, mutant: Mutant, number: int) -> bool:
        """Make a mutant ready for the first usable stage after this one, if there is one."""
        for later, stage in enumerate(self.stages[mutant.module]):
            if later > number and stage not in self.unusable:
                self.ready.appendleft((mutant, stage, later))
                return True
        return False

    def _start(self, mutant: Mutant | None, stage: Stage, number: int) -> None:
        if mutant is not None and stage in self.unusable:
            if not self._next(mutant, number):
                self.untested.append(mutant)
            return
        if mutant is not None and stage not in self.limits:
            # First without any fault: the tests must pass, and it says how long they take.
            first = stage not in self.waiting
            self.waiting.setdefault(stage, []).append((mutant, stage, number))
            if first:
                self.ready.appendleft((None, stage, 0))
            return
        self.started += 1
        folder = self.folder / str(self.started)
        child = start(stage, mutant, folder, self.limits.get(stage, WAITS_FOR_EVER))
        self.running[child] = mutant, stage, number, folder, time.monotonic()

    def _ended(self) -> tuple[Mutant | None, Stage, int, Outcome] | None:
        """The next child that has ended; None where another look is needed."""
        for child, (*_, since) in self.running.items():
            if time.monotonic() - since > WAITS_FOR_EVER:
                os.killpg(child, signal.SIGKILL)
        child, status, usage = os.wait4(-1, os.WNOHANG)
        if child == 0:
            time.sleep(0.01)
            return None
        mutant, stage, number, folder, _ = self.running.pop(child)
        result = outcome(status, usage.ru_utime + usage.ru_stime, folder)
        shutil.rmtree(folder, ignore_errors=True)
        return mutant, stage, number, result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("stem", nargs="*", help="a module, by stem or path, with :LINE for one line, or a room")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time (default: one a core)")
    parser.add_argument("--sample", type=int, metavar="N", help="try N of the faults")
    parser.add_argument("--seed", type=int, default=0, help="which N (default 0)")
    parser.add_argument("--seconds", type=int, default=60, help="of processor time that a trial gets at least (default 60)")
    parser.add_argument("--tests", nargs="+", default=(), metavar="FILE", help="these test files in place of a module's own")
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    arguments = parser.parse_args()
    chosen = faults(arguments.stem)
    if arguments.sample is not None and arguments.sample < len(chosen):
        chosen = sorted(random.Random(arguments.seed).sample(chosen, arguments.sample), key=chosen.index)
    if arguments.list:
        print(*chosen, sep="\n")
        return 0
    since = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(chosen, arguments.jobs, Path(folder), arguments.seconds, tuple(arguments.tests))
        preload(any(s.kernels == "on" for stages in trials.stages.values() for s in stages), Path(folder) / "kernels")
        return report(chosen, trials, since)


def report(chosen: list[Mutant], trials: Trials, since: float) -> int:
    """Print what comes of each fault, then a table by module; the exit status."""
    missed, stale, ends = [], [], Counter()
    equivalent = {mutant for mutant in chosen if mutant.key in EQUIVALENT.get(mutant.module, {})}
    for mutant, stage, result in trials.run():
        ends[result.how] += 1
        if result.how == "passed" and mutant not in equivalent:
            missed.append(mutant)
            print(f"MISSED {mutant}", flush=True)
        elif result.how != "passed" and mutant in equivalent:
            stale.append(mutant)
            print(f"NOT EQUIVALENT, noticed by {stage}: {mutant}", flush=True)
    for stage, log in trials.unusable.items():
        print(f"{log}\nNOT USED, as it fails without any fault: {stage}")
    for mutant in trials.untested:
        print(f"NOT TRIED, for want of tests: {mutant}")
    missed += trials.untested
    print(f"\n{'':<32}{'mutants':>9}{'caught':>9}{'equivalent':>12}{'missed':>9}")
    rooms = list(dict.fromkeys(mutant.module.rpartition("/")[0] for mutant in chosen))
    lines = [*dict.fromkeys(mutant.module for mutant in chosen), *(f"{room}/" for room in rooms), ""]
    for name in lines:
        counts = [
            sum(m.module == name or (name[-1:] in ("/", "") and m.module.startswith(name)) for m in group)
            for group in (chosen, equivalent, missed)
        ]
        caught = counts[0] - counts[1] - counts[2]
        print(f"{name or 'all':<32}{counts[0]:>9}{caught:>9}{counts[1]:>12}{counts[2]:>9}")
    print(f"by a failed test {ends['failed']}, by time {ends['out of time']}, by a crash {ends['crashed']};", end=" ")
    print(f"{time.monotonic() - since:.0f} s, {trials.jobs} at a time")
    return 1 if missed or stale or trials.unusable else 0


if __name__ == "__main__":
    sys.exit(main())
