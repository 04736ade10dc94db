"""What the explorer shows of one block: views, quantities and, of a mixer, all its states.

A view is what one token takes from another: maps (maps, nW, L, L), of which row t is query t. A quantity is what each token
has: (maps, nW, L). Each has a title, a text that says how to read it, and a label for each of its maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays.attention_entropy import entropy
from ...arrays.hidden_attention import channel_groups, mean_hidden_attention
from ...arrays.internals import AttentionRecord, ScanRecord
from ...arrays.scan_state import mean_steps, state_norms, states_by_timescale
from .packing import pack, pack_exactly

Record = ScanRecord | AttentionRecord

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
HEADS = "The softmax weights of each head on one scale; a head's weights add up to 1 over the window."
ROLLOUT = (
    "What of the level's first tokens is left in the query after this block: the maps of all blocks up to here, multiplied,"
    " half of each for the residual. Its weights add up to 1."
)
NORM = "‖h‖: the length of all states together after each token, as far as the scan has come. Where it jumps, much was written."
STEP = "Δ, averaged over channels: a large step fades what was there and writes the token in; a small one passes it over."
ENTROPY = (
    "How spread out each query's weights are, in nats: 0 where all is taken from one token, ln L where each of L tokens has an"
    " equal share."
)
STATES = (
    "A line for each state of each channel, along the scan of the window; the frame is the chosen token. Red is positive, blue"
    " negative, each line over its largest. The fastest, which forget first, are at the top."
)


def describe(record: Record, rollout: np.ndarray, whole: bool) -> dict[str, Any]:
    """One block, ready for JSON; `rollout` (nW, L, L). Without `whole`, single heads and groups of channels are left out."""
    w = record.windows
    special = _of_scan(record, whole) if isinstance(record, ScanRecord) else _of_attention(record, whole)
    special["views"].insert(2, _view("Rollout up to here", ROLLOUT, rollout[None]))
    return {"path": record.path.removesuffix(".mixer"), "H": w.H, "W": w.W, "P": w.P, "stride": w.stride, **special}


def size_of(record: Record, whole: bool) -> int:
    """Bytes that the views of a block take."""
    few, more = (3, 4) if isinstance(record, ScanRecord) else (2, record.weights.shape[1])
    return record.windows.count * record.windows.P**4 * (few + more * whole)


def _of_scan(scan: ScanRecord, whole: bool) -> dict[str, Any]:
    lines, timescale = states_by_timescale(scan)
    channels, states = scan.A.shape
    amount, signed = (mean_hidden_attention(scan, signed=signed)[None] for signed in (False, True))
    views = [_view("Hidden attention", HIDDEN + TAKES, amount), _view("Hidden attention, signed", SIGNED, signed)]
    views[1]["signed"] = True
    if whole:
        groups = channel_groups(scan)
        maps = np.stack([mean_hidden_attention(scan, channels=group.tolist()) for group in groups])
        labels = [f"group {number} of {len(groups)}" for number in range(1, len(groups) + 1)]
        views.append(_view("Hidden attention of groups of channels", GROUPS, maps, labels))
    return {
        "kind": "scan",
        "about": f"A mixer: it scans the {scan.windows.P**2} tokens of a window, with {channels} channels of {states} states.",
        "views": views,
        "tokens": [
            {**_quantity("State along the scan", NORM, state_norms(scan)[None]), "short": "‖h‖", "along": True},
            {**_quantity("Step size", STEP, mean_steps(scan)[None]), "short": "mean Δ"},
        ],
        "states": {
            "title": "All states along the scan",
            "reading": STATES,
            "lines": pack(lines),
            "timescale": pack_exactly(timescale),
        },
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
