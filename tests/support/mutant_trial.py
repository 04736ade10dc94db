"""One trial of a mutant: a child process in which the tests run on a package with the fault in it.

The parent has imported NumPy, Numba, Hypothesis and the like (`preload`), never mvnp; each child is forked from it and imports
mvnp anew, with the one module replaced. So a trial costs what mvnp and the tests cost, and no fault outlives its process. What
loops for ever ends by processor time, which is the same on a busy machine; the wall clock only ends what waits for ever.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from support.mutants import PACKAGE, Mutant

ROOT = PACKAGE.parent

PRELOADED = (
    "numpy",
    "numpy.testing",
    "scipy.special",
    "autograd.numpy",
    "hypothesis.extra.numpy",
    "pytest",
    "_pytest.assertion.rewrite",
    "threadpoolctl",
    "tqdm",
    "PIL.Image",
    "concurrent.futures.thread",
    "multiprocessing.pool",
    "http.client",
)

# Before NumPy and Numba are imported. One thread for products: trials run side by side. An index out of bounds in a kernel is
# an error here, where it would otherwise change memory of others; kernels are optimised less, which compiles them sooner.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_BOUNDSCHECK": "1",
    "NUMBA_OPT": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
LEFT_OUT = ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST", "MVNP_BACKEND")

MEMORY = 12 << 30  # of a child's addresses
OPTIONS = [
    "-c",
    str(ROOT / "pyproject.toml"),
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-p",
    "no:faulthandler",
    "--tb=line",
]


@dataclass(frozen=True)
class Stage:
    """Test files, and whether layers are computed with kernels while they run ("on" or "off")."""

    files: tuple[str, ...]
    kernels: str

    def __str__(self) -> str:
        return f"{' '.join(self.files)} (kernels {self.kernels})"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: "passed", "failed", "out of time", "crashed" or "broken" (nothing was tested)."""

    how: str
    passed: int
    seconds: float  # of the processor
    log: str


def preload(kernels: bool, cache_folder: Path) -> None:
    """Import what trials need besides mvnp and the tests. Before this, NumPy must not have been imported."""
    os.environ.update(ENVIRONMENT, NUMBA_CACHE_DIR=str(cache_folder))
    for name in LEFT_OUT:
        os.environ.pop(name, None)
    for path in (ROOT / "tests", ROOT):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if kernels:
        _importers()
        with contextlib.suppress(ImportError):
            _warm_compiler()
    gc.freeze()  # what is there now stays: no child need look through it


def _warm_compiler() -> None:
    """The first compilation of a process prepares for all of them."""
    import numba
    import numpy as np

    @numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})
    def add(x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            y[i] = max(x[i], y[i]) + np.exp(x[i])

    for dtype in (np.float32, np.float64):
        add(np.zeros(3, dtype), np.zeros(3, dtype))


def start(stage: Stage, mutant: Mutant | None, folder: Path, seconds: int) -> int:
    """Fork a child that runs the stage's tests, with the mutant unless it is None; the child's process id. It writes into
    `folder`, and gets `seconds` of processor time."""
    folder.mkdir()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for to, stream in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(to, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        result = _run(stage, mutant, folder)
        (folder / "result").write_text(json.dumps(result))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def outcome(status: int, seconds: float, folder: Path) -> Outcome:
    """What became of a child that has ended, by its exit status; `seconds`: its processor time."""
    log = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
    result = folder / "result"
    if not result.exists():
        by_signal = os.WIFSIGNALED(status)
        in_time = by_signal and os.WTERMSIG(status) not in (signal.SIGXCPU, signal.SIGKILL)
        how = "broken" if not by_signal else "crashed" if in_time else "out of time"
        return Outcome(how, 0, seconds, log)
    code, passed = json.loads(result.read_text())
    # 1: a test failed; 2: a test file, or what it imports, raised; 4: conftest.py did, which imports mvnp. 0 without a test
    # that passed has shown nothing.
    how = {0: "passed" if passed else "broken", 1: "failed", 2: "failed", 4: "failed"}.get(code, "broken")
    return Outcome(how, passed, seconds, log)


def _run(stage: Stage, mutant: Mutant | None, folder: Path) -> tuple[int, int]:
    """pytest's exit code, and how many tests passed."""
    import pytest

    os.environ["MVNP_KERNELS"] = stage.kernels
    if mutant is not None:
        sys.meta_path.insert(0, _Planted(mutant.name, str(mutant.path), mutant.code()))
        if stage.kernels == "on":
            sys.meta_path.insert(0, _CompilesAnew(modules_that_use(mutant.module)))
    counter = _Counter()
    os.chdir(ROOT)
    options = [*OPTIONS, f"--basetemp={folder / 'files'}"]
    return int(pytest.main([*options, *stage.files], plugins=[counter])), counter.passed


class _Loader(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Loads one module in a way of its own."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname != self.name:
            return None
        inner = [str(Path(self.path).parent)] if self.path.endswith("__init__.py") else None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self, submodule_search_locations=inner)


class _Planted(_Loader):
    """Gives the code of a mutant to whoever imports its module."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self.code = code

    def get_code(self, fullname: str) -> CodeType:
        return self.code


class _CompilesAnew(_Loader):
    """Kernels of these modules neither come from the folder of compiled ones nor go there: it knows them by the text of their
    files, which have no fault."""

    def __init__(self, modules: frozenset[str]) -> None:
        super().__init__("mvnp.kernels.cpu.jit", str(PACKAGE / "kernels" / "cpu" / "jit.py"))
        self.modules = modules

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        kept = module.kernel

        def kernel(function: Any) -> Any:
            anew = function.__module__ in self.modules
            return module.numba.njit(**module.OPTIONS)(function) if anew else kept(function)

        module.kernel = kernel  # type: ignore[attr-defined]


class _Counter:
    """A plugin: counts what passed, and lets Hypothesis stop at the first example that fails, without looking for a shorter."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        # The profile of tests/conftest.py, which has been loaded by now.
        settings.register_profile("one failure", settings(), phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("one failure")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.passed += report.when == "call" and report.outcome == "passed"


@cache
def modules_that_use(module: str) -> frozenset[str]:
    """The dotted names of a module ("kernels/cpu/jit") and of all that import it, directly or through others."""
    importers = _importers()
    found, new = set(), {".".join(["mvnp", *module.split("/")])}
    while new:
        found |= new
        new = {importer for name in new for importer in importers.get(name, ())} - found
    return frozenset(found)


@cache
def _importers() -> dict[str, set[str]]:
    """For each module of the package, the modules that import it."""
    importers: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["mvnp", *path.relative_to(PACKAGE).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
                origin = ".".join(filter(None, [base, node.module]))
                for imported in (origin, *(f"{origin}.{alias.name}" for alias in node.names)):
                    importers.setdefault(imported, set()).add(name)
    return importers
