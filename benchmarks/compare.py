"""Time and peak memory of mvnp beside PyTorch, ONNX Runtime and OpenVINO: same weights, same input, same cores.

    python benchmarks/compare.py [--quick] [--only layers] [--out docs/measured] [--resume build/compare]

Engines take turns, each measurement in a process of its own; a ratio is mvnp's time over the peer's, the median of the ratios
of the rounds. What the engines compute is compared in every process, and a disagreement ends the run. The floor is what the
operations of a case would take at the rate of one big float32 matrix product. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE do not
reach the processes: the matrix library chooses its kernel for the processor.

    --only book --against TREE    the array code alone, beside mvnp with its kernels and the mvnp of another working copy of
                                  this repository (git worktree add TREE COMMIT)
    --resume FOLDER               keeps each row there when it is done; a run that was broken off goes on from there

Needs `pip install -e '.[bench]'`: torch (a CPU build will do), onnx, onnxruntime, onnxscript and openvino. With --out, each
group that was measured is written there as JSON and as the table that docs/measured.md shows, beside those of other
processors; its figures are drawn from the JSON when the documentation is built.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this tree's mvnp, installed or not

from cases import CASES, PEERS
from layers import chosen
from machine import processor
from report import as_markdown, as_text
from results import write_beside
from rounds import Disagreement, Runner, add_floors
from workers import TREE, WorkerError, ask

from mvnp import atomic
from mvnp.execution import parallel

FILES = {"models": "models", "training": "training", "scan": "without_scan", "layers": "layers", "book": "book"}  # in --out
GROUPS = tuple(FILES)
NEEDED = {
    "torch": ("torch",),
    "compile": ("torch",),
    "onnx": ("torch", "onnx", "onnxruntime", "onnxscript"),
    "own": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few cases, one round: about a minute")
    parser.add_argument("--only", choices=GROUPS, action="append", help="one group; more than once: several")
    parser.add_argument("--rounds", type=int, help="default 2, with --quick 1")
    parser.add_argument("--out", type=Path, help="folder for JSON and tables, such as docs/measured")
    parser.add_argument("--against", type=Path, metavar="TREE", help="a working copy of this repository, for the group book")
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="keep rows here, and do not measure again what is kept")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 2)
    if rounds < 1:
        parser.error("--rounds has to be at least 1")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        say(
            f"warning: other work has kept {os.getloadavg()[0]:.1f} cores busy in the last minute; it disturbs what is measured"
        )
    peers = installed(arguments.quick, arguments.against)
    kept = partial(keep, arguments.resume, f"{processor()} {rounds} {arguments.quick} {arguments.against} {text_digest()}")
    try:
        with tempfile.TemporaryDirectory(prefix="mvnp-benchmark-") as folder:
            runner = Runner(Path(folder), parallel.threads(), rounds, peers, say, arguments.against)
            found = measure(runner, tuple(arguments.only or GROUPS), arguments.quick, kept)
    except (WorkerError, Disagreement) as error:
        raise SystemExit(f"nothing is reported: {error}") from None
    about = ask(do="machine", threads=parallel.threads())  # there the matrix library has chosen its kernel
    say(" ".join(f"{name}: {value}." for name, value in about.items()))
    if arguments.out:
        for group, rows in found.items():
            write(arguments.out, group, {"machine": about, "rate": runner.rate, "rounds": rounds, "rows": rows})


def measure(
    runner: Runner, groups: tuple[str, ...], quick: bool, kept: Callable[[str, Callable[[], Any]], Any]
) -> dict[str, list[dict[str, Any]]]:
    """The rows of each group, printed as they come and once more with their floors."""
    found: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        runner.measure_rate()
        if group == "layers":
            say("layers …")
            found[group] = kept("layers", lambda: runner.layers(chosen(quick)))
            continue
        found[group] = []
        for case in CASES.values():
            if case.group == group and (case.quick or not quick):
                say(f"{case.title} …")
                found[group].append(kept(case.key, partial(runner.case, case)))
    runner.measure_rate()
    for group, rows in found.items():
        add_floors(rows, runner.rate)
        print(f"\n{group}; matrix rate {runner.rate / 1e9:.0f} GFLOP/s\n\n{as_text(group, rows)}")
    return found


def keep(folder: Path | None, about: str, name: str, make: Callable[[], Any]) -> Any:
    """What `make` gives; from the folder, where a run of the same code and settings, on the same processor, has left it."""
    if folder is None:
        return make()
    path = folder / f"{name}-{hashlib.sha256(about.encode()).hexdigest()[:8]}.json"
    if not path.exists():
        found = make()
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, json.dumps(found).encode())
    return json.loads(path.read_text(encoding="utf-8"))


def text_digest() -> str:
    """Of all code that is measured and that measures."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ("mvnp", "benchmarks") for path in (TREE / room).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def installed(quick: bool, against: Path | None = None) -> dict[str, str | None]:
    """{peer: why it cannot be measured, or None}. PyTorch has to be there."""
    lacking = {peer: [name for name in names if importlib.util.find_spec(name) is None] for peer, names in NEEDED.items()}
    if lacking["torch"]:
        raise SystemExit("the peer needs torch, which is not installed: pip install -e '.[bench]'")
    peers = {peer: f"not installed: {', '.join(names)}" if names else None for peer, names in lacking.items()}
    for peer, reason in peers.items():
        if reason:
            say(f"{PEERS[peer]} left out, {reason}. pip install -e '.[bench]'")
    if quick:
        del peers["compile"], peers["onnx"]
    if against is not None:
        peers["former"] = None
    return {**peers, "kernels": None}


def write(folder: Path, group: str, result: dict[str, Any]) -> None:
    """A group's numbers and its table."""
    write_beside(folder, FILES[group], result, partial(as_markdown, group))


def say(text: str) -> None:
    """To the terminal, out of the way of the tables."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
