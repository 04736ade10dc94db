"""The CPU twin of ReLU: mvnp/kernels/cpu/relu.py."""

from mvnp.layers.relu import relu_backward, relu_forward
from support.pointwise_twins import twin_tests

TestTwin = twin_tests(relu_forward, relu_backward)
