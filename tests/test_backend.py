"""The backend switch: mvnp/backend.py. CuPy itself is played by small modules here, or by tests/support/strict_cupy.py."""

import math
import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import mvnp
from mvnp import backend
from mvnp.backend import array_module, current_module, erf, from_numpy, moved_to, to_numpy, use_backend
from mvnp.errors import BackendError, MvnpError
from support.tolerance import assert_close


@pytest.fixture
def undecided(monkeypatch):
    """No backend chosen yet, and no MVNP_BACKEND; both are put back afterwards."""
    monkeypatch.delenv("MVNP_BACKEND", raising=False)
    monkeypatch.setattr(backend, "_chosen", None)
    return monkeypatch


def fake_cupy(count, version: str = "14.2.0") -> ModuleType:
    """A module named cupy whose `getDeviceCount` is `count`: as much of CuPy as choosing it looks at."""
    module = ModuleType("cupy")
    module.__version__ = version
    module.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count))
    module.ndarray = type("ndarray", (), {})
    return module


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """`code` in a fresh interpreter, where nothing has been chosen or imported."""
    clean = {name: value for name, value in os.environ.items() if name != "MVNP_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=clean | environment, check=False
    )


# ------------------------------------------------------------------------------------------------------------- the choice


def test_numpy_is_the_default(undecided):
    assert mvnp.backend_name() == "numpy"
    assert current_module() is np


@pytest.mark.parametrize("value", ["numpy", ""])
def test_the_environment_chooses_numpy(undecided, value):
    undecided.setenv("MVNP_BACKEND", value)
    assert mvnp.backend_name() == "numpy"


def test_the_environment_chooses_cupy(undecided):
    module = fake_cupy(lambda: 1)
    undecided.setitem(sys.modules, "cupy", module)
    undecided.setenv("MVNP_BACKEND", "cupy")
    assert mvnp.backend_name() == "cupy"
    assert current_module() is module


def test_the_environment_is_read_on_first_use(undecided):
    assert mvnp.backend_name() == "numpy"
    undecided.setenv("MVNP_BACKEND", "jax")
    assert mvnp.backend_name() == "numpy"


def test_use_backend_goes_before_the_environment(undecided):
    undecided.setenv("MVNP_BACKEND", "jax")
    use_backend("numpy")
    assert mvnp.backend_name() == "numpy"


def test_one_can_change_to_and_fro(undecided):
    undecided.setitem(sys.modules, "cupy", fake_cupy(lambda: 2))
    for name in ("cupy", "numpy", "cupy", "numpy"):
        use_backend(name)
        assert mvnp.backend_name() == name


UNKNOWN = r"^unknown backend 'jax'; MVNP_BACKEND and use_backend take one of numpy, cupy$"


def test_an_unknown_name_lists_the_choices(undecided):
    with pytest.raises(BackendError, match=UNKNOWN):
        use_backend("jax")
    undecided.setenv("MVNP_BACKEND", "jax")
    with pytest.raises(BackendError, match=UNKNOWN):
        current_module()


@pytest.mark.parametrize("name", ["NumPy", "CUPY", " numpy", None, ["numpy"], np])
def test_names_are_exact(undecided, name):
    with pytest.raises(BackendError, match="unknown backend"):
        use_backend(name)


def test_a_refused_choice_leaves_the_old_one(undecided):
    use_backend("numpy")
    undecided.setitem(sys.modules, "cupy", fake_cupy(lambda: 0))
    for name in ("jax", "cupy"):
        with pytest.raises(BackendError):
            use_backend(name)
        assert mvnp.backend_name() == "numpy"


def test_backend_errors_are_mvnps_and_runtime_errors():
    assert issubclass(BackendError, MvnpError)
    assert issubclass(BackendError, RuntimeError)


# ------------------------------------------------------------------------------------------------------ CuPy that is no use


def test_without_cupy(undecided):
    undecided.setitem(sys.modules, "cupy", None)  # what makes `import cupy` fail
    with pytest.raises(BackendError, match=r"needs CuPy, which cannot be imported here \(.*cupy.*\)") as caught:
        use_backend("cupy")
    message = str(caught.value)
    assert "pip install 'cupy-cuda12x[ctk]' or 'cupy-cuda13x[ctk]'" in message
    assert message.endswith("or use MVNP_BACKEND=numpy")
    assert len(message.splitlines()) == 1
    assert isinstance(caught.value.__cause__, ImportError)


def test_with_a_cupy_that_is_broken(undecided, tmp_path):
    # As CuPy does it: the reason is the cause of an error with a page of advice, and one line is all that is wanted here.
    cause, advice = "ImportError('libnvrtc.so.13: cannot open shared object file')", "ImportError('=====\\nFailed\\n=====')"
    (tmp_path / "cupy.py").write_text(f"raise {advice} from {cause}", encoding="utf-8")
    undecided.syspath_prepend(tmp_path)
    undecided.delitem(sys.modules, "cupy", raising=False)
    with pytest.raises(
        BackendError, match=r"cannot be imported here \(libnvrtc\.so\.13: cannot open shared object file\)"
    ) as caught:
        use_backend("cupy")
    assert len(str(caught.value).splitlines()) == 1


def test_without_a_gpu(undecided):
    undecided.setitem(sys.modules, "cupy", fake_cupy(lambda: 0, "13.9.1"))
    with pytest.raises(
        BackendError, match=r"^CuPy 13\.9\.1 is installed but finds no usable GPU \(no device\); check that"
    ) as caught:
        use_backend("cupy")
    assert "`nvidia-smi`" in str(caught.value)
    assert str(caught.value).endswith("or use MVNP_BACKEND=numpy")


def test_without_a_driver(undecided):
    class CUDARuntimeError(RuntimeError):
        """As CuPy raises: a class that nobody can name before the import."""

    def count() -> int:
        raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    undecided.setitem(sys.modules, "cupy", fake_cupy(count))
    with pytest.raises(BackendError, match=r"no usable GPU \(cudaErrorInsufficientDriver: .*insufficient\)") as caught:
        use_backend("cupy")
    assert isinstance(caught.value.__cause__, CUDARuntimeError)


def test_a_wrong_environment_is_reported_where_arrays_are_made():
    finished = run_python("import mvnp; print('imported'); mvnp.from_numpy(None)", MVNP_BACKEND="torch")
    assert finished.stdout == "imported\n"
    last = finished.stderr.strip().splitlines()[-1]
    assert last == "mvnp.errors.BackendError: unknown backend 'torch'; MVNP_BACKEND and use_backend take one of numpy, cupy"


# A `cupy` that writes down that it was imported, in case one is installed for real.
SPY = "import sys; sys.path.insert(0, {folder!r})\n"


@pytest.mark.parametrize("value", ["numpy", None])
def test_cupy_is_not_imported_unless_chosen(tmp_path, value):
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy was imported')", encoding="utf-8")
    code = (
        SPY.format(folder=str(tmp_path))
        + "import numpy as np, mvnp, mvnp.backend as b\n"
        + "model = mvnp.build(dim=8, depths=(1, 1, 2, 2), num_heads=(1, 1, 2, 2))\n"
        + "tape = mvnp.Tape(); y = model(np.ones((2, 3, 64, 64), 'float32'), tape); model.backward(y, tape)\n"
        + "b.erf(b.from_numpy(np.ones(3))); b.to_numpy(y)\n"
        + "try: b.array_module([1.0])\n"
        + "except b.BackendError: pass\n"
        + "print(mvnp.backend_name(), 'cupy' in sys.modules, 'cupyx' in sys.modules)"
    )
    finished = run_python(code, **({} if value is None else {"MVNP_BACKEND": value}))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["numpy", "False", "False"]


def test_cupy_is_imported_when_chosen(tmp_path):
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy was imported')", encoding="utf-8")
    finished = run_python(SPY.format(folder=str(tmp_path)) + "import mvnp; mvnp.backend_name()", MVNP_BACKEND="cupy")
    assert finished.stderr.strip() == "cupy was imported"


# --------------------------------------------------------------------------------------------------------- whose array it is


def test_array_module_of_numpy_arrays():
    assert array_module(np.ones(3)) is np
    assert array_module(np.ones(3), None, np.float32(1), np.zeros(())) is np
    assert array_module() is np
    assert array_module(None, None) is np


def test_array_module_does_not_look_at_the_choice(strict_cupy):
    import cupy

    host, device = np.ones(3), from_numpy(np.ones(3))
    assert array_module(host) is np
    assert array_module(device, None, device) is cupy
    use_backend("numpy")
    assert array_module(device) is cupy
    strict_cupy.assert_no_syncs("array_module")


@pytest.mark.parametrize("host", [np.ones(3), np.float64(1.0)])
def test_mixed_arrays_are_refused(strict_cupy, host):
    device = from_numpy(np.ones(3))
    for arrays in ((host, device), (device, host), (None, device, None, host)):
        with pytest.raises(BackendError, match="a NumPy array met a CuPy array") as caught:
            array_module(*arrays)
        assert "mvnp.from_numpy(x) or mvnp.to_numpy(x)" in str(caught.value)


@pytest.mark.parametrize(("thing", "name"), [([1.0], "list"), (1.0, "float"), ("x", "str"), ((), "tuple")])
def test_what_is_no_array_is_refused(thing, name):
    with pytest.raises(BackendError, match=f"^expected a NumPy or CuPy array, got a {name}$"):
        array_module(np.ones(2), thing)


def test_what_is_no_array_is_refused_beside_cupy(strict_cupy):
    with pytest.raises(BackendError, match="got a list"):
        array_module(from_numpy(np.ones(2)), [1.0])


# ------------------------------------------------------------------------------------------------------------ there and back


def test_on_numpy_nothing_is_copied(undecided):
    host = np.ones(3)
    assert from_numpy(host) is host
    assert to_numpy(host) is host
    assert moved_to(np.zeros(1), host) is host


def test_to_numpy_of_scalars_and_lists():
    assert to_numpy(np.float32(2)).shape == ()
    assert to_numpy(np.float32(2)).dtype == np.float32
    np.testing.assert_array_equal(to_numpy([1.0, 2.0]), [1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_to_cupy_and_back(strict_cupy, dtype):
    import cupy

    host = np.array([[1, 0, 3]]).astype(dtype)
    device = from_numpy(host)
    assert isinstance(device, cupy.ndarray)
    back = to_numpy(device)
    assert back is not host
    np.testing.assert_array_equal(back, host, strict=True)
    assert [event.what for event in strict_cupy.syncs] == ["get"]
    assert len(strict_cupy.uploads) == 1


def test_moved_to_goes_where_the_other_array_is(strict_cupy):
    import cupy

    device, host = from_numpy(np.ones(3)), np.arange(3)
    assert moved_to(host, host) is host
    assert isinstance(moved_to(device, host), cupy.ndarray)
    use_backend("numpy")
    assert isinstance(moved_to(device, host), cupy.ndarray)
    strict_cupy.assert_no_syncs("moved_to")


# ----------------------------------------------------------------------------------------------------------------------- erf


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_erf(dtype):
    x = np.concatenate([np.linspace(-6, 6, 241), [-1e-30, 0.0, 1e-8, 27.0, math.inf, -math.inf]]).astype(dtype)
    got = erf(x)
    assert got.dtype == dtype
    np.testing.assert_array_max_ulp(got, np.array([math.erf(value) for value in x], dtype), maxulp=4)


def test_erf_keeps_every_digit_of_small_values():
    x = np.array([1e-3, 1e-8, 1e-300])
    assert_close(erf(x), [math.erf(value) for value in x], terms=16)


def test_erf_of_nan_is_nan():
    assert math.isnan(erf(np.array([math.nan]))[0])


def test_erf_on_cupy(strict_cupy):
    x = np.linspace(-3, 3, 7)
    device = erf(from_numpy(x))
    strict_cupy.assert_no_syncs("erf")
    np.testing.assert_array_equal(to_numpy(device), erf(x))
