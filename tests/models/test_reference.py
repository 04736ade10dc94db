"""The whole model against the official one: tests/reference, made in float64 from random weights.

Two inputs: one whose maps are multiples of their windows, and one where both hybrid stages are padded. Differences are
‖ours − theirs‖ / ‖theirs‖, with a bound for each precision; the stored arrays are float32, which is 3e-8 by itself.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mvnp import MambaVision, Tape
from support.checks import relative

REFERENCE = Path(__file__).parent.parent / "reference"
TOLERANCE = {"float64": 2e-6, "float32": 3e-5}
CASES = [(case, dtype) for case in ("tiny_even", "tiny_padded") for dtype in TOLERANCE]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def run(request):
    """Everything that one case and precision gives, worked out once."""
    case, dtype = request.param
    config = json.loads((REFERENCE / f"{case}.json").read_text(encoding="utf-8"))
    model = MambaVision(**config, dtype=dtype)
    weights = load_file(REFERENCE / "tiny.safetensors")
    model.load_state_dict({key.removeprefix("model."): value for key, value in weights.items()})
    expected = dict(np.load(REFERENCE / f"{case}.npz"))
    x = expected["x"].astype(dtype)
    got = {"eval.logits": model(x), "eval.pooled": model.pooled(x)}
    got |= {f"eval.stage{i}": stage for i, stage in enumerate(model.features(x), 1)}

    tape = Tape(training=True)
    got["train.logits"] = model(x, tape)
    got["train.grad.x"] = model.backward(expected["train.dlogits"].astype(dtype), tape)
    got |= {f"train.grad.{key}": gradient for key, gradient in model.gradients(tape).items()}
    tape.commit()
    got |= {f"train.buffer.{key}": value for key, value in model.state_dict().items() if "running_" in key}
    return Run(model, tape, expected, got, TOLERANCE[dtype])


class Run:
    def __init__(self, model, tape, expected, got, tolerance):
        self.model, self.tape, self.expected, self.got, self.tolerance = model, tape, expected, got, tolerance

    def assert_agreement(self, name):
        error = relative(self.got[name], self.expected[name])
        assert self.got[name].shape == self.expected[name].shape
        assert error <= self.tolerance, f"{name} is {error:.1e} off"


def is_zero_by_mathematics(key):
    """Gradients that are 0, so that the reference holds nothing but rounding noise.

    A constant added to a channel in front of a BatchNorm is subtracted again with the batch's mean: the biases of the
    convolutions, and of the last block's MLP, which only the head norm reads.
    """
    return re.fullmatch(r"levels\.[01]\.blocks\.\d\.conv[12]\.bias|levels\.3\.blocks\.1\.mlp\.fc2\.bias", key) is not None


@pytest.mark.parametrize("name", ["eval.logits", "eval.pooled", *(f"eval.stage{i}" for i in (1, 2, 3, 4)), "train.logits"])
def test_outputs(run, name):
    run.assert_agreement(name)


def test_gradient_of_the_input(run):
    run.assert_agreement("train.grad.x")


def test_gradient_of_every_parameter(run):
    keys = [key for key, _ in run.model.named_parameters()]
    assert sorted(f"train.grad.{key}" for key in keys) == sorted(
        name for name in run.expected if name.startswith("train.grad.") and name != "train.grad.x"
    )
    for key in keys:
        if not is_zero_by_mathematics(key):
            run.assert_agreement(f"train.grad.{key}")


def test_gradients_that_are_zero(run):
    """Both gradients are noise: each is measured by the gradient of the weight of the same layer."""
    keys = [key for key, _ in run.model.named_parameters() if is_zero_by_mathematics(key)]
    assert len(keys) == 5
    for key in keys:
        scale = np.linalg.norm(run.expected[f"train.grad.{key.removesuffix('bias')}weight"])
        for gradients in (run.got, run.expected):
            assert np.linalg.norm(gradients[f"train.grad.{key}"]) <= run.tolerance * scale, key


def test_running_statistics(run):
    names = [name for name in run.expected if name.startswith("train.buffer.")]
    assert sorted(names) == sorted(name for name in run.got if name.startswith("train.buffer."))
    assert len(names) == 14
    for name in names:
        run.assert_agreement(name)


def test_batches_are_counted(run):
    before = load_file(REFERENCE / "tiny.safetensors")
    counts = {key: value for key, value in run.model.state_dict().items() if key.endswith("num_batches_tracked")}
    assert len(counts) == 7
    for key, count in counts.items():
        assert count == before[f"model.{key}"] + 1


def test_precision_is_kept(run):
    """A float32 model answers in float32 throughout, a float64 model in float64."""
    dtype = run.model.config["dtype"]
    assert {str(value.dtype) for value in run.got.values()} == {dtype}


def test_every_record_is_used(run):
    assert run.tape.entries == []
