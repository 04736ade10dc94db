"""How kernels come to be compiled and kept: mvnp/kernels/cpu/jit.py and cache.py, and what happens where they cannot be."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from support.twins import needs_numba

ROOT = Path(__file__).parents[3]

KERNEL = """
    import os, sys, threading, time
    import numpy as np
    import numpy.testing  # now: who forks while a thread imports it has a child that waits for that import for ever
    from mvnp.kernels.cpu.jit import kernel, progress

    def double_and_add(extra):
        @kernel
        def double(x, y):
            for i in range(x.size):
                y[i] = 2 * x[i] + extra

        return double

    def check(function=None, dtype="float64", extra=1):
        x, y = np.arange(5, dtype=dtype), np.zeros(5, dtype)
        (function or double_and_add(extra))(x, y)
        np.testing.assert_array_equal(y, 2 * x + extra)
"""


def environment(tmp_path: Path, **variables: str | None) -> dict[str, str]:
    """This process's, with a cache of the test's own. None takes a variable away."""
    merged = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), **variables}
    for name in ("NUMBA_CACHE_DIR", "LOCALAPPDATA"):
        merged[name] = variables.get(name)
    return {name: value for name, value in merged.items() if value is not None}


def run(tmp_path: Path, text: str, **variables: str | None) -> str:
    """What a Python program prints that begins with KERNEL."""
    program = textwrap.dedent(KERNEL) + textwrap.dedent(text)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path, **variables),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.kernel"))


CHECK = "check(); print(progress.kernels)"

# ------------------------------------------------------------------------------------------------------------ the cache


@needs_numba
def test_what_one_process_has_compiled_the_next_one_loads(tmp_path):
    assert run(tmp_path, CHECK) == "1"
    assert len(files(tmp_path)) == 1
    assert run(tmp_path, CHECK) == "0"
    assert run(tmp_path, "check(dtype='float32'); check(dtype='float32'); print(progress.kernels)") == "1"


@needs_numba
def test_another_value_in_a_closure_is_another_kernel(tmp_path):
    assert run(tmp_path, CHECK) == "1"
    assert run(tmp_path, "check(extra=3); print(progress.kernels)") == "1"
    assert len(files(tmp_path)) == 2


@needs_numba
@pytest.mark.parametrize("damage", ["empty", "zeros", "half", "bit", "folder"])
def test_a_damaged_file_is_compiled_again(tmp_path, damage):
    run(tmp_path, CHECK)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "folder":
        path.unlink()
        path.mkdir()  # and so it stays: nothing can be written there
    else:
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes({"empty": b"", "zeros": b"\0" * 40, "half": whole[:middle], "bit": flipped}[damage])
    assert run(tmp_path, CHECK) == "1"
    assert run(tmp_path, CHECK) == ("1" if damage == "folder" else "0")


@needs_numba
def test_where_nothing_can_be_written_it_is_compiled_each_time(tmp_path):
    """The folder would have to be inside a file."""
    (tmp_path / "file").touch()
    for _ in range(2):
        told = run(tmp_path / "file", "check(); print(progress.summary())")
        assert re.fullmatch(r"mvnp has compiled 1 CPU kernels in \d+ s, in every process, as .*file.* cannot be written", told)


@needs_numba
def test_without_a_home(tmp_path):
    run(tmp_path, "check()", HOME=None, XDG_CACHE_HOME=str(tmp_path / "cache"))
    run(tmp_path, "check()", HOME="/proc/nowhere", XDG_CACHE_HOME=None)


@needs_numba
def test_numbas_own_variable_says_where(tmp_path):
    run(tmp_path, CHECK, NUMBA_CACHE_DIR=str(tmp_path / "there"))
    assert len(files(tmp_path / "there")) == len(files(tmp_path)) == 1


@needs_numba
def test_another_number_in_the_text_is_another_kernel(tmp_path):
    program = """
        def times(factor):
            names = {"kernel": kernel, "__name__": "__main__"}
            exec(f"@kernel\\ndef double(x, y):\\n    for i in range(x.size):\\n        y[i] = {factor} * x[i] + 1", names)
            return names["double"]

        check(times(2))
        x, y = np.ones(3), np.zeros(3)
        times(5)(x, y)
        print(y.tolist(), progress.kernels)
        """
    assert run(tmp_path, program) == "[6.0, 6.0, 6.0] 2"
    assert run(tmp_path, program) == "[6.0, 6.0, 6.0] 0"


@needs_numba
def test_two_processes_at_once(tmp_path):
    program = textwrap.dedent(KERNEL) + "check(); check(dtype='float32')"
    command = [sys.executable, "-c", program]
    both = [subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE, encoding="utf-8") for _ in range(2)]
    for process in both:
        _, error = process.communicate()
        assert (process.returncode, error) == (0, "")
    assert run(tmp_path, "check(); check(dtype='float32'); print(progress.kernels)") == "0"


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """A package of kernels of the test's own, and its cache."""
    cache = pytest.importorskip("mvnp.kernels.cpu.cache")
    package = tmp_path / "package"
    package.mkdir()
    (package / "jit.py").write_text("compile = 1\n", encoding="utf-8")
    (package / "gelu.py").write_text("from .jit import kernel\nfrom .exponential import exp\n", encoding="utf-8")
    (package / "exponential.py").write_text("    from .constants import log2\n", encoding="utf-8")
    (package / "constants.py").write_text("log2 = 1\n", encoding="utf-8")
    (package / "other.py").write_text("1\n", encoding="utf-8")
    monkeypatch.setattr(cache, "PACKAGE", package)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return cache, package


@needs_numba
@pytest.mark.parametrize("changed", ["gelu", "exponential", "constants", "jit"])
def test_a_change_of_the_text_or_of_what_it_imports_is_another_folder(texts, changed):
    cache, package = texts
    before = cache.folder_of("gelu")
    assert before == cache.folder_of("gelu")
    (package / "other.py").write_text("2\n", encoding="utf-8")
    assert cache.folder_of("gelu") == before
    (package / f"{changed}.py").write_text((package / f"{changed}.py").read_text(encoding="utf-8") + "# more\n")
    assert cache.folder_of("gelu") != before


@needs_numba
def test_folders_that_nobody_uses_go(texts):
    """Of the same module, of another text, after two weeks, and with what this package has written alone."""
    cache, _ = texts
    current = cache.folder_of("gelu")
    old, recent, own, other = (
        current.with_name(name) for name in ("gelu-" + "0" * 16, "gelu-" + "1" * 16, "gelu-mine", "gelu_tanh-" + "0" * 16)
    )
    keeper = current.with_name("gelu-" + "2" * 16)
    for folder in (current, old, recent, own, other, keeper):
        folder.mkdir(parents=True)
        (folder / "a-1.kernel").touch()
    (keeper / "notes.txt").touch()
    for folder in (current, old, own, other, keeper):
        os.utime(folder, (1e9, 1e9))
    cache._delete_unused(current)
    assert [folder.exists() for folder in (current, old, recent, own, other, keeper)] == [True, False, True, True, True, True]
    assert [path.name for path in keeper.iterdir()] == ["notes.txt"]


# ------------------------------------------------------------------------------------------------- threads, forks, numbers


@needs_numba
def test_eight_threads_want_a_kernel_at_once(tmp_path):
    told = run(
        tmp_path,
        """
        function, errors = double_and_add(1), []
        def work():
            try:
                for _ in range(20):
                    check(function)
            except BaseException as error:
                errors.append(error)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(errors, progress.kernels)
        """,
    )
    assert told == "[] 1"


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

FORK = """
    import warnings
    warnings.simplefilter("ignore")  # of Python, about forks beside threads
    inside, thread = threading.Event(), None

    def fork():
        '''While `thread` is inside. The child compiles a kernel of its own; how it ends.'''
        thread.start()
        assert inside.wait(60)
        child = os.fork()
        if child == 0:
            check(extra=7)
            os._exit(0)
        deadline = time.monotonic() + 60
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
            time.sleep(0.01)
        thread.join()
        return done[1]
"""


@needs_numba
@needs_fork
def test_a_fork_while_a_kernel_is_compiled(tmp_path):
    """The child waits for no lock that a thread of its parent has taken with it."""
    program = """
        from numba.core import event
        class Begun(event.Listener):
            def on_start(self, _): inside.set()
            def on_end(self, _): pass
        event.register("numba:compile", Begun())
        thread = threading.Thread(target=check)
        print(fork())
        """
    assert run(tmp_path, textwrap.dedent(FORK) + textwrap.dedent(program)) == "0"


@needs_numba
@needs_fork
def test_a_fork_while_a_thread_is_in_llvm(tmp_path):
    """As one is that tidies up what has been compiled, behind the compiler's lock."""
    program = """
        from llvmlite import binding
        def stay():
            if threading.current_thread() is thread:
                inside.set()
                time.sleep(1)
        binding.ffi.register_lock_callback(stay, lambda: None)
        thread = threading.Thread(target=binding.get_host_cpu_name)
        print(fork())
        """
    assert run(tmp_path, textwrap.dedent(FORK) + textwrap.dedent(program)) == "0"


@needs_numba
def test_nan_and_infinity_stay_what_they_are(monkeypatch, tmp_path):
    from mvnp.kernels.cpu.jit import kernel

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    @kernel
    def tell(x, y):
        y[0] = x.sum()
        y[1] = x[0] - x[0]
        y[2] = x[0] * 0
        y[3] = 1.0 if x[0] == x[0] else 2.0
        y[4] = 1.0 / x[1]

    y = np.zeros(5)
    tell(np.array([np.nan, 0.0]), y)
    np.testing.assert_array_equal(y, [np.nan, np.nan, np.nan, 2, np.inf])
    tell(np.array([np.inf, -0.0]), y)
    np.testing.assert_array_equal(y[:4], [np.inf, np.nan, np.nan, 1])


# ---------------------------------------------------------------------------------------------------- what a terminal shows


def on_terminal(tmp_path: Path, program: str) -> str:
    """What a program writes to a terminal that is its stderr."""
    leader, follower = pytest.importorskip("pty").openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KERNEL) + program],
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=follower,
        )
        os.close(follower)
        written = b""
        while True:
            try:
                more = os.read(leader, 1000)
            except OSError:  # the other side is closed
                break
            if not more:
                break
            written += more
        assert process.wait() == 0, written
    finally:
        os.close(leader)
    return written.decode()


@needs_numba
def test_a_terminal_is_told_once(tmp_path):
    written = on_terminal(tmp_path, "check(); check(extra=2)")
    lines = written.replace("\r\n", "\n").split("\r")
    assert lines[1].rstrip() == "mvnp compiles CPU kernels, once on this machine: double"
    assert len(lines[1]) == 79
    assert lines[2].strip() == ""  # wiped before anything else is written
    assert re.fullmatch(r"mvnp has compiled 2 CPU kernels in \d+ s, once on this machine\n", lines[-1])
    assert on_terminal(tmp_path, "check(); check(extra=2)") == ""


@needs_numba
def test_a_closed_stderr_is_no_error(tmp_path):
    # SciPy, which Numba imports, has to be there before: of 1.13 a part asks for stderr when it is imported.
    closed = "import scipy.linalg; sys.stderr.close(); sys.stderr = None; check(); print('done')"
    assert run(tmp_path, closed) == "done"


# -------------------------------------------------------------------------------------------------------- where it cannot be

MODEL = """
    import sys
    {before}
    import numpy as np
    import mvnp
    from mvnp.kernels.cpu import unavailable
    sizes = dict(dim=8, in_dim=8, depths=[1, 1, 2, 2], num_heads=[1, 1, 2, 4], window_size=[8, 8, 2, 1])
    model = mvnp.MambaVision(**sizes, num_classes=3)
    assert np.isfinite(model(np.ones((1, 3, 64, 64), np.float32))).all()
    print(unavailable())
    from mvnp.cli import main
    main(["info"])
"""

BROKEN = {
    "missing": ("sys.modules['numba'] = None", {}, "numba is not installed; pip install numba"),
    "without LLVM": ("sys.modules['llvmlite'] = None", {}, "llvmlite is not installed; pip install numba"),
    "too old": (
        "import numba; numba.__version__ = '0.60.2'",
        {},
        "Numba cannot be used (Numba 0.60.2 is too old, expected at least 0.61);"
        " pip install -U numba, for a Python and NumPy that it knows",
    ),
    "a NumPy that it does not know": (
        "import numpy; numpy.__version__ = '9.9.9'",
        {},
        "Numba cannot be used (Numba needs NumPy",
    ),
    "switched off": (
        "",
        {"NUMBA_DISABLE_JIT": "1"},
        "Numba cannot be used (NUMBA_DISABLE_JIT is set, by which Numba compiles nothing); unset it",
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_without_numba_the_book_runs_and_says_so(tmp_path, way):
    before, variables, reason = BROKEN[way]
    if way in ("too old", "a NumPy that it does not know"):
        pytest.importorskip("numba")
    program = textwrap.dedent(MODEL).format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path, **variables),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, *info = done.stdout.splitlines()
    assert told.startswith(reason)
    (row,) = [line for line in info if line.startswith("cpu kernels")]
    assert row.split(maxsplit=2)[2] == f"none can be used: {told}"


def test_importing_mvnp_imports_nothing_heavy(tmp_path):
    program = "import sys, mvnp; print([name for name in ('numba', 'llvmlite', 'scipy', 'matplotlib') if name in sys.modules])"
    command = [sys.executable, "-c", program]
    assert (
        subprocess.run(command, env=environment(tmp_path), capture_output=True, encoding="utf-8", check=True).stdout == "[]\n"
    )


@needs_numba
def test_a_kernel_that_is_in_no_module_is_compiled_each_time(tmp_path):
    """As one typed in, or run by exec: Numba cannot find its globals again when it reads the machine code."""
    code = (
        "import numpy as np\n"
        "text = 'from mvnp.kernels.cpu.jit import kernel\\n@kernel\\ndef double(x):\\n    x[0] *= 2\\n'\n"
        "names = {'__name__': 'typed_in'}\nexec(text, names)\nx = np.ones(1)\nnames['double'](x)\nassert x[0] == 2\n"
        "from mvnp.kernels.cpu.rows import over_rows\nover_rows(names['double'], (x,), cost=1)\nassert x[0] == 4\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)})
    assert not [path for path in tmp_path.rglob("*.kernel") if "double" in path.name]


def test_no_test_needs_numba_to_be_read():
    """What skips itself where there is no Numba has to be imported before it can."""
    imports = re.compile(
        r"^(?:import numba|from numba|import mvnp\.kernels\.cpu\.|from mvnp\.kernels\.cpu[. ].*)", re.MULTILINE
    )
    allowed = re.compile(r"from mvnp\.kernels\.cpu import (KernelError|explained|unavailable|, )+")
    program = re.compile('""".*?"""', re.DOTALL)  # or a text that a test runs
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in imports.findall(program.sub("", path.read_text(encoding="utf-8")))
        if not allowed.fullmatch(line)
    ]
    assert found == []
