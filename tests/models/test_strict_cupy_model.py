"""The whole model on the stand-in for CuPy (and on CuPy, where there is a GPU): NumPy's numbers, and no wait on the way."""

import json
from pathlib import Path

import numpy as np
import pytest

import mvnp
from mvnp.kernels import dispatch
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from support.strict_cupy import installed
from support.tolerance import DEEP, assert_close

TINY = json.loads((Path(__file__).parents[1] / "reference" / "tiny_even.json").read_text(encoding="utf-8")) | {
    "drop_path_rate": 0.2
}
SIZES = {"even": (64, 64), "padded": (72, 56)}
VARIANTS = {
    "official": {},
    "layer scale": {"layer_scale": 0.1, "layer_scale_conv": 0.2},
    "qk-norm": {"qk_scale": True, "qkv_bias": False},
    "corrected": {"quirks": "corrected", "head_norm": "layer"},
    "dropout": {"drop_rate": 0.1, "attn_drop_rate": 0.1},
}
LABELS = np.array([3, 7])


@pytest.fixture(autouse=True)
def array_code(monkeypatch):
    """The stand-in computes array code."""
    monkeypatch.setattr(dispatch, "_chosen", "off")


def images(size: str) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((2, 3, *SIZES[size]))


def training_step(x: np.ndarray, options: dict, watch=None) -> dict[str, np.ndarray]:
    """One step's every number, on the host: loss, logits, gradients, parameters and running statistics.

    `watch` wraps all that has to run without a wait, from the images on the device to the committed statistics.
    """
    model = mvnp.MambaVision(**{**TINY, **options}, dtype=str(x.dtype), seed=1)
    device_x, tape = mvnp.from_numpy(x), mvnp.Tape(training=True, seed=2)

    def step() -> tuple:
        logits = model(device_x, tape)
        loss, cache = cross_entropy_forward(logits, LABELS, smoothing=0.1)
        dx = model.backward(cross_entropy_backward(1.0, cache), tape)
        tape.commit()
        return loss, logits, dx

    loss, logits, dx = step() if watch is None else watch(step)
    results = {"loss": loss, "logits": logits, "dx": dx}
    results |= {f"gradient of {key}": gradient for key, gradient in model.gradients(tape).items()}
    results |= {f"value of {key}": value for key, value in model.state_dict().items()}
    return {name: mvnp.to_numpy(array) for name, array in results.items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_training_step(variant, size):
    x = images(size)
    want = training_step(x, VARIANTS[variant])
    assert len(want) > 2 * 90  # every parameter is there twice
    with installed() as recorder:

        def watch(step):
            recorder.clear()
            result = step()
            recorder.assert_no_syncs("a training step")
            _assert_uploads_are_draws(recorder.uploads)
            return result

        got = training_step(x, VARIANTS[variant], watch)
    _assert_same(got, want)


def _assert_same(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    """The same operations, but a matrix library may take another way for arrays that lie otherwise in memory. A gradient that
    is zero but for rounding has the rounding of the others."""
    assert got.keys() == want.keys()
    scale = max(np.abs(array).max() for name, array in want.items() if name.startswith("gradient"))
    for name, array in want.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape), name
        assert_close(got[name], array, terms=DEEP, scale=max(scale, np.abs(array).max()), message=name)


def _assert_uploads_are_draws(uploads: list) -> None:
    """Random masks, the masks of padded tokens and the labels are made on the host; nothing else may be sent."""
    allowed = ("draw_mask", "window_mask", "distribution")
    others = [str(event) for event in uploads if not any(f" {function}" in event.where for function in allowed)]
    assert not others, "\n".join(others)
    assert any("draw_mask" in event.where for event in uploads)


def test_evaluation(strict_cupy):
    model, x = mvnp.MambaVision(**TINY), mvnp.from_numpy(images("padded").astype("float32"))
    tape = mvnp.Tape(training=False)
    strict_cupy.clear()
    logits, stages, pooled = model(x), model.features(x), model.pooled(x)
    dx = model.backward(model(x, tape), tape)
    strict_cupy.assert_no_syncs("evaluation")
    assert strict_cupy.uploads == []
    assert [stage.shape[1] for stage in stages] == [8, 16, 32, 64]
    assert pooled.shape == (2, 64)
    assert dx.shape == x.shape
    assert all(array.dtype == np.float32 for array in (logits, pooled, dx, *stages))


def test_a_model_stays_on_its_backend():
    model = mvnp.MambaVision(**TINY)
    with installed(), pytest.raises(mvnp.backend.BackendError, match=r"from_numpy\(x\) or mvnp\.to_numpy\(x\)"):
        model(mvnp.from_numpy(images("even").astype("float32")))


def test_weights_move_between_backends(strict_cupy):
    there = mvnp.MambaVision(**TINY, seed=4)
    mvnp.use_backend("numpy")
    here = mvnp.MambaVision(**TINY, seed=5)
    here.load_state_dict(there.state_dict())
    assert all(isinstance(array, np.ndarray) for array in here.state_dict().values())
    mvnp.use_backend("cupy")
    there.load_state_dict(here.state_dict())
    double = there.astype("float64")
    for key, array in here.state_dict().items():
        np.testing.assert_array_equal(mvnp.to_numpy(there.state_dict()[key]), array)
        np.testing.assert_array_equal(mvnp.to_numpy(double.state_dict()[key]), array)


@pytest.fixture
def gpu():
    """The real CuPy, on a GPU."""
    pytest.importorskip("cupy", reason="CuPy is not installed")
    try:
        mvnp.use_backend("cupy")
    except mvnp.backend.BackendError as error:
        pytest.skip(str(error))
    yield
    mvnp.use_backend("numpy")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_training_step_on_a_gpu(gpu, variant, size):
    """Waits are counted by tests/kernels/test_counting_cuda.py, which needs no GPU."""
    x = images(size)
    got = training_step(x, VARIANTS[variant])
    mvnp.use_backend("numpy")
    _assert_same(got, training_step(x, VARIANTS[variant]))
