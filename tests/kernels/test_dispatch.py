"""Twin or array code: mvnp/kernels/dispatch.py, launch.py, and that every twin fits its layer."""

import importlib
import inspect
import pkgutil
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import mvnp
from mvnp import from_numpy, to_numpy
from mvnp.errors import InputError
from mvnp.kernels import counted_calls, dispatch, kernels_on, stems, twin, twin_of, use_kernels
from mvnp.kernels.cpu import KernelError, unavailable
from mvnp.kernels.cuda import launch
from mvnp.layers.gelu import gelu_forward
from mvnp.layers.layernorm import layernorm_forward
from support.checks import normal
from support.command_line import assert_refused, runner
from support.strict_cupy import installed
from support.twins import needs_numba


@pytest.fixture
def undecided(monkeypatch):
    """Nothing chosen yet, and no MVNP_KERNELS; both are put back afterwards."""
    monkeypatch.delenv("MVNP_KERNELS", raising=False)
    monkeypatch.setattr(dispatch, "_chosen", None)
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


@needs_numba
def test_calls_are_counted_by_who_computes(undecided):
    x = normal((4, 3), 1)
    with counted_calls() as calls:
        layernorm_forward(x, np.ones(3), np.zeros(3))
        gelu_forward(x)
        gelu_forward(x.astype(np.float16))  # which the twin leaves to the book
        use_kernels("off")
        gelu_forward(x)
        assert not calls, "the counter is filled at the end"
    gelu_forward(x)
    assert calls == {("layernorm_forward", "cpu"): 1, ("gelu_forward", "cpu"): 1, ("gelu_forward", "book"): 2}
    with pytest.raises(InputError), counted_calls() as calls:
        gelu_forward("x")
    assert calls == {("gelu_forward", "book"): 1}
    with counted_calls() as calls:
        pass
    assert not calls


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


def test_an_array_of_numpy_does_not_reach_the_gpu(undecided, launched):
    use_kernels("on")
    gelu_forward(normal((3, 4), 1))
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


# ------------------------------------------------------------------------------------- on the CPU, of a made-up layer


@pytest.fixture
def probe(monkeypatch):
    """A function of the book and a twin of it for the CPU, which does what `twins[0]` does; both say who has run."""
    twins = [lambda x, scale: ("twin", scale)]
    module = types.ModuleType("mvnp.kernels.cpu.probe")
    module.probe_forward = lambda *args, **kwargs: twins[0](*args, **kwargs)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(dispatch, "_modules", lambda device: {"probe"} if device == "cpu" else set())
    monkeypatch.setattr(dispatch, "unavailable", lambda: None)
    monkeypatch.setattr(dispatch, "_chosen", "on")
    dispatch.twin_of.cache_clear()

    def probe_forward(x, scale=2):
        return "book", scale

    probe_forward.__module__ = "mvnp.layers.probe"
    yield twin(probe_forward), twins, monkeypatch
    dispatch.twin_of.cache_clear()


def test_the_twin_is_taken_where_the_first_array_is(probe):
    function, _, _ = probe
    x = np.ones(3)
    assert function(x, scale=3) == function(x=x, scale=3) == ("twin", 3)
    assert function(((1, x), 2), scale=3) == ("twin", 3)  # in a cache
    assert function(1.0, scale=x)[0] == "twin"
    assert function([x], 3) == function(7, 3) == ("book", 3)
    assert function.book(x) == ("book", 2)
    assert function.__name__ == "probe_forward"


def test_switched_off_or_unusable_it_is_the_book(probe):
    function, _, monkeypatch = probe
    use_kernels("off")
    assert function(np.ones(3), 3) == ("book", 3)
    use_kernels("on")
    monkeypatch.setattr(dispatch, "unavailable", lambda: "there is no Numba")
    dispatch.twin_of.cache_clear()
    assert function(np.ones(3), 3) == ("book", 3)


def test_what_a_twin_does_not_take_the_book_does(probe):
    function, twins, _ = probe
    twins[0] = lambda x, scale: NotImplemented
    assert function(np.ones(3), 3) == ("book", 3)


def test_an_error_of_a_twin_is_an_error(probe):
    function, twins, _ = probe

    def fail(x, scale):
        raise ZeroDivisionError("here")

    twins[0] = fail
    with pytest.raises(ZeroDivisionError, match=r"^here$"):
        function(np.ones(3), 3)


@needs_numba
def test_an_error_of_the_compiler_says_how_to_go_on(probe):
    from mvnp.kernels.cpu.jit import kernel

    function, twins, _ = probe

    @kernel
    def loop(x):
        return x.no_such_method()

    twins[0] = lambda x, scale: loop(x)
    with pytest.raises(KernelError, match=r"CPU kernel of probe.probe_forward cannot be compiled here \(.*; MVNP_KERNELS=off"):
        function(np.ones(3), 3)


def test_arrays_of_two_devices_are_for_the_book_to_refuse(probe):
    function, _, _ = probe
    with installed(kernels=True):
        assert function(np.ones(3), from_numpy(np.ones(3)))[0] == "book"


def test_an_array_of_another_class_goes_by_the_book(undecided, monkeypatch):
    monkeypatch.setattr(dispatch, "twin_of", lambda device, *names: device)  # None, or nothing that can be called
    x = np.ma.masked_less(normal((3, 4), 1), 0)
    np.testing.assert_array_equal(gelu_forward(x)[0].mask, x.mask)


# ------------------------------------------------------------------------------------------------------- twins and layers


def _twins() -> dict[str, list]:
    """{stem: the functions that are decorated with `twin`}, of the modules of mvnp that use it."""
    found = {}
    for info in pkgutil.walk_packages(mvnp.__path__, "mvnp."):
        path = Path(mvnp.__file__).parent.joinpath(*info.name.split(".")[1:]).with_suffix(".py")
        if not path.exists() or "@twin" not in path.read_text(encoding="utf-8"):
            continue
        functions = inspect.getmembers(importlib.import_module(info.name), inspect.isfunction)
        here = [function for _, function in functions if hasattr(function, "book") and function.__module__ == info.name]
        if here:
            found[info.name.rpartition(".")[2]] = here
    return found


TWINS = _twins()


def test_every_decorated_function_has_a_twin_that_takes_the_same():
    assert len(TWINS) >= 7
    for stem, functions in TWINS.items():
        for function in functions:
            name = function.__name__
            twins = [twin for device in ("cpu", "cuda") if (twin := twin_of(device, stem, name)) is not None]
            assert twins or unavailable(), f"{stem}: {name}"
            for twin in twins:
                assert signature(twin) == signature(function), f"{stem}: {name}"


def signature(function) -> list[tuple]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("device", ["cuda", pytest.param("cpu", marks=needs_numba)])
def test_every_twin_is_used(device):
    for stem in stems(device):
        twins = importlib.import_module(f"mvnp.kernels.{device}.{stem}")
        here = {name for name, f in inspect.getmembers(twins, inspect.isfunction) if f.__module__ == twins.__name__}
        public = {name for name in here if not name.startswith("_")}
        assert public <= {function.__name__ for function in TWINS[stem]}, stem


def test_every_kernel_is_launched():
    python = "".join(path.read_text(encoding="utf-8") for path in launch.FOLDER.glob("*.py"))
    for path in launch.FOLDER.glob("*.cu"):
        kernels = re.findall(r'extern "C" __global__ void\s+(\w+)\(', path.read_text(encoding="utf-8"))
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
