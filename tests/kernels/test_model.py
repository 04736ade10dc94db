"""The whole model on the stand-in for CuPy, its kernels run on the CPU: NumPy's numbers, in training and in evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest

import mvnp
from mvnp.kernels.cuda import launch
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from support.cuda_on_cpu import running
from support.kernel_checks import AGAIN, needs_compiler
from support.strict_cupy import installed
from support.tolerance import DEEP, assert_close

TINY = json.loads((Path(__file__).parents[1] / "reference" / "tiny_even.json").read_text(encoding="utf-8")) | {
    "drop_path_rate": 0.2
}


def step(dtype: str, watch=None) -> dict[str, np.ndarray]:
    model, tape = mvnp.MambaVision(**TINY, dtype=dtype, seed=1), mvnp.Tape(training=True, seed=2)
    x = mvnp.from_numpy(np.random.default_rng(5).standard_normal((2, 3, 40, 56)).astype(dtype))
    if watch is not None:
        watch.clear()
    logits = model(x, tape)
    loss, cache = cross_entropy_forward(logits, np.array([3, 7]), smoothing=0.1)
    results = {"loss": loss, "logits": logits, "dx": model.backward(cross_entropy_backward(1.0, cache), tape)}
    tape.commit()
    results["evaluation"] = model(x)
    if watch is not None:
        watch.assert_no_syncs("the step")
    results |= {f"gradient of {key}": gradient for key, gradient in model.gradients(tape).items()}
    results |= {f"value of {key}": value for key, value in model.state_dict().items()}
    return {name: mvnp.to_numpy(array) for name, array in results.items()}


@needs_compiler
@pytest.mark.parametrize("way", ["in order", pytest.param("in reverse", marks=AGAIN)])
def test_training_step(way, monkeypatch):
    launched = set()
    monkeypatch.setattr(launch.Kernels, "launch", _noting(launched))
    want = step("float64")
    assert not launched
    with installed(kernels=True) as recorder, running(way):
        got = step("float64", recorder)
    # Of a gradient that is zero, as of the bias in front of a norm, there is rounding noise: of all of them one is the scale.
    steepest = max(np.abs(array).max() for name, array in want.items() if name.startswith("gradient of "))
    for name, array in want.items():
        scale = steepest if name.startswith("gradient of ") else None
        assert_close(got[name], array, terms=DEEP, scale=scale, message=name)
    assert launched >= {"batchnorm", "conv1d", "conv2d", "gelu", "layernorm", "selective_scan", "softmax"}


def _noting(launched: set):
    original = launch.Kernels.launch

    def noted(self, *args, **kwargs):
        launched.add(self.stem)
        original(self, *args, **kwargs)

    return noted
