"""What the explorer's script is given: every number that it can show, for one image and one or two models.

    {"picture": {"src", "width", "height"},   "colours": {"sequential", "diverging"},   "names": [name of each model],
     "start": {"block", "row", "column"},   "paths": [of the mixer of each block],   "left_out": [paths of blocks],
     "every": k, of the scans' channels every k-th is in it
     "blocks": [{"path", "kind", "about", "H", "W", "P", "stride", "offset", "order",
                 "views":  [{"title", "reading", "signed", "labels", "rows": [(maps, nW, L, L) of each model]}],
                 "tokens": [{"title", "reading", "short", "labels", "along", "values": [(maps, nW, L) of each model]}],
                 "states": {"title", "reading", "lines": [(D·N, nW·L)], "timescale": [(D·N,)]}  or  null}]}

Arrays are packed (packing.py); blocks.py says what they are. P is null where the map is one sequence, and "order" then has the
number of each token, −1 for a class token; it is null where there are windows. Two models stand side by side, so they need
the same blocks over the same tokens.
"""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from ....errors import InputError, check_choice
from ...arrays.geometry import WindowGeometry
from ...arrays.internals import block_of, choose_block, numbers_of
from ...arrays.records import AttentionRecord, Internals, ScanRecord
from ...arrays.token_to_token import Mixing, level_matrices, rollout, tokens_of
from ...figures.style import DIVERGING, SEQUENTIAL
from .blocks import describe, size_of

# Bytes of all views: above the first, single heads and groups of channels are left out; above the second, the page is refused.
THINNED, REFUSED = 12_000_000, 48_000_000
# Numbers of α in all channels and states of all scans, some 3 ns each: with more a page has every k-th channel.
MOST = 1_200_000_000
LONGEST = 1_200  # tokens of a sequence that is not cut into windows: what each takes from each would be too much for a page


def explorer_data(
    names: Sequence[str], seen: Sequence[Internals], picture: np.ndarray, block: str | None, query: tuple[int, int] | None
) -> dict[str, Any]:
    """All of it, ready for JSON. `seen` are the internals of the models for one picture (H, W) or (H, W, 3) between 0 and 1.

    block    path of the block to begin with; None: the first
    query    its token's row and column; None: the middle

    Raises InputError for a block that there is not, a query outside its map, models whose blocks differ, and windows so large
    that no browser would take the page.
    """
    every = max(map(_share, seen))
    seen = [_thinned(each, every) for each in seen]
    records = [blocks_of(each) for each in seen]
    _check_some(seen[0], records[0])
    _check_alike(names, records)
    _, path, (row, column) = start_of(seen[0], block, query)
    whole = _check_size(records)
    described = []
    for each, blocks in zip(seen, records, strict=True):
        rolled = _rollouts(each)
        described.append([describe(its, record, rolled.get(its), whole) for its, record in blocks.items()])
    return {
        "picture": {"src": as_uri(picture), "width": picture.shape[1], "height": picture.shape[0]},
        "colours": {"sequential": _colours(SEQUENTIAL), "diverging": _colours(DIVERGING)},
        "names": list(names),
        "start": {"block": list(records[0]).index(path), "row": row, "column": column},
        "paths": list(records[0]),
        "every": every,
        "left_out": [block_of(each) for each in _too_long(seen[0])],
        "blocks": [_merged(same) for same in zip(*described, strict=True)],
    }


def start_of(seen: Internals, block: str | None, query: tuple[int, int] | None) -> tuple[list[str], str, tuple[int, int]]:
    """All blocks by path, the one to begin with, and its token. Raises InputError as `explorer_data` does."""
    records = blocks_of(seen)
    _check_some(seen, records)
    path = _choose(list(records), block)
    windows = tokens_of(records[path])
    row, column = query or windows.middle
    windows.find(row, column)  # raises outside the map
    return list(records), path, (row, column)


def blocks_of(seen: Internals) -> dict[str, Mixing]:
    """Scans and attention layers by path, in the order in which the network has them, but those of sequences that are too
    long."""
    found: dict[str, Mixing] = {**seen.routes, **seen.attentions}
    for path in _too_long(seen):
        del found[path]
    return {path: found[path] for path in sorted(found, key=numbers_of)}


def _share(seen: Internals) -> int:
    """k, of whose channels every k-th is shown."""
    scans = [scan for path, scans in seen.routes.items() if path not in _too_long(seen) for scan in scans]
    return max(1, -(-sum(scan.tokens.count * scan.tokens.L**2 * scan.A.size for scan in scans) // MOST))


def _thinned(seen: Internals, every: int) -> Internals:
    if every == 1:
        return seen
    routes = {path: tuple(_of(scan, every) for scan in scans) for path, scans in seen.routes.items()}
    return dataclasses.replace(seen, routes=routes)


def _of(scan: ScanRecord, every: int) -> ScanRecord:
    """Every k-th channel of a scan."""
    some = {name: getattr(scan, name)[..., ::every] for name in ("x", "delta", "D")}
    return dataclasses.replace(scan, **some, A=scan.A[::every], states=scan.states[:, :, ::every])


def _too_long(seen: Internals) -> list[str]:
    return [path for path, scans in seen.routes.items() if scans[0].tokens.count == 1 and scans[0].tokens.L > LONGEST]


def _rollouts(seen: Internals) -> dict[str, np.ndarray]:
    """For every block the rollout of its level up to it, (nW, L, L)."""
    found: dict[str, np.ndarray] = {}
    left_out = _too_long(seen)
    mixing: dict[str, Mixing] = {**seen.routes, **seen.attentions}
    for level in seen.windows:
        inside = {path: tokens_of(record) for path, record in mixing.items() if path.startswith(f"{level}.")}
        if inside.keys() & set(left_out) or len(set(inside.values())) > 1:  # or pairs of blocks, not one after another
            continue
        matrices = level_matrices(seen, level)
        found.update(zip(matrices, rollout(matrices.values()), strict=True))
    return found


def as_uri(picture: np.ndarray) -> str:
    """A picture between 0 and 1 as a PNG in a data: address."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _check_some(seen: Internals, records: dict[str, Mixing]) -> None:
    if not records and seen.routes:
        raise InputError(
            f"no block of this model has sequences of at most {LONGEST:,} tokens, and a page has what each takes from each:"
            " choose a smaller image (--size)"
        )
    if not records:
        raise InputError("this model has no hybrid blocks: there is nothing to explore")


def _check_alike(names: Sequence[str], records: Sequence[dict[str, Mixing]]) -> None:
    first, *others = [{path: _kind(record) for path, record in each.items()} for each in records]
    for name, other in zip(names[1:], others, strict=True):
        for path in [*first, *other]:
            if first.get(path) != other.get(path):
                raise InputError(
                    f"{names[0]} and {name} cannot stand side by side: {block_of(path)} is"
                    f" {first.get(path, 'not there')} in the first and {other.get(path, 'not there')} in the second"
                )


def _kind(record: Mixing) -> str:
    w = tokens_of(record)
    over = f"over {w.H}x{w.W} tokens" + (f" in windows of {w.P}" if isinstance(w, WindowGeometry) else f", {w.L} in all")
    if isinstance(record, AttentionRecord):
        return f"attention with {record.weights.shape[1]} heads {over}"
    return ("a scan " if len(record) == 1 else f"{len(record)} scans ") + over


def _choose(paths: Sequence[str], block: str | None) -> str:
    if block is not None:
        check_choice("block", block_of(block) if block in paths else block, [block_of(path) for path in paths])
    return choose_block(paths, block)


def _check_size(records: Sequence[dict[str, Mixing]]) -> bool:
    """Whether there is room for single heads and groups of channels. Raises InputError where there is none for anything."""
    every = [record for each in records for record in each.values()]
    size = sum(size_of(record, whole=False) for record in every)
    if size > REFUSED:
        longest = max((tokens_of(record) for record in every), key=lambda tokens: tokens.L)
        where, what, smaller = "a sequence", f"{len(every)} sequences of up to {longest.L} tokens", ""
        if isinstance(longest, WindowGeometry):
            where, smaller = "a window", ", or a model with smaller windows"
            what = f"windows of {longest.P}x{longest.P} tokens"
        raise InputError(
            f"the page would have {size / 1e6:.0f} MB of maps: it has what each token of {where} takes from each, and {what}"
            f" are too large for that. Choose a smaller image (--size){smaller}"
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
