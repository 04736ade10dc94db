"""The CPU twin of SiLU: mvnp/kernels/cpu/silu.py."""

from mvnp.layers.silu import silu_backward, silu_forward
from support.pointwise_twins import twin_tests

TestTwin = twin_tests(silu_forward, silu_backward)
