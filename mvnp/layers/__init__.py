"""The layers, each a file: a pair of functions that hold the mathematics, and a class that holds
the parameters. All of them can be had from here: `mvnp.layers.gelu_forward`, `mvnp.layers.GELU`.
They stand in the order in which they can be read; docs/layers says what each stretch is about."""

# ruff: noqa: F401, I001

# 1. One value at a time, and one matrix
from .linear import Linear, linear_forward, linear_backward
from .relu import ReLU, relu_forward, relu_backward
from .gelu import GELU, gelu_forward, gelu_backward, gelu_tanh_forward, gelu_tanh_backward
from .silu import SiLU, silu_forward, silu_backward
from .gate import gate_forward, gate_backward
from .softplus import Softplus, softplus_forward, softplus_backward
from .dropout import Dropout, dropout_forward, dropout_backward
from .drop_path import DropPath, drop_path_forward, drop_path_backward
from .layer_scale import LayerScale, layer_scale_forward, layer_scale_backward
from .pool import AveragePool, pool_forward, pool_backward

# 2. Values that depend on each other
from .softmax import Softmax, softmax_forward, softmax_backward
from .cross_entropy import cross_entropy_forward, cross_entropy_backward
from .binary_cross_entropy import binary_cross_entropy_forward, binary_cross_entropy_backward
from .mesa import mesa_forward, mesa_backward
from .layernorm import LayerNorm, layernorm_forward, layernorm_backward
from .rmsnorm import RMSNorm, rmsnorm_forward, rmsnorm_backward
from .batchnorm import BatchNorm, batchnorm_forward, batchnorm_backward
from .batchnorm import batchnorm_eval_forward, batchnorm_eval_backward

# 3. Neighbours
from .conv1d import Conv1d, conv1d_forward, conv1d_backward
from .conv2d import Conv2d, conv2d_forward, conv2d_backward
from .winograd import winograd_forward, winograd_backward
from .depthwise_conv2d import DepthwiseConv2d
from .depthwise_conv2d import depthwise_conv2d_forward, depthwise_conv2d_backward
from .window import window_partition, window_reverse, window_mask
from .cross_scan import cross_scan, cross_merge

# 4. All tokens at once
from .attention import attention_forward, attention_backward

# 5. One token after another
from .linear_recurrence import linear_recurrence_forward, linear_recurrence_backward
from .selective_scan import selective_scan_forward, selective_scan_backward, selective_scan_states
from .checkpointed_scan import checkpointed_scan_forward, checkpointed_scan_backward
