"""A model of any family from a file of weights, or from the hub, in one call; and the way back.

    model = load_pretrained("mambavision_tiny_1k.pth.tar")      # a file, of any kind that load_checkpoint reads
    model = load_pretrained("nvidia/MambaVision-T-1K")          # a repository on the Hugging Face hub
    model = load_pretrained("mamba_vision_T")                   # the same, by the variant's name

What the arguments of the model are is asked in this order: the caller; the file's own metadata, where mvnp wrote it; the
`config.json` beside it, as the hub has it; the name; the shapes. Nothing is drawn at random on the way: the model is made
without memory, and takes over the arrays that were read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CheckpointError, InputError, check_choice, check_dtype
from ..models.arguments import check_integer
from ..models.classifier import Classifier
from ..models.variants import FAMILIES, IMAGENET_MEAN, IMAGENET_STD, VARIANTS, Variant, check_options, options_of
from .arrays import save_arrays
from .load import convert_floats, read_weights
from .locate import Located, locate
from .readers import READERS, Shape, shapes_of
from .recognise import arguments_of, chosen_variant, described, reader_of, variants_like

KIND = "pretrained"  # of a file that save_pretrained writes


@dataclass(frozen=True)
class Pretrained:
    """A model with its weights, and what is known of it.

    variant    its name among the released ones; None: it is none of them
    classes    names of the classes, in the order of the logits; None: the file has none
    images     arguments of `mvnp.data.images.ImageTransform`: how images were prepared; None: not known
    """

    model: Classifier
    variant: str | None
    classes: tuple[str, ...] | None
    images: dict[str, Any] | None


def load_pretrained(source: str | os.PathLike[str], *, variant: str | None = None, ema: bool = False, **overrides: Any) -> Any:
    """A model with the weights of `source`.

    source       a file of weights (.safetensors, .npz, .pth, .pth.tar, .pt, .bin); a folder with one; a repository on the
                 hub, "nvidia/MambaVision-T-1K"; or the name of a variant, "mamba_vision_T", for its repository
    variant      which variant the weights are of, where name and shapes leave it open
    ema          the moving average of the weights that a training script saved beside them
    overrides    arguments of the family's class: `dtype`, `drop_path_rate`, `window_size`, … `num_classes=0` takes the head
                 off, and another number than the file's makes a new one, drawn from `seed`; another `img_size` or `stride` of a
                 Vim interpolates its position embedding

    The file is read once, into the memory that the model then uses. Raises CheckpointError for a file that is damaged, is of
    no family of networks here, or of another network than was asked for; InputError for an unknown name; FileNotFoundError.
    """
    return read_pretrained(source, variant=variant, ema=ema, **overrides).model


def read_pretrained(
    source: str | os.PathLike[str], *, variant: str | None = None, ema: bool = False, **overrides: Any
) -> Pretrained:
    """Like `load_pretrained`, with all that is known of the model."""
    if variant is not None:
        check_choice("variant", variant, VARIANTS)
    located = locate(source)
    path = located.path
    weights, metadata = read_weights(path, ema=ema)
    try:
        weights = _translated(weights)
        plan = _plan(shapes_of(weights), metadata, located, variant, overrides)
        model = _build(weights, plan)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    kept = model.num_classes == plan.classes_in_file
    return Pretrained(model, plan.variant, plan.classes if kept else None, plan.images)


def save_pretrained(
    path: str | os.PathLike[str],
    model: Classifier,
    *,
    variant: str | None = None,
    classes: Sequence[str] | None = None,
    images: Mapping[str, Any] | None = None,
) -> None:
    """Write a model so that `read_pretrained` gives it back: a safetensors file with the official keys.

    variant, classes, images    as in `Pretrained`

    Any program that reads safetensors reads the arrays. Raises InputError for classes that do not number the logits, an
    unknown variant, or a name that does not end in .safetensors; OSError.
    """
    if not os.fspath(path).lower().endswith(".safetensors"):
        raise InputError(f"save_pretrained: {path} should end in .safetensors; mvnp convert makes the other kinds of it")
    if variant is not None:
        check_choice("variant", variant, VARIANTS)
    if classes is not None and (len(classes) != model.num_classes or not all(isinstance(name, str) for name in classes)):
        raise InputError(f"save_pretrained: {len(classes)} class names for a model with {model.num_classes} classes")
    metadata = {
        "kind": KIND,
        "family": type(model).__name__,
        "config": model.config,
        "variant": variant,
        "classes": None if classes is None else list(classes),
        "images": None if images is None else dict(images),
    }
    save_arrays(path, model.state_dict(copy=False), metadata)


def noted_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What `save_pretrained` would have noted, out of what mvnp noted in a file: a training run's state is left behind."""
    family, config, variant, classes, images = _noted(metadata)
    if not config:
        return {}
    return {"kind": KIND, "family": family, "config": config, "variant": variant, "classes": classes, "images": images}


def _translated(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With the names of the official release, where another one had others."""
    translate = reader_of(shapes_of(weights)).translate
    return weights if translate is None else translate(weights)


@dataclass(frozen=True)
class _Plan:
    """What is to be built: a family, arguments of its class, and what goes with them."""

    family: str
    arguments: dict[str, Any]
    classes_in_file: int
    variant: str | None
    classes: tuple[str, ...] | None
    images: dict[str, Any] | None


def _plan(
    shapes: Mapping[str, Shape],
    metadata: Mapping[str, Any],
    located: Located,
    variant: str | None,
    overrides: Mapping[str, Any],
) -> _Plan:
    seen = arguments_of(shapes)
    family, reader = seen["family"], READERS[seen["family"]]
    check_options(family, overrides)
    told, config, named, classes, images = _noted(metadata)
    if config and told != family:
        raise CheckpointError(f"has the arrays of a {family}, but says of itself that it is a {told}")
    # A config.json may lie there for another file: one that contradicts the arrays is passed over.
    beside = located.config if not set(located.config) - set(options_of(family)) else {}
    if not _contradictions(beside, seen):
        config = {**beside, **config}
    for name, asked in _contradictions({**config, **overrides}, seen):
        raise CheckpointError(f"{name} is to be {asked!r}, but the arrays have {name} {seen[name]!r}: {described(seen)}")
    found = _variant(seen, variant or named or located.variant, located, {**config, **overrides}.get("window_size"))
    arguments = {**(found.arguments() if found else {}), **_traces(seen, found, config), **config, **overrides}
    arguments["num_classes"] = overrides.get("num_classes", seen["num_classes"])
    check_integer("load_pretrained", "num_classes", arguments["num_classes"], least=0)
    missing = [name for name in reader.unseen if name not in arguments]
    if missing:
        raise CheckpointError(
            f"is of no released variant ({described(seen)}), and the shapes do not tell {' and '.join(missing)}:"
            f" give {', '.join(f'{name}=(…)' for name in missing)}, four numbers each"
        )
    return _Plan(
        family,
        arguments,
        classes_in_file=seen["num_classes"],
        variant=found.name if found else None,
        classes=next((names for names in (classes, located.classes) if names and len(names) == seen["num_classes"]), None),
        images=images or (_images_of(found) if found and seen["in_chans"] == 3 else None),
    )


def _variant(seen: Mapping[str, Any], named: str | None, located: Located, window_size: Any) -> Variant | None:
    candidates = variants_like(seen)
    if named is None:
        return chosen_variant(candidates, located.names, window_size)
    if named not in [variant.name for variant in candidates]:
        like = " or ".join(variant.name for variant in candidates) or "no released variant"
        raise CheckpointError(f"is not of {named}: the arrays have {described(seen)}, which is {like}")
    return VARIANTS[named]


def _traces(seen: Mapping[str, Any], found: Variant | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the shapes tell, but for the value of a layer scale that the variant or the config knows better."""
    traces = {name: value for name, value in seen.items() if name != "family"}
    for name in READERS[seen["family"]].starts:
        if found and found.options.get(name) is not None and seen[name] is not None:
            traces[name] = found.options[name]
    return {name: value for name, value in traces.items() if name not in config}


def _contradictions(config: Mapping[str, Any], seen: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(name, value) of each argument that the arrays have otherwise."""
    reader = READERS[seen["family"]]
    open_ = {"family", "num_classes", *reader.starts, *reader.free}
    return [(name, value) for name, value in config.items() if name in set(seen) - open_ and not _same(name, value, seen[name])]


def _same(name: str, asked: Any, seen: Any) -> bool:
    if name in ("qk_scale", "qkv_bias"):
        return bool(asked) == bool(seen)
    if name == "head_norm" and asked is None:
        return True  # the quirks decide
    return list(asked) == list(seen) if isinstance(seen, list) and isinstance(asked, list | tuple) else asked == seen


def _noted(
    metadata: Mapping[str, Any],
) -> tuple[str, dict[str, Any], str | None, tuple[str, ...] | None, dict[str, Any] | None]:
    """Family, config, variant, classes and images from a file that mvnp wrote; nothing of them from others."""
    kind = metadata.get("kind")
    if kind == "training":
        about = metadata.get("about", {})
        about = about if isinstance(about, dict) else {}
        family, config, classes = _family(about), about.get("model") or {}, about.get("classes")
        images = _images_noted(about.get("images")) or _images_of_run(about)
        return family, _checked(family, config), None, _names(classes), images
    if kind == KIND:
        variant, images, family = metadata.get("variant"), metadata.get("images"), _family(metadata)
        return (
            family,
            _checked(family, metadata.get("config")),
            variant if isinstance(variant, str) and variant in VARIANTS else None,
            _names(metadata.get("classes")),
            _images_noted(images),
        )
    return "", {}, None, None, None


def _family(noted: Mapping[str, Any]) -> str:
    """Files from before there were several families name none."""
    family = noted.get("family", "MambaVision")
    if family not in FAMILIES:
        raise CheckpointError(f"was written by another version of mvnp: its family is {family!r}")
    return family


def _checked(family: str, config: Any) -> dict[str, Any]:
    known = options_of(family)
    strange = [name for name in config if name not in known] if isinstance(config, dict) else ["no dict"]
    if strange:
        raise CheckpointError(f"was written by another version of mvnp: its config has {strange[0]!r}")
    return dict(config)


def _names(classes: Any) -> tuple[str, ...] | None:
    return tuple(map(str, classes)) if isinstance(classes, list) and classes else None


def _images_noted(images: Any) -> dict[str, Any] | None:
    """As they were given to save_pretrained: JSON made lists of the tuples."""
    if not isinstance(images, dict):
        return None
    return {name: tuple(value) if isinstance(value, list) else value for name, value in images.items()}


def _images_of(variant: Variant) -> dict[str, Any]:
    return {
        "size": variant.input_size,
        "crop_pct": variant.crop_pct,
        "crop_mode": variant.crop_mode,
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "channels": 3,
    }


def _images_of_run(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run's loader squashes images to their size (mvnp/data/transforms.py)."""
    size, mean, std = (about.get(name) for name in ("image_size", "mean", "std"))
    if not isinstance(size, int) or not isinstance(mean, list) or not isinstance(std, list):
        return None
    return {
        "size": size,
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "mean": tuple(mean),
        "std": tuple(std),
        "channels": len(mean),
    }


def _build(weights: dict[str, np.ndarray], plan: _Plan) -> Classifier:
    """The model of a plan, with the weights. A head that is not the file's is drawn anew, or left off."""
    wanted = plan.arguments["num_classes"]
    convert_floats(weights, check_dtype("load_pretrained", plan.arguments.get("dtype", "float32")))
    adapt = READERS[plan.family].adapt
    if adapt is not None:
        adapt(weights, plan.arguments)
    make = FAMILIES[plan.family]
    model = make(**{**plan.arguments, "num_classes": plan.classes_in_file, "allocate": False})
    if wanted != plan.classes_in_file:
        in_head = set(model.state_dict(copy=False))
        model.reset_head(0)
        in_head -= set(model.state_dict(copy=False))
        weights = {key: array for key, array in weights.items() if key not in in_head}
    model.load_state_dict(weights, copy=False)
    if wanted != plan.classes_in_file:
        model.reset_head(wanted, plan.arguments.get("seed", 0))
    return model
