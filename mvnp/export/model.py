"""From images to outputs: what any model gives, put together from what its family says of itself.

A family has a form for its class, in the file of its name:

    @form(Vim)
    def vim(graph: Graph, model: Vim, images: str, image_size: ImageSize) -> Walked: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ..core import Layer
from ..errors import ExportError
from ..layers.batchnorm import BatchNorm
from ..layers.layernorm import LayerNorm
from ..models.backbone import Backbone
from ..models.classifier import Classifier
from .graph import Graph, Size
from .layers import batch_norm, layer_norm

ImageSize = tuple[int, int] | None  # None: any
Outputs = list[tuple[str, str, list[Size]]]  # name, value, and the shape without the batch


class Walked(NamedTuple):
    """What a network can give. Each adds its nodes when it is called.

    maps      (value (B, C, H, W), its shape without the batch) of each stage
    pooled    (B, width)
    logits    (B, num_classes)
    """

    maps: Callable[[], list[tuple[str, list[Size]]]]
    pooled: Callable[[], str]
    logits: Callable[[], str]


Form = Callable[[Graph, Any, str, ImageSize], Walked]
AnyForm = TypeVar("AnyForm", bound=Form)

FORMS: dict[type[Classifier], Form] = {}


def form(kind: type[Classifier]) -> Callable[[AnyForm], AnyForm]:
    """Decorates the form of a family."""

    def decorate(function: AnyForm) -> AnyForm:
        FORMS[kind] = function
        return function

    return decorate


def outputs(graph: Graph, model: Classifier | Backbone, images: str, image_size: ImageSize, features: bool) -> Outputs:
    """All that the file gives: a backbone's maps; a classifier's logits or, with `features`, its stages and `pooled`."""
    trunk = model.trunk if isinstance(model, Backbone) else model
    if type(trunk) not in FORMS:
        raise unknown(trunk)
    walked = FORMS[type(trunk)](graph, trunk, images, image_size)
    named: Outputs = []
    if isinstance(model, Backbone):
        for index, (x, shape) in enumerate(walked.maps()):
            if index in model.out_indices:
                named.append((f"stage{index}", map_norm(graph, model.out_norm(index), x), shape))
        return named
    if features:
        named = [(f"stage{index}", x, shape) for index, (x, shape) in enumerate(walked.maps())]
    if features or model.head is None:
        named.append(("pooled", walked.pooled(), [model.width]))
    else:
        named.append(("logits", walked.logits(), [model.num_classes]))
    return named


def map_norm(graph: Graph, norm: Layer | None, x: str) -> str:
    """The norm of a backbone's output, on a map; None is no norm."""
    match norm:
        case None:
            return x
        case BatchNorm():
            return batch_norm(graph, norm, x)
        case LayerNorm():
            channel_last = graph.node(norm.path, "Transpose", x, perm=[0, 2, 3, 1])
            return graph.node(norm.path, "Transpose", layer_norm(graph, norm, channel_last), perm=[0, 3, 1, 2])
    raise unknown(norm)


def unknown(layer: Layer) -> ExportError:
    """What is raised for a layer of another kind than those of mvnp/models."""
    return ExportError(
        f"{layer.label} has no form in ONNX here; what can be exported is a model or Backbone as mvnp.models makes it"
    )
