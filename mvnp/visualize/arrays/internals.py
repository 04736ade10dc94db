"""What a model's scans and attention layers did with one image.

    seen = internals(model, image)                      # image (1, C, H, W), prepared as for the model
    scan = seen.scans["levels.2.blocks.0.mixer"]        # the mixer's first scan; seen.routes has all of them
    scan.delta, scan.decay, scan.B, scan.C, scan.states
    seen.attentions["levels.2.blocks.1.mixer"].weights  # (nW, heads, L, L)
    internals(model, image, ["levels.3.blocks.0"])      # this block alone

The forward pass is an ordinary one with a tape that does not train: the tape holds what the backwards would need, and that
is what is looked at. Layers know nothing of it, and a run without a tape is as before. States are not on the tape: those of
the blocks asked for are computed again. Shapes are in records.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ...backend import Array, to_numpy
from ...core import Layer, Tape
from ...errors import InputError, check_array, check_choice, refusing
from ...layers.attention import AttentionCache
from ...layers.selective_scan import selective_scan_states
from ...models.attention import MultiHeadAttention
from ...models.classifier import Classifier
from .families import family_of
from .geometry import Geometry
from .records import AttentionRecord, Internals, ScanRecord
from .remember import recall, remembered
from .scan_paths import RULES, scans_of


@refusing
def internals(model: Classifier, image: Array, blocks: Iterable[str] | None = None) -> Internals:
    """Run `model` on one image (1, C, H, W), and collect what its scans and attention layers recorded.

    blocks    paths such as 'levels.2.blocks.0': only these are recorded; None: all. Logits and windows always are.

    Raises InputError for anything but one floating image that fits the model, and for a block that is neither scan nor
    attention.
    """
    check_array("internals", "image", image, (1, model.in_chans, "H", "W"))
    mixing = mixing_paths(model)
    if isinstance(blocks, str):
        raise InputError(f"blocks is the string {blocks!r}, expected a list of paths: [{blocks!r}]")
    if blocks is None:
        return _all_internals(model, image)
    wanted = {choose_block(mixing, block) for block in blocks}
    known = recall(_all_internals, model, image)
    return _run(model, image, wanted) if known is None else _of_blocks(known, wanted)


@remembered
def _all_internals(model: Classifier, image: Array) -> Internals:
    return _run(model, image, set(mixing_paths(model)))


def _of_blocks(seen: Internals, wanted: set[str]) -> Internals:
    routes = {path: scans for path, scans in seen.routes.items() if path in wanted}
    attentions = {path: record for path, record in seen.attentions.items() if path in wanted}
    return Internals(seen.logits, routes, attentions, seen.windows)


def _run(model: Classifier, image: Array, wanted: set[str]) -> Internals:
    mixing, tape, family = mixing_paths(model), Tape(training=False), family_of(model)
    logits = model(image, tape)
    windows = family.levels(model, tape)
    routes: dict[str, tuple[ScanRecord, ...]] = {}
    attentions: dict[str, AttentionRecord] = {}
    records: dict[str, list[Any]] = {}
    for layer, cache in tape.entries:
        if layer.path in wanted:
            records.setdefault(layer.path, []).append(cache)
    for path, caches in records.items():
        tokens, layer = family.tokens(model, path, windows[level_of(path, windows)]), mixing[path]
        if isinstance(layer, MultiHeadAttention):
            weights = next(cache.weights for cache in caches if isinstance(cache, AttentionCache))
            attentions[path] = AttentionRecord(path, tokens, to_numpy(weights))
        else:
            routes[path] = _scan_records(layer, caches, tokens)
    return Internals(to_numpy(logits)[0], routes, attentions, windows)


def record_scans(model: Classifier, image: Array, block: str | None = None, route: str | None = None) -> tuple[ScanRecord, ...]:
    """The records of one block with scans; None: the first. `route`: the name of one of them; None: all.

    Raises InputError where `block` names no such block, or `route` none of its scans.
    """
    path = choose_block(mixing_paths(model, *RULES), block, "scan")
    scans = internals(model, image, [path]).routes[path]
    if route is None:
        return scans
    check_choice("route", route, [scan.route for scan in scans])
    return tuple(scan for scan in scans if scan.route == route)


def record_scan(model: Classifier, image: Array, block: str | None = None, route: str | None = None) -> ScanRecord:
    """The record of one scan of a block; None: the first. Raises InputError as `record_scans` does."""
    return record_scans(model, image, block, route)[0]


def record_attention(model: Classifier, image: Array, block: str | None = None) -> AttentionRecord:
    """The record of one block with attention; None: the first. Raises InputError where `block` names no such block."""
    path = choose_block(mixing_paths(model, MultiHeadAttention), block, "attention")
    return internals(model, image, [path]).attentions[path]


def choose_block(records: Collection[str], block: str | None, kind: str = "scan or attention") -> str:
    """The path in `records` that `block` names, as 'levels.2.blocks.0' or with its '.mixer'; None: the first."""
    if not records:
        raise InputError(
            f"this model has no block with {kind}; a MambaVision whose last levels have two blocks has both, unless its pattern"
            " says otherwise, and the other families have scans alone"
        )
    if block is None:
        return next(iter(records))
    last = next(iter(records)).rpartition(".")[2]
    named = block if block.endswith(f".{last}") else f"{block}.{last}"
    path = next((path for path in records if block in (path, block_of(path))), named)
    check_choice("block", path, records)
    return path


def block_of(path: str) -> str:
    """The path of the block that a mixer is in."""
    return path.rpartition(".")[0]


def mixing_paths(model: Classifier, *kinds: type[Layer]) -> dict[str, Layer]:
    """The layers that mix tokens, by path, first to last: those whose scans are known, and attention; or those of `kinds`."""
    known = kinds or (*RULES, MultiHeadAttention)
    found = {path: layer for path, layer in model.named_layers() if type(layer) in known}
    return dict(sorted(found.items(), key=lambda item: numbers_of(item[0])))


def numbers_of(path: str) -> list[int]:
    """The numbers in a path: sorted by them, layers stand in the order in which they run."""
    return [int(part) for part in path.split(".") if part.isdigit()]


def level_of(path: str, windows: dict[str, Geometry]) -> str:
    """The level that a mixer is in."""
    return next(level for level in windows if path.startswith(f"{level}."))


def _scan_records(layer: Layer, caches: list[Any], tokens: Geometry) -> tuple[ScanRecord, ...]:
    records, paths = [], RULES[type(layer)](layer, caches)
    for one, cache in zip(paths, scans_of(caches), strict=True):
        states = to_numpy(selective_scan_states(cache)).swapaxes(-1, -2)  # (nW, L, N, D) as computed
        arrays = one.u, one.delta, one.A, one.B, one.C, one.D, states
        way = one.name, one.weight, one.order
        records.append(ScanRecord(layer.path, tokens.along(one.order), *arrays, *way, tokens, len(paths) > 1))
    return tuple(records)
