"""The scan of an exported model, in five forms, in ONNX Runtime; and the exported mamba_vision_T beside mvnp itself.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benchmarks/onnx_export.py [--quick] [--out docs/measured]

    scan            the operator Scan over all tokens; decays and inputs are made before, for all at once. What mvnp writes
    all in scan     the operator Scan, with everything in its body: nothing is made for all tokens at once
    unrolled        a node after the other for each token, as tracing writes it
    chunked         rows of √L tokens side by side, then what is carried from row to row (linear_recurrence.py, eq. 4)
    associative     log₂ L doublings (Hillis and Steele), each over all tokens

The first table is of a scan alone, with the sizes that windows of 7, 14 and 32 have in T; the second of the whole model, where
"graph" is the file without its weights, and "load" the time until ONNX Runtime can run it. Times are medians of several calls
on all cores, taken in turns, so that
what else happens meanwhile hits all forms alike. With --out, onnx_export.json and
onnx_export.md are written there.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
from machine import machine, sentence
from onnx import helper, load, numpy_helper
from results import write_results

from mvnp import create_model, export_onnx
from mvnp.core import Layer, Param
from mvnp.export import layers
from mvnp.export import model as walk
from mvnp.export.graph import IR_VERSION, OPSET, Graph, tensor
from mvnp.layers.selective_scan import selective_scan_forward
from mvnp.models.mambavision import MambaVision

STATES = 8
SCANS = ((49, 320), (196, 160), (1024, 160))  # tokens, channels
BATCHES = (1, 8)
Sizes = tuple[int, int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two scans, three calls each")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    scans, calls = (SCANS[:2], 3) if arguments.quick else (SCANS, 11)
    alone = [row for L, d in scans for batch in BATCHES for row in scan_rows(L, d, batch, calls)]
    whole = model_rows(calls)
    about = machine(threads=os.cpu_count() or 1)
    text = f"{scan_table(alone)}\n\n{model_table(whole)}\n\n{sentence(about)}\n"
    print(text)
    if arguments.out:
        results = {"machine": about, "scan": alone, "model": whole}
        write_results(arguments.out, "onnx_export", results, text)


# ------------------------------------------------------------------------------------------- the forms beside layers.recurrence


def unrolled(graph: Graph, at: str, decays: str, inputs: str, sizes: Sizes) -> str:
    L = sizes[0]
    a, u = (graph.parts(at, "Split", L, value, num_outputs=L, axis=0) for value in (decays, inputs))
    states = [u[0]]
    for decay, given in zip(a[1:], u[1:], strict=True):
        states.append(graph.node(at, "Add", graph.node(at, "Mul", decay, states[-1]), given))
    return graph.node(at, "Concat", *states, axis=0)


def chunked(graph: Graph, at: str, decays: str, inputs: str, sizes: Sizes) -> str:
    L, n, d = sizes
    P = math.isqrt(L)
    if P * P != L:
        raise ValueError(f"{L} tokens are no square window")
    cut = graph.integers(P, P, -1, n, d)  # row, column, window
    a, u = (
        graph.parts(at, "Split", P, graph.node(at, "Reshape", value, cut), num_outputs=P, axis=1) for value in (decays, inputs)
    )
    states, products = [u[0]], [a[0]]
    for decay, given in zip(a[1:], u[1:], strict=True):
        states.append(graph.node(at, "Add", graph.node(at, "Mul", decay, states[-1]), given))
        products.append(graph.node(at, "Mul", decay, products[-1]))
    rows, decay_of_row = (graph.parts(at, "Split", P, last, num_outputs=P, axis=0) for last in (states[-1], products[-1]))
    carried = [graph.node(at, "Mul", rows[0], graph.number(0.0)), rows[0]]
    for decay, row in zip(decay_of_row[1:-1], rows[1:-1], strict=True):
        carried.append(graph.node(at, "Add", graph.node(at, "Mul", decay, carried[-1]), row))
    before = graph.node(at, "Concat", *carried[:P], axis=0)
    late = graph.node(at, "Mul", graph.node(at, "Concat", *products, axis=1), before)
    complete = graph.node(at, "Add", graph.node(at, "Concat", *states, axis=1), late)
    return graph.node(at, "Reshape", complete, graph.integers(L, -1, n, d))


def associative(graph: Graph, at: str, decays: str, inputs: str, sizes: Sizes) -> str:
    L, first = sizes[0], graph.integers(0)

    def part(value: str, start: int, stop: int) -> str:
        return graph.node(at, "Slice", value, graph.integers(start), graph.integers(stop), first)

    a, h = decays, inputs
    for step in (1 << bit for bit in range((L - 1).bit_length())):
        late = part(a, step, L)
        longer = graph.node(at, "Add", part(h, step, L), graph.node(at, "Mul", late, part(h, 0, L - step)))
        h = graph.node(at, "Concat", part(h, 0, step), longer, axis=0)
        a = graph.node(at, "Concat", part(a, 0, step), graph.node(at, "Mul", late, part(a, 0, L - step)), axis=0)
    return h


def all_in_scan(graph: Graph, at: str, x: str, delta: str, A_log: Param, B: str, C: str, D: Param, L: int) -> str:
    """In place of layers.selective_scan."""
    d, n = A_log.shape

    def by_token(rows: str, width: int) -> str:
        windows = graph.node(at, "Reshape", rows, graph.integers(-1, L, width))
        return graph.node(at, "Transpose", windows, perm=[1, 0, 2])

    A = graph.node(at, "Neg", graph.node(at, "Exp", graph.node(at, "Transpose", graph.weight(A_log), perm=[1, 0])))
    steps, driven = by_token(delta, d), by_token(graph.node(at, "Mul", delta, x), d)
    windows = graph.node(at, "Shape", steps, start=1, end=2)
    start = graph.node(at, "Expand", graph.number(0.0), graph.sizes(at, windows, n, d))
    one, two = graph.integers(1), graph.integers(2)
    body = Graph(Layer())
    step = f"{at}/step"
    decay = body.node(step, "Exp", body.node(step, "Mul", body.node(step, "Unsqueeze", f"{step}/delta", one), A))
    given = body.node(
        step, "Mul", body.node(step, "Unsqueeze", f"{step}/driven", one), body.node(step, "Unsqueeze", f"{step}/B", two)
    )
    after = body.node(step, "Add", body.node(step, "Mul", f"{step}/h", decay), given)
    gate = body.node(step, "Unsqueeze", f"{step}/C", one)
    y = body.node(step, "Squeeze", body.node(step, "MatMul", gate, after), one)
    names = [tensor(f"{step}/{name}", None) for name in ("h", "delta", "driven", "B", "C")]
    made = helper.make_graph(body.nodes, step, names, [tensor(after, None), tensor(y, None)])
    over = (steps, driven, by_token(B, n), by_token(C, n))
    _, sums = graph.parts(at, "Scan", 2, start, *over, body=made, num_scan_inputs=4)
    rows = graph.node(at, "Reshape", graph.node(at, "Transpose", sums, perm=[1, 0, 2]), graph.integers(-1, d))
    return graph.node(at, "Add", rows, graph.node(at, "Mul", x, graph.weight(D)))


# What is put in place of what, while a file is written.
FORMS: dict[str, tuple[Any, str, Callable]] = {
    "scan": (layers, "recurrence", layers.recurrence),
    "all in scan": (walk, "selective_scan", all_in_scan),
    "unrolled": (layers, "recurrence", unrolled),
    "chunked": (layers, "recurrence", chunked),
    "associative": (layers, "recurrence", associative),
}


# ------------------------------------------------------------------------------------------------------------- what is measured


class Gates(Layer):
    """The parameters of one scan, as a fresh model has them: A = −1 … −8, D = 1."""

    def __init__(self, d: int) -> None:
        self.A_log = Param(np.log(np.tile(np.arange(1.0, STATES + 1, dtype=np.float32), (d, 1))))
        self.D = Param(np.ones(d, np.float32))


def scan_rows(L: int, d: int, batch: int, calls: int) -> list[dict[str, Any]]:
    rng, gates = np.random.default_rng(L), Gates(d)
    shapes = {"x": (batch, L, d), "delta": (batch, L, d), "B": (batch, L, STATES), "C": (batch, L, STATES)}
    given = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    given["delta"] = np.log1p(np.exp(0.5 * given["delta"]))

    def ours() -> np.ndarray:
        A = -np.exp(gates.A_log.data)
        arrays = (given["x"], given["delta"], A, given["B"], given["C"], gates.D.data)
        return selective_scan_forward(*arrays, softplus=False, keep=False)[0]

    rows, by_rows = [], {name: array.reshape(batch * L, -1) for name, array in given.items()}
    timed: dict[str, Callable[[], Any]] = {}
    for form in FORMS:
        file = scan_file(form, gates, L)
        run = session(file)
        error = np.abs(run.run(None, by_rows)[0].reshape(batch, L, d) - ours()).max() / np.abs(ours()).max()
        rows.append({"form": form, "L": L, "d": d, "batch": batch, "bytes": len(file), "error": float(error)})
        timed[form] = lambda run=run: run.run(None, by_rows)
    seconds = medians({**timed, "mvnp": ours}, calls)
    return [
        *({**row, "seconds": seconds[row["form"]]} for row in rows),
        {"form": "mvnp", "L": L, "d": d, "batch": batch, "seconds": seconds["mvnp"]},
    ]


def scan_file(form: str, gates: Gates, L: int) -> bytes:
    """A model that is one scan."""
    scan = all_in_scan if form == "all in scan" else layers.selective_scan
    graph = Graph(gates)
    with mock.patch.object(*FORMS[form]):
        graph.output("y", scan(graph, "scan", "x", "delta", gates.A_log, "B", "C", gates.D, L))
    widths = {"x": gates.D.size, "delta": gates.D.size, "B": STATES, "C": STATES}
    inputs = [tensor(name, ("rows", width)) for name, width in widths.items()]
    weights = [numpy_helper.from_array(array, name) for name, array in graph.weights.items()]
    made = helper.make_graph(
        graph.nodes, "scan", inputs, [tensor("y", ("rows", gates.D.size))], [*weights, *graph.constants.values()]
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION).SerializeToString()


def model_rows(calls: int) -> list[dict[str, Any]]:
    """mamba_vision_T at 224: the file of each form, and the model itself."""
    model = create_model("mamba_vision_T")
    images = {b: np.random.default_rng(b).standard_normal((b, 3, 224, 224)).astype(np.float32) for b in BATCHES}
    weights = sum(array.nbytes for array in model.state_dict(copy=False).values())
    rows, sessions = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            path = Path(folder) / "model.onnx"
            with mock.patch.object(*FORMS[form]):
                export_onnx(model, path, 224)
            begin = time.perf_counter()
            sessions[form] = session(str(path))
            loading = time.perf_counter() - begin
            row = {"form": form, "load_s": loading, "graph_bytes": path.stat().st_size - weights}
            rows.append({**row, "nodes": len(load(path).graph.node), "error": disagreement(sessions[form], model, images[1])})
        rows.append({"form": "mvnp"})
    for batch, x in images.items():
        timed = {form: lambda run=run, x=x: run.run(None, {"images": x}) for form, run in sessions.items()}
        seconds = medians({**timed, "mvnp": lambda x=x: model(x)}, calls)
        for row in rows:
            row[f"seconds_{batch}"] = seconds[row["form"]]
    return rows


def disagreement(run: Any, model: MambaVision, x: np.ndarray) -> float:
    ours = model(x)
    return float(np.abs(run.run(None, {"images": x})[0] - ours).max() / np.abs(ours).max())


def session(file: bytes | str) -> Any:
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def medians(timed: dict[str, Callable[[], Any]], calls: int) -> dict[str, float]:
    """The median time of each. They are called in turns, in another order each round, and each once untimed before: by then
    the threads of the one before it are at rest."""
    found: dict[str, list[float]] = {name: [] for name in timed}
    rng = np.random.default_rng(0)
    for _ in range(calls):
        for name in rng.permutation(list(timed)):
            call = timed[name]
            call()
            begin = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in found.items()}


# ------------------------------------------------------------------------------------------------------------------- the tables


def scan_table(rows: list[dict[str, Any]]) -> str:
    """A line for each form, a column for each scan."""
    columns = list(dict.fromkeys((row["L"], row["batch"]) for row in rows))
    lines = [f"| scan alone | {' | '.join(f'L = {L:,}, batch {batch}' for L, batch in columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for form in (*FORMS, "mvnp"):
        found = {(row["L"], row["batch"]): row["seconds"] for row in rows if row["form"] == form}
        cells = " | ".join(f"{1000 * found[column]:.2f} ms" for column in columns)
        lines.append(f"| {'mvnp, NumPy' if form == 'mvnp' else form} | {cells} |")
    return "\n".join(lines)


def model_table(rows: list[dict[str, Any]]) -> str:
    heads = [*(f"batch {batch}" for batch in BATCHES), "nodes", "graph", "load", "difference"]
    lines = [f"| mamba_vision_T at 224 | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        times = [f"{1000 * row[f'seconds_{batch}']:.0f} ms" for batch in BATCHES]
        if row["form"] == "mvnp":
            lines.append(f"| mvnp, NumPy | {' | '.join(times)} | | | | |")
            continue
        about = [f"{row['nodes']:,}", f"{row['graph_bytes'] / 1000:,.0f} KB", f"{row['load_s']:.2f} s", f"{row['error']:.0e}"]
        lines.append(f"| {row['form']} | {' | '.join([*times, *about])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
