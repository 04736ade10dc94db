"""The figures of docs/measured.md, from the JSON of the groups, in colours that colour-blind eyes tell apart (Okabe, Ito).

They are drawn when the documentation is built, by the scripts in docs/figures.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cases import PEERS as EVERY_PEER
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from results import by_processor

COLOUR = {
    "mvnp": "#D55E00",
    "torch": "#0072B2",
    "compile": "#009E73",
    "onnx": "#E69F00",
    "own": "#CC79A7",
    "openvino": "#56B4E9",
}
MARKERS = "osd^vP"
PEERS = {peer: name for peer, name in EVERY_PEER.items() if peer in COLOUR}
PLAIN = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # behind a number, so that no line runs through it
NARROW = 4.3  # inches: a phone
PASSES = {"forward": "#0072B2", "backward": "#E69F00"}


Rows = list[dict[str, Any]]


def model_rows(folder: Path) -> dict[str, Rows]:
    """{processor: the rows of all cases of whole models}, from the files that compare.py has written."""
    found: dict[str, Rows] = {}
    for name in ("models", "training", "without_scan"):
        for processor, result in by_processor(folder / f"{name}.json").items():
            found.setdefault(processor, []).extend(result["rows"])
    return found


def panels(found: dict[str, Rows], lines: list[int], draw: Callable[[Axes, Rows], None], narrow: bool) -> Figure:
    """A panel for each processor, one below the other, as high as it has lines. Where there are several, they are named."""
    size = (NARROW, 0.4 * sum(lines) + 1.8 * len(lines)) if narrow else (9, 0.28 * sum(lines) + 1.4 * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    every = figure.subplots(len(found), squeeze=False, height_ratios=lines)[:, 0]
    for axes, (processor, rows) in zip(every, found.items(), strict=True):
        draw(axes, rows)
        if len(found) > 1:
            axes.set_title(processor, fontsize=10)
    handles = {label: handle for axes in every for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=1 if narrow else 3)
    return figure


def models(found: dict[str, Rows], narrow: bool = False) -> Figure:
    """A bar for each case and peer: mvnp's time over the peer's."""
    return panels(found, [len(bars_of(rows)) for rows in found.values()], draw_models, narrow)


def bars_of(rows: Rows) -> list[tuple[str, str, float]]:
    return [(row["title"], peer, theirs["ratio"]) for row in rows for peer, theirs in row["peers"].items() if "ratio" in theirs]


def draw_models(axes: Axes, rows: Rows) -> None:
    bars = bars_of(rows)
    for peer, name in PEERS.items():
        chosen = [(i, ratio) for i, (_, engine, ratio) in enumerate(bars) if engine == peer]
        if chosen:
            axes.barh(*zip(*chosen, strict=True), color=COLOUR[peer], label=name, height=0.75)
    titles = ["" if i and bars[i - 1][0] == title else title for i, (title, _, _) in enumerate(bars)]
    for i, (_, _, ratio) in enumerate(bars):
        axes.annotate(f"{ratio:.2f}", (ratio, i), (4, 0), textcoords="offset points", va="center", fontsize=8, bbox=PLAIN)
    finish(axes, titles, "mvnp's time / the peer's time", "below 1: mvnp is faster")
    axes.set_xlim(0, 1.12 * max(1.0, *(ratio for _, _, ratio in bars)))


def layers(found: dict[str, Rows], narrow: bool = False) -> Figure:
    """Two dots for each layer: the ratio of the forward and of the backward, on a logarithmic axis."""
    return panels(found, [len(rows) // 2 for rows in found.values()], draw_layers, narrow)


def draw_layers(axes: Axes, rows: Rows) -> None:
    names = list(dict.fromkeys(row["layer"] for row in rows))
    for (name, colour), marker in zip(PASSES.items(), "os", strict=True):
        chosen = [(row["ratio"], names.index(row["layer"])) for row in rows if row["pass"] == name]
        axes.scatter(*zip(*chosen, strict=True), color=colour, marker=marker, label=name, zorder=3)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    finish(axes, names, "mvnp's time / PyTorch's time", "below 1: mvnp is faster")
    axes.grid(axis="both", alpha=0.3)


def scale(found: dict[str, Rows], narrow: bool = False) -> Figure:
    """Milliseconds for one image of T: against the batch, and against the pixels. A pair of charts for each processor."""
    figure = Figure(figsize=(NARROW, 6.6 * len(found)) if narrow else (9, 3.8 * len(found)), layout="constrained")
    charts = figure.subplots(2 * len(found) if narrow else len(found), 1 if narrow else 2, squeeze=False).reshape(-1, 2)
    for every, (processor, rows) in zip(charts, found.items(), strict=True):
        draw_scale(every, rows, f", {processor}" if len(found) > 1 else "")
    return figure


def draw_scale(every: Iterable[Axes], rows: Rows, where: str) -> None:
    titles = {"batch": f"T, 224x224{where}", "pixels": f"T, batch 1{where}"}
    for axes, (along, title) in zip(every, titles.items(), strict=True):
        for (engine, name), marker in zip({"mvnp": "mvnp", **PEERS}.items(), MARKERS, strict=False):
            if points := scale_points(rows, along, engine):
                axes.plot(*zip(*points, strict=True), marker=marker, color=COLOUR[engine], label=name)
        axes.set(title=title, xlabel="images in the batch" if along == "batch" else "thousand pixels")
        axes.set_ylabel("milliseconds per image")
        if along == "batch":
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)


def scale_points(rows: list[dict[str, Any]], along: str, engine: str = "mvnp") -> list[tuple[float, float]]:
    """(batch or thousand pixels, milliseconds per image) of T's inference with one of the two held fixed; empty below two."""
    points = []
    for row in rows:
        pixels = row["height"] * row["width"]
        fixed = pixels == 224 * 224 if along == "batch" else row["batch"] == 1
        figures = row["mvnp"] if engine == "mvnp" else row["peers"].get(engine, {})
        of_t = row["model"].endswith("_T") and row["mode"] == "inference" and row["scan"]
        if of_t and fixed and "seconds" in figures:
            points.append((row["batch"] if along == "batch" else pixels / 1e3, 1e3 * figures["seconds"] / row["batch"]))
    return sorted(points) if len(points) > 1 else []


def finish(axes: Axes, names: list[str], label: str, remark: str) -> None:
    """Names down the side, and the line where both are equally fast. Where it is narrow, long lines are broken."""
    narrow = axes.get_figure().get_figwidth() <= NARROW
    axes.set_yticks(range(len(names)), [textwrap.fill(name, 20) if narrow else name for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlabel(f"{label}\n({remark})" if narrow else f"{label} ({remark})")
    axes.margins(y=0.02)
