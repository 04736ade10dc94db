"""VMamba against the official one: tests/reference/vmamba_*, made in float64 from random weights.

Three networks: the final one on a square and on an odd image, and the one of January 2024; and a small one for each option of
the official release. Differences are ‖ours − theirs‖ / ‖theirs‖, with kernels and without.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mvnp import Tape, VMamba
from mvnp.kernels import kernels_on, use_kernels
from support.checks import relative

REFERENCE = Path(__file__).parent.parent / "reference"
TOLERANCE = {"float64": 2e-6, "float32": 3e-5}
# Of what is stored in float64 and worked out in float64 nothing but rounding is off.
EXACT = 1e-12
WEIGHTS = {"vmamba_tiny": "vmamba_tiny", "vmamba_tiny_odd": "vmamba_tiny", "vmamba_v0_odd": "vmamba_v0"}
OPTIONS = json.loads((REFERENCE / "vmamba_options.json").read_text(encoding="utf-8"))
NAMES = [*WEIGHTS, *OPTIONS]


def case_of(name):
    """Arguments, weights, and everything that is expected."""
    if name in WEIGHTS:
        arguments = json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))
        return arguments, load_file(REFERENCE / f"{WEIGHTS[name]}.safetensors"), dict(np.load(REFERENCE / f"{name}.npz"))
    stored = load_file(REFERENCE / "vmamba_options.safetensors")
    stored = {key.removeprefix(f"{name}."): value for key, value in stored.items() if key.startswith(f"{name}.")}
    weights = {key.removeprefix("weight."): value for key, value in stored.items() if key.startswith("weight.")}
    return OPTIONS[name], weights, {key: value for key, value in stored.items() if not key.startswith("weight.")}


@pytest.fixture(params=["on", "off"])
def kernels(request):
    before = "on" if kernels_on() else "off"
    use_kernels(request.param)
    yield request.param
    use_kernels(before)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_agreement(name, dtype, kernels):
    arguments, weights, expected = case_of(name)
    model = VMamba(**arguments, version="v0" if "v0" in name else "v2", dtype=dtype)
    model.load_state_dict(weights)
    x = expected["x"].astype(dtype)
    got = {"eval.logits": model(x), "eval.pooled": model.pooled(x)}
    got |= {f"eval.stage{i}": stage for i, stage in enumerate(model.features(x), 1)}

    tape = Tape(training=True)
    got["train.logits"] = model(x, tape)
    got["train.grad.x"] = model.backward(expected["train.dlogits"].astype(dtype), tape)
    assert tape.entries == []
    got |= {f"train.grad.{key}": gradient for key, gradient in model.gradients(tape).items()}

    assert {str(value.dtype) for value in got.values()} == {dtype}
    names = [name for name in expected if name not in ("x", "train.dlogits", "eval.stem")]
    assert {f"train.grad.{key}" for key, _ in model.named_parameters()} | {"train.grad.x"} == {
        name for name in names if name.startswith("train.grad.")
    }
    for name in names:
        assert got[name].shape == expected[name].shape, name
        error = relative(got[name], expected[name])
        limit = EXACT if dtype == "float64" and expected[name].dtype == "float64" else TOLERANCE[dtype]
        assert error <= limit, f"{name} is {error:.1e} off"


def test_the_stem():
    arguments, weights, expected = case_of("vmamba_tiny_odd")
    model = VMamba(**arguments, dtype="float64")
    model.load_state_dict(weights)
    stem = model.patch_embed(expected["x"].astype("float64").transpose(0, 2, 3, 1))
    assert relative(stem.transpose(0, 3, 1, 2), expected["eval.stem"]) < 1e-7
