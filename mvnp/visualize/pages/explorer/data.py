"""What the explorer's script is given: every number that it can show, for one image and one or two models.

    {"picture": {"src", "width", "height"},   "colours": {"sequential", "diverging"},   "names": [name of each model],
     "start": {"block", "row", "column"},
     "blocks": [{"path", "kind", "about", "H", "W", "P", "stride",
                 "views":  [{"title", "reading", "signed", "labels", "rows": [(maps, nW, L, L) of each model]}],
                 "tokens": [{"title", "reading", "short", "labels", "along", "values": [(maps, nW, L) of each model]}],
                 "states": {"title", "reading", "lines": [(D·N, nW·L)], "timescale": [(D·N,)]}  or  null}]}

Arrays are packed (packing.py); blocks.py says what they are. Two models stand side by side, so they need the same blocks over
the same windows.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from ....errors import InputError, check_choice
from ...arrays.internals import Internals, ScanRecord
from ...arrays.token_to_token import level_matrices, rollout
from ...figures.style import DIVERGING, SEQUENTIAL
from .blocks import Record, describe, size_of

# Bytes of all views: above the first, single heads and groups of channels are left out; above the second, the page is refused.
THINNED, REFUSED = 12_000_000, 48_000_000


def explorer_data(
    names: Sequence[str], seen: Sequence[Internals], picture: np.ndarray, block: str | None, query: tuple[int, int] | None
) -> dict[str, Any]:
    """All of it, ready for JSON. `seen` are the internals of the models for one picture (H, W) or (H, W, 3) between 0 and 1.

    block    path of the block to begin with; None: the first
    query    its token's row and column; None: the middle

    Raises InputError for a block that there is not, a query outside its map, models whose blocks differ, and windows so large
    that no browser would take the page.
    """
    records = [blocks_of(each) for each in seen]
    _check_alike(names, records)
    _, path, (row, column) = start_of(seen[0], block, query)
    whole = _check_size(records)
    described = []
    for each, blocks in zip(seen, records, strict=True):
        rolled = _rollouts(each)
        described.append([describe(record, rolled[its], whole) for its, record in blocks.items()])
    return {
        "picture": {"src": as_uri(picture), "width": picture.shape[1], "height": picture.shape[0]},
        "colours": {"sequential": _colours(SEQUENTIAL), "diverging": _colours(DIVERGING)},
        "names": list(names),
        "start": {"block": list(records[0]).index(path), "row": row, "column": column},
        "blocks": [_merged(same) for same in zip(*described, strict=True)],
    }


def start_of(seen: Internals, block: str | None, query: tuple[int, int] | None) -> tuple[list[str], str, tuple[int, int]]:
    """All blocks by path, the one to begin with, and its token. Raises InputError as `explorer_data` does."""
    records = blocks_of(seen)
    if not records:
        raise InputError("this model has no hybrid blocks: there is nothing to explore")
    path = _choose(list(records), block)
    windows = records[path].windows
    row, column = query or ((windows.H - 1) // 2, (windows.W - 1) // 2)
    windows.find(row, column)  # raises outside the map
    return list(records), path, (row, column)


def blocks_of(seen: Internals) -> dict[str, Record]:
    """Scans and attention layers by path, in the order in which the network has them."""
    found: dict[str, Record] = {**seen.scans, **seen.attentions}
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".") if part.isdigit()]))


def _rollouts(seen: Internals) -> dict[str, np.ndarray]:
    """For every block the rollout of its level up to it, (nW, L, L)."""
    found: dict[str, np.ndarray] = {}
    for level in seen.windows:
        matrices = level_matrices(seen, level)
        found.update(zip(matrices, rollout(matrices.values()), strict=True))
    return found


def as_uri(picture: np.ndarray) -> str:
    """A picture between 0 and 1 as a PNG in a data: address."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _check_alike(names: Sequence[str], records: Sequence[dict[str, Record]]) -> None:
    if not records[0]:
        raise InputError("this model has no hybrid blocks: there is nothing to explore")
    first, *others = [{path: _kind(record) for path, record in each.items()} for each in records]
    for name, other in zip(names[1:], others, strict=True):
        for path in [*first, *other]:
            if first.get(path) != other.get(path):
                raise InputError(
                    f"{names[0]} and {name} cannot stand side by side: {path.removesuffix('.mixer')} is"
                    f" {first.get(path, 'not there')} in the first and {other.get(path, 'not there')} in the second"
                )


def _kind(record: Record) -> str:
    w = record.windows
    over = f"over {w.H}x{w.W} tokens in windows of {w.P}"
    return f"a scan {over}" if isinstance(record, ScanRecord) else f"attention with {record.weights.shape[1]} heads {over}"


def _choose(paths: Sequence[str], block: str | None) -> str:
    if block is None:
        return paths[0]
    check_choice("block", block.removesuffix(".mixer"), [path.removesuffix(".mixer") for path in paths])
    return f"{block.removesuffix('.mixer')}.mixer"


def _check_size(records: Sequence[dict[str, Record]]) -> bool:
    """Whether there is room for single heads and groups of channels. Raises InputError where there is none for anything."""
    every = [record for each in records for record in each.values()]
    size = sum(size_of(record, whole=False) for record in every)
    if size > REFUSED:
        most = max(record.windows.P for record in every)
        raise InputError(
            f"the page would have {size / 1e6:.0f} MB of maps: it has what each token of a window takes from each, and windows"
            f" of {most}x{most} tokens are too large for that. Choose a smaller image (--size), or a model with smaller windows"
        )
    return sum(size_of(record, whole=True) for record in every) <= THINNED


def _colours(name: str) -> str:
    table = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return bytes(table.ravel().tolist()).hex()


def _merged(same: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The descriptions of one block in several models as one: what is packed becomes a list, all else is alike."""
    first = dict(same[0])
    for part, packed in (("views", "rows"), ("tokens", "values")):
        first[part] = [
            {**item, packed: [each[part][position][packed] for each in same]} for position, item in enumerate(first[part])
        ]
    if first["states"]:
        first["states"] = {**first["states"], **{key: [each["states"][key] for each in same] for key in ("lines", "timescale")}}
    return first
