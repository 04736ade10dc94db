"""The stand-in for CuPy: tests/support/strict_cupy.py. It has to refuse, record, and otherwise compute as NumPy does."""

import contextlib
import copy
import importlib.util
import pickle
import sys

import numpy as np
import pytest

import mvnp
from mvnp.backend import erf
from support.cupy_names import MODULES, NAMES, NDARRAY, VERSION, exists, signature
from support.strict_array import ndarray
from support.strict_cupy import installed

HOST = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def cp(strict_cupy):
    import cupy

    return cupy


@pytest.fixture
def x(cp, strict_cupy):
    array = cp.asarray(HOST)
    strict_cupy.clear()
    return array


# ------------------------------------------------------------------------------------------------------------- numbers

# Each takes the array module and an array of (2, 3) in it.
COMPUTATIONS = {
    "operators": lambda xp, x: (2.0 - x) * x / (x + 1) // 0.5 % 3 + x**2 - -x + abs(x - 1) + 1 / (x + 1),
    "comparisons": lambda xp, x: (x > 1) & (x <= 4) | (x == 0) ^ ~(x != 2),
    "scalars of NumPy": lambda xp, x: np.float32(2) * x.astype("float32") + np.int64(1) - np.True_,
    "ufuncs": lambda xp, x: xp.exp(-xp.abs(x)) + xp.log1p(x) + xp.maximum(x, 2.0) + xp.tanh(x) - xp.expm1(-x),
    "ufunc with dtype": lambda xp, x: xp.add(x, 1, dtype="float32"),
    "matrix products": lambda xp, x: x @ x.T @ x + (x.T @ x)[0] + xp.matmul(x, x.T).sum() + xp.tensordot(x, x, axes=2),
    "einsum": lambda xp, x: xp.einsum("ij,kj->ik", x, x, optimize=True),
    "reductions": lambda xp, x: (
        x.sum(axis=0) + x.mean(axis=(0, 1)) + x.max() + x.min(axis=1, keepdims=True) + x.var() + x.prod()
    ),
    "functions": lambda xp, x: xp.cumsum(x, axis=1) + xp.clip(x, 1, None) + x.clip(max=2) + xp.where(x > 2, x, 0.5),
    "argmax": lambda xp, x: x.argmax(axis=-1),
    "shapes": lambda xp, x: xp.pad(x, ((1, 0), (0, 2)), constant_values=7).reshape(-1, 5).swapaxes(0, 1)[:, None].squeeze(1),
    "joining": lambda xp, x: xp.concatenate([xp.stack([x, x], axis=1)[:, 0], *xp.split(x, 2)], axis=0),
    "windows": lambda xp, x: xp.lib.stride_tricks.sliding_window_view(x, 2, axis=1).sum(axis=-1),
    "creation": lambda xp, x: xp.zeros((2, 3)) + xp.ones_like(x) + xp.full((3,), 2.0) + xp.arange(3) + xp.eye(2, 3),
    "integer index": lambda xp, x: x[:, xp.asarray([2, 0])] + x[1, 0] + x[..., ::-1][:, :2],
    "mask": lambda xp, x: x[x > 2],
    "take": lambda xp, x: xp.take_along_axis(x, xp.argsort(-x, axis=1), axis=1),
    "norm": lambda xp, x: xp.linalg.norm(x) + xp.sqrt(xp.vdot(x, x)),
    "scalar result": lambda xp, x: x.sum() / len(x),
    "broadcast": lambda xp, x: xp.broadcast_to(x[:, None], (2, 4, 3)).transpose(2, 0, 1).ravel(),
    "reduce": lambda xp, x: (
        xp.add.reduce(x, axis=1) + xp.multiply.accumulate(x, axis=0)[:, 0] + xp.add.outer(x[0], x[1])[0, :2]
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", COMPUTATIONS)
def test_numbers_are_numpys(cp, name, dtype):
    host = HOST.astype(dtype)
    want, got = COMPUTATIONS[name](np, host), COMPUTATIONS[name](cp, cp.asarray(host))
    assert isinstance(got, cp.ndarray)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.get(), want, strict=True)


def test_numbers_are_numpys_in_place(cp, x):
    results = []
    for xp, array in ((np, HOST.copy()), (cp, x)):
        work, first = xp.empty_like(array), array
        array += 1.0
        array *= array.T.sum()
        array[0] -= array[1]
        array[:, 1:] /= 2
        array[...] = xp.sqrt(xp.abs(array), out=work)
        array[1, 2] = 5
        xp.add.at(array, (xp.asarray([0, 0]), xp.asarray([1, 1])), 1.0)
        assert array is first
        assert xp.add(array, 1, out=work) is work
        results.append(mvnp.to_numpy(array + work))
    np.testing.assert_array_equal(*results)


def test_erf(x, strict_cupy):
    got = erf(x)
    strict_cupy.assert_no_syncs("erf")
    np.testing.assert_array_equal(got.get(), erf(HOST))


def test_scalar_results_stay_on_the_device(cp, x):
    for result in (x.sum(), x[0, 1], x.max() * 2, cp.sqrt(x.mean()), cp.vdot(x, x), cp.allclose(x, x), x.sum() > 3):
        assert isinstance(result, cp.ndarray)
        assert result.shape == ()


def test_views_share_memory(cp, x):
    for view in (x[1:], x.T, x.reshape(3, 2), x[:, None], x.swapaxes(0, 1), x.ravel(), cp.split(x, 2)[1], x[1, 2]):
        view += 100.0
    assert x[1, 2].item() == 5.0 + 8 * 100.0
    for new in (x + 0, x.copy(), x[[0, 1]], x.astype("float32"), cp.array(x), copy.deepcopy(x), copy.copy(x)):
        new *= 0
    assert x[1, 2].item() == 805.0


def test_device_memory_is_not_the_hosts(cp):
    host = HOST.copy()
    device = cp.asarray(host)
    device += 1
    fetched = device.get()
    fetched += 1
    np.testing.assert_array_equal(host, HOST)
    np.testing.assert_array_equal(device.get(), HOST + 1)


def test_the_same_array_comes_back(cp, x):
    assert cp.asarray(x) is x
    assert cp.ascontiguousarray(x) is x
    assert x.astype("float64", copy=False) is x
    assert cp.get_array_module(x) is cp
    assert cp.get_array_module(HOST) is np


def test_shape_can_be_set_and_flags_read(x):
    x.shape = (3, 2)
    assert x.shape == (3, 2)
    assert (x.T.flags.c_contiguous, x.T.flags.f_contiguous) == (False, True)
    assert x.T.base is not None


# ------------------------------------------------------------------------------------------------------------ refusals

# What CuPy refuses. Each takes the module and an array of (2, 3) on the device.
REFUSED = {
    "conversion": (TypeError, lambda cp, x: np.asarray(x)),
    "conversion in a list": (TypeError, lambda cp, x: cp.array([x[0, 0], 1.0])),
    "index of a list": (TypeError, lambda cp, x: [1, 2][x[0, 0]]),
    "range": (TypeError, lambda cp, x: range(x[0, 0])),
    "hash": (TypeError, lambda cp, x: hash(x)),
    "truth": (ValueError, lambda cp, x: bool(x)),
    "setting with a host array": (ValueError, lambda cp, x: x.__setitem__(0, HOST[0])),
    "setting all with a host array": (ValueError, lambda cp, x: x.__setitem__(slice(None), HOST)),
    "index of floats": (IndexError, lambda cp, x: x[x[0]]),
    "product with a host array": (TypeError, lambda cp, x: x @ HOST.T),
    "product of a host array": (TypeError, lambda cp, x: HOST.T @ x),
    "product with a list": (TypeError, lambda cp, x: cp.matmul(x, [[1.0]])),
    "condition of lists": ((TypeError, AttributeError), lambda cp, x: cp.where([[True] * 3], x, x)),
    "sum of a list": ((TypeError, AttributeError), lambda cp, x: cp.sum([1, 2])),
    "sum of a number": ((TypeError, AttributeError), lambda cp, x: cp.sum(3.0)),
    "expand_dims of a host array": (TypeError, lambda cp, x: cp.expand_dims(HOST, 0)),
    "ascontiguousarray of a host array": (TypeError, lambda cp, x: cp.ascontiguousarray(HOST)),
    "ones_like of a list": ((TypeError, AttributeError), lambda cp, x: cp.ones_like([1, 2])),
    "repeats on the host": (TypeError, lambda cp, x: cp.repeat(x, np.array([1, 2]), axis=0)),
    "size on the device": (TypeError, lambda cp, x: cp.zeros(x[0, 0])),
    "sum(where=)": (TypeError, lambda cp, x: x.sum(where=x)),
    "cupy.max(initial=)": (TypeError, lambda cp, x: cp.max(x, initial=0.0)),
    "var(mean=)": (TypeError, lambda cp, x: cp.var(x, mean=x)),
    "exp(order=)": (TypeError, lambda cp, x: cp.exp(x, order="C")),
    "exp(subok=)": (TypeError, lambda cp, x: cp.exp(x, subok=False)),
    "item(index)": (TypeError, lambda cp, x: x.item(0)),
    "add.reduce(where=)": (TypeError, lambda cp, x: cp.add.reduce(x, where=x)),
    "maximum.reduce": (NotImplementedError, lambda cp, x: cp.maximum.reduce(x)),
    "subtract.accumulate": (NotImplementedError, lambda cp, x: cp.subtract.accumulate(x)),
    "multiply.reduceat": (NotImplementedError, lambda cp, x: cp.multiply.reduceat(x, [0])),
    "multiply.at": (NotImplementedError, lambda cp, x: cp.multiply.at(x, 0, 2.0)),
    "object dtype": (ValueError, lambda cp, x: x.astype(object)),
    "text dtype": (ValueError, lambda cp, x: x.astype(str)),
    "long double": (ValueError, lambda cp, x: x.astype(np.longdouble)),
    "zeros of objects": (ValueError, lambda cp, x: cp.zeros(3, object)),
    "flags.writeable": (AttributeError, lambda cp, x: x.flags.writeable),
    "ctypes": (AttributeError, lambda cp, x: x.ctypes),
    "new attribute": (AttributeError, lambda cp, x: setattr(x, "path", 1)),
    "errstate": (AttributeError, lambda cp, x: cp.errstate()),
    "vecdot": (AttributeError, lambda cp, x: cp.vecdot(x, x)),
    "nditer": (AttributeError, lambda cp, x: cp.nditer(x)),
    "insert": (AttributeError, lambda cp, x: cp.insert(x, 0, x)),
    "maximum.reduce of NumPy": (NotImplementedError, lambda cp, x: np.maximum.reduce(x)),
}

# Refused as well, but the real CuPy finds the GPU missing before it gets to the refusal.
REFUSED_WITH_A_GPU = {
    "add a host array": (TypeError, lambda cp, x: x + HOST),
    "host array add": (TypeError, lambda cp, x: HOST + x),
    "compare with a host array": (TypeError, lambda cp, x: x < HOST),
    "host array compared": (TypeError, lambda cp, x: x == HOST),
    "add a host array in place": (TypeError, lambda cp, x: x.__iadd__(HOST)),
    "subtract a list": (TypeError, lambda cp, x: x - [1.0, 2.0, 3.0]),
    "list subtract": (TypeError, lambda cp, x: [1.0, 2.0, 3.0] - x),
    "add None": (TypeError, lambda cp, x: x + None),
    "ufunc of a list": (TypeError, lambda cp, x: cp.maximum(x, [1.0, 2.0, 3.0])),
    "ufunc of a host array": (TypeError, lambda cp, x: cp.exp(HOST)),
    "ufunc into a host array": (TypeError, lambda cp, x: cp.exp(x, out=np.empty((2, 3)))),
    "ufunc of NumPy, mixed": (TypeError, lambda cp, x: np.maximum(x, HOST)),
    "choose from a host array": (TypeError, lambda cp, x: cp.where(x > 0, x, HOST)),
    "join a host array": (TypeError, lambda cp, x: cp.concatenate([x, HOST])),
    "join a list": (TypeError, lambda cp, x: cp.concatenate([x, [[1.0, 2.0, 3.0]]])),
    "stack scalars": (TypeError, lambda cp, x: cp.stack([x[0, 0], 1.0])),
    "pad a host array": (TypeError, lambda cp, x: cp.pad(HOST, 1)),
    "sum of a host array": (TypeError, lambda cp, x: cp.sum(HOST)),
    "einsum(out=)": (TypeError, lambda cp, x: cp.einsum("ij->i", x, out=x[:, 0])),
    "einsum of a host array": (TypeError, lambda cp, x: cp.einsum("ij,j->i", x, HOST[0])),
    "clip to a list": (TypeError, lambda cp, x: cp.clip(x, 0, [1.0, 2.0, 3.0])),
    "objects": (ValueError, lambda cp, x: cp.asarray(np.array([None]))),
    "texts": (ValueError, lambda cp, x: cp.asarray(np.array(["a"]))),
    "dates": (ValueError, lambda cp, x: cp.asarray(np.array(["2000"], dtype="M8[Y]"))),
    "slice on the device": (TypeError, lambda cp, x: x[: x[0, 0]]),
    "several masks": (IndexError, lambda cp, x: x[x[:, 0] > 0, x[0] > 0]),
    "end on the device": (TypeError, lambda cp, x: cp.linspace(0, x[0, 0], 3)),
    "Generator.normal": (AttributeError, lambda cp, x: cp.random.default_rng(0).normal()),
    "Generator.permutation": (AttributeError, lambda cp, x: cp.random.default_rng(0).permutation(3)),
    "Generator.shuffle": (AttributeError, lambda cp, x: cp.random.default_rng(0).shuffle(x)),
    "Generator.choice": (AttributeError, lambda cp, x: cp.random.default_rng(0).choice(3)),
    "erf of a host array": (TypeError, lambda cp, x: sys.modules["cupyx.scipy.special"].erf(HOST)),
    "set of a list": (TypeError, lambda cp, x: x.set([1.0])),
    "set of another dtype": (ValueError, lambda cp, x: x.set(HOST.astype("float32"))),
}

# CuPy would go on, with a result that it does not promise.
UNDEFINED = {
    "index out of range": (IndexError, lambda cp, x: x[cp.asarray([5])]),
    "take out of range": (IndexError, lambda cp, x: x.take(cp.asarray([9]))),
    "two values for one element": (ValueError, lambda cp, x: x[0].__setitem__(cp.asarray([1, 1]), cp.asarray([1.0, 2.0]))),
}

EVERY_REFUSAL = {**REFUSED, **REFUSED_WITH_A_GPU, **UNDEFINED}


@pytest.mark.parametrize("name", EVERY_REFUSAL)
def test_refuses(cp, x, name):
    error, action = EVERY_REFUSAL[name]
    with pytest.raises(error):
        action(cp, x)


def test_refusals_say_what_to_do(cp, x):
    with pytest.raises(TypeError, match=r"Please use `\.get\(\)`"):
        np.asarray(x)
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy\.ndarray'>"):
        x + HOST
    with pytest.raises(TypeError, match=r"CuPy's ndarray\.sum\(axis= dtype= out= keepdims=\): .* 'where'"):
        x.sum(where=x > 0)
    with pytest.raises(AttributeError, match=rf"module 'cupy' has no attribute 'vecdot' \(CuPy {VERSION}\)"):
        cp.vecdot(x, x)
    with pytest.raises(AttributeError, match="run on both"):
        x.scatter_add(0, x)
    with pytest.raises(NotImplementedError, match=r"cupy\.RawKernel, the stand-in does not: add it"):
        _ = cp.RawKernel


def test_new_memory_holds_no_zeros(cp, x):
    assert np.isnan(cp.empty((2, 2), "float32").get()).all()
    assert np.isnan(cp.empty_like(x).get()).all()
    assert np.isnan(cp.ndarray((3,)).get()).all()
    assert (cp.empty(3, "int32").get() == np.iinfo("int32").max).all()


def test_repeated_index_with_one_value_is_fine(cp, x):
    x[cp.asarray([1, 1])] = 3.0
    assert x[1, 0].item() == 3.0


def test_a_scalar_meets_an_array_as_in_numpy_2(cp):
    single = cp.ones(3, "float32")
    assert (single * 0.5).dtype == np.float32
    assert (single * np.float64(0.5)).dtype == np.float64
    assert (single * cp.asarray(0.5)).dtype == np.float64
    assert (single + single.sum()).dtype == np.float32
    with pytest.raises(OverflowError):
        cp.ones(3, "uint8") + 300


# ------------------------------------------------------------------------------------------------------ the host events

WAITS = {
    "get": lambda cp, x: x.get(),
    "item": lambda cp, x: x[0, 0].item(),
    "tolist": lambda cp, x: x.tolist(),
    "tobytes": lambda cp, x: x.tobytes(),
    "dumps": lambda cp, x: x.dumps(),
    "pickle": lambda cp, x: pickle.dumps(x),
    "float": lambda cp, x: float(x.sum()),
    "int": lambda cp, x: int(x[0, 0]),
    "complex": lambda cp, x: complex(x[0, 0]),
    "bool": lambda cp, x: [1] if x[0, 0] else [],
    "repr": lambda cp, x: repr(x),
    "str": lambda cp, x: str(x),
    "format": lambda cp, x: f"{x}",
    "iteration over elements": lambda cp, x: list(x[0]),
    "indexing with a boolean mask": lambda cp, x: x[x > 1],
    "cupy.nonzero": lambda cp, x: cp.nonzero(x),
    "ndarray.nonzero": lambda cp, x: x.nonzero(),
    "ndarray.compress": lambda cp, x: x.compress(x[0] > 0, axis=1),
    "cupy.where": lambda cp, x: cp.where(x > 1),
    "cupy.unique": lambda cp, x: cp.unique(x),
    "cupy.bincount": lambda cp, x: cp.bincount(x[0].astype("int64")),
    "cupy.average": lambda cp, x: cp.average(x, weights=x),
    "cupy.sliding_window_view": lambda cp, x: cp.lib.stride_tricks.sliding_window_view(x, 2, axis=1),
}


@pytest.mark.parametrize("what", WAITS)
def test_records_each_wait(cp, x, strict_cupy, what):
    WAITS[what](cp, x)
    assert [event.what for event in strict_cupy.syncs] == [what]


def test_records_waits_by_other_ways(cp, x, strict_cupy):
    x[x > 1] = 0.0
    cp.asnumpy(x)
    mvnp.to_numpy(x)
    max(x[0, 0], x[0, 1])  # asks whether one is larger
    found = 1.0 in x[0]  # looks at one element after another until it comes to the second
    assert found
    waits = ["indexing with a boolean mask", "get", "get", "bool", "iteration over elements", "bool", "bool"]
    assert [event.what for event in strict_cupy.syncs] == waits


def test_most_work_does_not_wait(cp, x, strict_cupy):
    index = cp.arange(2)
    x += cp.where(x > 0, x, 0.0).sum(axis=0) / len(x)
    x[0] = x[1]
    x[index] = x[index[::-1]]
    first, second = x
    first *= second.max()
    assert x.shape == (2, 3)
    assert cp.average(x).shape == ()
    copy.deepcopy(x)
    np.exp(x, out=x)
    np.add.reduce(x, axis=1)
    np.concatenate([x, x])
    np.linalg.norm(x)
    assert strict_cupy.syncs == []
    assert strict_cupy.uploads == []
    strict_cupy.assert_no_syncs("this")


def test_records_uploads(cp, x, strict_cupy):
    cp.asarray(HOST)
    cp.array([1.0, 2.0])
    mvnp.from_numpy(HOST)
    x.set(HOST)
    x[[0, 1]]
    x[np.array([0])]
    cp.take(x, [0], axis=0)
    cp.array([x, x])  # arrays that are there already: joined, not sent
    assert [event.what for event in strict_cupy.uploads] == [
        "asarray of a numpy.ndarray of shape (2, 3)",
        "array of a builtins.list of shape (2,)",
        "asarray of a numpy.ndarray of shape (2, 3)",
        "set",
        "an index from the host",
        "an index from the host",
        "take with indices from the host",
    ]
    assert strict_cupy.syncs == []


def test_says_where(x, strict_cupy):
    mvnp.to_numpy(x)
    assert strict_cupy.syncs[0].where.startswith("mvnp/backend.py:")
    assert strict_cupy.syncs[0].where.endswith(" to_numpy")
    mvnp.Param(x).__array__()
    assert " to_numpy < mvnp/core/param.py:" in strict_cupy.syncs[1].where
    x.get()
    assert strict_cupy.syncs[2].where.startswith("test_strict_cupy.py:")
    with pytest.raises(
        AssertionError, match=r"the step waited 3 times for the device:\n  get at mvnp/backend\.py:\d+ to_numpy\n"
    ):
        strict_cupy.assert_no_syncs("the step")


# -------------------------------------------------------------------------------------------- putting it in and taking it out


def test_leaves_no_trace():
    before = {name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx")}
    with contextlib.suppress(ZeroDivisionError), installed():
        assert mvnp.backend_name() == "cupy"
        assert isinstance(mvnp.from_numpy(HOST), ndarray)
        _ = 1 / 0
    assert {name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx")} == before
    assert mvnp.backend_name() == "numpy"
    assert mvnp.from_numpy(HOST) is HOST


def test_each_installation_has_a_fresh_record():
    with installed() as recorder:
        mvnp.from_numpy(HOST).get()
        assert len(recorder.syncs) == len(recorder.uploads) == 1
    with installed() as recorder:
        assert recorder.syncs == recorder.uploads == []


# -------------------------------------------------------------------------------------------------------- beside the real one


def test_names():
    assert exists("sum")
    assert exists("lib.stride_tricks.as_strided")
    assert exists("linalg")
    assert not exists("errstate")
    assert not exists("lib.stride_tricks.sum")
    assert str(signature("a axis= * dtype=")) == "(a, axis=None, *, dtype=None)"
    assert str(signature("*operands **kwargs")) == "(*operands, **kwargs)"


def test_the_arrays_have_no_special_method_that_cupy_lacks():
    own = {name for name in vars(ndarray) if name.startswith("__") and name.endswith("__")}
    machinery = {"__weakref__", "__getattr__", "__annotations__", "__static_attributes__", "__firstlineno__"}
    assert own - machinery <= set(NAMES["ndarray_special"])
    assert {"__index__", "__contains__", "__imatmul__"}.isdisjoint(own)


@pytest.fixture(scope="module")
def real():
    """The real CuPy and an array of it. Without a GPU it is made by hand on host memory: nothing here computes with it."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed")
    import cupy

    if cupy.__version__ != VERSION:
        pytest.skip(f"CuPy {cupy.__version__} is installed, the names are those of {VERSION}; see support/make_cupy_names.py")
    if cupy.is_available():
        return cupy, cupy.asarray(HOST)
    memory = HOST.copy()
    pointer = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(memory.ctypes.data, memory.nbytes, memory, 0), 0)
    return cupy, cupy.ndarray(HOST.shape, HOST.dtype, memptr=pointer)


def test_names_are_those_of_the_real_cupy(real):
    for module, names in MODULES.items():
        owner = importlib.import_module(module)
        assert names.keys() <= set(dir(owner)), module
    public = {name for name in dir(real[0].ndarray) if not name.startswith("_")}
    assert NDARRAY.keys() == public


@pytest.mark.parametrize("name", REFUSED)
def test_the_real_cupy_refuses_the_same(real, name):
    error, action = REFUSED[name]
    with pytest.raises(error):
        action(*real)
