"""`export_onnx`: a model of any family, or a Backbone, as an ONNX file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, check_choice, check_path, refusing
from ..models.arguments import check_integer
from ..models.backbone import Backbone
from ..models.classifier import Classifier
from ..models.variants import FAMILIES
from .extra import needed

if TYPE_CHECKING:
    from onnx import ModelProto

    from .graph import Graph

DTYPES = ("float32", "float16")
ENDING = ".onnx"


@refusing
def export_onnx(
    model: Classifier | Backbone,
    path: str | os.PathLike[str],
    image_size: int | tuple[int, int] | None = 224,
    *,
    features: bool = False,
    dtype: str = "float32",
    external_data: bool | None = None,
    metadata: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write the model, in evaluation, to an ONNX file; the files that were written, `path` first.

    The graph takes `images` (batch, in_chans, H, W), float32 and normalised as for the model itself, of any batch size. It
    gives `logits` (batch, num_classes) or, without a head, `pooled` (batch, width); of a Backbone, `stage{i}` for each of its
    `out_indices`.

    image_size       height and width that the graph takes, in pixels; one number: square; None: any, found when it runs
    features         True: the outputs are `stage0` to `stage3`, (batch, channels[i], H_i, W_i) as `model.features` gives them,
                     and `pooled`
    dtype            "float16": matrices and kernels are stored in half precision, which halves the file. All arithmetic is
                     float32 in either case, also for a float64 model
    external_data    True: the weights in a second file beside `path`; None: where one file could not hold them (2 GB)
    metadata         what else is to be kept in the file's metadata, beside the model's `config` and the version of mvnp

    Raises InputError for a wrong argument; MissingPackageError where onnx is not installed; ExportError for a model that has
    no form in ONNX; OSError that names the file. Files are written whole or not at all.
    """
    if not isinstance(model, Classifier | Backbone):
        families = ", ".join(f"a {name}" for name in FAMILIES)
        raise InputError(f"export_onnx: the model is a {type(model).__name__}, expected {families} or a Backbone")
    if features and isinstance(model, Backbone):
        raise InputError("export_onnx: features=True is for a classifier; a Backbone gives maps without it")
    model.check_filled("export")
    size, path = _checked_size(image_size), check_target(path)
    _check_fixed(model, size)
    check_choice("dtype of export_onnx", dtype, DTYPES)
    from .write import write_model

    proto, graph = _made(model, size, features, dtype == "float16", metadata or {})
    return write_model(path, proto, graph.weights, external_data)


def check_target(path: str | os.PathLike[str]) -> Path:
    """The path. Raises InputError for one that names no ONNX file; MissingPackageError without onnx."""
    check_path("export_onnx", path, f"the name of a file that ends in {ENDING}")
    path = Path(path)
    if not path.name.endswith(ENDING) or path.name == ENDING:
        raise InputError(f"export_onnx: the file is {str(path)!r}, expected a name that ends in {ENDING}")
    needed("onnx", "writing an ONNX file")
    return path


def _made(
    model: Classifier | Backbone, size: tuple[int, int] | None, features: bool, half: bool, metadata: Mapping[str, str]
) -> tuple[ModelProto, Graph]:
    """The file without its weights, and the graph that has them."""
    from onnx import helper

    from ..version import __version__
    from . import mambavision, vim, vmamba  # noqa: F401  their forms
    from .graph import IR_VERSION, OPSET, Graph, tensor
    from .model import outputs

    graph, described = Graph(model, half), []
    for name, value, shape in outputs(graph, model, "images", size, features):
        graph.output(name, value)
        described.append(tensor(name, ("batch", *shape)))
    images = tensor("images", ("batch", model.in_chans, *(size or ("height", "width"))))
    constants = list(graph.constants.values())
    proto = helper.make_model(
        helper.make_graph(graph.nodes, _family(model), [images], described, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mvnp",
        producer_version=__version__,
    )
    helper.set_model_props(proto, {"config": json.dumps(model.config), **metadata})
    return proto, graph


def _family(model: Classifier | Backbone) -> str:
    return type(model.trunk if isinstance(model, Backbone) else model).__name__


def _check_fixed(model: Classifier | Backbone, size: tuple[int, int] | None) -> None:
    """Raise InputError where the model takes one size alone, and this is another."""
    fixed = model.image_size
    if fixed is not None and size != fixed:
        asked = "any size" if size is None else f"{size[0]}x{size[1]}"
        raise InputError(
            f"export_onnx: the file is to take images of {asked}, and the model takes {fixed[0]}x{fixed[1]} alone; give"
            f" image_size={fixed}"
        )


def _checked_size(image_size: Any) -> tuple[int, int] | None:
    if image_size is None:
        return None
    sides = tuple(image_size) if isinstance(image_size, list | tuple) else (image_size, image_size)
    if len(sides) != 2:
        raise InputError(f"export_onnx: image_size is {image_size!r}, expected one number, (height, width), or None for any")
    for side in sides:
        check_integer("export_onnx", "a side of image_size", side, least=1)
    return int(sides[0]), int(sides[1])
