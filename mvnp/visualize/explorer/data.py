"""What the explorer's script is given: every number that it can show, for one image and one or two models.

    {"picture": {"src", "width", "height"},   "colours": {"sequential", "diverging"},   "names": [name of each model],
     "start": {"block", "row", "column"},
     "blocks": [{"path", "suffix", "about", "H", "W", "P", "stride",
                 "views":  [{"title", "reading", "signed", "labels", "rows": [of each model: (maps, nW, L, L)]}],
                 "tokens": [{"title", "reading", "short", "labels", "along", "values": [of each model: (maps, nW, L)]}],
                 "states": {"title", "reading", "lines": [(D·N, nW·L)], "timescale": [(D·N,)]}  or  null}]}

A view is something that one token takes from another: row t of its maps is query t. A quantity in `tokens` is something that a
token has. Arrays are packed (packing.py). Two models stand side by side, so they need the same blocks over the same windows.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from ...errors import InputError
from ..geometry import WindowGeometry
from ..internals import AttentionRecord, Internals, ScanRecord, choose_block
from ..scan_state import mean_steps, state_norms, states_by_timescale
from ..style import DIVERGING, SEQUENTIAL
from ._shim import hidden_views, rollouts
from .packing import pack, pack_exactly

Record = ScanRecord | AttentionRecord

TAKES = "The larger and lighter a square, the more the query takes from that token; the bar's right end is the largest here."
READINGS = {
    "hidden": "Written out, a scan is a weighted sum over the tokens before: y_t = Σ α_ts x_s. Here |α|, averaged over channels. "
    + TAKES,
    "signed": "The same with its signs, averaged over channels: red adds, blue takes away. Where this is pale and |α| is not,"
    " channels disagree.",
    "groups": "|α| for four groups of channels, from those that forget fastest to those that remember longest. One scale for all.",
    "heads": "The softmax weights of each head on one scale; a head's weights add up to 1 over the window. " + TAKES,
    "rollout": "What of the level's first tokens is left in the query after this block: the maps of all blocks up to here,"
    " multiplied, half of each for the residual. Its weights add up to 1.",
    "norm": "‖h‖: the length of all states together after each token, as far as the scan has come. Where it jumps, much was written.",
    "step": "Δ, averaged over channels: a large step fades what was there and writes the token in; a small one passes it over.",
    "entropy": "How spread out each query's weights are, in nats: 0 where all is taken from one token, ln L where each token has"
    " an equal share.",
    "states": "A line for each state of each channel, along the scan of the window; the frame is the chosen token. Red is"
    " positive, blue negative, each line over its largest. The fastest, which forget first, are at the top.",
}


def explorer_data(
    names: Sequence[str], seen: Sequence[Internals], picture: np.ndarray, block: str | None, query: tuple[int, int] | None
) -> dict[str, Any]:
    """All of it, ready for JSON. `seen` are the internals of the models for one picture (H, W) or (H, W, 3) between 0 and 1.

    block    path of the block to begin with; None: the first
    query    its token's row and column; None: the middle

    Raises InputError for a block that there is not, a query outside its map, and models whose blocks differ.
    """
    records = [blocks_of(each) for each in seen]
    check_alike(names, records)
    first = records[0]
    path = choose_block(first, block)
    rolled = [rollouts(each, found) for each, found in zip(seen, records, strict=True)]
    windows = first[path].windows
    row, column = query or ((windows.H - 1) // 2, (windows.W - 1) // 2)
    windows.find(row, column)  # raises outside the map
    described = [
        [_describe(record, rollout[path]) for path, record in each.items()] for each, rollout in zip(records, rolled, strict=True)
    ]
    return {
        "picture": {"src": as_uri(picture), "width": picture.shape[1], "height": picture.shape[0]},
        "colours": {"sequential": _colours(SEQUENTIAL), "diverging": _colours(DIVERGING)},
        "names": list(names),
        "start": {"block": list(first).index(path), "row": row, "column": column},
        "blocks": [_merged(same) for same in zip(*described, strict=True)],
    }


def blocks_of(seen: Internals) -> dict[str, Record]:
    """Scans and attention layers by path, in the order in which the network has them."""
    found: dict[str, Record] = {**seen.scans, **seen.attentions}
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".") if part.isdigit()]))


def check_alike(names: Sequence[str], records: Sequence[dict[str, Record]]) -> None:
    """Raise InputError unless all have the same kinds of block over the same windows, with as many heads."""
    if not records[0]:
        raise InputError("this model has no hybrid blocks, so that there is nothing to explore")
    first, *others = [{path: _kind(record) for path, record in each.items()} for each in records]
    for name, other in zip(names[1:], others, strict=True):
        for path in [*first, *other]:
            if first.get(path) != other.get(path):
                raise InputError(
                    f"{names[0]} and {name} cannot stand side by side: {path.removesuffix('.mixer')} is"
                    f" {first.get(path, 'not there')} in the first and {other.get(path, 'not there')} in the second"
                )


def as_uri(picture: np.ndarray) -> str:
    """A picture between 0 and 1 as a PNG in a data: address."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _kind(record: Record) -> str:
    w = record.windows
    over = f"over {w.H}x{w.W} tokens in windows of {w.P}"
    return f"a scan {over}" if isinstance(record, ScanRecord) else f"attention with {record.weights.shape[1]} heads {over}"


def _colours(name: str) -> str:
    table = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return bytes(table.ravel().tolist()).hex()


def _describe(record: Record, rollout: np.ndarray) -> dict[str, Any]:
    w = record.windows
    special = _of_scan(record) if isinstance(record, ScanRecord) else _of_attention(record)
    special["views"].insert(2, _view("Rollout up to here", "rollout", rollout[None]))
    return {"path": record.path.removesuffix(".mixer"), "H": w.H, "W": w.W, "P": w.P, "stride": w.stride, **special}


def _of_scan(scan: ScanRecord) -> dict[str, Any]:
    lines, timescale = states_by_timescale(scan)
    channels, states = scan.A.shape
    amount, signed, groups, labels = hidden_views(scan)
    return {
        "suffix": " · scan",
        "about": f"A mixer: it scans the {scan.windows.P**2} tokens of a window, with {channels} channels of {states} states.",
        "views": [
            _view("Hidden attention", "hidden", amount[None]),
            _view("Hidden attention with its signs", "signed", signed[None], signed=True),
            _view("Hidden attention of groups of channels", "groups", groups, labels),
        ],
        "tokens": [
            _quantity("State along the scan", "norm", "‖h‖", state_norms(scan)[None], along=True),
            _quantity("Step size", "step", "mean Δ", mean_steps(scan)[None]),
        ],
        "states": {
            "title": "All states along the scan",
            "reading": READINGS["states"],
            "lines": pack(lines),
            "timescale": pack_exactly(timescale),
        },
    }


def _of_attention(record: AttentionRecord) -> dict[str, Any]:
    heads = np.moveaxis(record.weights, 1, 0)
    labels = ["mean of the heads", *(f"head {head}" for head in range(len(heads)))]

    def with_mean(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values.mean(axis=0, keepdims=True), values])

    return {
        "suffix": " · attention",
        "about": f"Attention: {len(heads)} heads compare every token of a window with every other.",
        "views": [_view("Attention", "heads", with_mean(heads), labels)],
        "tokens": [_quantity("Entropy", "entropy", "mean entropy", with_mean(-(heads*np.log(np.maximum(heads,1e-30))).sum(-1)), labels=labels)],
        "states": None,
    }


def _view(
    title: str, reading: str, maps: np.ndarray, labels: Sequence[str] = ("",), signed: bool = False
) -> dict[str, Any]:
    return {"title": title, "reading": READINGS[reading], "signed": signed, "labels": list(labels), "rows": pack(maps)}


def _quantity(
    title: str, reading: str, short: str, values: np.ndarray, labels: Sequence[str] = ("",), along: bool = False
) -> dict[str, Any]:
    return {
        "title": title, "reading": READINGS[reading], "short": short, "labels": list(labels), "along": along,
        "values": pack_exactly(values),
    }  # fmt: skip


def _merged(same: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The descriptions of one block in several models as one: what is packed becomes a list, the rest is alike."""
    first = same[0]
    merged = dict(first)
    merged["views"] = [{**view, "rows": [each["views"][i]["rows"] for each in same]} for i, view in enumerate(first["views"])]
    merged["tokens"] = [
        {**quantity, "values": [each["tokens"][i]["values"] for each in same]} for i, quantity in enumerate(first["tokens"])
    ]
    if first["states"]:
        merged["states"] = {
            **first["states"], **{key: [each["states"][key] for each in same] for key in ("lines", "timescale")}
        }  # fmt: skip
    return merged
