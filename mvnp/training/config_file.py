"""Settings as a file: TOML, whose keys are the names of TrainingConfig's settings.

    recipe = "official"                 # optional: what the other settings are to be taken from
    preset = "mamba_vision_T"           # optional: the model
    dataset = "photos"
    epochs = 100
    clip_norm = "none"                  # what may be absent

    [augmentation]
    mixup = 0.2

`to_toml` writes all settings of a run so, and `read_config` gives them back.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..data.augment import Augmentation
from ..data.regular import open_regular
from ..errors import InputError, check_choice, nearest, refusing
from ..models.variants import FAMILIES, options_of
from .config import DICTS, TrainingConfig
from .config_checks import MOST_RATE, Contradiction, options_in
from .presets import find_preset
from .recipes import RECIPES

PRESET, NONE = "preset", "none"
_TABLES = {
    "augmentation": [setting.name for setting in fields(Augmentation)],
    "loader_options": options_in("loader_options"),
    "dataset_options": options_in("dataset_options"),
    "model": sorted({option for family in FAMILIES for option in options_of(family)}),
}
# Options of the commands whose settings have other names.
_OPTIONS = {"data": "dataset", "heads": "num_heads", "windows": "window_size", "drop_path": "drop_path_rate"}
_OPTIONS |= {"dropout": "drop_rate", "range": "value_range", "picture_limit": "max_bytes"}
_OPTIONS |= {"no_flip": "flip", "freeze": "frozen"}
# What leaves all other settings free.
_WIDEST = {"epochs": 10**6, "lr": MOST_RATE, "min_lr": 0.0, "warmup_lr": 0.0, "warmup_epochs": 0.0}
_HEADER = "# The settings of a run of mvnp {version}: mvnp {command} --config FILE begins another one with them.\n"


@refusing
def to_toml(config: TrainingConfig, version: str) -> str:
    """All settings, as `read_config` reads them."""
    settings = config.to_dict()
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    lines = [_HEADER.format(version=version, command="train" if config.weights is None else "finetune")]
    lines += [f"{name} = {_value(value)}" for name, value in settings.items() if name not in tables]
    for name, table in tables.items():
        lines += _table(name, table) if table else []
    return "\n".join(lines) + "\n"


def _table(name: str, table: Mapping[str, Any]) -> list[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines = ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in inner)]
    for key, value in inner.items():
        lines += _table(f"{name}.{_key(key)}", value)
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: Any) -> str:
    if value is None:
        return _text(NONE)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    return _text(str(value))


def _text(text: str) -> str:
    """A basic string: JSON's, but that TOML wants no raw DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@refusing
def read_config(path: str | Path) -> dict[str, Any]:
    """The settings in a file, and `preset` where it is there; what is not in it is not given.

    Raises InputError that names the line: for what is no TOML, a setting that there is not (with the nearest), and one that is
    out of range by itself.
    """
    path = Path(path).expanduser()
    try:
        with open_regular(path) as file:
            text = file.read().decode("utf-8")
        settings = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text ({error.reason} at byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {_located(str(error))}") from error
    settings = {name: _read(value) for name, value in settings.items()}
    known = [PRESET, *(setting.name for setting in fields(TrainingConfig))]
    for name, value in settings.items():
        where = f"{path}, line {line_of(text, name)}"
        if name not in known:
            raise InputError(f"{where}: unknown setting {name!r}{_its_place(name) or nearest(name, known)}")
        if name in DICTS and not isinstance(value, dict):
            raise InputError(f"{where}: {name} is {value!r}, expected a table: [{name}]")
        if isinstance(value, dict) and name not in (*DICTS, "class_weights"):
            raise InputError(f"{where}: {name} is a table, expected a value")
    for table, inner in _TABLES.items():
        for name in settings.get(table, {}):
            if name not in inner:
                line = line_of(text, name, table)
                hint = f"; here it is {_OPTIONS[name]}" if _OPTIONS.get(name) in inner else nearest(name, inner)
                raise InputError(f"{path}, line {line}: {table} has no setting {name!r}{hint}")
    _check_each(path, text, settings)
    return settings


def _its_place(name: str) -> str:
    """Where a setting stands that there is, though not at the top and, as an option of a command, by another name perhaps."""
    name = name.replace("-", "_")
    called = _OPTIONS.get(name, name)
    tables = [f"[{table}]" for table, inner in _TABLES.items() if called in inner]
    words = "" if called == name else f"; here it is {called}"
    if not tables:
        return words
    return f"{words or '; it stands'} in the table {' and in '.join(tables)}"


def _check_each(path: Path, text: str, settings: Mapping[str, Any]) -> None:
    """Try each setting by itself, so that the line of a bad one can be said; what they say together, the run checks."""
    for name, value in settings.items():
        for key in value if isinstance(value, dict) and name in DICTS else (None,):
            try:
                _try_alone(name, value if key is None else {key: value[key]})
            except Contradiction:
                continue
            except InputError as error:
                line = line_of(text, name) if key is None else line_of(text, key, name)
                raise InputError(f"{path}, line {line}: {_in_toml(str(error))}") from error


def _try_alone(name: str, value: Any) -> None:
    if name == PRESET:
        find_preset(value)
    elif name == "recipe" and value is not None:
        check_choice("recipe", value, RECIPES)
    else:
        TrainingConfig.from_dict({"model": {}, **_WIDEST, name: value})


def _in_toml(message: str) -> str:
    """A message with the values of Python that it expects as this file has them."""
    said, expected, rest = message.partition("expected ")
    return said + expected + rest.replace("True or False", "true or false").replace("None", f'"{NONE}"')


def line_of(text: str, key: str, table: str | None = None) -> int:
    """The line, from 1, where a key stands, at the top or in a table; that of a table's head for its name."""
    within: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
        if head:
            within = head[1].strip("\"'")
            if table is None and within.split(".")[0] == key:
                return number
        elif within == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return 1


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read(inner) for key, inner in value.items()}
    return None if value == NONE else value


def _located(message: str) -> str:
    """tomllib's `… (at line 3, column 5)` with the line in front."""
    found = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", message)
    return f"line {found[2]}, column {found[3]}: {found[1]}" if found else message
