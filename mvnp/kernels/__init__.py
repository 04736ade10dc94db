"""CUDA twins of the layers' array code: the same numbers, in fewer passes over the GPU's memory.

A layer is written once as array code, which runs on NumPy and on CuPy and is the reference. On a GPU each of its operations
is a kernel of its own, and each reads and writes whole arrays. Where that is most of the time, the layer has a twin here,
two files of its name: `<layer>.cu`, the kernels in CUDA C++, and `<layer>.py`, functions that launch them, of the same name,
arguments and results as the array code. In the layer's file one line says so:

    @twin
    def layernorm_forward(x, weight, bias, eps=1e-5): ...

`MVNP_KERNELS=off`, or `use_kernels("off")`, leaves CuPy with the array code. With kernels on, one that cannot be compiled or
launched is an error: nothing falls back in silence. docs/kernels.md says how a twin is made and how it is tested without a GPU.
"""

from .switch import kernels_on, twin, use_kernels

__all__ = ["kernels_on", "twin", "use_kernels"]
