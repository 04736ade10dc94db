"""Networks, put together from mvnp/layers. From the smallest part to the whole:

    mlp, mixer, attention   the parts of a block
    pattern                 which blocks attend
    blocks                  the two kinds of block
    stages                  stem, levels, downsampling
    classifier              what every family of networks has
    pyramid                 the same of families whose maps shrink from level to level
    mambavision             MambaVision
    vim_mixer, vim          Vim
    ss2d, vss_stages        the parts of VMamba: its mixer, its blocks
    vmamba                  VMamba
    variants                the families, and the released variants of each
    backbone                maps for detection and segmentation
    edifice                 the same network under the option names of Edifice
    quirks                  where the official release, the paper and good sense part ways

`arguments` checks what a model is made from; `folding` joins convolution and BatchNorm.
"""

# ruff: noqa: I001

from .mlp import Mlp
from .mixer import MambaVisionMixer
from .attention import MultiHeadAttention
from .blocks import Block, ConvBlock
from .stages import ConvLevel, Downsample, HybridLevel, PatchEmbed
from .classifier import Classifier
from .mambavision import MambaVision
from .vim_mixer import VimMixer
from .vim import Vim, VimBlock
from .ss2d import SS2D, Cascade
from .vss_stages import VSSBlock, VSSStage
from .vmamba import VMamba
from .variants import FAMILIES, VARIANTS, Variant, create_model, list_models
from .backbone import Backbone
from .edifice import build, build_backbone
from .quirks import Quirks

__all__ = [
    "FAMILIES",
    "SS2D",
    "VARIANTS",
    "Backbone",
    "Block",
    "Cascade",
    "Classifier",
    "ConvBlock",
    "ConvLevel",
    "Downsample",
    "HybridLevel",
    "MambaVision",
    "MambaVisionMixer",
    "Mlp",
    "MultiHeadAttention",
    "PatchEmbed",
    "Quirks",
    "VMamba",
    "VSSBlock",
    "VSSStage",
    "Variant",
    "Vim",
    "VimBlock",
    "VimMixer",
    "build",
    "build_backbone",
    "create_model",
    "list_models",
]
