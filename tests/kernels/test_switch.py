"""Twin or array code: mvnp/kernels/switch.py, launch.py, and that every twin fits its layer."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import mvnp.kernels
import mvnp.layers
from mvnp import from_numpy, to_numpy
from mvnp.errors import InputError
from mvnp.kernels import kernels_on, launch, switch, use_kernels
from mvnp.layers.gelu import gelu_forward
from mvnp.layers.layernorm import layernorm_forward
from support.checks import normal
from support.command_line import assert_refused, runner
from support.kernel_checks import needs_compiler
from support.strict_cupy import installed


@pytest.fixture
def undecided(monkeypatch):
    """Nothing chosen yet, and no MVNP_KERNELS; both are put back afterwards."""
    monkeypatch.delenv("MVNP_KERNELS", raising=False)
    monkeypatch.setattr(switch, "_chosen", None)
    return monkeypatch


@pytest.fixture
def launched(monkeypatch):
    """The names of kernels that are launched. Nothing is run."""
    names = []
    monkeypatch.setattr(launch.Kernels, "launch", lambda self, name, *rest, **options: names.append(name))
    return names


# ------------------------------------------------------------------------------------------------------------- the choice


def test_kernels_are_on_unless_switched_off(undecided):
    assert kernels_on()
    for choice in ("off", "on", "off"):
        use_kernels(choice)
        assert kernels_on() == (choice == "on")


@pytest.mark.parametrize(("value", "on"), [("on", True), ("off", False), ("", True)])
def test_the_environment_chooses(undecided, value, on):
    undecided.setenv("MVNP_KERNELS", value)
    assert kernels_on() == on


@pytest.mark.parametrize("value", ["of", "ON", "0", "yes"])
def test_another_value_lists_the_choices(undecided, value):
    undecided.setenv("MVNP_KERNELS", value)
    with pytest.raises(InputError, match=rf"^unknown value of MVNP_KERNELS '{value}'.*; choose one of on, off$"):
        kernels_on()
    with pytest.raises(InputError, match="choose one of on, off"):
        use_kernels(value)


def test_a_command_tells_of_another_value_at_once(undecided, capsys):
    undecided.setenv("MVNP_KERNELS", "maybe")
    result = runner(capsys)("models")
    assert_refused(result, "unknown value of MVNP_KERNELS 'maybe'; choose one of on, off")


def test_numpy_knows_only_the_array_code(undecided, launched):
    use_kernels("on")
    x = normal((3, 4), 1)
    np.testing.assert_array_equal(gelu_forward(x)[0], gelu_forward.__wrapped__(x)[0])
    assert not launched


def test_numpy_beside_cupy_too(launched):
    with installed(kernels=True):
        gelu_forward(np.ones(3))
    assert not launched


def test_cupy_takes_the_twin_where_kernels_are_on(launched):
    x = normal((3, 4), 1)
    with installed(kernels=True):
        gelu_forward(from_numpy(x))
        gelu_forward(x=from_numpy(x))
    assert launched == ["gelu_forward", "gelu_forward"]
    with installed(kernels=False):
        np.testing.assert_array_equal(to_numpy(gelu_forward(from_numpy(x))[0]), gelu_forward(x)[0])
    assert len(launched) == 2


def test_what_fails_is_not_replaced_in_silence(monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("nvrtc: error: invalid value for --gpu-architecture")

    with installed(kernels=True):
        import cupy

        monkeypatch.setattr(cupy, "RawModule", refuse)
        with pytest.raises(RuntimeError, match="--gpu-architecture"):
            gelu_forward(from_numpy(np.ones(3)))


def test_wrong_input_is_refused_as_by_the_array_code():
    for function, arguments in (
        (layernorm_forward, [np.ones((2, 9)), np.ones(8), np.ones(8)]),
        (gelu_forward, [np.ones(3, int)]),
    ):
        with pytest.raises(InputError) as want:
            function(*arguments)
        with installed(kernels=True), pytest.raises(InputError, match=re.escape(str(want.value))):
            function(*map(from_numpy, arguments))


# ------------------------------------------------------------------------------------------------------- twins and layers


def _twins() -> dict[str, list]:
    """{stem: the functions of mvnp/layers/<stem>.py that are decorated with `twin`}."""
    found = {}
    for info in pkgutil.iter_modules(mvnp.layers.__path__, "mvnp.layers."):
        functions = inspect.getmembers(importlib.import_module(info.name), inspect.isfunction)
        here = [function for _, function in functions if hasattr(function, "__wrapped__") and function.__module__ == info.name]
        if here:
            found[info.name.rpartition(".")[2]] = here
    return found


TWINS = _twins()


def test_every_decorated_function_has_a_twin_that_takes_the_same():
    assert len(TWINS) >= 7
    for stem, functions in TWINS.items():
        twins = importlib.import_module(f"mvnp.kernels.{stem}")
        for function in functions:
            twin = getattr(twins, function.__name__)
            assert inspect.signature(twin).parameters == inspect.signature(function).parameters, f"{stem}: {function.__name__}"


def test_every_twin_is_used():
    for path in launch.FOLDER.glob("*.cu"):
        twins = importlib.import_module(f"mvnp.kernels.{path.stem}")
        here = {name for name, _ in inspect.getmembers(twins, inspect.isfunction) if _.__module__ == twins.__name__}
        public = {name for name in here if not name.startswith("_")}
        assert public == {function.__name__ for function in TWINS[path.stem]}, path.stem


def test_every_kernel_is_launched():
    for path in launch.FOLDER.glob("*.cu"):
        kernels = re.findall(r'extern "C" __global__ void\s+(\w+)\(', path.read_text(encoding="utf-8"))
        python = path.with_suffix(".py").read_text(encoding="utf-8")
        assert kernels
        assert not [name for name in kernels if f'"{name}"' not in python], path.name


def test_every_twin_has_a_test():
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert {path.stem for path in launch.FOLDER.glob("*.cu")} <= tests


# ----------------------------------------------------------------------------------------------------------------- launch


def test_arguments_become_what_a_kernel_takes(monkeypatch):
    passed = []

    class Module:
        def __init__(self, code, options):
            self.code = code

        def get_function(self, name):
            return lambda grid, block, args, shared_mem: passed.append((grid, block, args, shared_mem))

    with installed(kernels=True):
        import cupy

        monkeypatch.setattr(cupy, "RawModule", Module)
        for dtype, accumulator in (("float16", "float32"), ("float32", "float32"), ("float64", "float64")):
            x = from_numpy(np.ones(5, dtype))
            launch.Kernels("gelu").launch("any", 3, (4, 2), x, 7, True, 0.5, np.int64(9), shared=64)
            grid, block, args, shared = passed.pop()
            assert (grid, block, shared) == ((3,), (4, 2), 64)
            assert args[0] is x
            assert [(type(value), value) for value in args[1:]] == [
                (np.int32, 7),
                (np.int32, 1),
                (np.dtype(accumulator).type, 0.5),
                (np.int64, 9),
            ]


def test_a_view_is_not_launched_on():
    with installed(kernels=True), pytest.raises(AssertionError, match="not contiguous"):
        launch.Kernels("gelu").launch("gelu_forward", 1, 1, from_numpy(np.ones((4, 4))).T)


def test_rows_are_what_is_equally_far_apart():
    """Columns of an array are read where they are; what has gaps between samples, or steps between numbers, is copied."""
    wide = normal((2, 5, 8), 1)
    for view in (wide, wide[..., 3:7], wide[..., :1], wide[1:]):
        rows = launch.rows_of(view, "float64")
        assert rows.array is view
        assert rows.pitch == 8
    narrow = wide[:, 0, :4][:, None]  # for an axis of a single entry NumPy may have any stride, here 0
    assert narrow.strides[1] == 0
    for view in (wide[:, :4, :7], wide[..., ::2], wide[..., ::-1], wide.swapaxes(1, 2), narrow, wide[:, 0][:, None]):
        rows = launch.rows_of(view, "float64")
        assert rows.array.flags.c_contiguous
        assert rows.pitch == view.shape[-1]
        np.testing.assert_array_equal(rows.array, view)
    assert launch.rows_of(wide[..., :4], "float32").array.dtype == np.float32


def test_more_numbers_than_an_int_counts():
    with installed(kernels=True), pytest.raises(InputError, match="2147483648 is more than a kernel counts to, 2147483647"):
        launch.Kernels("gelu").launch("gelu_forward", 1, 1, from_numpy(np.ones(4)), 2**31)


def test_the_text_is_plain_ascii():
    for path in launch.FOLDER.glob("*.cu"):
        assert launch.Kernels(path.stem).source("float16").isascii()


def test_a_dtype_without_kernels():
    with pytest.raises(InputError, match=r"gelu: no kernel for dtype int32; there are those of float16, float32, float64"):
        launch.Kernels("gelu").source(np.int32)


@needs_compiler
def test_each_dtype_is_compiled_once():
    made = []
    with installed(kernels=True):
        import cupy

        original = cupy.RawModule
        cupy.RawModule = lambda **options: made.append(options) or original(**options)
        for _ in range(3):
            for dtype in ("float32", "float64"):
                gelu_forward(from_numpy(np.ones(3, dtype)))
    assert len(made) == 2
    assert all(options["options"] == launch.OPTIONS for options in made)
