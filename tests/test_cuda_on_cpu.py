"""Kernels on the CPU: tests/support/cuda_on_cpu.py and its headers. They have to compute as a GPU does, and refuse what it
leaves undefined."""

import numpy as np
import pytest

from support.cuda_on_cpu import WAYS, KernelError, RawModule, running
from support.kernel_checks import needs_compiler
from support.strict_cupy import installed

pytestmark = needs_compiler


def run(body: str, grid, block, *arguments, way: str = "in order", shared: int = 0) -> list[np.ndarray]:
    """What the arrays among the arguments hold after a kernel `f(body)`."""
    with installed(kernels=True), running(way):
        import cupy

        passed = tuple(cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in arguments)
        code = f'extern "C" __global__ void f({body}'
        RawModule(code=code).get_function("f")(grid, block, passed, shared_mem=shared)
        return [array.get() for array in passed if isinstance(array, cupy.ndarray)]


NUMBERS = np.arange(64, dtype=np.float32)


@pytest.mark.parametrize("way", WAYS)
def test_where_a_thread_is(way):
    body = """int* out) {
        int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        out[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1000 * block + thread;
    }"""
    (out,) = run(body, (2, 3, 2), (3, 2, 7), np.zeros(12 * 42, np.int32), way=way)
    np.testing.assert_array_equal(out, [1000 * block + thread for block in range(12) for thread in range(42)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("shuffle", "source"),
    [
        ("__shfl_sync(~0u, x[i], 5)", lambda lane: 5),
        ("__shfl_xor_sync(~0u, x[i], 8)", lambda lane: lane ^ 8),
        ("__shfl_down_sync(~0u, x[i], 3)", lambda lane: lane + 3 if lane + 3 < 32 else lane),
        ("__shfl_up_sync(~0u, x[i], 3)", lambda lane: lane - 3 if lane >= 3 else lane),
    ],
)
def test_shuffles(shuffle, source, way):
    x, y = run(f"float* x, float* y) {{ int i = threadIdx.x; y[i] = {shuffle}; }}", (1,), (64,), NUMBERS, NUMBERS, way=way)
    np.testing.assert_array_equal(y, [x[i // 32 * 32 + source(i % 32)] for i in range(64)])


@pytest.mark.parametrize("way", WAYS)
def test_many_shuffles_after_one_another(way):
    body = "float* x) { float v = x[threadIdx.x]; for (int d = 16; d; d /= 2) v += __shfl_xor_sync(~0u, v, d);"
    body += " x[threadIdx.x] = v; }"
    (x,) = run(body, (1,), (64,), NUMBERS, way=way)
    np.testing.assert_array_equal(x, np.repeat(NUMBERS.reshape(2, 32).sum(axis=1), 32))


REVERSE = "float* x) {{ __shared__ float s[64]; int i = threadIdx.x; s[i] = x[i]; {} x[i] = s[63 - i]; }}"


@pytest.mark.parametrize("way", WAYS)
def test_shared_memory_and_its_barrier(way):
    (x,) = run(REVERSE.format("__syncthreads();"), (1,), (64,), NUMBERS, way=way)
    np.testing.assert_array_equal(x, NUMBERS[::-1])
    dynamic = "float* x) { DYNAMIC_SHARED(float, s); int i = threadIdx.x; s[i] = x[i]; __syncthreads(); x[i] = s[63 - i]; }"
    (x,) = run(dynamic, (1,), (64,), NUMBERS, way=way, shared=256)
    np.testing.assert_array_equal(x, NUMBERS[::-1])


@pytest.mark.parametrize("way", ["in order", "in reverse"])
def test_a_missing_barrier_reads_nan(way):
    (x,) = run(REVERSE.format(""), (1,), (64,), NUMBERS, way=way)
    assert np.isnan(x).any()


def test_the_orders_of_threads_differ():
    body = "int* count, int* order) { order[blockIdx.x * 64 + threadIdx.x] = atomicAdd(count, 1); }"
    for way, first in (("in order", 0), ("in reverse", 63)):
        _, order = run(body, (1,), (64,), np.zeros(1, np.int32), np.zeros(64, np.int32), way=way)
        assert order[first] == 0
        assert sorted(order) == list(range(64))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("divergent", ["__syncthreads()", "__syncwarp()", "x[0] = __shfl_xor_sync(~0u, x[0], 1)"])
def test_a_barrier_that_some_never_reach(divergent, way):
    with pytest.raises(KernelError, match="wait"):
        run(f"float* x) {{ if (threadIdx.x < 7) {divergent}; }}", (2,), (64,), NUMBERS, way=way)


@pytest.mark.parametrize("way", WAYS)
def test_a_warp_that_waits_in_two_places(way):
    with pytest.raises(KernelError, match="some threads of a warp wait in a shuffle or at __syncwarp"):
        run("float* x) { if (threadIdx.x < 7) __syncwarp(); else __syncthreads(); }", (1,), (32,), NUMBERS, way=way)


@pytest.mark.parametrize(
    "access",
    [
        "x[64] = 1",
        "x[-1] = 1",
        "x[0] = x[64]",
        "__shared__ float s[8]; s[threadIdx.x] = 1; __syncthreads(); x[1] = s[1]",
        "DYNAMIC_SHARED(float, s); s[9] = 1",
    ],
)
def test_the_sanitizer_ends_at_a_wrong_address(access):
    with pytest.raises(KernelError, match=r"f: =*[\s\S]*AddressSanitizer"):
        run(f"float* x) {{ {access}; }}", (1,), (9,), NUMBERS, way="sanitized", shared=36)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("parameters", "argument", "message"),
    [
        ("double* x", NUMBERS, "argument 0 is an array of numbers of 4 bytes"),
        ("float x", NUMBERS, "argument 0 is an array"),
        ("float* x", np.int64(3), "argument 0 is a number of 8 bytes"),
        ("long long x", np.int32(3), "argument 0 is a number of 4 bytes"),
        ("int x, int y", np.int32(3), "1 arguments for 2 parameters"),
    ],
)
def test_arguments_that_are_not_the_parameters(parameters, argument, message, way):
    with pytest.raises(KernelError, match=f"f: {message}"):
        run(f"{parameters}) {{}}", (1,), (1,), argument, way=way)


@pytest.mark.parametrize(
    ("grid", "block", "message"), [((1,), (1025,), "1025 threads"), ((0,), (1,), "a grid of 0"), ((1, 65536), (1,), "65536")]
)
def test_launches_that_a_gpu_refuses(grid, block, message):
    with pytest.raises(KernelError, match=message):
        run("float* x) {}", grid, block, NUMBERS)


def test_more_shared_memory_than_a_block_gets():
    run("float* x) {}", (1,), (1,), NUMBERS, shared=48 << 10)
    with pytest.raises(KernelError, match="f: 49153 bytes of shared memory, a block gets 49152 without asking"):
        run("float* x) {}", (1,), (1,), NUMBERS, shared=(48 << 10) + 1)


def test_other_mistakes():
    with pytest.raises(KernelError, match=r"g\+\+ refuses the kernels f:[\s\S]*error"):
        run("float* x) { y = 1; }", (1,), (1,), NUMBERS)
    with pytest.raises(KernelError, match="no kernel g among f"):
        RawModule(code='extern "C" __global__ void f(int x) {}').get_function("g")
    with pytest.raises(TypeError, match="CuPy would guess its type"):
        run("int x) {}", (1,), (1,), 3)
