"""A model of any family from a file of weights, or from the hub, in one call; and the way back.

    model = load_pretrained("mambavision_tiny_1k.pth.tar")      # a file, of any kind that load_checkpoint reads
    model = load_pretrained("nvidia/MambaVision-T-1K")          # a repository on the Hugging Face hub
    model = load_pretrained("mamba_vision_T")                   # the same, by the variant's name

What the arguments of the model are is asked in this order: the caller; the file's own metadata, where mvnp wrote it; the
`config.json` beside it, as the hub has it; the name; the shapes. Nothing is drawn at random on the way: the model is made
without memory, and takes over the arrays that were read.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from ..errors import CheckpointError, InputError, check_choice, check_dtype, check_flags, nearest, refusing
from ..models.arguments import check_integer
from ..models.backbone import Backbone
from ..models.classifier import Classifier
from ..models.options import PretrainedOptions
from ..models.variants import (
    ELSEWHERE,
    FAMILIES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    VARIANTS,
    Variant,
    check_options,
    options_of,
)
from .first_convolution import adapted, adapted_images, told
from .load import Weights, convert_floats, read_weights
from .locate import Located, locate
from .readers import READERS, Reader, Shape, reader_of, shapes_of
from .recognise import a_family, arguments_of, chosen_variant, described, variants_like
from .sharded import shard_hint
from .states import known_prefixes, shown
from .write import write_weights

KIND = "pretrained"  # of a file that save_pretrained writes

_MAPS = ("out_indices", "out_norm")  # arguments that make a Backbone of a classifier
_OF_BACKBONES = ("family", *_MAPS)  # arguments that only a Backbone has
_WIDTHS, _DEPTHS = ("dim", "embed_dim", "dims"), ("depth", "depths")
_STEP = "num_batches_tracked"  # a buffer that old files and other libraries leave out; nothing but training reads it

_log = logging.getLogger("mvnp")


@dataclass(frozen=True)
class Pretrained:
    """A model with its weights, and what is known of it.

    model      a MambaVision, Vim or VMamba; of a file that was saved of a Backbone, a Backbone
    variant    its name among the released ones; None: it is none of them
    classes    names of the classes, in the order of the logits; None: the file has none
    images     arguments of `mvnp.data.images.ImageTransform`: how images were prepared; None: not known
    notes      what was done with the weights on the way, a line each: keys passed over, a convolution adapted
    """

    model: Any
    variant: str | None
    classes: tuple[str, ...] | None
    images: dict[str, Any] | None
    notes: tuple[str, ...] = ()


@refusing
def load_pretrained(
    source: str | os.PathLike[str],
    *,
    variant: str | None = None,
    ema: bool = False,
    entry: str | None = None,
    strict: bool = True,
    **overrides: Unpack[PretrainedOptions],
) -> Any:
    """A model with the weights of `source`.

    source       a file of weights, of any kind that `load_checkpoint` reads; a folder with one, or with several and an index;
                 a repository on the hub, "nvidia/MambaVision-T-1K"; or a variant's name, "mamba_vision_T", for its repository
    variant      which variant the weights are of, where name and shapes leave it open
    ema          the moving average of the weights that a training script saved beside them
    entry        the name under which the weights stand in the file, where there are several
    strict       False: arrays that are missing are drawn from `seed`, and those that the model has no place for passed over
    overrides    arguments of the model: `dtype`, `drop_path_rate`, `window_size`, … `num_classes=0` takes the head off, and
                 another number than the file's makes a new one, drawn from `seed`. `in_chans=1`, or any other number of image
                 channels, adapts the first convolution (first_convolution.py). `out_indices` or `out_norm`: a Backbone of it,
                 with these arguments, which knows as well how pictures are prepared

    The file is read once, into the memory that the model then uses. What was done on the way is logged under "mvnp", a line
    each. Raises CheckpointError for a file that is damaged, is of no model that we know, or of another one than was asked for;
    InputError for an unknown name; FileNotFoundError.
    """
    pretrained = read_pretrained(source, variant=variant, ema=ema, entry=entry, strict=strict, **overrides)
    for note in pretrained.notes:
        _log.warning("%s: %s", source, note)
    return pretrained.model


@refusing
def read_pretrained(
    source: str | os.PathLike[str],
    *,
    variant: str | None = None,
    ema: bool = False,
    entry: str | None = None,
    strict: bool = True,
    **overrides: Any,
) -> Pretrained:
    """Like `load_pretrained`, with all that is known of the model."""
    if variant is not None:
        check_choice("variant", variant, VARIANTS)
    check_flags("load_pretrained", ema=ema, strict=strict)
    _check_options(overrides)
    located = locate(source)
    path = located.path
    weights = read_weights(path, ema=ema, entry=entry)
    try:
        reader, weights = _recognised(weights, path, strict)
        head = [key for key in weights.unreadable if key.startswith(reader.head)]
        if head and overrides.get("num_classes") is None and not any(name in overrides for name in _MAPS):
            raise CheckpointError(f"{shown(head[0])} {weights.unreadable[head[0]]}")
        plan = _plan(reader, weights, located, variant, overrides)
        model, notes = _build(weights, plan, overrides, strict)
    except CheckpointError as error:
        told = str(error)
        for key, reason in weights.unreadable.items():  # what seems to be missing is there
            if "." in key and re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", told):
                raise CheckpointError(f"{path}: {shown(key)} {reason}") from error
        hint = shard_hint(path)
        raise CheckpointError(f"{path}: {told.removesuffix(hint)}{hint}") from error
    kept = getattr(model, "num_classes", None) == plan.classes_in_file
    classes = plan.classes if kept else None
    trunk = model.trunk if isinstance(model, Backbone) else model
    trunk.know(classes, _preparation(plan.images, model.in_chans))
    maps = {name: overrides[name] for name in _MAPS if name in overrides}
    if maps and isinstance(model, Classifier):
        model, classes = Backbone.of(model, **maps), None
    return Pretrained(model, plan.variant, classes, plan.images, (*weights.notes, *notes))


@refusing
def save_pretrained(
    path: str | os.PathLike[str],
    model: Classifier | Backbone,
    *,
    variant: str | None = None,
    classes: Sequence[str] | None = None,
    images: Mapping[str, Any] | None = None,
) -> None:
    """Write a model, or a Backbone, so that `read_pretrained` gives it back, with the official keys.

    path    its ending says the kind: .safetensors, .npz, .pth, .pth.tar or .pt; the first has a digest of all that is in it
    variant, classes, images    as in `Pretrained`; of the last two None: what the model knows (`model.know`)

    Any program that reads such files reads the arrays. Raises InputError for classes that do not number the logits, an
    unknown variant, a model without a config, or another ending; OSError.
    """
    from ..data import ImageTransform

    config = getattr(model, "config", None)
    if not isinstance(model, Classifier | Backbone) or not isinstance(config, dict):
        raise InputError(
            f"save_pretrained: the model is a {type(model).__name__}, expected a MambaVision, a Vim, a VMamba"
            " or a Backbone; the arrays of another layer are saved by mvnp.checkpoint.save_arrays(path, layer.state_dict())"
        )
    model.check_filled("save")
    if variant is not None:
        check_choice("variant", variant, VARIANTS)
    logits = getattr(model, "num_classes", 0)
    knows = model.trunk if isinstance(model, Backbone) else model
    if classes is None:
        classes = knows.classes
    elif isinstance(model, Backbone):
        raise InputError("save_pretrained: classes are given, and a Backbone has none; leave them out")
    if images is None and isinstance(knows.preparation, ImageTransform):
        images = asdict(knows.preparation)
    if classes is not None and (len(classes) != logits or not all(isinstance(name, str) for name in classes)):
        raise InputError(f"save_pretrained: {len(classes)} class names for a model with {logits} classes")
    metadata = {
        "kind": KIND,
        "model": type(model).__name__,
        "config": config,
        "variant": variant,
        "classes": None if classes is None else list(classes),
        "images": None if images is None else dict(images),
    }
    write_weights(Path(path), model.state_dict(copy=False), metadata)


def noted_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What `save_pretrained` would have noted, out of what mvnp noted in a file: a training run's state is left behind."""
    noted = _noted(metadata)
    if not noted.config:
        return {}
    return {
        "kind": KIND,
        "model": noted.model,
        "config": noted.config,
        "variant": noted.variant,
        "classes": noted.classes,
        "images": noted.images,
    }


@dataclass(frozen=True)
class _Noted:
    """What mvnp noted in a file. `model` is the class, by its name."""

    model: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    variant: str | None = None
    classes: tuple[str, ...] | None = None
    images: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Plan:
    """What is to be built: arguments of the model, and what goes with them."""

    reader: Reader
    backbone: bool
    arguments: dict[str, Any]
    channels_in_file: int
    classes_in_file: int
    variant: str | None
    classes: tuple[str, ...] | None
    images: dict[str, Any] | None


def _recognised(weights: Weights, path: Path, strict: bool) -> tuple[Reader, Weights]:
    """The reader of the weights' family, and the weights under its keys."""
    reader, arrays, notes = reader_of(weights.arrays), weights.arrays, weights.notes
    if reader is None:
        prefixes = known_prefixes(weights.arrays)
        if strict or len(prefixes) != 1:
            raise CheckpointError(_unknown(weights.arrays, prefixes, path))
        prefix = prefixes[0] + "."
        arrays = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        notes = (*notes, f"took the {len(arrays)} arrays under {prefix!r}, and passed over {len(weights.arrays) - len(arrays)}")
        reader = reader_of(arrays)
        assert reader is not None
    translated = arrays if reader.translate is None else reader.translate(arrays)
    return reader, replace(weights, arrays=translated, notes=notes)


def _unknown(arrays: Mapping[str, np.ndarray], prefixes: list[str], path: Path) -> str:
    some = "; ".join(f"{shown(key)} {array.shape}" for key, array in list(arrays.items())[:4])
    if prefixes:
        listed = " or ".join(f"entry={prefix!r}" for prefix in prefixes[:4])
        return (
            f"is more than a state dict of {a_family()}: there is one under {' and under '.join(map(repr, prefixes[:4]))}, and"
            f" other arrays beside it. Take it with {listed} (--entry on the command line)"
        )
    lacking = "" if not any(key.startswith(("levels.", "patch_embed.")) for key in arrays) else " (its stem is missing)"
    return f"is no state dict of {a_family()}{lacking}: it holds {len(arrays)} arrays, such as {some}{shard_hint(path)}"


def _plan(reader: Reader, weights: Weights, located: Located, variant: str | None, overrides: Mapping[str, Any]) -> _Plan:
    shapes, noted = shapes_of(weights.arrays), _noted(weights.metadata)
    outputs = sorted(int(key[7:-7]) for key in shapes if re.fullmatch(r"outnorm[0-9]\.weight", key))
    family = noted.config.get("family") if noted.model == Backbone.__name__ else noted.model
    if family is not None and family != reader.family:
        raise CheckpointError(f"has the arrays of a {reader.family}, but says of itself that it is of a {family}")
    if noted.model == Backbone.__name__ or (outputs and noted.model is None):
        check_options(reader.family, [name for name in overrides if name not in _OF_BACKBONES])
        return _plan_of_backbone(reader, shapes, noted, outputs, overrides)
    if any(name in overrides for name in _MAPS):
        overrides = {"num_classes": 0, **{name: value for name, value in overrides.items() if name not in _MAPS}}
    check_options(reader.family, overrides)
    seen = arguments_of(shapes)
    asked = {name: value for name, value in overrides.items() if name != "in_chans"}
    # A config.json may lie there for another file: one that contradicts the arrays is passed over.
    config = {**noted.config}
    if located.config.keys() <= set(options_of(reader.family)) and not _contradictions(located.config, seen):
        config = {**located.config, **config}
    for name, value in _contradictions({**config, **asked}, seen):
        raise CheckpointError(f"{name} is to be {value!r}, but the arrays have {name} {seen[name]!r}: {described(seen)}")
    released = _variant(seen, variant or noted.variant or located.variant, located, {**config, **asked})
    arguments = {
        **(released.arguments() if released else {}),
        **_traces(seen, released, config),
        **config,
        **overrides,
    }
    arguments["num_classes"] = overrides.get("num_classes", seen["num_classes"])
    check_integer("load_pretrained", "num_classes", arguments["num_classes"], least=0)
    check_integer("load_pretrained", "in_chans", arguments["in_chans"], least=1)
    missing = [name for name in reader.unseen if name not in arguments]
    if missing:
        raise CheckpointError(
            f"is of no released variant ({described(seen)}), and the shapes do not tell {' and '.join(missing)}:"
            f" give {', '.join(f'{name}=(…)' for name in missing)}, four numbers each"
        )
    images = noted.images or (_images_of(released) if released and seen["in_chans"] == 3 else None)
    if images is not None and arguments["in_chans"] != seen["in_chans"]:
        images = adapted_images(images, arguments["in_chans"])
    classes = (noted.classes, located.classes)
    return _Plan(
        reader,
        backbone=False,
        arguments=arguments,
        channels_in_file=seen["in_chans"],
        classes_in_file=seen["num_classes"],
        variant=released.name if released else None,
        classes=next((names for names in classes if names and len(names) == seen["num_classes"]), None),
        images=images,
    )


def _plan_of_backbone(
    reader: Reader, shapes: Mapping[str, Shape], noted: _Noted, outputs: list[int], overrides: Mapping[str, Any]
) -> _Plan:
    """Of a file that was saved of a Backbone, or of a foreign one with norms of its outputs."""
    if noted.config:
        config = dict(noted.config)
        _check_sizes(reader, shapes, config)
    else:
        seen = arguments_of(shapes)
        released = _variant(seen, None, Located(Path(), []), dict(overrides))
        config = {**(released.arguments() if released else {}), **_traces(seen, released, {})}
        config = {name: value for name, value in config.items() if name not in FAMILIES[reader.family].HEAD_ARGUMENTS}
        kind = "batch" if f"outnorm{outputs[0]}.running_mean" in shapes else "layer"
        config |= {"family": reader.family, "out_indices": outputs, "out_norm": kind}
        missing = [name for name in reader.unseen if name not in {**config, **overrides}]
        if missing:
            raise CheckpointError(f"the shapes do not tell {' and '.join(missing)}: give them, four numbers each")
    arguments = {**config, **overrides}
    check_integer("load_pretrained", "in_chans", arguments["in_chans"], least=1)
    images = noted.images
    if images is not None and arguments["in_chans"] != config["in_chans"]:
        images = adapted_images(images, arguments["in_chans"])
    return _Plan(reader, True, arguments, config["in_chans"], 0, noted.variant, None, images)


def _check_sizes(reader: Reader, shapes: Mapping[str, Shape], config: Mapping[str, Any]) -> None:
    """Enough to be sure that what is built is no larger than what is there; the rest shows when it is filled."""
    stem, known = shapes.get(reader.first, ()), options_of(reader.family)
    widest = max((max(shape, default=1) for shape in shapes.values()), default=1)
    most = {**dict.fromkeys(_WIDTHS, widest), **dict.fromkeys(_DEPTHS, len(shapes))}
    damaged = [name for name in most if name in known and not _all_within(config.get(name), most[name])]
    if len(stem) != 4 or config.get("in_chans") != stem[1]:
        damaged.append("in_chans")
    for name in damaged:
        raise CheckpointError(f"is damaged: its config has {name} {str(config.get(name))[:60]}, and its arrays have not")


def _all_within(value: Any, most: int) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return len(numbers) <= most and all(isinstance(number, int) and number <= most for number in numbers)


def _variant(seen: Mapping[str, Any], named: str | None, located: Located, known: Mapping[str, Any]) -> Variant | None:
    candidates = variants_like(seen)
    if named is None:
        return chosen_variant(candidates, located.names, known.get("window_size"))
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
    decided = set(seen) - {"family", "num_classes", *reader.starts, *reader.free}
    return [(name, value) for name, value in config.items() if name in decided and not _same(reader, name, value, seen)]


def _same(reader: Reader, name: str, asked: Any, seen: Mapping[str, Any]) -> bool:
    return reader.alike(name, list(asked) if isinstance(asked, tuple) else asked, seen)


def _noted(metadata: Mapping[str, Any]) -> _Noted:
    """What is in a file that mvnp wrote; nothing of others."""
    kind, about = metadata.get("kind"), metadata.get("about")
    if kind == "training" and isinstance(about, dict):
        config = _checked(about.get("model") or {})
        images = _images_noted(about.get("images")) or _images_of_run(about)
        return _Noted(_class_of(about.get("class"), config), config, None, _names(about.get("classes")), images)
    if kind == KIND:
        variant, config = metadata.get("variant"), _checked(metadata.get("config"))
        known = isinstance(variant, str) and variant in VARIANTS
        return _Noted(
            _class_of(metadata.get("model"), config),
            config,
            variant if known else None,
            _names(metadata.get("classes")),
            _images_noted(metadata.get("images")),
        )
    return _Noted()


def _class_of(name: Any, config: Mapping[str, Any]) -> str:
    """The name of the model's class. Files of before it was noted tell it by the config."""
    if name is None:
        return Backbone.__name__ if "out_indices" in config else "MambaVision"
    known = [Backbone.__name__, *FAMILIES]
    if not isinstance(name, str) or name not in known:
        raise CheckpointError(f"is of a model of the class {str(name)[:60]!r}, expected one of {', '.join(known)}")
    return name


def _checked(config: Any) -> dict[str, Any]:
    known = _options()
    strange = [name for name in config if name not in known] if isinstance(config, dict) else ["no dict"]
    if strange:
        raise CheckpointError(f"was written by another version of mvnp: its config has {str(strange[0])[:60]!r}")
    return dict(config)


def _names(classes: Any) -> tuple[str, ...] | None:
    return tuple(map(str, classes)) if isinstance(classes, list) and classes else None


def _images_noted(images: Any) -> dict[str, Any] | None:
    """As they were given to save_pretrained: JSON made lists of the tuples."""
    if not isinstance(images, dict):
        return None
    return {name: tuple(value) if isinstance(value, list) else value for name, value in images.items()}


def _preparation(images: Mapping[str, Any] | None, channels: int) -> Any:
    """The ImageTransform with these arguments; None where nothing is known, or what is said makes no sense."""
    from ..data import ImageTransform

    try:
        transform = ImageTransform(**(images or {}))
    except (TypeError, InputError):
        return None
    return transform if images is not None and transform.channels == channels else None


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


def _build(
    weights: Weights, plan: _Plan, overrides: Mapping[str, Any], strict: bool
) -> tuple[Classifier | Backbone, list[str]]:
    """The model of a plan, with the weights, and what is to be told. A head that is not the file's is drawn, or left off."""
    arrays, arguments, notes = weights.arrays, plan.arguments, []
    wanted = 0 if plan.backbone else arguments["num_classes"]
    try:
        convert_floats(arrays, check_dtype("load_pretrained", arguments.get("dtype", "float32")))
        if wanted != plan.classes_in_file:
            arguments = {**arguments, "num_classes": 0}
            for key in [key for key in arrays if key.startswith(plan.reader.head)]:
                del arrays[key]
        if plan.reader.adapt is not None and not plan.backbone:
            plan.reader.adapt(arrays, arguments)
        model = _made(plan, arguments)
    except InputError as error:
        if any(name in str(error) for name in overrides):
            raise
        raise CheckpointError(f"its config cannot be used: {error}") from error
    if arguments["in_chans"] != plan.channels_in_file:
        first = plan.reader.first
        if first in arrays:
            arrays[first] = adapted(arrays[first], arguments["in_chans"])
            notes.append(told(plan.channels_in_file, arguments["in_chans"]))
    model = _filled(model, weights, plan, arguments, strict, notes)
    if wanted != plan.classes_in_file and isinstance(model, Classifier) and wanted:
        model.reset_head(wanted, arguments.get("seed", 0))
    return model, notes


def _filled(
    model: Classifier | Backbone,
    weights: Weights,
    plan: _Plan,
    arguments: dict[str, Any],
    strict: bool,
    notes: list[str],
) -> Classifier | Backbone:
    """The model with the arrays. Those that are missing are drawn anew where that was asked for."""
    arrays, expected = weights.arrays, dict(model.named_state())
    for key, param in expected.items():
        if key in arrays:
            continue
        if key in weights.unreadable:
            raise CheckpointError(f"{shown(key)} {weights.unreadable[key]}")
        if key.rpartition(".")[2] == _STEP:
            arrays[key] = np.zeros(param.shape, param.dtype)
    missing = [key for key in expected if key not in arrays]
    surplus = [key for key in arrays if key not in expected]
    if not strict and missing:
        model = _made(plan, arguments, allocate=True)
        notes.append(f"drew {len(missing)} of {len(expected)} arrays anew, which the weights lack: {_some(missing)}")
    if not strict and surplus:
        notes.append(f"passed over {len(surplus)} arrays that the model has no place for: {_some(surplus)}")
    model.load_state_dict(arrays, strict=strict, copy=False)
    return model


def _some(keys: list[str]) -> str:
    return ", ".join(map(shown, keys[:3])) + (", …" if len(keys) > 3 else "")


def _made(plan: _Plan, arguments: dict[str, Any], allocate: bool = False) -> Classifier | Backbone:
    kind: Any = Backbone if plan.backbone else FAMILIES[plan.reader.family]
    return kind(**{**arguments, "allocate": allocate})


def _options() -> list[str]:
    return list(dict.fromkeys([name for family in FAMILIES for name in options_of(family)])) + list(_OF_BACKBONES)


def _check_options(overrides: Mapping[str, Any]) -> None:
    known = _options()
    for name in overrides:
        if name not in known:
            hint = f" ({ELSEWHERE[name]})" if name in ELSEWHERE else nearest(name, known)
            raise InputError(f"unknown option {name!r}{hint}; options are {', '.join(known)}")
