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
import select
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import TypeAlias

from equivalent_mutants import EQUIVALENT

from support.mutant_trial import (
    ROOT,
    WAITS_FOR_EVER,
    Outcome,
    Server,
    Stage,
    change,
    modules_that_import,
    modules_that_use,
    preload,
)
from support.mutants import PACKAGE, Mutant, mutants

ROOMS = ("layers", "models", "kernels/cpu")
# Machinery around the kernels, with tests of processes and files.
NO_TWINS = ("kernels/cpu/__init__", "kernels/cpu/jit", "kernels/cpu/cache")
# Tests of whole models against official numbers, and the module of each.
REFERENCES = {
    "models/vim": "tests/models/test_vim_reference.py",
    "models/vmamba": "tests/models/test_vmamba_reference.py",
    "models/mambavision": "tests/models/test_reference.py",
}
MOST_MODELS = 4  # whose tests a layer's or a twin's fault is shown to, besides its own


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
    twins = _existing(f"tests/kernels/cpu/test_{stem}.py")
    if room == "kernels/cpu" and not twins:  # a helper of kernels: the tests of those that it helps, the smallest first
        twins = _existing(*(f"tests/kernels/cpu/test_{_stem(name)}.py" for name in _by_size(modules_that_use(module))))
    composites = tuple(file for file in _composites(module) if file not in near)
    if room == "layers":
        found = [Stage(near, "off"), Stage(twins, "on"), Stage(composites, "off")]
    elif room == "models":
        found = [Stage(near, "off"), Stage(composites, "off")]
    elif room == "kernels/cpu":
        found = [
            Stage(twins, "as Python"),
            Stage(twins, "on"),
            Stage(tuple(file for file in _test_files("layers", stem) if file not in twins), "on"),
            Stage(composites, "on"),
        ]
    else:
        found = [Stage(near, "off" if twins else "on"), Stage(twins, "on")]  # where there is a twin, it is for the book
    return [stage for stage in found if stage.files]


def _composites(module: str) -> tuple[str, ...]:
    """Tests of what has a module in it: of whole models against official numbers, then of the nearest models that import it and
    have tests, the smallest first. A twin, or a helper of twins, is in what has the layer."""
    layers = [module]
    if module.startswith("kernels/cpu/"):
        layers = sorted(f"layers/{_stem(name)}" for name in modules_that_use(module) - {_dotted("kernels/cpu")})
    users = {name for layer in layers for name in modules_that_use(layer)}
    references = _existing(*(file for family, file in REFERENCES.items() if _dotted(family) in users))
    found, seen, new = set(), set(), {_dotted(layer) for layer in layers}
    while new:
        seen |= new
        importers = {name for used in new for name in modules_that_import(used) if name.startswith("mvnp.models.")} - seen
        tested = {name for name in importers if _tests_of(name)}
        found |= tested
        new = importers - tested
    nearest = tuple(file for name in _by_size(found) for file in _tests_of(name))
    return references + (nearest if module.startswith("models/") else nearest[:MOST_MODELS])


def _tests_of(name: str) -> tuple[str, ...]:
    return _existing(f"tests/models/test_{_stem(name)}.py")


def _dotted(module: str) -> str:
    return ".".join(["mvnp", *module.split("/")])


def _stem(name: str) -> str:
    return name.rpartition(".")[2]


def _by_size(names: Iterable[str]) -> list[str]:
    """Dotted names of modules, that of the shortest file first; a package counts as empty."""
    paths = {name: PACKAGE.parent / f"{name.replace('.', '/')}.py" for name in names}
    return sorted(paths, key=lambda name: (paths[name].stat().st_size if paths[name].exists() else 0, name))


def _existing(*files: str) -> tuple[str, ...]:
    return tuple(file for file in files if (ROOT / file).exists())


def _test_files(room: str, stem: str) -> tuple[str, ...]:
    """The test files of a module: that in the same place or above it, or else wherever one of its stem is."""
    for folder in (Path("tests") / room, *(Path("tests") / room).parents):
        if found := _existing(str(folder / f"test_{stem}.py")):
            return found
    return tuple(sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob(f"test_{stem}.py")))


Changes: TypeAlias = Mapping[Mutant, tuple[CodeType, CodeType] | None]
Trying: TypeAlias = Generator[tuple[Mutant, Stage, Outcome], None, list[Mutant]]


class Trials:
    """Runs mutants through the stages of their modules, several at a time."""

    def __init__(self, chosen: list[Mutant], jobs: int, folder: Path, seconds: int, tests: tuple[str, ...] = ()) -> None:
        self.chosen, self.jobs, self.folder, self.seconds = chosen, jobs, folder, seconds
        self.stages = {module: stages(module) for module in dict.fromkeys(mutant.module for mutant in chosen)}
        if tests:
            self.stages = {module: [Stage(tests, found[0].kernels if found else "on")] for module, found in self.stages.items()}
        self.untested: list[Mutant] = []
        self.limits: dict[Stage, int] = {}  # seconds of processor time
        self.durations: dict[Stage, dict[str, float]] = {}
        self.unusable: dict[Stage, str] = {}  # stages that fail without any fault, and what they say
        self.servers: set[Server] = set()
        self.started = 0

    def run(self) -> Iterator[tuple[Mutant, Stage, Outcome]]:
        """(mutant, last stage, its outcome), as they come. "passed" is a mutant that nothing noticed."""
        try:
            for module in self.stages:
                yield from self._module(module)
        finally:
            for server in list(self.servers):
                self._stop(server)

    def _module(self, module: str) -> Iterator[tuple[Mutant, Stage, Outcome]]:
        since = time.monotonic()
        every = [mutant for mutant in self.chosen if mutant.module == module]
        changes = {mutant: change(mutant) for mutant in every}
        left = [mutant for mutant in every if changes[mutant] is not None]
        at_import = [mutant for mutant in every if changes[mutant] is None]
        for stage in self.stages[module]:
            left = yield from self._stage(module, stage, left, changes)
            at_import = yield from self._stage(module, stage, at_import)
        usable = [stage for stage in self.stages[module] if stage not in self.unusable]
        if not usable:
            self.untested += left + at_import
            return
        # Once more what nothing has noticed, in a package that is imported with the fault.
        nearest = [stage for stage in usable if stage.files == usable[0].files][-1]
        left = yield from self._stage(module, nearest, left)
        for mutant in every:
            if mutant in left or mutant in at_import:
                yield mutant, usable[-1], Outcome("passed", 0, 0.0, "")
        print(f"{module}: {len(every)} in {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)

    def _stage(self, module: str, stage: Stage, those: list[Mutant], changes: Changes | None = None) -> Trying:
        """Try mutants with the tests of one stage, in place by `changes` or else each from the import on; those that pass."""
        if those and stage not in self.limits and stage not in self.unusable:
            self._without_fault(module, stage)
        if stage in self.unusable:
            return those
        waiting, left = deque(those), []
        running: dict[Server, Mutant] = {}
        idle: list[Server] = []
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.popleft()
                server = idle.pop() if idle else self._start(module, stage, None if changes else mutant)
                server.ask(changes[mutant] if changes else None, self.limits[stage])
                running[server] = mutant
            for server in select.select(list(running), [], [])[0]:
                mutant, result = running.pop(server), server.answer()
                if changes is None:
                    self._stop(server)
                else:
                    idle.append(server)
                if result.how == "broken":
                    raise SystemExit(f"{result.log}\nmutants.py: {stage} could not be run with {mutant}")
                if result.how in ("passed", "not in place"):
                    left.append(mutant)
                else:
                    yield mutant, stage, result
        for server in idle:
            self._stop(server)
        return left

    def _without_fault(self, module: str, stage: Stage) -> None:
        """Run a stage without any fault: the tests must pass, and it says how long they take."""
        server = self._start(module, stage, None)
        server.ask(None, WAITS_FOR_EVER)
        result = server.answer()
        self._stop(server)
        if result.how == "passed":
            # Room for examples that take longer, and for kernels that have been compiled before here.
            self.limits[stage], self.durations[stage] = int(self.seconds + 3 * result.seconds), result.durations
        else:
            self.unusable[stage] = result.log

    def _start(self, module: str, stage: Stage, planted: Mutant | None) -> Server:
        self.started += 1
        folder, seconds = self.folder / str(self.started), self.limits.get(stage, WAITS_FOR_EVER)
        server = Server(stage, module, folder, seconds, planted, self.durations.get(stage))
        self.servers.add(server)
        return server

    def _stop(self, server: Server) -> None:
        self.servers.discard(server)
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("stem", nargs="*", help="a module, by stem or path, with :LINE for one line, or a room")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time (default: one a core)")
    parser.add_argument("--sample", type=int, metavar="N", help="try N of the faults")
    parser.add_argument("--seed", type=int, default=0, help="which N (default 0)")
    parser.add_argument("--seconds", type=int, default=20, help="of processor time that a trial gets at least (default 20)")
    parser.add_argument("--tests", nargs="+", default=(), metavar="FILE", help="these test files in place of a module's own")
    parser.add_argument("--near", action="store_true", help="ask a module's own tests alone")
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
        if arguments.near:
            near = {module: {stage.files for stage in found[:1]} for module, found in trials.stages.items()}
            trials.stages = {m: [stage for stage in found if stage.files in near[m]] for m, found in trials.stages.items()}
        preload(any(s.kernels != "off" for stages in trials.stages.values() for s in stages), Path(folder) / "kernels")
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
