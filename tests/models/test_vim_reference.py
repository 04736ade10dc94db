"""Vim against the official network: tests/reference/vim_*, made in float64 from random weights.

Two whole cases with what lies between, and each option in a small one. Differences are ‖ours − theirs‖ / ‖theirs‖. Intermediate
results, and the options' gradients, are stored as float32, which is 3e-8 by itself.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mvnp import Tape, Vim
from mvnp.kernels import use_kernels
from support.checks import relative
from support.tiny_vim import from_official

REFERENCE = Path(__file__).parent.parent / "reference"
TOLERANCE = {"float64": 2e-6, "float32": 3e-5}
STORED = {"float64": 1e-9, "float32": 3e-5}  # of what is stored as float64: an ε of 1e-6 in the norms is 8e-6
OPTIONS = json.loads((REFERENCE / "vim_options.json").read_text(encoding="utf-8"))
CASES = ("vim_tiny_even", "vim_no_cls", *OPTIONS)


def case_of(name):
    """The official arguments, the weights, and what was stored."""
    if name not in OPTIONS:
        official = json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))
        return official, load_file(REFERENCE / f"{name}.safetensors"), dict(np.load(REFERENCE / f"{name}.npz"))
    stored = load_file(REFERENCE / "vim_options.safetensors")
    mine = {key.removeprefix(f"{name}."): value for key, value in stored.items() if key.startswith(f"{name}.")}
    weights = {key.removeprefix("weight."): value for key, value in mine.items() if key.startswith("weight.")}
    return OPTIONS[name], weights, mine


@pytest.fixture(
    scope="module", params=[(name, dtype, kernels) for name in CASES for dtype in TOLERANCE for kernels in ("on", "off")]
)
def run(request):
    """Everything that one case gives, in one precision and with one choice of kernels."""
    name, dtype, kernels = request.param
    official, weights, expected = case_of(name)
    model = Vim(**from_official(official), dtype=dtype)
    model.load_state_dict(weights)
    x = expected["x"].astype(dtype)
    use_kernels(kernels)
    try:
        got = {"eval.logits": model(x), "eval.features": model.pooled(x)}
        tape = Tape(training=True)
        model(x, tape)
        got["train.grad.x"] = model.backward(expected["train.dlogits"].astype(dtype), tape)
        assert not tape.entries
        got |= {f"train.grad.{key}": gradient for key, gradient in model.gradients(tape).items()}
        _, _, ends = model._blocks(model._tokens(x, None), None)
        got |= {f"eval.block{model.stage_ends[i]}.hidden": m for i, m in enumerate(ends)}
        got["eval.embed"] = model._tokens(x, None)
    finally:
        use_kernels("on")
    return got, expected, dtype


def assert_agrees(run, name):
    got, expected, dtype = run
    assert got[name].shape == expected[name].shape
    assert got[name].dtype == dtype
    tolerance = (STORED if expected[name].dtype == np.float64 else TOLERANCE)[dtype]
    norm = np.linalg.norm(expected[name])
    if norm == 0:  # by mathematics: a class token at the head sees no past, the last token no future
        np.testing.assert_array_equal(got[name], 0.0)
    error = relative(got[name], expected[name]) if norm else 0.0
    assert error <= tolerance, f"{name} is {error:.1e} off"


def test_outputs(run):
    for name in ("eval.logits", "eval.features", "eval.embed", "eval.block1.hidden", "eval.block2.hidden"):
        if name in run[1]:
            assert_agrees(run, name)


def test_gradients(run):
    got, expected, _ = run
    names = {name for name in expected if name.startswith("train.grad.")}
    assert names == {name for name in got if name.startswith("train.grad.")}
    for name in names:
        assert_agrees(run, name)


def test_zeros_there_are():
    """Two cases have a gradient that is 0 by mathematics: whoever divides by its norm has to know."""
    zeros = {name: [key for key, value in case_of(name)[2].items() if "grad" in key and not value.any()] for name in CASES}
    assert {name: keys for name, keys in zeros.items() if keys} == {
        "head_cls": ["train.grad.layers.0.mixer.A_log"],
        "last_token": ["train.grad.layers.0.mixer.A_b_log"],
    }
