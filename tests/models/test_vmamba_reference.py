"""VMamba against the official one: tests/reference/vmamba_*, made in float64 from random weights.

Three networks: the final one on a square and on an odd image, and the one of January 2024; and a small one for each option of
the official release. Differences are ‖ours − theirs‖ / ‖theirs‖, with kernels and without.

Some of the small networks magnify rounding: a LayerNorm of three channels divides by a deviation that may be near 0. How far a
float32 gradient may be off is then said by the network itself: in float64, with every number that goes in rounded by up to half
a unit of float32. Each of its layers rounds as much again.
"""

import functools
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
LAYERS = 6  # one after another, between the image and the classes


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


def results(name, arguments, weights, x, dlogits, dtype):
    """All that a network gives."""
    model = VMamba(**arguments, version="v0" if "v0" in name else "v2", dtype=dtype)
    model.load_state_dict(weights)
    got = {"eval.logits": model(x), "eval.pooled": model.pooled(x)}
    got |= {f"eval.stage{i}": stage for i, stage in enumerate(model.features(x), 1)}

    tape = Tape(training=True)
    got["train.logits"] = model(x, tape)
    got["train.grad.x"] = model.backward(dlogits, tape)
    assert tape.entries == []
    assert {key for key, _ in model.named_parameters()} == set(model.gradients(tape))
    return got | {f"train.grad.{key}": gradient for key, gradient in model.gradients(tape).items()}


@functools.cache
def magnified(name):
    """How far off each result is, at most, when what goes in is rounded to float32 by chance, up or down, a few times."""
    arguments, weights, expected = case_of(name)
    rng, worst = np.random.default_rng(0), {}
    for _ in range(5):

        def rounded(array):
            return np.asarray(array, np.float64) * (1 + 2.0**-24 * rng.uniform(-1, 1, np.shape(array)))

        disturbed = {key: rounded(value) for key, value in weights.items()}
        got = results(name, arguments, disturbed, rounded(expected["x"]), rounded(expected["train.dlogits"]), "float64")
        for key in set(expected) & set(got):
            worst[key] = max(worst.get(key, 0.0), relative(got[key], expected[key]))
    return worst


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_agreement(name, dtype, kernels):
    arguments, weights, expected = case_of(name)
    got = results(name, arguments, weights, expected["x"].astype(dtype), expected["train.dlogits"].astype(dtype), dtype)
    assert {str(value.dtype) for value in got.values()} == {dtype}
    names = [name for name in expected if name not in ("x", "train.dlogits", "eval.stem")]
    assert {key for key in got if key.startswith("train.grad.")} == {key for key in names if key.startswith("train.grad.")}
    for key in names:
        assert got[key].shape == expected[key].shape, key
        error = relative(got[key], expected[key])
        limit = EXACT if dtype == "float64" and expected[key].dtype == "float64" else TOLERANCE[dtype]
        if dtype == "float32" and error > limit:
            limit = max(limit, LAYERS * magnified(name)[key])
        assert error <= limit, f"{key} is {error:.1e} off, more than {limit:.1e}"


def test_the_stem():
    arguments, weights, expected = case_of("vmamba_tiny_odd")
    model = VMamba(**arguments, dtype="float64")
    model.load_state_dict(weights)
    stem = model.patch_embed(expected["x"].astype("float64").transpose(0, 2, 3, 1))
    assert relative(stem.transpose(0, 3, 1, 2), expected["eval.stem"]) < 1e-7
