"""Cutting an exercise out of a layer: mvnp/learn/cut.py and docstring.py."""

import ast
import inspect
import re
import tomllib
import types
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from mvnp.kernels import dispatch
from mvnp.learn import EXERCISES, exercise_text, find_exercise, solution
from mvnp.learn.cut import solved_text
from mvnp.learn.docstring import hidden_equations, without_answer
from mvnp.learn.exercise import PACKAGE
from support.kernel_checks import by_the_book

ROOT = Path(__file__).parents[2]
STEMS = [exercise.stem for exercise in EXERCISES]


def functions(text):
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("stem", STEMS)
def test_the_file_runs_and_its_forward_is_the_layers(stem, monkeypatch):
    monkeypatch.setattr(dispatch, "_chosen", "off")  # the file is array code
    exercise = find_exercise(stem)
    module = types.ModuleType("exercise")
    exec(compile(exercise_text(exercise), "exercise.py", "exec"), module.__dict__)
    real = import_module(f"mvnp.layers.{stem}")
    for part in exercise.parts:
        setting = part.settings[0]
        inputs = setting.inputs()
        options = setting.options(inputs)
        ours, theirs = part.functions(real, options)[0], part.functions(module, options)[0]
        with by_the_book():
            np.testing.assert_array_equal(theirs(*inputs.values())[0], ours(*inputs.values())[0])


@pytest.mark.parametrize("stem", STEMS)
def test_the_backward_is_a_stub_with_the_layers_signature(stem):
    exercise = find_exercise(stem)
    theirs, real = functions(exercise_text(exercise)), import_module(f"mvnp.layers.{stem}")
    for name in exercise.backwards:
        body = [ast.unparse(statement) for statement in theirs[name].body]
        assert body[-1] == "raise NotImplementedError('write this one')"
        assert all(statement.endswith(" = cache") for statement in body[1:-1])
        assert len(body) <= 3
        assert [argument.arg for argument in theirs[name].args.args] == list(inspect.signature(getattr(real, name)).parameters)


@pytest.mark.parametrize("stem", STEMS)
def test_the_answer_is_not_in_the_file(stem):
    exercise = find_exercise(stem)
    text = exercise_text(exercise)
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert not re.search(r"^ +backward ", docstring, re.MULTILINE)
    assert not re.search(r"(?<![\w/])d[a-zA-Z]\w* = ", docstring)
    code, solved = ast.unparse(ast.parse(text)), functions(solved_text(exercise))
    elsewhere = "\n".join(ast.unparse(node) for name, node in solved.items() if name not in exercise.backwards)
    for name, node in solved.items():
        if name in exercise.backwards:
            statements = [ast.unparse(statement) for statement in node.body[1:]]
            own = [line for line in statements if not line.endswith(" = cache") and line not in elsewhere]
            assert own
            assert not any(statement in code for statement in own)
        elif name not in functions(text):  # a helper of the backward alone
            assert not re.search(rf"\b{name}\b", code)


@pytest.mark.parametrize("stem", STEMS)
def test_no_class_of_a_layer_and_no_relative_import(stem):
    tree = ast.parse(exercise_text(find_exercise(stem)))
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    bases = [ast.unparse(base) for node in tree.body if isinstance(node, ast.ClassDef) for base in node.bases]
    assert not {"Layer", "Dropout"} & set(bases)
    assert "import numpy as np" in ast.unparse(tree)


@pytest.mark.parametrize("stem", STEMS)
def test_the_head_says_what_to_do(stem):
    exercise = find_exercise(stem)
    head = exercise_text(exercise).split('"""')[0]
    assert all(line.startswith("#") for line in head.splitlines())
    for part in exercise.parts:
        assert f"Write {part.backward}, below." in head
        for name in part.returns:
            assert f"#     d{name}" in head
    assert f"mvnp learn check {stem} " in head
    assert f"# {exercise.page} has the derivation" in head
    assert (PACKAGE.parent / exercise.page).is_file()  # an absolute path where the package is not in a checkout
    assert (PACKAGE.parent / exercise.source).is_file()


def test_an_installed_package_has_the_pages(tmp_path, monkeypatch):
    monkeypatch.setattr("mvnp.learn.exercise.PACKAGE", tmp_path / "site-packages" / "mvnp")
    page = tmp_path / "site-packages" / "mvnp" / "learn" / "pages" / "relu.md"
    assert find_exercise("relu").page == str(page)
    assert f"# {page} has the derivation" in exercise_text(find_exercise("relu"))
    included = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert included["force-include"] == {"docs/layers": "mvnp/learn/pages"}


def test_the_head_of_linear():
    head = exercise_text(find_exercise("linear"))
    assert "dy is the gradient of y, shape (B, L, O); return\n" in head
    assert "#     dbias       the gradient of bias, shape (O,); None where there is no bias\n" in head
    assert "tokens is the gradient of window_partition(x, P), shape (B·nW, P·P, C); return\n" in exercise_text(
        find_exercise("window")
    )
    told = "selective_scan_states is there to be used: All states h_t of (2), (b, l, n, d), from what the forward leaves."
    assert told in exercise_text(find_exercise("selective_scan"))
    assert "dloss is the gradient of the loss, a number; return\n" in exercise_text(find_exercise("cross_entropy"))


def test_helpers_of_the_backward_are_left_out():
    assert "def pdf" in solution(find_exercise("gelu"))
    assert "pdf" not in exercise_text(find_exercise("gelu"))
    assert "col2im" not in exercise_text(find_exercise("conv2d"))
    assert "def sigmoid" in exercise_text(find_exercise("silu"))
    assert "def sigmoid" not in solution(find_exercise("silu"))
    assert "def selective_scan_states" in exercise_text(find_exercise("selective_scan"))


def test_the_solution_has_the_equations_and_the_function():
    text = solution(find_exercise("layernorm"))
    assert "dx = r (g − ⟨g⟩ − x̂ ⟨g x̂⟩)" in text
    assert "def layernorm_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:" in text
    assert "def layernorm_forward" not in text


def test_drop_path_is_dropout_by_another_name():
    text = exercise_text(find_exercise("drop_path"))
    assert "def drop_path_forward(x: Array, mask: Array)" in text
    assert "return mask * dy" in solution(find_exercise("drop_path"))
    assert "Drop path (stochastic depth)" in text


def test_a_docstring_loses_what_tells():
    docstring = """A layer.

    x (B)

    forward     y = 2 x          (1)
    backward    dx = 2 dy        (2)
                db = Σ dy        (3)
    running     m ← x            (4)

The sum in (3) is over all. The mean is a mean. (4) is a rule. Its derivative is 2.

Somebody: A paper."""
    assert without_answer(docstring) == (
        "A layer.\n\n    x (B)\n\n    forward     y = 2 x          (1)\n    running     m ← x            (4)\n\n"
        "The mean is a mean. (4) is a rule.\n\nSomebody: A paper."
    )
    assert hidden_equations(docstring) == ["    backward    dx = 2 dy        (2)", "                db = Σ dy        (3)"]
