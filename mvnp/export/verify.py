"""A file that was exported, run in ONNX Runtime beside the model that it was exported from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backend import Array, from_numpy, to_numpy
from ..errors import ExportError, InputError, check_path, refusing
from ..models.backbone import Backbone
from ..models.classifier import Classifier
from .extra import needed

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """How far one output of the file was from the model's own, on one batch of images of one size.

    error    the largest difference, over the largest of the model's values
    """

    output: str
    batch: int
    height: int
    width: int
    error: float


@refusing
def verify_onnx(
    path: str | os.PathLike[str],
    model: Classifier | Backbone,
    *,
    batches: Sequence[int] = (1, 3),
    sizes: Sequence[tuple[int, int]] | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> list[Agreement]:
    """Check the file of `export_onnx` against ONNX's rules, run it in ONNX Runtime, and compare with the model, image by image.

    batches      batch sizes to try
    sizes        (height, width) to try, for a file that takes any; one of a fixed size is tried with that
    tolerance    what `error` may be, 1e-4; for weights stored in float16, about 1e-2 is fair

    Raises ExportError where an output differs by more, or is not finite where the model's is, and where ONNX Runtime does not
    run the file; MissingPackageError without onnxruntime; OSError where there is no file.
    """
    runtime, checker = needed("onnxruntime", "running an ONNX file"), needed("onnx.checker", "checking an ONNX file")
    check_path("verify_onnx", path, "the name of an ONNX file")
    os.stat(path)  # a file that is missing is no fault of it
    try:
        checker.check_model(os.fspath(path), full_check=True)
        session = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # of many classes, which ONNX Runtime does not publish
        raise ExportError(
            f"{path}: ONNX Runtime {runtime.__version__} or onnx.checker does not take this file: {error}"
        ) from error
    names = [output.name for output in session.get_outputs()]
    _, _, *fixed = session.get_inputs()[0].shape
    if all(isinstance(side, int) for side in fixed):
        sizes = [(fixed[0], fixed[1])]
    elif not sizes:
        raise InputError("verify_onnx: the file takes images of any size; say with sizes=[(height, width), ...] which to try")
    rng, found = np.random.default_rng(seed), []
    for height, width in sizes:
        for batch in batches:
            images = rng.standard_normal((batch, model.in_chans, height, width)).astype(np.float32)
            given = session.run(names, {"images": images})
            expected = _outputs(model, names, from_numpy(images))
            for name, theirs, ours in zip(names, given, expected, strict=True):
                found.append(Agreement(name, batch, height, width, _error(theirs, to_numpy(ours))))
    worst = max(found, key=lambda each: each.error)
    if worst.error > tolerance:
        raise ExportError(
            f"{path}: output {worst.output} in ONNX Runtime {runtime.__version__} differs from the model's by"
            f" {worst.error:.2g} of its largest value (batch {worst.batch}, {worst.height}x{worst.width}), expected at most"
            f" {tolerance:g}; do not use this file"
        )
    return found


def _outputs(model: Classifier | Backbone, names: Sequence[str], images: Array) -> list[Array]:
    if isinstance(model, Backbone):
        return model.forward(images)
    own = {} if names == ["logits"] else {"pooled": model.pooled(images)}
    if "stage0" in names:
        own |= {f"stage{index}": stage for index, stage in enumerate(model.features(images))}
    if "logits" in names:
        own["logits"] = model(images)
    return [own[name] for name in names]


def _error(theirs: np.ndarray, ours: np.ndarray) -> float:
    if theirs.shape != ours.shape or not np.isfinite(theirs).all():
        return np.inf
    return float(np.abs(theirs - ours).max() / max(np.abs(ours).max(), np.finfo(np.float32).tiny))
