"""Faults that are made from the source (support/mutants.py), and that tests notice them (mutants.py)."""

import subprocess
import sys
from pathlib import Path

import mutants as command
import pytest
from equivalent_mutants import EQUIVALENT

from support.mutant_trial import PLANTED, modules_that_use
from support.mutants import PACKAGE, Mutant, mutants

ROOT = Path(__file__).parent.parent
FAMILIES = ["vim_reference", "vmamba_reference", "reference"]
NEEDS_FORK = pytest.mark.skipif(sys.platform == "win32", reason="trials are forked, which Windows cannot do")


@pytest.fixture
def faults_of(tmp_path):
    """What is made of a text: (operator, after) of each mutant."""

    def make(text: str) -> set[tuple[str, str]]:
        (tmp_path / "module.py").write_text(text)
        return {(mutant.operator, mutant.after) for mutant in mutants("module", tmp_path)}

    return make


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "y = a - b",
            {("drop term", "y = a"), ("drop term", "y = -b"), ("flip sign", "y = a + b"), ("swap operands", "y = b - a")},
        ),
        ("y = a + b", {("drop term", "y = a"), ("drop term", "y = b"), ("flip sign", "y = a - b")}),
        ("y = a * b", {("lose factor", "y = a"), ("lose factor", "y = b")}),
        ("y = a / b", {("lose factor", "y = a"), ("swap operands", "y = b / a")}),
        (
            "y = (a - b) ** 2",
            {
                *(("drop term", f"y = {term} ** 2") for term in ("a", "(-b)")),
                ("flip sign", "y = (a + b) ** 2"),
                ("lose factor", "y = a - b"),
                ("swap operands", "y = 2 ** (a - b)"),
                ("off by one", "y = (a - b) ** 3"),
            },
        ),
        ("y = a @ b.T", {("swap operands", "y = b.T @ a"), ("drop transpose", "y = a @ b")}),
        ("y = -x", {("flip sign", "y = x")}),
        ("y = 0.5", {("change constant", "y = 1.0")}),
        ("y = 0.0", {("change constant", "y = 1.0")}),
        ("y = f(x, 3)", {("off by one", "y = f(x, 4)")}),
        ("y = x.mean(axis=-1)", {("change axis", "y = x.mean(axis=0)")}),
        ("y = x.sum(axis=(0, 1))", {("change axis", "y = x.sum(axis=(1,))"), ("change axis", "y = x.sum(axis=(0,))")}),
        ("y = x.sum(axis=0, keepdims=True)", {("change axis", "y = x.sum(axis=-1, keepdims=True)"),
                                              ("change constant", "y = x.sum(axis=0, keepdims=False)")}),
        ("y = x.transpose(a, b, c)", {("drop transpose", "y = x"), ("swap axes", "y = x.transpose(b, a, c)"),
                                      ("swap axes", "y = x.transpose(a, c, b)")}),
        ("y = xp.moveaxis(x, 1, 2)", {("drop transpose", "y = x")}),
        ("y = x.swapaxes(-1, -2)", {("drop transpose", "y = x")}),
        ("y = x[a:b]", {("off by one", "y = x[a + 1:b]"), ("off by one", "y = x[a:b - 1]")}),
        ("y = x[:-1]", {("off by one", "y = x[:]"), ("flip sign", "y = x[:1]"), ("off by one", "y = x[:-2]"),
                        ("off by one", "y = x[:-0]")}),
        ("y = x[::-1]", {("drop reversal", "y = x[:]")}),
        ("y = min(a, b)", {("swap min and max", "y = max(a, b)")}),
        ("y = a and b", {("and for or", "y = a or b"), ("drop operand", "y = a"), ("drop operand", "y = b")}),
        ("y = a < b", {("comparison", "y = a <= b")}),
        ("y = a is None", {("comparison", "y = a is not None")}),
        ("y = a if b > c else d", {("comparison", "y = a if b >= c else d"),
                                   ("negate condition", "y = a if not b > c else d")}),
        ("y = not a", {("negate condition", "y = a")}),
        ("y = [a for a in b if c]", {("negate condition", "y = [a for a in b if not c]")}),
        ("f(x)", {("drop statement", "pass")}),
        ("x = f(x)", {("drop statement", "pass")}),
        ("x[a] = b", {("drop statement", "pass")}),
        ("y += x", {("drop statement", "pass"), ("flip sign", "y -= x"), ("drop term", "y = x")}),
        ("y *= x", {("drop statement", "pass"), ("lose factor", "y = x")}),
    ],
)  # fmt: skip
def test_what_is_made_of_a_line(faults_of, line, wanted):
    assert faults_of(line) == wanted


def test_loops_and_conditions(faults_of):
    assert faults_of("for i in range(n):\n    a") == {
        ("off by one", "for i in range(n - 1):"),
        ("off by one", "for i in range(1, n):"),
    }
    assert ("drop reversal", "for i in range(a, b):") in faults_of("for i in reversed(range(a, b)):\n    a")
    assert faults_of("while x:\n    a") == {("negate condition", "while not x:")}
    assert faults_of("if x:\n    a\nelif y == z:\n    b") == {("negate condition", "if not x:"), ("comparison", "if y != z:")}


def test_functions(faults_of):
    assert faults_of("def f(x, eps=0.5, *, bias=True):\n    return x, eps") == {
        ("change constant", "eps=1.0"),
        ("change constant", "bias=False"),
        ("swap results", "return (eps, x)"),
    }


@pytest.mark.parametrize(
    "text",
    [
        '"""Doc: a - b."""',
        "import a.b",
        "__all__ = ['a', 'b'] + c",
        "raise ValueError(f'{a + b}: ' + str(c - 1))",
        "assert a + b == 3",
        "x: int",
        "def f(x: a - b) -> tuple[3, 4]:\n    '''a - b'''",
        "@g(a + b)\ndef f():\n    pass",
        "def __repr__(self):\n    return self.a + 3",
        "y = 'a' + b",
        "y = f'{a + b}'",
        "y = isinstance(x, A | B)",
        "Array: TypeAlias = a - b",
        "y = zip(a, b, strict=True)",
        "FORWARD, BACKWARD = 0.5, 2.0\ny = over(x, cost=FORWARD * BACKWARD)",
        "if __name__ == '__main__':\n    f()",
    ],
)
def test_only_what_computes(faults_of, text):
    assert faults_of(text) == set()


@pytest.mark.parametrize("module", ["layers/layernorm", "layers/selective_scan", "models/mixer", "kernels/cpu/mathematics"])
def test_every_mutant_is_another_program(module):
    first, again = mutants(module), mutants(module)
    assert first == again
    assert len(first) > 10
    lines = (PACKAGE / f"{module}.py").read_text(encoding="utf-8").splitlines()
    right = compile("\n".join(lines), "", "exec", dont_inherit=True)
    for mutant in first:
        assert mutant.before != mutant.after
        assert lines[mutant.line - 1].strip()
        assert mutant.code() != right  # it compiles, too
        assert str(mutant).startswith(f"mvnp/{module}.py:{mutant.line}: {mutant.operator}, in ")


def test_enough_mutants():
    """Layers, models and twins have at least 1,500, and at most one in twenty is on the list of equivalents."""
    found = [mutant for module in command.modules() for mutant in mutants(module)]
    assert len(found) >= 1500
    excused = [mutant for mutant in found if mutant.key in EQUIVALENT.get(mutant.module, {})]
    assert 20 * len(excused) < len(found)


def test_list_of_equivalents():
    """Each entry is a mutant that there is, with a reason."""
    for module, reasons in EQUIVALENT.items():
        keys = {mutant.key for mutant in mutants(module)}
        gone = [key for key in reasons if key not in keys]
        assert not gone, f"no longer among the mutants of {module}:\n" + "\n".join(map(str, gone))
        assert all(len(reason.split()) >= 3 for reason in reasons.values())


def test_every_module_has_tests():
    assert [module for module in command.modules() if mutants(module) and not command.stages(module)] == []


@pytest.mark.parametrize(
    ("module", "asked"),
    [
        ("models/vim_mixer", ["vim_mixer", "vim_reference", "vim"]),
        ("models/pictures", ["pictures", *FAMILIES, "classifier"]),
        ("models/vss_stages", ["vss_stages", "vmamba_reference", "vmamba"]),
        ("layers/rmsnorm", ["vim_reference", "vim"]),
        ("layers/cross_scan", ["vmamba_reference", "ss2d", "vmamba"]),
        ("layers/window", ["reference", "stages"]),
        ("layers/selective_scan", [*FAMILIES, "mixer", "vim_mixer", "ss2d"]),
        ("kernels/cpu/cross_scan", ["vmamba_reference", "ss2d", "vmamba"]),
        ("layers/winograd", []),  # no model has it
    ],
)
def test_models_that_a_fault_is_shown_to(module, asked):
    """The nearest that import the module, and whole families against official numbers."""
    found = [file for stage in command.stages(module) for file in stage.files if file.startswith("tests/models/")]
    assert found == [f"tests/models/test_{stem}.py" for stem in asked]


def test_every_family_is_among_the_references():
    families = {path.stem for path in (ROOT / "tests" / "models").glob("test_*reference.py")}
    assert {Path(file).stem for file in command.REFERENCES.values()} == families
    assert all((PACKAGE / f"{module}.py").exists() for module in command.REFERENCES)


def test_a_twin_of_no_layer_is_shown_to_the_tests_of_what_it_computes():
    assert "tests/training/test_adamw.py" in [file for stage in command.stages("kernels/cpu/adamw") for file in stage.files]


def test_modules_by_name():
    assert command.modules(["layers/softmax"]) == ["layers/softmax"]
    assert "layers/softmax" in command.modules(["softmax"])
    assert "core/tape" in command.modules(["core"])
    with pytest.raises(SystemExit, match="no module or room of mvnp is called 'nonsense'"):
        command.modules(["nonsense"])


def test_what_a_kernel_is_made_of():
    assert "mvnp.kernels.cpu.mathematics" in modules_that_use("kernels/cpu/jit")
    assert "mvnp.kernels.cpu.jit" not in modules_that_use("kernels/cpu/mathematics")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / "tests" / "mutants.py"), *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@NEEDS_FORK
def test_faults_are_caught():
    """A few, drawn once; `python tests/mutants.py` tries them all."""
    result = run("layers/softmax", "layers/layernorm", "--sample", "6", "--jobs", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert counts(result.stdout) == (6, 6, 0, 0)


@NEEDS_FORK
def test_a_fault_in_what_shared_kernels_call_is_caught():
    """Several cores share a job that is made of a kernel when it is first called: with the fault, not the one on the disk."""
    pytest.importorskip("numba")
    lines = (PACKAGE / "kernels" / "cpu" / "rmsnorm.py").read_text(encoding="utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, 1) if "np.sqrt(number)" in line)
    result = run(f"kernels/cpu/rmsnorm:{number}", "--near", "--jobs", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert counts(result.stdout) == (3, 3, 0, 0)


@NEEDS_FORK
def test_what_cores_share_is_done_in_python_too(tmp_path):
    """The first stage of a kernel's faults compiles nothing, and is of use where the kernel's rows are shared out."""
    pytest.importorskip("numba")
    near = tmp_path / "test_near.py"
    near.write_text(
        "import numpy as np\nfrom mvnp.kernels.cpu.silu import silu_forward\n\ndef test_near():\n"
        "    x = np.linspace(-3, 3, 26).reshape(2, 13)\n    y, _ = silu_forward(x)\n"
        "    np.testing.assert_allclose(y, x / (1 + np.exp(-x)), rtol=1e-12)\n"
    )
    line = next(mutant.line for mutant in mutants("kernels/cpu/silu") if mutant.before.startswith("y[i] ="))
    result = run(f"kernels/cpu/silu:{line}", "--jobs", "1", "--tests", str(near))
    assert result.returncode == 0, result.stdout + result.stderr
    assert counts(result.stdout) == (3, 3, 0, 0)


@NEEDS_FORK
def test_a_fault_that_nothing_notices_is_missed(tmp_path):
    """A test that uses the layer and asks nothing."""
    blind = tmp_path / "test_blind.py"
    blind.write_text("from mvnp.layers.softmax import softmax_forward\n\ndef test_nothing():\n    assert softmax_forward\n")
    result = run("layers/softmax", "--sample", "2", "--jobs", "2", "--tests", str(blind))
    assert result.returncode == 1, result.stdout + result.stderr
    assert counts(result.stdout) == (2, 0, 0, 2)
    drawn = run("layers/softmax", "--sample", "2", "--list").stdout.splitlines()
    assert sorted(line for line in result.stdout.splitlines() if line.startswith("MISSED")) == sorted(
        f"MISSED {mutant}" for mutant in drawn
    )


@NEEDS_FORK
def test_tests_that_fail_without_a_fault_show_nothing(tmp_path):
    red = tmp_path / "test_red.py"
    red.write_text("def test_red():\n    assert False, 'as it is'\n")
    result = run("layers/softmax", "--sample", "1", "--tests", str(red))
    assert result.returncode == 1
    assert f"NOT USED, as it fails without any fault: {red}" in result.stdout
    assert "as it is" in result.stdout
    assert counts(result.stdout) == (1, 0, 0, 1)


@NEEDS_FORK
@pytest.mark.parametrize(("body", "how"), [("while True: pass", "by time 1"), ("os.abort()", "by a crash 1")])
def test_a_fault_that_ends_the_process_is_caught(body, how, tmp_path):
    test = tmp_path / "test_ends.py"
    text = f"import os\nimport mvnp.layers.softmax\n\ndef test_ends():\n    if {PLANTED!r} in os.environ:\n        {body}\n"
    test.write_text(text)
    result = run("layers/softmax", "--sample", "1", "--seconds", "1", "--tests", str(test))
    assert result.returncode == 0, result.stdout + result.stderr
    assert how in result.stdout


def counts(output: str) -> tuple[int, ...]:
    """Mutants, caught, equivalent, missed: the last line of the table."""
    last = next(line for line in output.splitlines() if line.startswith("all "))
    return tuple(int(word) for word in last.split()[1:])


@pytest.mark.slow(reason="runs the tests of a layer for each of many faults; all there are take hours: python tests/mutants.py")
@NEEDS_FORK
def test_faults_of_the_layers_are_caught():
    result = run("layers", "--sample", "40")
    assert result.returncode == 0, result.stdout + result.stderr


def test_mutant_has_a_stable_key():
    made = [Mutant("layers/x", line, "f", "drop term", "y = a + b", "y = a", line) for line in (1, 2)]
    assert made[0].key == made[1].key
