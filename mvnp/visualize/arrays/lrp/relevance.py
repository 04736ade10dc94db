"""The relevance of every pixel for a class, and of every bias: together they are the logit.

With the rules of rules.py the whole network is affine around an image: z = J x + Σ_layers (∂z/∂b) b. So one backward with
these rules gives all parts of the sum

    z_c = Σ_pixels x dx  +  Σ_layers Σ b db                                             (1)

    b    what a layer adds whatever its input is: the bias of a convolution or linear layer, β of LayerNorm, class tokens and
         positional embeddings, and of BatchNorm in evaluation, y = γ r (x − μ) + β, the rest that does not meet x: β − γ r μ

Nothing is left over: (1) holds to rounding. Biases keep what they give; it is not spread over the pixels, which have no part
in it. The biases of dt_proj, and those of queries and keys, only make factors that are held constant, and get nothing.

Bach et al.: On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation (2015), for
relevance and its conservation. Jafari et al.: MambaLRP, arXiv:2406.07592, for LRP as gradient times input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ....backend import Array, array_module, to_numpy
from ....core import Layer, Tape
from ....errors import InputError, refusing
from ....layers.batchnorm import BatchNorm
from ....layers.conv1d import Conv1d
from ....layers.conv2d import Conv2d
from ....layers.depthwise_conv2d import DepthwiseConv2d
from ....layers.drop_path import DropPath
from ....layers.dropout import Dropout
from ....layers.layer_scale import LayerScale
from ....layers.layernorm import LayerNorm
from ....layers.linear import Linear
from ....layers.pool import AveragePool
from ....layers.relu import ReLU
from ....models.blocks import Block, ConvBlock
from ....models.classifier import AnyClassifier, Classifier
from ....models.mambavision import MambaVision
from ....models.mlp import Mlp
from ....models.stages import ConvLevel, Downsample, HybridLevel, PatchEmbed
from ....models.vim import Patches, Vim, VimBlock
from ....models.vmamba import VMamba
from ....models.vss_stages import FirstConv2d, PatchMerging, PositionalEmbedding, Sequence, VSSBlock, VSSStage
from ..class_evidence import check_image, logit_gradient
from ..remember import remembered
from ..replace_layers import replace_layers
from .gamma import gamma_convolution
from .rules import RULES

# Layers whose own backward conserves: affine ones (dropout is none in evaluation), ReLU, and those made of others.
AS_THEY_ARE = (
    *(Linear, Conv2d, FirstConv2d, DepthwiseConv2d, BatchNorm, LayerScale, AveragePool, ReLU, Dropout, DropPath),
    PositionalEmbedding,
)
MADE_OF_OTHERS = (
    *(MambaVision, PatchEmbed, Downsample, ConvLevel, HybridLevel, ConvBlock, Block, Mlp),
    *(Vim, Patches, VimBlock),
    *(VMamba, VSSStage, VSSBlock, Sequence, PatchMerging),
)


@dataclass(frozen=True)
class Relevance:
    """The parts of one logit.

    target, logit    the class c and z_c
    pixels           (C, H, W), of every number of the image
    biases           {path of a layer: what its bias, or its constant part, gave}
    """

    target: int
    logit: float
    pixels: np.ndarray
    biases: dict[str, float]

    @property
    def map(self) -> np.ndarray:
        """(H, W), the colours together."""
        return self.pixels.sum(axis=0)

    @property
    def error(self) -> float:
        """What (1) misses, |Σ pixels + Σ biases − logit|: rounding, and nothing else."""
        return abs(float(self.pixels.sum(dtype=np.float64)) + sum(self.biases.values()) - self.logit)


def linearised(model: AnyClassifier, gamma: float = 0.0) -> AnyClassifier:
    """The model with the backwards of rules.py; parameters are shared.

    gamma    of LRP-γ in the convolutions, gamma.py; 0: LRP-0
    Raises InputError for a layer without a rule, and for a negative gamma.
    """
    if not 0.0 <= gamma < math.inf:
        raise InputError(f"relevance: gamma is {gamma!r}, expected a number of at least 0")
    known = (*RULES, *AS_THEY_ARE, *MADE_OF_OTHERS)
    for _, layer in model.named_layers():
        if type(layer) not in known:
            raise InputError(
                f"relevance: there is no rule for {layer.label}; add one to mvnp/visualize/arrays/lrp/rules.py."
                " gradient_times_input and grad_cam need none"
            )
    if not gamma:
        return replace_layers(model, RULES)
    return replace_layers(model, {**RULES, **{kind: gamma_convolution(kind, gamma) for kind in (Conv2d, FirstConv2d)}})


@refusing
@remembered
def relevance(model: Classifier, image: Array, target: int | None = None, gamma: float = 0.0) -> Relevance:
    """The relevance of an image (1, C, H, W) for a class; None: the one with the largest logit.

    gamma    of LRP-γ in the convolutions: 0 is the rule of MambaLRP's equations, 0.25 gives calmer maps. Both conserve.
    Raises InputError for anything but one floating image with the model's channels, and for a class that is none.
    """
    check_image("relevance", model, image)
    tape, other = Tape(training=False), linearised(model, gamma)
    chosen, logit, gradient = logit_gradient(other, image, target, tape)
    biases: dict[str, float] = {}
    for path, layer in other.named_layers():
        found = _bias_relevance(layer, tape)
        if found is not None:
            biases[path] = float(to_numpy(found))
    return Relevance(chosen, logit, to_numpy((gradient * image)[0]), biases)


def _bias_relevance(layer: Layer, tape: Tape) -> Array | None:
    """Σ b db of one layer; None where it adds nothing, or no relevance came to it."""
    if isinstance(layer, Vim | PositionalEmbedding):
        given = [layer.values] if isinstance(layer, PositionalEmbedding) else [layer.pos_embed, *layer.class_tokens]
        parts = [(param.data * gradient).sum() for param in given if (gradient := tape.gradient(param)) is not None]
        return sum(parts[1:], parts[0]) if parts else None
    if not isinstance(layer, Linear | Conv2d | Conv1d | DepthwiseConv2d | BatchNorm | LayerNorm) or layer.bias is None:
        return None
    gradient, constant = tape.gradient(layer.bias), layer.bias.data
    if isinstance(layer, BatchNorm):
        rstd = 1.0 / array_module(constant).sqrt(layer.running_var.data + layer.eps)
        constant = constant - layer.weight.data * rstd * layer.running_mean.data
    return None if gradient is None else (constant * gradient).sum()
