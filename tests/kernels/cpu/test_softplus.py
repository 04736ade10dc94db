"""The CPU twin of softplus: mvnp/kernels/cpu/softplus.py."""

from mvnp.layers.softplus import softplus_backward, softplus_forward
from support.pointwise_twins import twin_tests

TestTwin = twin_tests(softplus_forward, softplus_backward)
