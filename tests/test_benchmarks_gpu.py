"""benchmarks/gpu.py, as far as it goes without a GPU: cases, floors, times, the table, and what it says without one."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import mvnp
from mvnp.costs.cost import model_cost
from mvnp.errors import BackendError
from support.patience import HANGS
from support.tolerance import near

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("benchmarks_importable")


def test_cases():
    from gpu_cases import GPU_CASES

    assert len(GPU_CASES) == 3 * (3 + 2) * 3
    case = GPU_CASES["s-training-32-mixed"]
    assert case.title == "S training step, 224x224, batch 32, mixed"
    assert {key.split("-")[2] for key in GPU_CASES if "inference" in key} == {"1", "32", "128"}


def test_floor():
    """The bytes are those of the parameters and, for each image, of every output twice."""
    from gpu_cases import GPU_CASES

    cost = model_cost(mvnp.create_model("mamba_vision_T", allocate=False), 224)
    one, many = (GPU_CASES[f"t-inference-{batch}-float32"].traffic() for batch in (1, 32))
    assert (32 * one - many) == near(31 * 4 * cost.parameters)
    assert one > 4 * cost.parameters
    case = GPU_CASES["t-training-32-mixed"]
    assert case.traffic() == near(1.5 * many)
    assert case.floor_seconds(1e12, 1e30) == near(3 * 32 * cost.flops / 1e12)
    assert case.floor_seconds(1e30, 1e9) == near(1.5 * many / 1e9)


class FakeGpu:
    """A queue in which calls take these seconds; events are its clock, which has run on when they are waited for."""

    def __init__(self, durations):
        self.durations, self.now, self.calls = list(durations), 0.0, 0

    def call(self):
        self.calls += 1
        self.now += self.durations.pop(0)

    def make(self):
        event = SimpleNamespace(at=None, waited=False)
        event.record = lambda: setattr(event, "at", self.now)
        event.synchronize = lambda: setattr(event, "waited", True)
        return event

    @staticmethod
    def elapsed(begin, end):
        assert end.waited, "read before the GPU came to it"
        return 1e3 * (end.at - begin.at)


def test_seconds():
    """The median of the calls that are counted; the slow first ones are not."""
    from gpu_timer import Clock, seconds

    gpu = FakeGpu([9.0, 9.0, 1.0, 5.0, 2.0])
    assert seconds(gpu.call, Clock(gpu.make, gpu.elapsed), warm_up=2, repeats=3) == near(2.0)
    assert gpu.calls == 5


def test_the_table():
    from gpu import as_markdown

    engines = {
        "mvnp": {"seconds": 0.02, "peak_mb": 900.0},
        "torch": {"seconds": 0.1, "peak_mb": 1200.0},
        "fused": {"reason": "not installed: mamba_ssm"},
    }
    row = {"title": "T inference", "batch": 32, "floor_s": 0.005, "engines": engines}
    about = {"device": "A GPU", "rate": 5e13, "bandwidth": 2e12, "versions": {"torch": "2.9"}, "date": "2026-01-01"}
    lines = as_markdown({**about, "rows": [row]}).splitlines()
    assert lines[2] == "| T inference | mvnp | 20.00 | 1600 | 900 | 25% | – |"
    assert lines[3] == "|  | PyTorch, reference scan | 100.00 | 320 | 1200 | 5% | 0.20 |"
    assert lines[4] == "|  | PyTorch, fused scan | left out: not installed: mamba_ssm | – | – | – | – |"
    assert lines[6] == "A GPU: 50.0 TFLOP/s in float32 products, 2000 GB/s in copies; torch 2.9; 2026-01-01."


def test_a_run(monkeypatch, tmp_path):
    import gpu
    from gpu_cases import GPU_CASES

    def measured(key, engine, weights):
        rates = {"device": "A GPU", "rate": 1e13, "bandwidth": 1e12}
        return rates if key == "rates" else {"seconds": {"mvnp": 1.0, "torch": 2.0, "bound": 0.5}[engine], "peak_mb": 1.0}

    monkeypatch.setattr(gpu, "in_process", measured)
    monkeypatch.setattr(gpu, "_save_weights", lambda model, path: path.touch())
    monkeypatch.setattr(gpu.GpuCase, "reason_against", lambda case, engine: "no" if engine == "fused" else None)
    result = gpu.run([GPU_CASES["t-inference-1-float32"]], tmp_path)
    (row,) = result["rows"]
    assert row["engines"]["fused"] == {"reason": "no"}
    assert row["floor_s"] == GPU_CASES["t-inference-1-float32"].floor_seconds(1e13, 1e12)
    assert "| T inference, 224x224, batch 1, float32 | mvnp | 1000.00 | 1 |" in gpu.as_markdown(result)


def test_reasons(monkeypatch):
    import gpu_cases

    monkeypatch.setattr(gpu_cases.importlib.util, "find_spec", lambda name: None if name == "mamba_ssm" else name)
    cases = gpu_cases.GPU_CASES
    assert cases["t-training-32-mixed"].reason_against("mvnp") is None
    assert cases["t-training-32-mixed"].reason_against("fused") == "not installed: mamba_ssm"
    assert "for training" in cases["t-inference-32-mixed"].reason_against("mvnp")


def test_without_a_gpu():
    if has_gpu():
        pytest.skip("there is a GPU")
    command = [sys.executable, str(ROOT / "benchmarks/gpu.py")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=HANGS)
    assert done.returncode == 1
    assert done.stderr.startswith("nothing can be measured without a GPU: ")
    assert done.stderr.count("\n") <= 2


def has_gpu():
    before = mvnp.backend_name()
    try:
        mvnp.use_backend("cupy")
    except BackendError:
        return False
    mvnp.use_backend(before)
    return True
