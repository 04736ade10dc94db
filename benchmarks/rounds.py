"""The rounds of a run: engines take turns, and every result of one is held against mvnp's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cases import EXPORTED, PEERS, Case, floor_seconds
from layers import Row
from measure import difference, ratio_of_rounds
from workers import TREE, WorkerError, ask

TOLERANCE = 1e-4  # relative, of logits or of the loss
PAUSE = 0.2  # seconds between engines, for threads of the one that ended to let go of the cores
OF_MVNP = ("mvnp", "kernels", "former")
LIMIT = 600.0  # seconds for a process
COMPILE_LIMIT = 240.0  # seconds for a process that compiles


class Disagreement(RuntimeError):
    """Two implementations that do not compute the same: their times would mean nothing."""


class Runner:
    """Runs cases, in processes of their own.

    folder     for weights and results, deleted by the caller
    peers      {engine: why it is left out, or None} of those beside mvnp
    say        is told what happens
    former     another working copy of this repository, for the peer "former"
    """

    def __init__(
        self,
        folder: Path,
        threads: int,
        rounds: int,
        peers: dict[str, str | None],
        say: Callable[[str], None],
        former: Path | None = None,
    ) -> None:
        self.folder, self.threads, self.rounds, self.peers, self.say = folder, threads, rounds, peers, say
        self.former = former
        self.rates: list[float] = []

    def measure_rate(self) -> None:
        """One more measurement of the matrix rate."""
        self.rates.append(ask(LIMIT, do="rate")["rate"])

    @property
    def rate(self) -> float:
        """The best rate so far: a floor has to be one."""
        return max(self.rates)

    def case(self, case: Case) -> dict[str, Any]:
        """All rounds of one case."""
        found: dict[str, list[dict[str, float]]] = {"mvnp": []}
        engines = ["mvnp", *(peer for peer in case.peers if peer in self.peers)]
        reasons = {peer: reason for peer in engines if (reason := self.peers.get(peer))}
        for _ in range(self.rounds):
            for engine in engines:
                if engine in reasons:
                    continue
                try:
                    found.setdefault(engine, []).append(self._once(case, engine))
                except WorkerError as error:
                    if engine == "mvnp" or engine == "torch":
                        raise
                    reasons[engine] = str(error)
                    self.say(f"{case.title}: {PEERS[engine]} left out: {error}")
        peers: dict[str, Any] = {}
        ours = [result["seconds"] for result in found["mvnp"]]
        for peer in engines[1:]:
            if peer in reasons:
                peers[peer] = {"reason": reasons[peer].splitlines()[-1][:200]}
                continue
            theirs = [result["seconds"] for result in found[peer]]
            peers[peer] = {**_medians(found[peer]), "ratio": ratio_of_rounds(ours, theirs)}
        about = {"key": case.key, "title": case.title, "group": case.group, "model": case.model, "mode": case.mode}
        size = {"batch": case.batch, "height": case.height, "width": case.width, "scan": case.scan}
        return {**about, **size, "operations": case.operations(), "mvnp": _medians(found["mvnp"]), "peers": peers}

    def _once(self, case: Case, engine: str) -> dict[str, float]:
        result = self.folder / f"{engine}.npy"
        key = case.key.removesuffix("-book")  # which a former tree does not know
        request: dict[str, Any] = {"engine": engine, "case": key, "threads": self.threads, "result": str(result)}
        if engine in OF_MVNP:
            request["engine"] = "mvnp"
            request["kernels"] = "off" if engine == "former" or (case.book and engine == "mvnp") else "on"
            request["tree"] = str(self.former if engine == "former" else TREE)
        else:
            request["weights"] = str(self.weights(case.model))
        if engine in EXPORTED:
            request["onnx"] = self._exported(case.key, request["weights"], EXPORTED[engine])
        answer = self._measured(COMPILE_LIMIT if engine == "compile" else LIMIT, do="case", **request)
        if engine != "mvnp":
            error = difference(np.load(self.folder / "mvnp.npy"), np.load(result))
            if error > TOLERANCE:
                raise Disagreement(f"{case.title}: mvnp and {PEERS[engine]} disagree, relative difference {error:.1e}")
        return answer

    def _measured(self, limit: float, **request: Any) -> dict[str, Any]:
        """The answer of a worker that has found its kernels compiled."""
        time.sleep(PAUSE)
        answer = ask(limit, **request)
        return ask(limit, **request) if answer.get("compiled") else answer

    def _exported(self, key: str, weights: str, writer: str) -> str:
        return ask(LIMIT, do="export", case=key, weights=weights, writer=writer)["onnx"]

    def weights(self, model: str) -> Path:
        """The file of a model's weights for the peers, written where there is none yet."""
        path = self.folder / f"{model}.npz"
        if not path.exists():
            ask(LIMIT, do="weights", model=model, weights=str(path))
        return path

    def layers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """All rounds of the layers: in each, one process of mvnp times them all, then one of PyTorch."""
        names = [row.name for row in rows]
        found: dict[str, list[dict[str, Any]]] = {"mvnp": [], "torch": []}
        for _ in range(self.rounds):
            for engine, results in found.items():
                results.append(self._measured(LIMIT, do="layers", engine=engine, layers=names, threads=self.threads)["layers"])
        return [self._layer(row, direction, found) for row in rows for direction in ("forward", "backward")]

    def _layer(self, row: Row, direction: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        if len({result[row.name]["size"] for results in found.values() for result in results}) > 1:
            raise Disagreement(f"{row.name}: outputs of different sizes")
        ours, theirs = ([result[row.name][direction] for result in found[engine]] for engine in ("mvnp", "torch"))
        times = {"mvnp_s": statistics.median(ours), "torch_s": statistics.median(theirs)}
        operations = row.operations(direction == "backward")
        return {"layer": row.name, "pass": direction, **times, "ratio": ratio_of_rounds(ours, theirs), "operations": operations}


def add_floors(rows: list[dict[str, Any]], rate: float) -> None:
    """The floor of each row that multiplies matrices, from the matrix rate of the same run."""
    for row in rows:
        row["floor_s"] = floor_seconds(row["operations"], rate) if row["operations"] else None


def _medians(results: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(result[name] for result in results) for name in ("seconds", "peak_mb")}
