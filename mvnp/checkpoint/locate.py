"""Where weights are: a file, a folder with one, or the hub; and what lies beside them."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, check_path, nearest
from ..models.variants import VARIANTS
from .arrays import bounded_integer
from .hub import FILES, RELEASE, RELEASED, REPOSITORIES, WEIGHTS, find_on_hub
from .load import ENDINGS
from .sharded import INDEXES

# In a folder: what training writes, what the hub has. The first that is there is taken.
_USUAL = ("model.safetensors", INDEXES[0], "best.safetensors", "checkpoint.safetensors", "pytorch_model.bin", INDEXES[1])
_ENDINGS = (*ENDINGS, ".tar")

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")

# Of a config.json we take what MambaVision is made from, and only as numbers; of the rest we know nothing.
_NUMBERS = ("dim", "in_dim", "mlp_ratio", "drop_path_rate", "layer_scale", "layer_scale_conv", "qkv_bias")
_FOURS = ("depths", "num_heads", "window_size")
_MAX_CONFIG = 2**20


@dataclass(frozen=True)
class Located:
    """A file of weights, and what its surroundings say of it.

    names      of the file, its folder and its repository, as hints
    variant    where the source is one's repository
    config     arguments of MambaVision out of a config.json beside the file
    classes    names of the classes from there
    """

    path: Path
    names: list[str]
    variant: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None


def locate(source: str | os.PathLike[str]) -> Located:
    """The file that `source` stands for. What exists on the disk goes before names of variants and repositories."""
    check_path("load_pretrained", source, "a file of weights, a folder, a hub repository or a variant's name")
    text = os.fspath(source)
    path = Path(text)
    if path.is_dir():
        return _beside(_in_folder(path), None)
    if path.exists():
        return _beside(path, None)
    if text.lower().endswith(_ENDINGS):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
    if text in RELEASED:
        raise InputError(f"{text} is in no repository of the hub: download {RELEASED[text]} from {RELEASE} and give that file")
    repository = REPOSITORIES.get(text, text)
    if not _REPOSITORY.fullmatch(repository):
        raise InputError(
            f"no file or folder {text!r}, and no variant of that name{nearest(text, VARIANTS)}; expected a file of weights"
            f" (.safetensors, .pth, .npz, …), a repository like 'nvidia/MambaVision-T-1K', or one of {', '.join(VARIANTS)}"
        )
    of_repository = (name for name, known in REPOSITORIES.items() if known == repository)
    variant = text if text in REPOSITORIES else next(of_repository, None)
    return _beside(find_on_hub(repository, FILES.get(variant or "", WEIGHTS)), variant)


def located_in(source: str | os.PathLike[str]) -> Path:
    """The file of weights in `source` where that is a folder; otherwise `source` itself."""
    return _in_folder(Path(source)) if os.path.isdir(source) else Path(source)


def _in_folder(folder: Path) -> Path:
    """The file of weights in a folder."""
    if any(folder.glob("*.distcp")):
        raise InputError(
            f"the folder {folder} is of torch.distributed.checkpoint. In PyTorch, python -m"
            f" torch.distributed.checkpoint.format_utils dcp_to_torch {folder} weights.pth writes the weights as one file"
        )
    found = sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(_ENDINGS) and path.is_file())
    usual = [name for name in _USUAL if name in found]
    if not usual and len(found) != 1:
        what = f"{len(found)} files of weights ({', '.join(found[:5])})" if found else "no file of weights"
        raise InputError(f"the folder {folder} has {what}, expected one, or one named {', '.join(_USUAL)}; name the file")
    return folder / (usual or found)[0]


def _beside(path: Path, variant: str | None) -> Located:
    config, classes = _config_of(path.parent / "config.json")
    # In the hub's cache a file lies in models--owner--name/snapshots/revision.
    repository = [part for part in path.parts if part.startswith("models--")]
    return Located(path, [path.name, path.parent.name, *repository], variant, config, classes)


def _config_of(path: Path) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    """Arguments and class names out of a config.json, as far as it has any: it may belong to something else."""
    if not path.is_file():
        return {}, None
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(_MAX_CONFIG), parse_int=bounded_integer)
    except (OSError, ValueError, RecursionError):
        return {}, None
    if not isinstance(content, dict) or content.get("model_type") != "mambavision":
        return {}, None
    config = {name: content[name] for name in _NUMBERS if isinstance(content.get(name), int | float)}
    for name in _FOURS:
        values = content.get(name)
        if isinstance(values, list) and len(values) == 4 and all(type(value) is int for value in values):
            config[name] = values
    return config, _labels(content.get("id2label"))


def _labels(labels: Any) -> tuple[str, ...] | None:
    """{"0": "tench", …} as a tuple; None for the placeholders LABEL_0, LABEL_1, … that the hub's library puts there."""
    if not isinstance(labels, dict) or set(labels) != {str(index) for index in range(len(labels))}:
        return None
    names = tuple(str(labels[str(index)]) for index in range(len(labels)))
    return None if not names or all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names
