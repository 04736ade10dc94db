"""Every kernel is compiled by NVIDIA's compiler, for four generations of GPUs, without one."""

import re

import pytest

from mvnp.kernels.cuda.launch import FOLDER, OPTIONS, TYPES, Kernels
from support import nvrtc

STEMS = sorted(path.stem for path in FOLDER.glob("*.cu"))
CUPYS = ("-ftz=true", "--device-as-default-execution-space")  # what CuPy adds to the options
ALSO = pytest.mark.slow(reason="the compiler takes a while for each generation of GPUs, and finds the same in most")
ARCHITECTURES = (
    "sm_90",
    *(pytest.param(name, marks=ALSO) for name in ("sm_75", "sm_80", "sm_120")),
)  # Hopper; Turing, Ampere, Blackwell

needs_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.NEEDS_NVRTC)


def test_kernels_are_found():
    assert "layernorm" in STEMS


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("stem", STEMS)
def test_compiles(stem, dtype, architecture):
    code = Kernels(stem).source(dtype)
    kernels = re.findall(r'extern "C" __global__ void\s+(\w+)\(', code)
    machine_code, intermediate = nvrtc.compiled(code, architecture, (*OPTIONS, *CUPYS))
    assert kernels
    assert set(re.findall(r"\.visible \.entry (\w+)\(", intermediate)) == set(kernels)
    assert machine_code[:4] == b"\x7fELF"
    if dtype != "float64":  # a constant such as 0.5 is a double, and would draw all that it meets along: dozens of times slower
        doubles = [line.strip() for line in intermediate.splitlines() if re.search(r"\.f64\b", line)]
        assert not doubles, f"{stem} computes in double precision: {doubles[:3]}"


@needs_nvrtc
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("stem", "constants"),
    [("selective_scan", {"STATES": n}) for n in (1, 3, 8, 16)]
    + [("conv1d", {"TAPS": k}) for k in (1, 3, 4, 7)]
    + [("depthwise_conv2d", {"HIGH": high, "WIDE": wide}) for high, wide in ((1, 1), (3, 3), (7, 7))]
    + [("conv2d", {"KERNEL_H": 3, "KERNEL_W": 3, "STRIDE_H": s, "STRIDE_W": s, "STEP": n}) for s in (1, 2) for n in (1, 4)],
    ids=str,
)
def test_other_constants(stem, constants, dtype):
    """Arrays of these lengths have to be in registers: in the intermediate code what is not has a place in local memory."""
    _, intermediate = nvrtc.compiled(Kernels(stem, **constants).source(dtype), "sm_90", (*OPTIONS, *CUPYS))
    assert "__local_depot" not in intermediate


@needs_nvrtc
def test_an_array_outside_of_registers_is_noticed():
    code = Kernels("conv1d").source("float32")
    assert code.count("A v = offset;") == 2
    code = code.replace("A v = offset;", "A v = offset + window[t % TAPS];")
    assert "__local_depot" in nvrtc.compiled(code, "sm_90", (*OPTIONS, *CUPYS))[1]


@needs_nvrtc
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("A eps\n", "A eps,\n"),
        ("warp_sum(sum)", "warp_total(sum)"),
        ("    A mu = mean[row]", "    int unused; A mu = mean[row]"),
    ],
)
def test_what_does_not_compile_is_noticed(right, wrong):
    with pytest.raises(nvrtc.CompileError, match=r"kernel\.cu.*(error|warning)"):
        nvrtc.compiled(_with_fault(right, wrong), "sm_90", (*OPTIONS, *CUPYS))


@needs_nvrtc
def test_double_precision_is_noticed():
    code = _with_fault("squares += centred * centred", "squares += 0.1 * centred * centred")
    assert re.search(r"\.f64\b", nvrtc.compiled(code, "sm_90", (*OPTIONS, *CUPYS))[1])


def _with_fault(right: str, wrong: str) -> str:
    code = Kernels("layernorm").source("float32")
    assert right in code
    return code.replace(right, wrong, 1)
