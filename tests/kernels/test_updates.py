"""A step of AdamW and LAMB over all parameters at once: mvnp/kernels/cuda/updates.py and updates.cu."""

import numpy as np
import pytest

from mvnp.backend import from_numpy, to_numpy
from mvnp.core import Param
from mvnp.errors import InputError
from mvnp.kernels import use_kernels
from mvnp.kernels.cuda import updates as cuda
from mvnp.training.adamw import AdamW
from mvnp.training.lamb import LAMB
from mvnp.training.updates import guarded_update
from support.checks import normal
from support.kernel_checks import EVERY_WAY, assert_caught, assert_close, device
from support.tolerance import rounding


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch):
    monkeypatch.setattr(cuda, "GATHERERS", 2)


# More parameters than a launch gathers, sizes around a chunk and its fours, and a bias that is not decayed.
SHAPES = {"a.weight": (5, 7), "a.bias": (5,), "b.weight": (1023, 1), "c.weight": (1024, 1), "d.weight": (3, 700)}
SHAPES |= {f"small{i}.weight": (i % 4 + 1, 2) for i in range(34)}
OPTIMIZERS = {
    "adamw": lambda named: AdamW(named, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, lr_scales={"b.weight": 0.5}),
    "adamw of a smaller set": lambda named: AdamW([pair for pair in named if "small" not in pair[0]]),
    "lamb": lambda named: LAMB(named, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, lr_scales={"b.weight": 0.5}),
    "lamb, trust clip": lambda named: LAMB(named, weight_decay=0.1, trust_clip=True, max_grad_norm=None),
    "lamb, all adapted": lambda named: LAMB(named, weight_decay=0.1, always_adapt=True, bias_correction=False),
    "lamb, decoupled": lambda named: LAMB(named, weight_decay=0.1, decoupled=True, grad_averaging=False),
}


def named(dtype: str) -> list[tuple[str, Param]]:
    params = [(name, Param(from_numpy(normal(shape, i).astype(dtype)))) for i, (name, shape) in enumerate(SHAPES.items())]
    params[2][1].data[...] = 0  # whose norm is 0
    return params


def gradients(step: int, dtype: str) -> dict:
    scale = 10.0 ** (step - 1)
    return {
        name: from_numpy((scale * normal(shape, 100 * step + i)).astype(dtype))
        for i, (name, shape) in enumerate(SHAPES.items())
    }


def run(make, dtype: str, clip_norm: float | None, steps: int = 3) -> dict[str, np.ndarray]:
    """What is left after some steps, and what each said."""
    params = named(dtype)
    optimizer = make(params)
    said = [
        guarded_update(from_numpy(np.array(1.5 + i, dtype)), optimizer, gradients(i, dtype), 0.01 * (i + 1), clip_norm)
        for i in range(steps)
    ]
    state = {**{name: param.data for name, param in params}, **optimizer.state_dict()}
    return {"said": np.array(said)} | {name: to_numpy(array) for name, array in state.items()}


def compare(make, dtype: str, way: str, clip_norm: float | None = 3.0) -> None:
    want = run(make, dtype, clip_norm)
    with device(way):
        got = run(make, dtype, clip_norm)
    assert got.keys() == want.keys()
    for name, array in want.items():
        assert got[name].dtype == array.dtype, name
        assert_close(got[name], array, rounding(dtype, 64), name)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_numbers(kind, dtype, way):
    compare(OPTIMIZERS[kind], dtype, way)


def test_without_a_limit():
    for kind in ("adamw", "lamb"):
        compare(OPTIMIZERS[kind], "float64", "in order", None)


@pytest.mark.parametrize("kind", ["adamw", "lamb"])
@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_what_is_not_finite_changes_nothing(kind, bad):
    with device("in order") as recorder:
        params = named("float32")
        optimizer = OPTIMIZERS[kind](params)
        loss, given = from_numpy(np.float32([1.5]).reshape(())), gradients(0, "float32")
        guarded_update(loss, optimizer, given, 0.1, None)
        before = {**{name: to_numpy(param.data) for name, param in params}, **optimizer.state_dict()}
        before = {name: to_numpy(array).copy() for name, array in before.items()}
        if bad == "loss":
            loss = loss + np.float32("inf")
        else:
            given["small3.weight"][0, 0] = np.nan
        recorder.clear()
        said = guarded_update(loss, optimizer, given, 0.1, None)
        assert len(recorder.syncs) == 1  # the reading of two numbers
        assert not recorder.uploads
        assert not np.isfinite(said[0 if bad == "loss" else 1])
        after = {**{name: param.data for name, param in params}, **optimizer.state_dict()}
        for name, array in before.items():
            np.testing.assert_array_equal(to_numpy(after[name]), array, err_msg=name)


def test_arrays_that_were_replaced_are_taken_in():
    """Weights and moments that are loaded between two steps count."""

    def loaded_between() -> list[np.ndarray]:
        params = named("float64")
        optimizer = OPTIMIZERS["adamw"](params)
        loss = from_numpy(np.array(1.0))
        guarded_update(loss, optimizer, gradients(0, "float64"), 0.1, None)
        params[0][1].data = from_numpy(normal((5, 7), 77))
        state = optimizer.state_dict()
        optimizer.load_state_dict({key: 2 * to_numpy(array) if key != "step" else array for key, array in state.items()})
        optimizer.weight_decay = 0.3
        guarded_update(loss, optimizer, gradients(1, "float64"), 0.1, None)
        optimizer.step(gradients(2, "float64"), 0.1)  # the array code goes on with the same arrays
        return [to_numpy(param.data) for _, param in params]

    want = loaded_between()
    with device("in order"):
        got = loaded_between()
    for here, there in zip(got, want, strict=True):
        assert_close(here, there, 1e-12, "parameter")


def test_a_gradient_that_is_missing_or_misshapen():
    with device("in order"):
        optimizer, loss = OPTIMIZERS["adamw"](named("float32")), from_numpy(np.float32([1]).reshape(()))
        for change, message in (({"a.bias": None}, "no gradient for a.bias"), ({"a.bias": (6,)}, r"shape \(6,\), expected")):
            given = gradients(0, "float32")
            for name, shape in change.items():
                given.pop(name)
                if shape is not None:
                    given[name] = from_numpy(np.zeros(shape, np.float32))
            with pytest.raises(InputError, match=message):
                guarded_update(loss, optimizer, given, 0.1, None)
            assert optimizer.steps == 0


def test_an_optimizer_of_a_kind_of_its_own_is_not_taken():
    """A subclass may update in its own way."""

    class Own(AdamW):
        def update(self, gradients, lr):
            for name in gradients:
                self.parameters[name].data[...] = 7

    with device("in order"):
        params = named("float32")
        guarded_update(from_numpy(np.float32([1]).reshape(())), Own(params), gradients(0, "float32"), 0.1, None)
        assert all((to_numpy(param.data) == 7).all() for _, param in params)


def test_kernels_off_is_the_array_code():
    with device("in order"):
        use_kernels("off")
        optimizer = OPTIMIZERS["adamw"](named("float64"))
        guarded_update(from_numpy(np.array(1.0)), optimizer, gradients(0, "float64"), 0.1, None)
        assert "_flat" not in vars(optimizer)


FAULTS = {
    "a gradient of another": ("if (blockIdx.y == i) from = g##i;", "if (blockIdx.y == i + 1) from = g##i;"),
    "a place of another": ("flat + starts[number]", "flat + starts[blockIdx.y]"),
    "no clip": ("c >= 0 && longest > c ? c / longest : A(1)", "A(1)"),
    "the loss forgotten": ("found[0] = loss[0]", "found[0] = 0"),
    "no decay": ("keep = 1 - rate * decays[mine]", "keep = 1"),
    "no rate of its own": ("rate = lr * rates[mine], keep", "rate = lr, keep"),
    "no correction": ("step = rate * correction;", "step = rate;"),
    "the second moment forgotten": (
        "ms.value[i] = T(first);\n        vs.value[i] = T(second);\n        ps",
        "ms.value[i] = T(first);\n        ps",
    ),
    "a limit that does not hold": ("factor *= limit / norm;", ";"),
    "the direction lost": ("store(g + at, gs);", ""),
    "a chunk of a parameter forgotten": ("i < first[blockIdx.x + 1]", "i < first[blockIdx.x + 1] - 1"),
    "a barrier dropped": (
        "__syncthreads();\n    A sum = 0;\n    if (threadIdx.x == 0)",
        "A sum = 0;\n    if (threadIdx.x == 0)",
    ),
    "adapted without decay": ("always || decays[blockIdx.x] > 0", "true"),
    "never clipped": ("if (clip) r", "if (false) r"),
    "the ratio forgotten": (" * ratios[owner[blockIdx.x]]", ""),
    "theta not decayed": ("if (decoupled) theta -= rate * decay * theta;", "if (decoupled) ;"),
    "a write behind the end": (
        "blockIdx.x * CHUNK + threadIdx.x * 4;\n    Four ps = load(p + at), us",
        "blockIdx.x * CHUNK + threadIdx.x * 4 + 1024;\n    Four ps = load(p + at), us",
    ),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        for kind, make in OPTIMIZERS.items():
            if kind in ("adamw", "lamb", "lamb, trust clip", "lamb, decoupled"):
                compare(make, "float64", way)

    assert_caught("updates", *FAULTS[fault], checks)
