"""mvnp/layers is the book: array code as plain as the equations beside it, and short enough to be read from end to end.

What is fast goes into a twin (mvnp/kernels), how a pass is run into mvnp/execution.
"""

import ast
import inspect
import io
import re
import tokenize
from pathlib import Path

import pytest

import mvnp.layers
from mvnp.models import MambaVision

LAYERS = Path(mvnp.layers.__file__).parent
MODELS = LAYERS.parent / "models"
BOOK = sorted(LAYERS.glob("*.py"))

# The layers of MambaVision, its loss, and the other ways to compute two of them: together, with the package's face, they are
# to stay within so many lines. A layer for another model is not counted here.
OF_MAMBAVISION = (
    *("linear", "relu", "gelu", "silu", "softplus", "dropout", "drop_path", "layer_scale", "pool"),
    *("softmax", "cross_entropy", "layernorm", "batchnorm", "conv1d", "conv2d", "winograd", "window", "attention"),
    *("linear_recurrence", "selective_scan", "checkpointed_scan"),
)
LINES = 1500
SCREEN = 50  # lines

# Modules about how a pass is run, and functions that only the machine needs.
OF_THE_MACHINE = ("execution", "threading", "concurrent", "multiprocessing", "ctypes", "numba", "threadpoolctl", "asyncio")
WORDS_OF_THE_MACHINE = ("workspace", "blockwise", "scratch", "as_strided", "nditer", "prange")


def faults(text: str) -> list[str]:
    """What is not plain in the code of a layer: "line: what"."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.AugAssign():
                found.append((node.lineno, f"{ast.unparse(node)}: an assignment that changes an array in place"))
            case ast.Call(keywords=keywords) if any(keyword.arg == "out" for keyword in keywords):
                found.append((node.lineno, "out="))
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
                found += [(node.lineno, f"import of {name}") for name in imported if name.split(".")[0] in OF_THE_MACHINE]
            case ast.ImportFrom(module=module):
                parts = [*(module or "").split("."), *(alias.name for alias in node.names)]
                found += [(node.lineno, f"import of {part}") for part in parts if part in OF_THE_MACHINE]
        names = [getattr(node, field, None) for field in ("id", "attr", "arg")]
        names += [alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)]
        for word in WORDS_OF_THE_MACHINE:
            if any(isinstance(name, str) and word in name for name in names):
                found.append((node.lineno, word))
    return [f"{line}: {what}" for line, what in sorted(set(found))]


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_a_layer_is_plain(path):
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("x *= 2", "x *= 2: an assignment"),
        ("g[:, t] += 1", "g[:, t] += 1: an assignment"),
        ("np.exp(x, out=x)", "out="),
        ("import threading", "import of threading"),
        ("from concurrent.futures import ThreadPoolExecutor", "import of concurrent"),
        ("from ..execution.scratch import workspace", "import of execution"),
        ("from .. import execution", "import of execution"),
        ("h = workspace(np, 'h', (3,))", "workspace"),
        ("y = np.lib.stride_tricks.as_strided(x)", "as_strided"),
        ("for block in blockwise(x):\n    pass", "blockwise"),
    ],
)
def test_what_is_not_plain_is_found(line, what):
    assert any(what in fault for fault in faults(line))


def test_what_is_plain_passes():
    assert faults("import math\nfrom ..core import sum_rows\ny = gamma * x\ndx[tap] = dx[tap] + dX\nn = n - 1") == []


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_a_line_of_code_is_marked_with_each_equation(path):
    """A reader lays equation (2) on the line that says "(2)"."""
    text = path.read_text(encoding="utf-8")
    equations = re.findall(r"\s\((\d+)\)$", ast.get_docstring(ast.parse(text)) or "", re.MULTILINE)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    marks = {mark for token in tokens if token.type == tokenize.COMMENT for mark in re.findall(r"\((\d+)\)", token.string)}
    assert set(equations) <= marks


def test_the_book_is_short():
    lines = {stem: len((LAYERS / f"{stem}.py").read_text(encoding="utf-8").splitlines()) for stem in OF_MAMBAVISION}
    face = (LAYERS / "__init__.py").read_text(encoding="utf-8").splitlines()
    imported = [re.match(r"from \.(\w+) import", line) for line in face]
    lines["__init__"] = sum(stem is None or stem[1] in OF_MAMBAVISION for stem in imported)
    assert sum(lines.values()) <= LINES, lines


def test_two_columns_fit_on_a_page():
    """Pages of the documentation print a layer beside its prose, 100 columns wide."""
    wide = [
        f"{path.name}, line {number}: {len(line)} columns"
        for path in [*BOOK, *MODELS.glob("*.py")]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > 100
    ]
    assert wide == []


def test_forward_and_backward_of_the_model_fit_on_one_screen():
    """From the first line of the forward to the last of the backward, with what stands between."""
    forward, backward = (inspect.getsourcelines(inspect.unwrap(getattr(MambaVision, name))) for name in ("forward", "backward"))
    ends = [first + len(lines) for lines, first in (forward, backward)]
    assert max(ends) - min(forward[1], backward[1]) <= SCREEN
