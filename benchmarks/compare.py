"""Time and peak memory of mvnp beside PyTorch and ONNX Runtime: same weights, same input, same cores.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benchmarks/compare.py [--quick] [--only layers] [--out docs/measured]

Engines take turns, each measurement in a process of its own; a ratio is mvnp's time over the peer's, the median of the ratios
of the rounds. What the engines compute is compared in every process, and a disagreement ends the run. The floor is what the
operations of a case would take at the rate of one big float32 matrix product.

Needs `pip install -e '.[bench]'`: torch (a CPU build will do), onnx, onnxruntime and onnxscript. With --out, each group that
was measured is written there as JSON and as the table that docs/measured.md shows; its figures are drawn from the JSON when the
documentation is built.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this tree's mvnp, installed or not

from cases import CASES, PEERS
from layers import chosen
from machine import machine
from report import as_markdown, as_text
from results import write_results
from rounds import Disagreement, Runner, add_floors
from workers import WorkerError

from mvnp.execution import parallel

FILES = {"models": "models", "training": "training", "scan": "without_scan", "layers": "layers"}  # of each group, in --out
GROUPS = tuple(FILES)
NEEDED = {"torch": ("torch",), "onnx": ("onnx", "onnxruntime", "onnxscript"), "compile": ("torch",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few cases, one round: about a minute")
    parser.add_argument("--only", choices=GROUPS, help="one group")
    parser.add_argument("--rounds", type=int, help="default 3, with --quick 1")
    parser.add_argument("--out", type=Path, help="folder for JSON and tables, such as docs/measured")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    if rounds < 1:
        parser.error("--rounds has to be at least 1")
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        if name in os.environ:
            say(f"warning: {name} is set, the matrix library does not choose for itself")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        say(
            f"warning: other work has kept {os.getloadavg()[0]:.1f} cores busy in the last minute; it disturbs what is measured"
        )
    groups = (arguments.only,) if arguments.only else GROUPS
    try:
        with tempfile.TemporaryDirectory(prefix="mvnp-benchmark-") as folder:
            runner = Runner(Path(folder), parallel.threads(), rounds, installed(arguments.quick), say)
            found = measure(runner, groups, arguments.quick)
    except (WorkerError, Disagreement) as error:
        raise SystemExit(f"nothing is reported: {error}") from None
    about = machine(parallel.threads())
    say(" ".join(f"{name}: {value}." for name, value in about.items()))
    if arguments.out:
        for group, rows in found.items():
            write(arguments.out, group, {"machine": about, "rate": runner.rate, "rounds": rounds, "rows": rows})


def measure(runner: Runner, groups: tuple[str, ...], quick: bool) -> dict[str, list[dict[str, Any]]]:
    """The rows of each group, printed as they come and once more with their floors."""
    found: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        runner.measure_rate()
        if group == "layers":
            say("layers …")
            found[group] = runner.layers(chosen(quick))
            continue
        found[group] = []
        for case in CASES.values():
            if case.group == group and (case.quick or not quick):
                say(f"{case.title} …")
                found[group].append(runner.case(case))
    runner.measure_rate()
    for group, rows in found.items():
        add_floors(rows, runner.rate)
        print(f"\n{group}; matrix rate {runner.rate / 1e9:.0f} GFLOP/s\n\n{as_text(group, rows)}")
    return found


def installed(quick: bool) -> tuple[str, ...]:
    """The peers that can be measured. PyTorch is one that has to be."""
    lacking = {peer: [name for name in names if importlib.util.find_spec(name) is None] for peer, names in NEEDED.items()}
    how = "pip install -e '.[bench]', or pip install torch onnx onnxruntime onnxscript"
    if lacking["torch"]:
        raise SystemExit(f"the peer needs torch, which is not installed: {how}")
    for peer, names in lacking.items():
        if names:
            say(f"{PEERS[peer]} left out, not installed: {', '.join(names)}. {how}")
    return tuple(peer for peer, names in lacking.items() if not names and not (quick and peer == "compile"))


def write(folder: Path, group: str, result: dict[str, Any]) -> None:
    """A group's numbers and its table."""
    write_results(folder, FILES[group], result, as_markdown(group, result))


def say(text: str) -> None:
    """To the terminal, out of the way of the tables."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
