"""Tables of what was measured: for the terminal, and in Markdown for docs/measured.md."""

from __future__ import annotations

import statistics
from typing import Any

from cases import PEERS
from machine import sentence


def model_line(row: dict[str, Any]) -> list[list[str]]:
    """The lines of one case: one for each peer, with mvnp's figures in the first."""
    ours = row["mvnp"]
    own = [row["title"], milliseconds(ours["seconds"]), milliseconds(row.get("floor_s")), f"{ours['peak_mb']:.0f}"]
    lines = []
    for peer, theirs in row["peers"].items():
        if "reason" in theirs:
            cells = [PEERS[peer], f"left out: {theirs['reason']}", "–", "–"]
        else:
            times = [milliseconds(theirs["seconds"]), f"{theirs['ratio']:.2f}"]
            cells = [PEERS[peer], *times, f"{theirs['peak_mb']:.0f}"]
        lines.append([*own, *cells])
        own = ["", "", "", ""]
    return lines or [[*own, "–", "–", "–", "–"]]


MODEL_HEADER = ["case", "mvnp, ms", "floor, ms", "mvnp, peak MB", "peer", "peer, ms", "ratio", "peer, peak MB"]
LAYER_HEADER = ["layer", "pass", "mvnp, ms", "PyTorch, ms", "ratio", "floor, ms"]


def layer_line(row: dict[str, Any]) -> list[str]:
    """One pass of one layer."""
    times = [milliseconds(row["mvnp_s"]), milliseconds(row["torch_s"]), f"{row['ratio']:.2f}"]
    return [row["layer"], row["pass"], *times, milliseconds(row.get("floor_s"))]


def milliseconds(seconds: float | None) -> str:
    """Three significant digits or so; a dash for what there is none of."""
    if seconds is None:
        return "–"
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def mean_ratio(rows: list[dict[str, Any]]) -> float:
    """The geometric mean of the layers' ratios."""
    return statistics.geometric_mean(row["ratio"] for row in rows)


def table(group: str, rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of a group's table."""
    if group == "layers":
        mean = ["geometric mean", "both", "", "", f"{mean_ratio(rows):.2f}", ""]
        return LAYER_HEADER, [*(layer_line(row) for row in rows), mean]
    return MODEL_HEADER, [line for row in rows for line in model_line(row)]


def as_text(group: str, rows: list[dict[str, Any]]) -> str:
    """For the terminal: columns under each other."""
    header, lines = table(group, rows)
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    spread = (
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in [header, *lines]
    )
    return "\n".join(spread)


def as_markdown(group: str, result: dict[str, Any]) -> str:
    """For the documentation, with the machine below."""
    header, lines = table(group, result["rows"])
    words = {"case", "layer", "pass", "peer"}
    rule = ["---" if name in words else "---:" for name in header]
    body = ["| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in [header, rule, *lines]]
    rounds = f"{result['rounds']} round" + "s" * (result["rounds"] != 1)
    rate = f"Matrix rate {result['rate'] / 1e9:.0f} GFLOP/s; {rounds}. "
    return "\n".join([*body, "", rate + sentence(result["machine"]), ""])
