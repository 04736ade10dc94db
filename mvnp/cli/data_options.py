"""Options that say what is trained on, for `mvnp train` and `mvnp finetune`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError, nearest, printable
from .arguments import number
from .pictures import megabytes, value_range

DATA_HELP = (
    "fashion-mnist-small, fashion-mnist, a folder of pictures by class, a folder of IDX files (as MNIST has) or of CIFAR, or an"
    " .npz file (as MedMNIST has)"
)


def add_data_options(add: Callable[..., None], group: Any) -> None:
    """What `mvnp train` and `mvnp finetune` have alike."""
    add(group, "--classes", "only these classes, by name or number from 0", "all", nargs="+", metavar="CLASS")
    add(group, "--held-out", "share kept for testing, where there is no test folder; 0: none", 0.2, type=number, metavar="X")
    add(group, "--labels", "table of labels, a .csv file, in place of a folder for each class", metavar="FILE")
    columns = "which of its columns are the image, the label and the split, such as label=breed"
    add(group, "--columns", columns, "found by their names", nargs="+", metavar="ROLE=NAME")
    ranged = "which stored values are black and white: min:max; auto, or percentile (2 to 98 %%), of the training images"
    add(group, "--range", ranged, "those of 8 or 16 bits", type=value_range, metavar="R")
    add(group, "--skip-damaged", "go on without pictures that cannot be read", action="store_true")
    add(group, "--picture-limit", "MB that one picture may take decoded", 200, type=megabytes, metavar="N")
    add(group, "--sampler", "shuffled, or balanced: of each class equally many images", "shuffled", metavar="NAME")
    weights = "what images count in the loss: balanced, or a file of class,weight lines"
    add(group, "--class-weights", weights, "all alike", metavar="W")
    by = "what the best epoch is chosen by: accuracy, mean-accuracy (of the classes) or loss"
    add(group, "--best-by", by, "accuracy", metavar="NAME")


def data_options(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Of what was given for `add_data_options`: the settings themselves, those of the data set, those of the loader."""
    settings: dict[str, Any] = {name: given[name] for name in ("best_by",) if name in given}
    if "class_weights" in given:
        settings["class_weights"] = _class_weights(given["class_weights"])
    dataset: dict[str, Any] = {
        name: given[name] for name in ("image_size", "channels", "held_out", "classes", "skip_damaged") if name in given
    }
    if "range" in given:
        dataset["value_range"] = given["range"]
    if "picture_limit" in given:
        dataset["max_bytes"] = given["picture_limit"]
    if "labels" in given:
        dataset["labels"] = absolute(given["labels"])
    if "columns" in given:
        pairs = [column.partition("=") for column in given["columns"]]
        wrong = [f"{role}{sign}{name}" for role, sign, name in pairs if not (role and sign and name)]
        if wrong:
            raise InputError(f"--columns {wrong[0]}: expected such as label=breed, what it is and what the column is called")
        dataset["columns"] = {role: name for role, _, name in pairs}
    return settings, dataset, {name: given[name] for name in ("image_size", "crop_padding", "sampler") if name in given}


def _class_weights(text: str) -> str | dict[str, float]:
    """`balanced`, or the weights in a file."""
    from ..data.labels_csv import read_weights

    if text != "balanced" and not os.path.exists(os.path.expanduser(text)):
        raise InputError(
            f"{printable(text)}: there is no such file{nearest(text, ['balanced'])}; expected a table of weights, a line"
            " class,weight for each class, or balanced"
        )
    return text if text == "balanced" else read_weights(Path(text).expanduser())


def absolute(path: str) -> str:
    """From anywhere the same; ~ is the home of who asks."""
    return os.path.abspath(os.path.expanduser(path))


def located(data: str) -> str:
    """A folder by its absolute path, so that a run can be resumed from another one; a name as it is."""
    from ..data.sources import NAMES

    folder = absolute(data)
    return folder if data not in NAMES and data and (os.path.exists(folder) or os.path.dirname(data)) else data
