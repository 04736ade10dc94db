"""What the explorer shows of one block: views, quantities and, of a mixer, all its states.

A view is what one token takes from another: maps (maps, nW, L, L), of which row t is query t. A quantity is what each token
has: (maps, nW, L). Each has a title, a text that says how to read it, and a label for each of its maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays.attention_entropy import entropy
from ...arrays.geometry import Geometry, PathGeometry, WindowGeometry
from ...arrays.hidden_attention import channel_groups, mean_hidden_attention
from ...arrays.internals import block_of
from ...arrays.records import AttentionRecord, ScanRecord
from ...arrays.scan_state import mean_steps, state_norms, states_by_timescale
from ...arrays.token_to_token import Mixing, tokens_of
from .packing import pack, pack_exactly

LINES = 2048

TAKES = " The larger and lighter a square, the more the query takes from that token; the bar's right end is the largest here."
HIDDEN = "Written out, a scan is a weighted sum over the tokens before: y_t = Σ α_ts x_s. Here |α|, averaged over channels."
SIGNED = (
    "The same with its signs, averaged over channels: red adds, blue takes away. Where this is pale and |α| is not, channels"
    " disagree."
)
GROUPS = (
    "|α| for the channels in groups of equal size, from those whose states fade fastest to those that remember longest. One"
    " scale for all."
)
SUMMED = (
    "Written out, a scan is a weighted sum over the tokens that it has read: y_t = Σ α_ts x_s. The block's scans are added up,"
    " and then |α| is averaged over channels; after the sum each scan by itself, with the weight that it has in it."
)
HEADS = "The softmax weights of each head on one scale; a head's weights add up to 1 over the window."
ROLLOUT = (
    "What of the level's first tokens is left in the query after this block: the maps of all blocks up to here, multiplied,"
    " half of each for the residual. Its weights add up to 1."
)
NORM = "‖h‖: the length of all states together after each token, as far as the scan has come. Where it jumps, much was written."
NORMS = "‖h‖: the length of all states together after each token, in each scan along its own path. At jumps it wrote much."
STEP = "Δ, averaged over channels: a large step fades what was there and writes the token in; a small one passes it over."
ENTROPY = (
    "How spread out each query's weights are, in nats: 0 where all is taken from one token, ln L where each of L tokens has an"
    " equal share."
)
STATES = (
    "A line for each state of each channel, along the scan of the window; the frame is the chosen token. Red is positive, blue"
    " negative, each line over its largest. The fastest, which forget first, are at the top."
)


def describe(path: str, record: Mixing, rollout: np.ndarray | None, whole: bool) -> dict[str, Any]:
    """One block, ready for JSON; `rollout` (nW, L, L), None: there is none. Without `whole`, single heads, single scans and
    groups of channels are left out."""
    special = _of_attention(record, whole) if isinstance(record, AttentionRecord) else _of_scans(record, whole)
    if rollout is not None:
        special["views"].insert(2, _view("Rollout up to here", ROLLOUT, rollout[None]))
    return {"path": block_of(path), **place(tokens_of(record)), **special}


def place(tokens: Geometry) -> dict[str, Any]:
    """Where the tokens stand."""
    P = tokens.P if isinstance(tokens, WindowGeometry) else None
    order = list(tokens.order) if isinstance(tokens, PathGeometry) else None
    where = {"H": tokens.H, "W": tokens.W, "P": P, "stride": tokens.stride}
    return {**where, "offset": tokens.offset, "order": order}


def size_of(record: Mixing, whole: bool) -> int:
    """Bytes that the views of a block take."""
    tokens = tokens_of(record)
    if isinstance(record, AttentionRecord):
        few, more = 2, record.weights.shape[1]
    else:
        few, more = 3, 4 + (len(record) if len(record) > 1 else 0)
    return tokens.count * tokens.L**2 * (few + more * whole)


def _of_scans(scans: Sequence[ScanRecord], whole: bool) -> dict[str, Any]:
    first, several, names = scans[0], len(scans) > 1, [scan.route for scan in scans]
    amount, signed = (mean_hidden_attention(scans, signed=signed)[None] for signed in (False, True))
    labels = [""]
    if several and whole:
        amount = np.concatenate([amount, *(mean_hidden_attention([scan])[None] for scan in scans)])
        labels = ["all scans", *names]
    views = [
        _view("Hidden attention", (SUMMED if several else HIDDEN) + TAKES, amount, labels),
        _view("Hidden attention, signed", SIGNED, signed),
    ]
    views[1]["signed"] = True
    if whole:
        groups = channel_groups(scans)
        maps = np.stack([mean_hidden_attention(scans, channels=group.tolist()) for group in groups])
        labels = [f"group {number} of {len(groups)}" for number in range(1, len(groups) + 1)]
        views.append(_view("Hidden attention of groups of channels", GROUPS, maps, labels))
    norms, steps = (np.stack([of(scan)[:, np.argsort(scan.order)] for scan in scans]) for of in (state_norms, mean_steps))
    return {
        "kind": "scan" if not several else f"{len(scans)} scans",
        "about": _about(scans),
        "views": views,
        "tokens": [
            # A single scan goes in the order of the tokens: then it shows how far it has come.
            {
                **_quantity("State along the scan", NORMS if several else NORM, norms, names),
                "short": "‖h‖",
                "along": not several,
            },
            {**_quantity("Step size", STEP, steps, names), "short": "mean Δ"},
        ],
        "states": _states(first, several),
    }


def _about(scans: Sequence[ScanRecord]) -> str:
    tokens, (channels, states) = scans[0].tokens, scans[0].A.shape
    where = f"the {tokens.L} tokens of a window" if isinstance(tokens, WindowGeometry) else f"all {tokens.L} tokens"
    what = f"{channels} channels of {states} state{'s' * (states > 1)}"
    if len(scans) == 1:
        return f"A mixer: it scans {where}, with {what}."
    times = {2: "twice", 4: "four times"}.get(len(scans), f"{len(scans)} times")
    return f"A mixer: it scans {where} {times} ({', '.join(scan.route for scan in scans)}), each time with {what}."


def _states(scan: ScanRecord, several: bool) -> dict[str, Any]:
    """Of many, every k-th in the order of their timescales: more lines than LINES no screen can show."""
    lines, timescale = states_by_timescale(scan)
    every = -(-len(lines) // LINES)
    some = f" Of {len(lines):,} states every {every}th is drawn." if every > 1 else ""
    return {
        "title": f"All states along the scan{f': {scan.route}' if several else ''}",
        "reading": STATES + some,
        "lines": pack(lines[::every]),
        "timescale": pack_exactly(timescale[::every]),
    }


def _of_attention(record: AttentionRecord, whole: bool) -> dict[str, Any]:
    heads = np.moveaxis(record.weights, 1, 0)
    count = len(heads) if whole else 0
    labels = ["mean of the heads", *(f"head {head + 1}" for head in range(count))]

    def with_mean(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values.mean(axis=0, keepdims=True), values[:count]])

    return {
        "kind": "attention",
        "about": f"Attention: {len(heads)} heads compare every token of a window with every other.",
        "views": [_view("Attention", HEADS + TAKES, with_mean(heads), labels)],
        "tokens": [{**_quantity("Entropy", ENTROPY, with_mean(entropy(heads)), labels), "short": "mean entropy"}],
        "states": None,
    }


def _view(title: str, reading: str, maps: np.ndarray, labels: Sequence[str] = ("",)) -> dict[str, Any]:
    return {"title": title, "reading": reading, "signed": False, "labels": list(labels), "rows": pack(maps)}


def _quantity(title: str, reading: str, values: np.ndarray, labels: Sequence[str] = ("",)) -> dict[str, Any]:
    return {"title": title, "reading": reading, "labels": list(labels), "along": False, "values": pack_exactly(values)}
