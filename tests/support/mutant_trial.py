"""One trial of a mutant: a child process in which the tests run on a package with the fault in it.

    parent    has imported NumPy, Numba, Hypothesis and the like (`preload`), never mvnp
    server    forked from it for a stage: has imported mvnp and collected the tests, and has run none of them
    trial     forked from that for a mutant: the function that it changes gets the other code, in place, and the tests run,
              those first that have noticed most in least time

So a trial costs what its tests cost up to the first that fails, and no fault outlives its process. Kernels run as Python first,
with the tests that do not mind: most faults show in the numbers of a few milliseconds. For what shows nothing there, a kernel
with the fault in it, or in what it calls, is compiled anew, and so are those that tests make; the others come from the disk.

What a mutant changes of a module's own statements, which run at import, needs a server of its own, which imports mvnp with that
module replaced; so does what nothing has noticed, in case that its function had done its work before.

What loops for ever ends by processor time, which is the same on a busy machine; the wall clock only ends what waits for ever.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import marshal
import os
import resource
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
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
    "torch",
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

AS_PYTHON_SECONDS = 3.0  # of processor time, for each test
MEMORY = 12 << 30  # of a child's addresses
WAITS_FOR_EVER = 900  # seconds by the clock, for what uses no processor time
_JIT, _TEAM, _JIT_FILE = "mvnp.kernels.cpu.jit", "mvnp.kernels.cpu.team", PACKAGE / "kernels" / "cpu" / "jit.py"
PLANTED = "MVNP_PLANTED_FAULT"  # in the environment of a trial with a fault
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
    """Test files, and how kernels compute while they run: "on", "off", or "as Python", not compiled."""

    files: tuple[str, ...]
    kernels: str

    def __str__(self) -> str:
        return f"{' '.join(self.files)} (kernels {self.kernels})"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: "passed", "failed", "out of time", "crashed", "broken" (nothing was tested) or "not in place" (the
    function that it changes was not to be found)."""

    how: str
    passed: int
    seconds: float  # of the processor
    log: str
    test: str = ""  # that failed first
    durations: dict[str, float] = field(default_factory=dict)  # seconds of each test that ran


def preload(kernels: bool, cache_folder: Path) -> None:
    """Import what trials need besides mvnp and the tests. Before this, NumPy must not have been imported."""
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder))
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


class Server:
    """A process that has collected a stage's tests, and forks a trial for each request. With `planted`, a mutant, it has
    imported mvnp with that. `durations`: seconds that tests took, by their names, as far as they are known."""

    def __init__(
        self, stage: Stage, module: str, folder: Path, seconds: int, planted: Mutant | None = None, durations: Any = None
    ) -> None:
        folder.mkdir()
        self.stage, self.folder = stage, folder
        theirs, ours = os.pipe()
        our_end, their_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.child = os.fork()
        if self.child:
            os.close(theirs)
            os.close(their_end)
            self._requests, self._answers = os.fdopen(ours, "wb"), os.fdopen(our_end, "rb")
            return
        try:
            os.close(ours)
            os.close(our_end)
            log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for to, stream in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(to, stream)
            _limit(seconds if planted else resource.RLIM_INFINITY)
            serving = _Serving(stage, module, folder, os.fdopen(theirs, "rb"), os.fdopen(their_end, "wb"), durations or {})
            serving.run(planted)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    def fileno(self) -> int:
        """What is readable when an answer is there."""
        return self._answers.fileno()

    def ask(self, codes: tuple[CodeType, CodeType] | None, seconds: int) -> None:
        """Start a trial in which the function that has the first code gets the second, for `seconds` of processor time."""
        with contextlib.suppress(BrokenPipeError):  # it has ended; the answer says how
            marshal.dump((codes, seconds), self._requests)
            self._requests.flush()

    def answer(self) -> Outcome:
        """How the trial ended, or the server itself, where importing mvnp was too much."""
        try:
            return Outcome(*marshal.load(self._answers))
        except EOFError:
            _, status, usage = os.wait4(self.child, 0)
            self.child = 0
            log = (self.folder / "log").read_text(errors="replace")
            return Outcome(_ended(status), 0, usage.ru_utime + usage.ru_stime, log)

    def stop(self) -> None:
        if self.child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGTERM)
            os.waitpid(self.child, 0)
            self.child = 0
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _limit(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5 if seconds >= 0 else seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _ended(status: int) -> str:
    """How a process ended that has left no result."""
    if not os.WIFSIGNALED(status):
        return "broken"
    return "out of time" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM) else "crashed"


class _Serving:
    """The server's side: a plugin of pytest, which begins a trial where the tests would begin."""

    def __init__(
        self, stage: Stage, module: str, folder: Path, requests: Any, answers: Any, durations: dict[str, float]
    ) -> None:
        self.stage, self.module, self.folder = stage, module, folder
        self.as_python = stage.kernels == "as Python"
        self.requests, self.answers, self.durations = requests, answers, durations
        self.catches: Counter[str] = Counter()  # by the names of tests
        self.callers: dict[Any, list[Any]] = {}
        self.in_trial, self.child, self.cap, self.planted = False, 0, 0.0, False
        self.without: set[str] = set()  # tests that are not for kernels as Python
        self.passed, self.first_failed = 0, ""
        self.seconds: dict[str, float] = {}

    def run(self, planted: Mutant | None) -> None:
        import pytest

        os.environ["MVNP_KERNELS"] = "off" if self.stage.kernels == "off" else "on"
        if self.as_python:
            sys.meta_path[:0] = [_AsPython(_JIT, str(_JIT_FILE)), _PartsInTurn(_TEAM, str(_JIT_FILE.with_name("team.py")))]
        # Python runs its own handlers between its steps: for a signal that comes just before a read, once the read has ended. A
        # server waits in one that may never end.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.planted = planted is not None
        if planted is not None:
            os.environ[PLANTED] = str(planted)
            sys.meta_path.insert(0, _Planted(planted.name, str(planted.path), planted.code()))
            if self.stage.kernels == "on":
                sys.meta_path.insert(0, _CompilesAnew(modules_that_use(planted.module)))
        os.chdir(ROOT)
        code = int(pytest.main([*OPTIONS, f"--basetemp={self.folder / 'files'}", *self.stage.files], plugins=[self]))
        if self.in_trial:
            seconds = {name: spent for name, spent in self.seconds.items() if name not in self.without}
            result = marshal.dumps((code, self.passed, self.first_failed, seconds))
            (self.folder / "result").write_bytes(result)
        else:  # the tests could not be collected
            marshal.load(self.requests)
            usage = resource.getrusage(resource.RUSAGE_SELF)
            self._answer(_how(code, 0), 0, usage.ru_utime + usage.ru_stime, 0, "", {})

    def _stop(self, *_: Any) -> None:
        if self.child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child, signal.SIGKILL)
        os._exit(0)

    def pytest_configure(self) -> None:
        """Hypothesis stops at the first example that fails, without looking for a shorter one."""
        from hypothesis import Phase, settings

        # The profile of tests/conftest.py, which has been loaded by now.
        settings.register_profile("one failure", settings(), phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("one failure")

    def pytest_runtestloop(self, session: Any) -> None:
        """Serve, and in a trial return: pytest goes on with the tests."""
        if session.testsfailed:  # in collecting
            return
        with contextlib.suppress(Exception):  # a twin is imported when it is first called; where it cannot be, tests say so
            importlib.import_module(".".join(["mvnp", *self.module.split("/")]))
        functions = _functions(self.module)
        if _JIT in sys.modules and not self.as_python:
            self.callers = _callers_of_kernels()
        gc.collect()
        gc.freeze()
        while True:
            try:
                codes, seconds = marshal.load(self.requests)
            except EOFError:
                os._exit(0)
            if codes is not None and len(functions.get(codes[0], ())) == 0:
                self._answer("not in place", 0, 0.0, 0, "", {})
                continue
            written = (self.folder / "log").stat().st_size
            sys.stdout.flush()
            signal.signal(signal.SIGTERM, self._stop)
            self.child = os.fork()
            if self.child == 0:
                self._begin(session, functions, codes, seconds)
                return
            _, status, usage = os.wait4(self.child, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child, signal.SIGKILL)  # what it may have left
            self.child = 0
            result = self.folder / "result"
            how, passed, name, durations = _ended(status), 0, "", {}
            if result.exists():
                code, passed, name, durations = marshal.loads(result.read_bytes())
                how = _how(code, passed)
                result.unlink()
            if codes is None and not self.planted:
                self.durations = durations
                how = "passed" if self.as_python and passed else how
            self.catches[name] += 1
            self._answer(how, passed, usage.ru_utime + usage.ru_stime, written, name, durations)

    def _answer(self, how: str, passed: int, seconds: float, written: int, name: str, durations: dict[str, float]) -> None:
        sys.stdout.flush()
        with (self.folder / "log").open(encoding="utf-8", errors="replace") as log:
            log.seek(written)
            marshal.dump((how, passed, seconds, log.read(), name, durations), self.answers)
        self.answers.flush()

    def _begin(self, session: Any, functions: Any, codes: Any, seconds: int) -> None:
        self.in_trial = True
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(WAITS_FOR_EVER)
        _limit(seconds)
        self.requests.close()
        if self.as_python:
            import numpy as np

            np.seterr(all="ignore")  # as kernels do
            if codes is None and not self.planted:
                session.config.option.maxfail = 0
                self.cap = AS_PYTHON_SECONDS
            else:
                session.items[:] = [item for item in session.items if item.nodeid in self.durations]
        session.items.sort(key=self._use, reverse=True)
        if codes is not None:
            os.environ[PLANTED] = codes[0].co_name
            self._compile_anew(functions[codes[0]])
            for function in functions[codes[0]]:
                function.__code__ = codes[1]

    def _compile_anew(self, functions: list[FunctionType]) -> None:
        """Kernels that call one of the functions, or are one, neither come from the disk nor go there; nor do those that tests
        make, of which nobody knows yet."""
        found: set[Any] = set()
        new: set[Any] = set(functions)
        while new:
            found |= new
            new = {caller for function in new for caller in self.callers.get(function, ())} - found
        for kernel in found:
            if hasattr(kernel, "py_func"):
                from numba.core.caching import NullCache

                kernel._cache = NullCache()
        # What several cores share is made of a kernel when that is first called, with one of the same function on the disk.
        anew = {getattr(each, "py_func", each) for each in found}
        in_team = any(function.__module__ == _TEAM for function in functions)
        for name in (_JIT, _TEAM):
            if (module := sys.modules.get(name)) is not None:
                every = in_team and name == _TEAM
                module.on_disk = _unless(  # type: ignore[attr-defined]
                    lambda function, every=every: every or function in anew, module.on_disk
                )

    def _use(self, item: Any) -> float:
        """How many faults a test notices in a second, roughly."""
        return (self.catches[item.nodeid] + 0.2) / (self.durations.get(item.nodeid, 0.1) + 0.005)

    def pytest_runtest_setup(self) -> None:
        if self.cap:
            signal.signal(signal.SIGVTALRM, _too_slow)
            signal.setitimer(signal.ITIMER_VIRTUAL, self.cap)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if self.as_python and report.outcome != "passed":
            self.without.add(report.nodeid)
        self.passed += report.when == "call" and report.outcome == "passed"
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.outcome == "failed" and not self.first_failed:
            self.first_failed = report.nodeid


def _too_slow(*_: Any) -> None:
    raise TimeoutError("too slow as Python")


def _how(code: int, passed: int) -> str:
    """How a trial ended, from pytest's exit code. 1: a test failed; 2: a test file, or what it imports, raised; 4: conftest.py
    did, which imports mvnp. 0 without a test that passed has shown nothing."""
    return {0: "passed" if passed else "broken", 1: "failed", 2: "failed", 4: "failed"}.get(code, "broken")


def change(mutant: Mutant) -> tuple[CodeType, CodeType] | None:
    """The code of the function that a mutant changes, without and with the fault; None where it changes what runs at import."""
    text = mutant.path.read_text(encoding="utf-8")
    return _difference(compile(text, str(mutant.path), "exec", dont_inherit=True), mutant.code())


def _difference(old: CodeType, new: CodeType) -> tuple[CodeType, CodeType] | None:
    """Of two versions of a module or class, the one function that differs, an outermost one; None where anything else does."""
    if (old.co_code, old.co_names, len(old.co_consts)) != (new.co_code, new.co_names, len(new.co_consts)):
        return None
    found = None
    for before, after in zip(old.co_consts, new.co_consts, strict=True):
        if type(before) is type(after) and before == after:
            continue
        if not (isinstance(before, CodeType) and isinstance(after, CodeType)) or found is not None:
            return None
        is_function = before.co_flags & inspect.CO_NEWLOCALS
        found = (before, after) if is_function else _difference(before, after)
        if found is None or found[0].co_freevars != found[1].co_freevars:
            return None
    return found


def _functions(module: str) -> dict[CodeType, list[FunctionType]]:
    """The functions that a module has made at its import, by their code."""
    name = ".".join(["mvnp", *module.split("/")])
    functions: dict[CodeType, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType and thing.__module__ == name:
            functions.setdefault(thing.__code__, []).append(thing)
    return functions


def _callers_of_kernels() -> dict[Any, list[Any]]:
    """The functions that kernels are made of, each with those that call it; and the compiled kernel of each that is one."""
    from numba.core.dispatcher import Dispatcher
    from numba.core.typing.templates import builtin_registry

    # What a kernel calls by a function that stands for several, one for each type.
    stands_for: dict[Any, list[Any]] = {}
    for template in builtin_registry.functions:
        if (function := getattr(template, "_overload_func", None)) is not None:
            stands_for.setdefault(template.key, []).append(function)
    kernels = [thing for thing in gc.get_objects() if isinstance(thing, Dispatcher)]
    callers: dict[Any, list[Any]] = {kernel.py_func: [kernel] for kernel in kernels}
    for function in [kernel.py_func for kernel in kernels] + [one for several in stands_for.values() for one in several]:
        for used in _used(function):
            for called in stands_for.get(used, [getattr(used, "py_func", used)]):
                callers.setdefault(called, []).append(function)
    return callers


def _used(function: FunctionType) -> list[Any]:
    """Functions that a function, or one in it, knows by name."""
    names: set[str] = set()
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        names.update(code.co_names)
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    known = [function.__globals__[name] for name in names if name in function.__globals__]
    known += [cell.cell_contents for cell in function.__closure__ or ()]
    return [thing for thing in known if callable(thing) and thing.__hash__]


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


class _AsPython(_Loader):
    """Decorators of kernels that leave a function as it is. One that stands for several is called itself."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.kernel = module.inline = module.as_it_stands = lambda function: function  # type: ignore[attr-defined]
        module.by_type = lambda _: lambda function: function  # type: ignore[attr-defined]


class _PartsInTurn(_Loader):
    """What several cores would share is done by one, in Python, part by part."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)

        def in_parts(body: Any, cuts: tuple[int, ...], units: int, cost: float, *arguments: Any) -> None:
            for first, last in ((0, units // 2), (units // 2, units)):
                cut = [array[first * unit : last * unit] for array, unit in zip(arguments, cuts, strict=False)]
                body(*cut, *arguments[len(cuts) :])

        module.in_parts = in_parts  # type: ignore[attr-defined]


class _CompilesAnew(_Loader):
    """Kernels of these modules neither come from the folder of compiled ones nor go there: it knows them by the text of their
    files, which have no fault."""

    def __init__(self, modules: frozenset[str]) -> None:
        super().__init__(_JIT, str(_JIT_FILE))
        self.modules = modules

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.on_disk = _unless(lambda function: function.__module__ in self.modules, module.on_disk)  # type: ignore[attr-defined]


def _unless(anew: Callable[[Any], bool], on_disk: Callable[..., Any]) -> Callable[..., Any]:
    """`on_disk` of jit.py, but for kernels that are to be compiled anew, and for those of tests."""

    def chosen(compiled: Any, function: Any, *about: Any) -> Any:
        of_a_test = not function.__module__.startswith(f"{PACKAGE.name}.")
        return compiled if of_a_test or anew(function) else on_disk(compiled, function, *about)

    return chosen


@cache
def modules_that_use(module: str) -> frozenset[str]:
    """The dotted names of a module ("kernels/cpu/jit") and of all that import it, directly or through others."""
    found: set[str] = set()
    new = {".".join(["mvnp", *module.split("/")])}
    while new:
        found |= new
        new = {importer for name in new for importer in modules_that_import(name)} - found
    return frozenset(found)


def modules_that_import(name: str) -> frozenset[str]:
    """The dotted names of those that import a module, by its own, directly."""
    return frozenset(_importers().get(name, ()))


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
