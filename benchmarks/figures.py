"""The figures of docs/measured.md, from the JSON of the groups, in colours that colour-blind eyes tell apart (Okabe, Ito).

They are drawn when the documentation is built, by the scripts in docs/figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cases import PEERS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOUR = {"torch": "#0072B2", "onnx": "#E69F00", "compile": "#009E73", "mvnp": "#D55E00"}
PLAIN = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # behind a number, so that no line runs through it
PASSES = {"forward": "#0072B2", "backward": "#E69F00"}


def model_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of all cases of whole models, from the files that compare.py has written."""
    files = [folder / f"{name}.json" for name in ("models", "training", "without_scan")]
    return [row for file in files if file.exists() for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]


def models(rows: list[dict[str, Any]]) -> Figure:
    """A bar for each case and peer: mvnp's time over the peer's."""
    bars = [(row["title"], peer, theirs["ratio"]) for row in rows for peer, theirs in row["peers"].items() if "ratio" in theirs]
    figure = Figure(figsize=(9, 0.28 * len(bars) + 1.4), layout="constrained")
    axes = figure.subplots()
    for peer, name in PEERS.items():
        chosen = [(i, ratio) for i, (_, engine, ratio) in enumerate(bars) if engine == peer]
        if chosen:
            axes.barh(*zip(*chosen, strict=True), color=COLOUR[peer], label=name, height=0.75)
    titles = ["" if i and bars[i - 1][0] == title else title for i, (title, _, _) in enumerate(bars)]
    for i, (_, _, ratio) in enumerate(bars):
        axes.annotate(f"{ratio:.2f}", (ratio, i), (4, 0), textcoords="offset points", va="center", fontsize=8, bbox=PLAIN)
    finish(axes, titles, "mvnp's time / the peer's time (below 1: mvnp is faster)")
    axes.set_xlim(0, 1.12 * max(1.0, *(ratio for _, _, ratio in bars)))
    return figure


def layers(rows: list[dict[str, Any]]) -> Figure:
    """Two dots for each layer: the ratio of the forward and of the backward, on a logarithmic axis."""
    names = list(dict.fromkeys(row["layer"] for row in rows))
    figure = Figure(figsize=(9, 0.28 * len(names) + 1.4), layout="constrained")
    axes = figure.subplots()
    for (name, colour), marker in zip(PASSES.items(), "os", strict=True):
        chosen = [(row["ratio"], names.index(row["layer"])) for row in rows if row["pass"] == name]
        axes.scatter(*zip(*chosen, strict=True), color=colour, marker=marker, label=name, zorder=3)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    finish(axes, names, "mvnp's time / PyTorch's time (below 1: mvnp is faster)")
    axes.grid(axis="both", alpha=0.3)
    return figure


def scale(rows: list[dict[str, Any]]) -> Figure:
    """Milliseconds for one image of T: against the batch, and against the pixels."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    titles = {"batch": "T, 224x224", "pixels": "T, batch 1"}
    for axes, (along, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for (engine, name), marker in zip({"mvnp": "mvnp", **PEERS}.items(), "osd^", strict=True):
            points = scale_points(rows, along, engine)
            if points:
                axes.plot(*zip(*points, strict=True), marker=marker, color=COLOUR[engine], label=name)
        axes.set(title=title, xlabel="images in the batch" if along == "batch" else "thousand pixels")
        axes.set_ylabel("milliseconds per image")
        if along == "batch":
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


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


def finish(axes: Axes, names: list[str], label: str) -> None:
    """Names down the side, and the line where both are equally fast."""
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlabel(label)
    axes.margins(y=0.02)
    axes.figure.legend(loc="outside upper right", ncols=3)
