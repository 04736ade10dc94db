"""The parts of benchmarks/ that work without a peer: arithmetic, reports, and that nothing of mvnp/layers is forgotten."""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mvnp
from support.tolerance import near, shown

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("benchmarks_importable")


def model_row(**changes):
    row = {
        "key": "t1",
        "title": "T inference, 224x224, batch 1",
        "group": "models",
        "model": "mamba_vision_T",
        "mode": "inference",
        "batch": 1,
        "height": 224,
        "width": 224,
        "scan": True,
        "operations": 2e9,
        "floor_s": 0.02,
        "mvnp": {"seconds": 0.05, "peak_mb": 200.0},
        "peers": {
            "torch": {"seconds": 0.1, "peak_mb": 400.0, "ratio": 0.5},
            "own": {"reason": "not done after 600 s"},
        },
    }
    return {**row, **changes}


def layer_rows():
    common = {"layer": "GELU", "mvnp_s": 0.002, "torch_s": 0.001, "ratio": 2.0, "operations": 0, "floor_s": None}
    return [{**common, "pass": "forward"}, {**common, "pass": "backward"}]


def test_floor_is_operations_over_rate():
    from cases import floor_seconds

    assert floor_seconds(9e9, 3e9) == 3.0


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_floor_needs_a_rate(rate):
    from cases import floor_seconds

    with pytest.raises(ValueError, match="matrix rate"):
        floor_seconds(1.0, rate)


def test_operations_of_a_case():
    from cases import CASES

    one, eight, without = (CASES[key].operations() for key in ("t1", "t8", "t1-noscan"))
    assert one == shown(9.14e9, digits=3)
    assert eight == 8 * one
    assert CASES["train8"].operations() == 3 * eight
    assert 0.99 * one < without < one


def test_the_central_cases_are_timed_without_scan_and_without_kernels():
    from cases import CASES

    central = ["t1", "t8", "t32", "train8"]
    assert [case.key for case in CASES.values() if case.group == "scan"] == [f"{key}-noscan" for key in central]
    assert [case.key for case in CASES.values() if case.group == "book"] == [f"{key}-book" for key in central]
    assert all(case.book == (case.group == "book") for case in CASES.values())
    assert CASES["t8"].operations() == CASES["t8-book"].operations()


def test_ratio_is_the_median_of_the_rounds_ratios():
    from measure import ratio_of_rounds

    assert ratio_of_rounds([1.0, 20.0, 3.0], [2.0, 20.0, 2.0]) == 1.0  # of 0.5, 1 and 1.5; not 3 / 2


def test_difference():
    from measure import difference

    x = np.array([3.0, 4.0])
    assert difference(x, x) == 0.0
    assert difference(x + np.array([0.0, 1.0]), x) == near(0.2)
    assert difference(x, x[:1]) == float("inf")
    assert difference(x * np.nan, x) == float("inf")


def test_time_calls_gives_the_first_result():
    from measure import MOST_CALLS, time_calls

    calls = []
    seconds, result = time_calls(lambda: calls.append(1) or len(calls))
    assert result == 1
    assert len(calls) == 1 + MOST_CALLS
    assert seconds >= 0.0


def test_layer_operations():
    from layers import BATCH, ROWS

    image = next(row for row in ROWS if row.name.startswith("Conv2d of the image"))
    assert image.operations(backward=False) == 2 * BATCH * 112 * 112 * 32 * 27
    assert image.operations(backward=True) == image.operations(backward=False)  # only the kernel's gradient
    linear = next(row for row in ROWS if row.kind == "linear")
    assert linear.operations(backward=True) == 2 * linear.operations(backward=False)


def test_every_layer_has_a_row_or_a_reason():
    from layers import ROWS, WITHOUT_ROW

    stems = {path.stem for path in (ROOT / "mvnp" / "layers").glob("*.py")}
    timed = {stem for row in ROWS for stem in row.stems}
    assert stems - timed - set(WITHOUT_ROW) == set()
    assert not timed & set(WITHOUT_ROW)
    assert all(WITHOUT_ROW.values())


def test_layer_names_are_unique():
    from layers import BY_NAME, ROWS

    assert len(BY_NAME) == len(ROWS)


def test_a_quick_run_times_a_row_of_each_kind():
    from layers import QUICK, chosen

    assert {row.kind for row in chosen(quick=True)} == QUICK


def test_every_row_can_be_built_and_run():
    """Twice backward, as when it is timed."""
    from layers import ROWS
    from layers_mvnp import build

    for row in {row.kind: row for row in ROWS}.values():
        forward, backward = build(row.kind, 1, row.arguments) if row.kind != "cross_entropy" else build(row.kind, 2, (5,))
        y, cache = forward()
        for _ in range(2):
            backward(np.ones_like(y), cache)


def test_without_scan_the_model_still_trains():
    import engine_mvnp
    from cases import Case

    from mvnp.models import mixer

    kept = mixer.selective_scan_forward, mixer.selective_scan_backward
    try:
        step = engine_mvnp.make(Case("", "mamba_vision_T", "training", 2, 32, 32, scan=False))
        assert np.isfinite(step())
    finally:
        mixer.selective_scan_forward, mixer.selective_scan_backward = kept


def test_model_table():
    from report import as_markdown

    result = {"rows": [model_row()], "rate": 1e11, "rounds": 3, "machine": about()}
    text = as_markdown("models", result)
    assert "| T inference, 224x224, batch 1 | 50.0 | 20.0 | 200 | PyTorch | 100 | 0.50 | 400 |" in text
    assert "|  |  |  |  | ONNX Runtime, mvnp's export | left out: not done after 600 s | – | – |" in text
    assert "Matrix rate 100 GFLOP/s; 3 rounds." in text
    assert "kernel Haswell" in text


def test_layer_table():
    from report import as_markdown, as_text

    text = as_markdown("layers", {"rows": layer_rows(), "rate": 1e11, "rounds": 3, "machine": about()})
    assert "| GELU | backward | 2.000 | 1.000 | 2.00 | – |" in text
    assert len(as_text("layers", layer_rows()).splitlines()) == 4
    assert "| geometric mean | both |  |  | 2.00 |  |" in text


def test_figures():
    from figures import layers, models, scale

    rows = [model_row(), model_row(batch=8), model_row(height=512, width=512)]
    for processors in (["A"], ["A", "B"]):
        found = dict.fromkeys(processors, rows)
        for figure, panels in ((models(found), 1), (layers(dict.fromkeys(found, layer_rows())), 1), (scale(found), 2)):
            assert len(figure.get_axes()) == panels * len(processors)


def test_points_are_for_one_image():
    from figures import scale_points

    rows = [model_row(batch=8), model_row()]
    assert scale_points(rows, "batch") == [(1, 50.0), (8, 6.25)]
    assert scale_points(rows, "pixels") == []  # one size only


def test_missing_packages_are_named(monkeypatch, capsys):
    import compare

    missing = {"torch", "onnxscript", "openvino"}
    monkeypatch.setattr(compare.importlib.util, "find_spec", lambda name: None if name in missing else object())
    with pytest.raises(SystemExit, match=r"needs torch.*pip install -e '\.\[bench\]'"):
        compare.installed(quick=False)
    missing.remove("torch")
    lacking = {"onnx": "not installed: onnxscript", "openvino": "not installed: openvino"}
    there = {"torch": None, "compile": None, "own": None, "kernels": None}
    assert compare.installed(quick=False) == {**there, **lacking}
    assert compare.installed(quick=True, against=ROOT).keys() == {"torch", "own", "openvino", "kernels", "former"}
    assert "OpenVINO, mvnp's export left out, not installed: openvino" in capsys.readouterr().err


def test_a_group_alone_leaves_the_files_of_the_others(tmp_path):
    import compare
    from figures import model_rows

    folder = tmp_path / "measured"
    for group, rows in {"layers": layer_rows(), "scan": [model_row(scan=False)]}.items():
        compare.write(folder, group, {"rows": rows, "rate": 1e11, "rounds": 1, "machine": about()})
    assert {path.name for path in folder.iterdir()} == {"layers.json", "layers.md", "without_scan.json", "without_scan.md"}
    assert {name: [row["scan"] for row in rows] for name, rows in model_rows(folder).items()} == {"A processor": [False]}


def test_another_processor_stands_beside_the_first(tmp_path):
    import compare
    from results import by_processor

    def write(processor, ratio):
        rows = [{**row, "ratio": ratio} for row in layer_rows()]
        result = {"rows": rows, "rate": 1e11, "rounds": 1, "machine": {**about(), "cpu": processor}}
        compare.write(tmp_path, "layers", result)
        return (tmp_path / "layers.md").read_text(encoding="utf-8")

    assert "**" not in write("The second", 3.0)
    text = write("A first", 2.0)
    assert text.index("**A first**") < text.index("| 2.00 |") < text.index("**The second**") < text.index("| 3.00 |")
    assert "| 2.00 |" not in write("A first", 4.0)
    assert {name: result["rows"][0]["ratio"] for name, result in by_processor(tmp_path / "layers.json").items()} == {
        "A first": 4.0,
        "The second": 3.0,
    }


def test_what_is_kept_is_not_measured_again(tmp_path):
    from compare import keep

    made = []

    def make():
        made.append(1)
        return {"seconds": len(made)}

    assert [keep(tmp_path, "a processor", "t1", make) for _ in range(2)] == [{"seconds": 1}] * 2
    assert keep(tmp_path, "another", "t1", make) == {"seconds": 2}
    assert keep(None, "a processor", "t1", make) == {"seconds": 3}


def runner_with(tmp_path, monkeypatch, answers, **options):
    """A Runner whose workers give `answers` in turn, and the list of what they were asked."""
    import rounds

    asked = []

    def ask(limit=None, **request):
        asked.append(request)
        if "result" in request:
            np.save(request["result"], np.ones(3))
        return answers.pop(0)

    monkeypatch.setattr(rounds, "ask", ask)
    monkeypatch.setattr(rounds, "PAUSE", 0)
    return rounds.Runner(tmp_path, 2, 1, say=lambda text: None, **options), asked


def test_a_process_that_had_to_compile_is_not_what_is_measured(tmp_path, monkeypatch):
    from cases import CASES

    answers = [{"seconds": 9.0, "peak_mb": 500.0, "compiled": 12}, {"seconds": 2.0, "peak_mb": 200.0, "compiled": 0}]
    runner, asked = runner_with(tmp_path, monkeypatch, answers, peers={})
    row = runner.case(CASES["t1"])
    assert row["mvnp"] == {"seconds": 2.0, "peak_mb": 200.0}
    assert len(asked) == 2


def test_the_array_code_beside_kernels_and_beside_a_former_tree(tmp_path, monkeypatch):
    from cases import CASES

    answers = [{"seconds": seconds, "peak_mb": 200.0} for seconds in (3.0, 1.0, 2.0)]
    former = tmp_path / "former"
    runner, asked = runner_with(tmp_path, monkeypatch, answers, peers={"kernels": None, "former": None}, former=former)
    row = runner.case(CASES["t8-book"])
    assert {peer: found["ratio"] for peer, found in row["peers"].items()} == {"kernels": 3.0, "former": 1.5}
    assert [request["kernels"] for request in asked] == ["off", "on", "off"]
    assert [request["tree"] for request in asked] == [str(ROOT), str(ROOT), str(former)]
    assert {(request["engine"], request["case"]) for request in asked} == {("mvnp", "t8")}


def test_a_peer_that_is_not_installed_is_named_in_its_row(tmp_path, monkeypatch):
    from cases import CASES

    peers = {"openvino": "not installed: openvino"}
    runner, _ = runner_with(tmp_path, monkeypatch, [{"seconds": 3.0, "peak_mb": 200.0}], peers=peers)
    assert runner.case(CASES["t32"])["peers"] == {"openvino": {"reason": "not installed: openvino"}}


def test_a_failed_worker_shows_its_error():
    from workers import WorkerError, ask

    with pytest.raises(WorkerError, match="unknown request 'nothing'"):
        ask(do="nothing")


def test_machine_is_named():
    from machine import machine, sentence

    found = machine(2)
    assert found["blas"]
    assert f"NumPy {np.__version__}" in sentence(found)
    assert " 2 threads;" in sentence(found)
    assert " 1 thread;" in sentence({**found, "threads": 1})


def about():
    return {
        "cpu": "A processor",
        "cores": 2,
        "threads": 2,
        "python": "3.11",
        "numpy": "2.4",
        "blas": "openblas 0.3, kernel Haswell",
        "torch": "2.13",
        "onnxruntime": "1.32",
        "date": "2026-11-25",
    }


def test_transfer_report_and_picture(tmp_path):
    from transfer import BUDGETS, RATES, draw, report

    runs = [
        {"seed": seed, "method": method, "images": each, "steps": 10 * epochs, "accuracy": accuracy + 0.02 * seed}
        for method, accuracy in zip(RATES, (0.5, 0.7, 0.6, 0.4), strict=True)
        for each, budget in BUDGETS.items()
        for epochs in budget
        for seed in (0, 1)
    ]
    probes = [
        {"classes": group, "inputs": inputs, "accuracy": accuracy}
        for group, accuracy in (("new", 0.9), ("all", 0.8))
        for inputs in ("pixels", "pooled", "stages")
    ]
    text = report(runs, probes)
    assert "| 150 | 10 | 51.0% (50.0%–52.0%) | **71.0%** (70.0%–72.0%) | 61.0% (60.0%–62.0%) | 41.0% (40.0%–42.0%) |" in text
    assert "| raw pixels | 90.0% | 80.0% |" in text
    assert "Means of 2 seeds" in text
    assert len(draw(runs).get_axes()) == len(BUDGETS)


def test_transfer_does_nothing_twice(tmp_path):
    from transfer import Work

    made = []
    for _ in range(2):
        found = Work(tmp_path).once("a", lambda: made.append(1) or {"accuracy": 0.5})
        assert found == {"accuracy": 0.5}
    assert made == [1]


def test_waiting_makes_photographs_and_a_table(tmp_path):
    from waiting import make_photographs, table

    make_photographs(tmp_path, 4, (48, 64))
    assert sorted(path.name for path in tmp_path.rglob("*.jpg")) == ["0.jpg", "0.jpg", "1.jpg", "1.jpg"]
    assert "| 1 | 0.5% | 12.9 |" in table([{"workers": 1, "waiting": 0.005, "images_per_second": 12.88}])


def test_quirks_report():
    from quirks import MISTAKEN, TRAINED, report

    rows = [{"name": name, "seed": seed, "accuracy": 0.8 + seed / 10} for name in TRAINED for seed in (0, 1)]
    rows += [{"name": name, "seed": seed, "accuracy": 0.5, "changed": 0.25} for name in MISTAKEN for seed in (0, 1)]
    text = report(rows)
    assert "| bias once | 85.0% (80.0%–90.0%) | 85.0% (80.0%–90.0%) official |" in text
    assert "| padding visible, run masked | 50.0% (50.0%–50.0%) | 85.0% (80.0%–90.0%) | 25.0% of the images |" in text
    assert "means of 2 seeds" in text


def test_quirks_change_one_switch_of_the_demo():
    """Each row's model exists, and differs from what it is compared with in one argument."""
    from quirks import MISTAKEN, PRESET, TRAINED

    from mvnp import MambaVision

    for changes, base in TRAINED.values():
        MambaVision(**{**PRESET.model, **changes}, num_classes=10, in_chans=1, allocate=False)
        assert base is None or len(set(changes.items()) ^ set(TRAINED[base][0].items())) == 1
    assert {origin for origin, _ in MISTAKEN.values()} <= set(TRAINED)


def ablation_rows(seeds=(0, 1), epochs=2):
    from ablations import ARMS

    return [
        {
            "arm": name,
            "seed": seed,
            "epochs": epochs,
            "accuracy": 0.9 - 0.01 * (number % 3) * (1 + seed / 10),
            "seconds": 60.0,
            "peak_mb": 200.0 + seed,
            "parameters": 300_000 + 1000 * number,
            "flops": 2_000_000,
        }
        for number, name in enumerate(ARMS)
        for seed in seeds
    ]


def ablation_times():
    from ablations import ARMS

    return [{"arm": name, "image_ms": 1.5} for name in ARMS]


def test_ablations_tables():
    from ablations import ARMS, RELEASED, STUDIES, summary, tables

    rows, times = ablation_rows(), ablation_times()
    found = summary(rows, times, 2, [0, 1])
    assert [row["arm"] for row in found] == list(ARMS)
    gated = found[1]
    assert (gated["mean"], gated["difference"]) == (near(0.8895), near(-1.05))
    assert (gated["image_ms"], gated["peak_mb"], gated["verdict"]) == (1.5, 201.0, "worse")
    text = tables(found, 2, [0, 1]).replace("\N{NO-BREAK SPACE}", " ")
    assert "| gated | 301.0 | 2.0 | 88.95 ± 0.07 | -1.05 ± 0.64 | worse | -1.0 | 1.50 | 201 |" in text
    assert text.count(f"| **{RELEASED}** |") == len(STUDIES)
    assert "2 epochs of the training images at 128x128; 2 seeds, mean ± standard deviation" in text
    assert "one epoch, at 128x128; one seed, which proves nothing" in tables(
        summary(ablation_rows((0,), 1), times, 1, [0]), 1, [0]
    )
    assert "| mamba | 303.0 | 2.0 | 90.00 ± 0.00 | +0.00 ± 0.00 | noise | -1.8 |" in text


def test_ablations_are_told_only_of_whole_rows():
    """Another number of epochs, a seed that is missing, an arm that is gone, no released arm: none of these is a result."""
    from ablations import RELEASED, summary

    rows = ablation_rows()
    assert summary(rows, [], 3, [0, 1]) == []
    assert summary([row for row in rows if row["arm"] != RELEASED], [], 2, [0, 1]) == []
    less = [row for row in rows if (row["arm"], row["seed"]) != ("gated", 1)] + [{**rows[0], "arm": "gone"}]
    assert "gated" not in [row["arm"] for row in summary(less, [], 2, [0, 1])]
    assert [row["verdict"] for row in summary(rows, [], 2, [1])][:2] == ["", "one seed"]


def test_ablations_rows_without_a_time():
    """Lines of runs.jsonl that an earlier form of the script wrote have one of their own; it is not what the table says."""
    from ablations import summary, tables

    rows = [{**row, "image_ms": 9.0} for row in ablation_rows()]
    found = summary(rows, ablation_times()[1:], 2, [0, 1])
    assert [row["image_ms"] for row in found][:2] == [None, 1.5]
    assert "|  | 201 |" in tables(found, 2, [0, 1])


def test_ablations_time_of_an_image():
    from ablations import timed

    found = timed("Vim, equal operations")
    assert found["arm"] == "Vim, equal operations"
    assert found["image_ms"] > 0


def test_ablations_say_where_the_paper_is_not_reproduced():
    from ablations import order

    def row(arm, difference, paper, verdict):
        return {"arm": arm, "difference": difference, "paper": paper, "verdict": verdict}

    rows = [
        row("base", 0, 0.0, ""),
        row("a", 1.0, -1.0, "better"),
        row("b", -1.0, -0.5, "worse"),
        row("c", 1, -1, "within the noise"),
    ]
    assert order(rows)[1].endswith(
        "3 differences in the paper, 1 are seen here, 1 the other way round: a; the others are noise."
    )
    assert order([row("base", 0, 0.0, ""), row("a", 1.0, None, "better")]) == []
    assert order([row("base", 0, 0.0, ""), row("a", 1.0, -1.0, "one seed")]) == []


def test_ablations_arms():
    """Each differs from the released one in one argument; the families are as large, or cost as much, as their names say."""
    from ablations import ARMS, MODEL, RELEASED, chosen

    parameters, flops = ARMS[RELEASED].cost()
    for name, arm in ARMS.items():
        config = arm.config(3, 2, "fashion-mnist")
        assert (config.epochs, config.eval_every, config.seed) == (2, 2, 3)
        if arm.family == "MambaVision":
            assert len(arm.what) == (name != RELEASED)
            assert name in (RELEASED, *arm.what.values())
            assert not arm.what.keys() & MODEL.keys()
    for name in ("Vim, equal parameters", "VMamba, equal both"):
        assert abs(ARMS[name].cost()[0] / parameters - 1) < 0.02
    for name in ("Vim, equal operations", "VMamba, equal both"):
        assert abs(ARMS[name].cost()[1] / flops - 1) < 0.02
    assert ARMS["random"].arguments(7)["pattern_seed"] == 7
    assert chosen(["mamba", "families"]) == [RELEASED, "mamba", *(name for name in ARMS if "equal" in name)]
    assert chosen(None) == list(ARMS)


def test_ablations_run_and_are_not_run_again(tmp_path, monkeypatch, capsys):
    """Two arms on a few images: lines of runs.jsonl, tables, files; and a second time nothing is trained."""
    import ablations

    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())
    kept = ("gated", "Vim, equal operations")
    monkeypatch.setattr(ablations, "ARMS", {n: a for n, a in ablations.ARMS.items() if n in (ablations.RELEASED, *kept)})
    command = ["--data", str(tmp_path), "--epochs", "1", "--seeds", "0", "--work", str(tmp_path / "work"), "--jobs", "1"]
    monkeypatch.setattr(
        ablations, "in_process", lambda name, seed, given: ablations.trained(name, seed, given.epochs, given.data, given.work)
    )
    monkeypatch.setattr(ablations, "timed_in_process", lambda name: {"arm": name, "image_ms": 2.0})
    ablations.main([*command, "--only", "gated"])
    assert "2 of 2: gated, seed 0: " in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "work" / "runs.jsonl").read_text().splitlines()]
    assert [line["arm"] for line in lines] == [ablations.RELEASED, "gated"]
    assert all(0 <= line["accuracy"] <= 1 and line["peak_mb"] > 10 for line in lines)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["runs.jsonl", "times.jsonl"]

    ablations.main([*command, "--out", str(tmp_path / "out")])
    assert "2 of 3 runs are done already" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "ablations.json").read_text())
    assert [(row["arm"], row["image_ms"]) for row in results["rows"]] == [(name, 2.0) for name in ablations.ARMS]
    assert "| Families | thousand parameters |" in (tmp_path / "out" / "ablations.md").read_text()
    monkeypatch.setattr(ablations, "in_process", None)
    monkeypatch.setattr(ablations, "timed_in_process", None)
    ablations.main([*command, "--out", str(tmp_path / "again")])
    with pytest.raises(SystemExit, match="only 0 of 3 arms have been run with all seeds; nothing is written"):
        ablations.main([*command, "--report", "--epochs", "2", "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


def test_ablations_run_in_a_process_of_their_own(tmp_path):
    """What goes wrong there is said here."""
    import ablations

    given = argparse.Namespace(epochs=1, data=str(tmp_path / "gone"), work=tmp_path)
    with pytest.raises(SystemExit, match=r"^gated, seed 0: no data set and no folder .*gone"):
        ablations.in_process("gated", 0, given)


def test_load_table():
    from load import table

    row = {"size": 127.2e6, "read": {"seconds": 0.05, "ratio": 1.0, "peak": 1.0}}
    row |= {call: {"seconds": 0.06, "ratio": 1.2, "peak": 1.02} for call in ("load_checkpoint", "load_pretrained")}
    assert "| npz | 127.2 | 50 ms | 60 ms (1.20) | 60 ms (1.20) | 1.02 |" in table({"npz": row})


def test_memory_table_has_a_column_for_each_setting():
    from memory import SETTINGS, table

    rows = table({"8": dict.fromkeys(SETTINGS, 1_500_000_000)}).splitlines()
    assert rows[0] == f"| batch | {' | '.join(SETTINGS)} |"
    assert rows[2] == "| 8 |" + " 1.50 GB |" * len(SETTINGS)


def test_the_step_whose_memory_is_measured_runs():
    """As it stands, but for a smaller model and image: what is started is a text that no type checker reads."""
    from memory import ONE_STEP, SIZE, VARIANT

    from support.tiny import TINY

    text = ONE_STEP.replace(f'mvnp.create_model("{VARIANT}")', f"mvnp.MambaVision(**{ {**TINY, 'num_classes': 10} })").replace(
        str(SIZE), "64"
    )
    for settings in (["2", "0", "full"], ["4", "2", "mixed"]):
        done = subprocess.run(
            [sys.executable, "-c", text, *settings], capture_output=True, encoding="utf-8", check=False, cwd=ROOT / "benchmarks"
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) > 0


def test_agreement_is_measured_and_told(tmp_path):
    pytest.importorskip("onnxruntime")
    from onnx_agreement import CASES, table

    assert {"float16", "float32"} == {dtype for _, dtype, _, _ in CASES}
    row = {"variant": "mamba_vision_T", "dtype": "float16", "any": True, "sizes": [(8, 9)], "files": 1, "difference": 7e-4}
    assert table([row]).splitlines()[2] == "| mamba_vision_T, float16, one file for any size | 8x9 | 1 | 7e-04 |"


def test_small_model_table():
    from small_model import table

    found = {"seconds": 71.6, "epochs": 10, "images": 6000, "test_images": 1500, "accuracy": 0.8813, "last_accuracy": 0.88}
    cells = table(found).splitlines()[2]
    assert cells == "| `mvnp demo` | 6,000 | 10 | 88.1% of 1,500 (after the last epoch 88.0%) | 72 s, with the page |"


def test_the_hold_of_the_fixed_quirks_is_differentiated_rightly():
    from fixed_quirks import hold_backward, hold_forward

    rng = np.random.default_rng(0)
    b, l, d, n = 2, 4, 3, 2
    inputs = {name: rng.standard_normal(shape) for name, shape in {"x": (b, l, d), "dt": (b, l, d)}.items()}
    inputs |= {"A": -1 - rng.random((d, n)), "B": rng.standard_normal((b, l, n)), "C": rng.standard_normal((b, l, n))}
    inputs |= {"D": rng.standard_normal(d), "dt_bias": rng.standard_normal(d)}
    mvnp.gradcheck(hold_forward, hold_backward, inputs).raise_for_error()


def test_the_hold_of_the_fixed_quirks_is_the_exact_solution():
    """Half a step after half a step, with the same input, is a whole one; Euler's is not."""
    from fixed_quirks import hold_forward

    from mvnp.layers.selective_scan import selective_scan_forward

    def states(scan, step, count):
        x, one = np.full((1, count, 1), 0.7), np.ones((1, count, 1))
        return scan(x, step * one, np.array([[-1.5]]), one, one, np.zeros(1), softplus=False)[0][0, -1, 0]

    assert states(hold_forward, 0.4, 2) == near(states(hold_forward, 0.8, 1))
    assert abs(states(selective_scan_forward, 0.4, 2) / states(selective_scan_forward, 0.8, 1) - 1) > 0.1


def test_every_fixed_quirk_changes_the_logits():
    from fixed_quirks import AS_TRAINED, RUN_OTHERWISE, logits

    expected = logits(AS_TRAINED, 4)
    for name in RUN_OTHERWISE:
        moved = np.linalg.norm(logits(name, 4) - expected) / np.linalg.norm(expected)
        assert (moved == 0) == (name == AS_TRAINED)
        assert moved < 0.5


def test_fixed_quirks_that_are_trained():
    """Decay passes over A_log alone; a mask of drop path is the same for the four windows of an image, and only in level 2."""
    from fixed_quirks import images_dropped, rates_not_decayed

    from mvnp.core import Param, Tape
    from mvnp.layers.drop_path import DropPath
    from mvnp.training import optimizer

    matrix = Param(np.ones((2, 2)))
    with rates_not_decayed():
        assert not optimizer.is_decayed("levels.2.blocks.0.mixer.A_log", matrix)
        assert optimizer.is_decayed("levels.2.blocks.0.mixer.in_proj.weight", matrix)
    assert optimizer.is_decayed("levels.2.blocks.0.mixer.A_log", matrix)
    with images_dropped():
        for channels, windows in ((64, 4), (128, 1)):
            mask = DropPath(0.5).forward(np.ones((64, 4, channels)), Tape(training=True, seed=0))[:, 0, 0]
            same = (mask.reshape(-1, 4) == mask[::4, None]).all()
            assert same == (windows == 4)
            assert 0 < np.count_nonzero(mask) < 64


def test_fixed_quirks_report():
    from fixed_quirks import RUN_OTHERWISE, TRAINED, report

    run = [{"name": name, "accuracy": 0.5, "moved": 0.0123, "changed": 0.25} for name in RUN_OTHERWISE]
    trained = [{"name": name, "seed": seed, "accuracy": 0.8 + seed / 10} for name in TRAINED for seed in (0, 1)]
    text = report(run, trained, [0.57, 0.76])
    assert "| as trained | 50.0% | – | 25.0% of the images |" in text
    assert "| every row of a window by itself | 50.0% | 0.01 | 25.0% of the images |" in text
    assert "| A_log not decayed | 85.0% (80.0%–90.0%) | 85.0% (80.0%–90.0%) official |" in text
    assert "0.57 to 0.76 as much" in text
