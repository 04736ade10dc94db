"""Twins of the layers' array code: the same numbers, in fewer passes over memory.

A layer is written once as array code, the book, which runs on NumPy and on CuPy. Each of its operations reads and writes whole
arrays. Where that is most of the time, the layer has a twin, in a file of its stem:

    cpu/<stem>.py                     loops over the numbers of a row, compiled by Numba
    cuda/<stem>.cu, cuda/<stem>.py    kernels in CUDA C++, and the functions that launch them

In the layer's file one line says so:

    @twin
    def layernorm_forward(x, weight, bias, eps=1e-5): ...

`MVNP_KERNELS=off`, or `use_kernels("off")`, leaves all to the array code. docs/kernels.md says how a twin is made and tested.
"""

from .convolution import convolution_method, use_convolution
from .dispatch import counted_calls, kernels_on, stems, twin, twin_of, use_kernels

__all__ = ["convolution_method", "counted_calls", "kernels_on", "stems", "twin", "twin_of", "use_convolution", "use_kernels"]
