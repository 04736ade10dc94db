"""benchmarks/recipe.py and what it shares with the ablations: rows, draws, pairs, tables, and every part at its smallest."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.patience import HANGS
from support.tolerance import near

pytestmark = pytest.mark.usefixtures("benchmarks_importable")

ROOT = Path(__file__).parents[1]


# What studies share


def test_pairs_by_seed():
    """Differences of 1, 2, 3 points: mean 2, deviation 1, and 4.303 · 1/√3 on each side."""
    from study import paired

    found = paired([0.81, 0.72, 0.63], [0.80, 0.70, 0.60])
    assert found.mean == near(2.0)
    assert found.half == near(4.303 / 3**0.5)
    assert (found.verdict, str(found)) == ("within the noise", "+2.00 ± 2.48")
    assert paired([0.81, 0.715, 0.612], [0.80, 0.70, 0.60]).verdict == "better"
    assert paired([0.80, 0.70, 0.60], [0.81, 0.715, 0.612]).verdict == "worse"
    assert (paired([0.81], [0.80]).verdict, str(paired([0.81], [0.80]))) == ("one seed", "+1.00")


def test_quantiles_of_students_t():
    """The tail beyond each, by numbers: Σ of the density in small steps."""
    from study import QUANTILES

    assert list(QUANTILES) == sorted(QUANTILES, reverse=True)
    for degrees, quantile in enumerate(QUANTILES, 1):
        t = quantile + (np.arange(4_000_000) + 0.5) * 1e-3
        constant = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
        tail = constant * float(np.sum((1 + t * t / degrees) ** (-(degrees + 1) / 2))) * 1e-3
        assert abs(tail - 0.025) < 2e-4, degrees


def test_words():
    from study import in_words, remaining

    assert [in_words(seconds) for seconds in (20.4, 100, 7260)] == ["20 s", "2 min", "2 h 01 min"]
    assert remaining(100.0, 4, 10) == 150.0


def test_lines_are_found_again_by_their_keys(tmp_path):
    from study import Runs

    runs = Runs(tmp_path / "work" / "runs.jsonl")
    assert runs.find("a", 0, 1) is None
    runs.add({"arm": "a", "seed": 0, "epochs": 1, "accuracy": 0.5})
    runs.add({"arm": "a", "seed": 1, "epochs": 1, "accuracy": 0.6})
    again = Runs(tmp_path / "work" / "runs.jsonl")
    assert again.find("a", 1, 1)["accuracy"] == 0.6
    assert again.find("a", 1, 2) is None
    assert Runs(tmp_path / "work" / "runs.jsonl", ("accuracy",)).find(0.5)["seed"] == 0


def test_tasks_side_by_side_say_what_is_left(capsys, monkeypatch):
    import study

    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(study.time, "monotonic", lambda: float(next(clock)))
    kept = []

    def keep(task, row):
        kept.append((task, row))
        return f"task {task}"

    study.side_by_side([3, 1, 4], 1, lambda task: {"found": task}, keep, 5, float)
    assert kept == [(3, {"found": 3}), (1, {"found": 1}), (4, {"found": 4})]
    assert capsys.readouterr().out.splitlines() == [
        "2 of 5 runs are done already",
        "3 of 5: task 3; about 17 s left",  # 10 s for 3 of 8
        "4 of 5: task 1; about 20 s left",
        "5 of 5: task 4; about 0 s left",
    ]


def test_a_task_that_fails_ends_the_study():
    import study

    tried = []

    def run(task):
        tried.append(task)
        raise SystemExit(f"{task} failed")

    with pytest.raises(SystemExit, match=r"^0 failed$"):
        study.side_by_side(list(range(50)), 1, run, lambda task, row: "")
    assert len(tried) < 50


def test_a_process_of_its_own_ends_with_its_parent(tmp_path):
    """The parent is killed; the child, which would sleep on, ends: nobody has its pipe open any more."""
    child, pipe = tmp_path / "child.py", tmp_path / "pipe"
    os.mkfifo(pipe)
    child.write_text(
        "import time\nfrom study import end_with_parent\nend_with_parent()\n"
        f"file = open({str(pipe)!r}, 'w')\nprint('begun', file=file, flush=True)\ntime.sleep({HANGS})\n"
    )
    parent = f"from study import in_process\nin_process({str(child)!r}, [], 'a child')"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT)])}
    with subprocess.Popen([sys.executable, "-c", parent], env=env) as process, pipe.open() as file:
        assert file.readline() == "begun\n"
        process.kill()
        assert file.read() == ""


# Rows and runs


def test_rows_are_settings_of_a_run():
    from recipe import PARTS, RATES
    from recipe_run import Plan, Run, config_of

    for part in PARTS.values():
        configs = {}
        for name, row in part.rows.items():
            run = Run(row, 3, RATES[row.optimizer][1])
            configs[name] = config_of(run, Plan()) if row.net == "MambaVision" else replace(row)
            assert Run.from_json(run.to_json()).key(Plan()) == run.key(Plan())
        assert len({str(config) for config in configs.values()}) == len(configs)
        assert set(part.against) | set(part.against.values()) == set(part.rows) or part.title == "Batch size"
        assert not set(part.against) & set(part.against.values())
    assert config_of(Run(PARTS["A1"].rows["base"], 3, 0.01), Plan()).lr == 0.01


def test_each_row_of_leave_one_out_lacks_one_ingredient():
    from recipe import PARTS, WHOLE

    def ingredients(row):
        return {**row.settings, **row.augmentation}

    whole, *others = PARTS["L"].rows.values()
    assert whole == WHOLE == PARTS["A2"].rows["the recipe without crops"]
    lacking = [set(ingredients(whole)) - set(ingredients(row)) for row in others]
    assert lacking == [{"label_smoothing"}, {"mixup", "cutmix"}, {"randaugment"}, {"erasing"}, {"mesa"}]


def test_another_plan_is_another_run():
    from recipe_run import TINY, Plan, Row, Run

    run = Run(Row(), 0, 0.01)
    others = [run.key(TINY), replace(run, seed=1).key(Plan()), replace(run, rate=0.02).key(Plan())]
    others.append(replace(run, row=Row(batch=200)).key(Plan()))
    assert len({run.key(Plan()), *others}) == 5
    assert run.key(replace(Plan(), seeds=2)) == run.key(Plan())
    assert (run.images(Plan()), replace(run, row=Row("full")).images(Plan())) == (48_000, 180_000)


def test_images_are_drawn_apart_from_those_that_rates_are_chosen_on():
    from recipe_run import TINY, Data

    data = Data("fashion-mnist-small", TINY)
    drawn, held_out = data.drawn("short", 0), data.held_out()
    assert drawn.counts.tolist() == [10] * 10
    assert data.drawn("short", 1).images.tobytes() != drawn.images.tobytes()
    assert (len(held_out), len(data.held_out(20)), len(data.tested()), len(data.tested(20))) == (100, 20, 100, 20)
    assert held_out.images[:20].tobytes() == data.held_out(20).images.tobytes()
    assert not {image.tobytes() for image in drawn.images} & {image.tobytes() for image in held_out.images}


def test_what_a_model_says_is_judged():
    """Two classes, sure by 0.75 of class 0: right three times of four, so nothing is out of calibration."""
    from recipe_run import judged

    class Loader:
        def epoch(self, number):
            return [(np.zeros((2, 1)), np.array(labels)) for labels in ((0, 0), (0, 1))]

    found = judged(lambda images: np.log([[3.0, 1.0]] * len(images)), Loader())
    assert found == {"accuracy": 0.75, "loss": near(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))), "calibration": near(0.0)}
    found = judged(lambda images: np.log([[1.0, 3.0]] * len(images)), Loader())
    assert (found["accuracy"], found["calibration"]) == (0.25, near(0.5))


def test_distorted_images():
    from recipe_run import TINY, Data, distorted

    data = Data("fashion-mnist-small", TINY).tested(4)
    found = distorted(data)
    assert list(found) == ["turned", "shifted", "covered", "noisy"]
    assert all(each.images.shape == data.images.shape and each.images.dtype == np.uint8 for each in found.values())
    images = data.images[..., 0].astype(int)
    for before, after in zip(images, found["shifted"].images[..., 0], strict=True):
        assert np.array_equal(before[:, 6:], after[:, :-6]) or np.array_equal(before[:, :-6], after[:, 6:])
    covered = found["covered"].images[..., 0]
    assert ((covered == images) | (covered == 0)).all()
    assert (covered != images).any(axis=(1, 2)).all()


# Tables


def runs_of(accuracies, rate=0.01, **more):
    made = {"train_accuracy": 0.9, "loss": 0.5, "calibration": 0.05, "distorted": {"turned": 0.4}, "net": "MambaVision"}
    made["curve"] = [[1, 0.3, 0.2], [2, 0.5, 0.6]]
    return [{"seed": seed, "accuracy": accuracy, "rate": rate, **made, **more} for seed, accuracy in enumerate(accuracies)]


def spaced(difference):
    """As it stands in a table, where it is not broken over two lines."""
    return difference.replace(" ", "\N{NO-BREAK SPACE}")


def test_table_of_ingredients():
    from recipe import PARTS
    from recipe_run import TINY
    from recipe_tables import table

    turned = {"distorted": {"turned": 0.425}}
    text = table("A1", PARTS["A1"], {"base": runs_of([0.5, 0.6, 0.7]), "MESA": runs_of([0.51, 0.62, 0.73], **turned)}, TINY)
    assert "| base | 60.00 |  |  | 90.0 | 0.500 | 5.0 |" in text
    assert f"| MESA | 62.00 | {spaced('+2.00 ± 2.48')} | noise | 90.0 | 0.500 | 5.0 |" in text
    assert "A1: 100 images, 2 epochs; means of 3 seeds, difference to the first row, in pairs" in text
    assert f"| base, % | 40.0 |\n| MESA | {spaced('+2.50 ± 0.00')} better |" in text
    assert "| base, held-out accuracy in % after epoch | 1 | 2 |" in text
    assert "| weights | 30.0 | 50.0 |\n| their average | 20.0 | 60.0 |" in text


def test_table_of_all_images_has_no_curve():
    from recipe import PARTS
    from recipe_run import Plan
    from recipe_tables import table

    text = table("F", PARTS["F"], {"base": runs_of([0.5, 0.6], train_accuracy=None, curve=[])}, Plan())
    assert "| All images | test, % | difference, points |  | loss | calibration error, % |" in text
    assert "F: all images, 3 epochs; means of 2 seeds" in text
    assert "average" not in text


def test_table_of_networks():
    from recipe import PARTS
    from recipe_run import Plan
    from recipe_tables import table

    found = {"MambaVision": runs_of([0.5, 0.6]), "ViT": runs_of([0.4, 0.5], rate=0.02, net="ViT")}
    nets = [{"net": "ViT", "parameters": 1234, "step_ms": 1.234, "forward_ms": 0.5, "peak_mb": 99.6}]
    text = table("C", PARTS["C"], found, Plan(), nets)
    assert "| MambaVision | 0.01 | 55.00 |  |  | 90.0 | 0.500 | 5.0 |  |  |  |  |" in text
    assert (
        f"| ViT | 0.02 | 45.00 | {spaced('-10.00 ± 0.00')} | worse | 90.0 | 0.500 | 5.0 | 1,234 | 1.23 | 0.50 | 100 |" in text
    )
    assert "difference to MambaVision" in text


# All parts, at their smallest


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """`recipe.main` on a few images, in this process; two rows of each part, and two rates."""
    import recipe

    monkeypatch.setattr(recipe, "RATES", {"lamb": (0.01, 0.02), "adamw": (0.001, 0.002)})
    monkeypatch.setattr(recipe, "NETS", ("MambaVision", "ViT"))
    kept = {
        "A1": ("base", "AdamW"),
        "A2": ("base", "the recipe without crops"),
        "L": ("the recipe without crops", "without MESA"),
    }
    kept |= {"F": ("base", "the recipe without crops"), "B": ("LAMB, batches of 50", "AdamW, batches of 50")}
    kept["C"] = ("MambaVision, mixed", "ViT, mixed")
    for name, labels in kept.items():
        part = recipe.PARTS[name]
        against = {label: base for label, base in part.against.items() if label in labels}
        rows = {label: part.rows[label] for label in labels}
        monkeypatch.setitem(recipe.PARTS, name, replace(part, rows=rows, against=against))
    calls = []

    def in_process(self, option, value, about):
        calls.append(option)
        given = {"run": None, "time": None, "cost": None, "agree": None, option[2:]: value}
        return recipe.child(type(self.given)(**{**vars(self.given), **given}))

    monkeypatch.setattr(recipe.Study, "in_process", in_process)

    def main(*arguments):
        calls.clear()
        given = [*arguments, "--tiny", "--work", str(tmp_path / "work"), "--data", "fashion-mnist-small", "--jobs", "1"]
        recipe.main(given)
        return list(calls)

    return main


@pytest.mark.slow(reason="eighteen trainings, each in a process of its own")
def test_parts_are_run_once_and_share_their_runs(tiny, tmp_path, capsys):
    seeds = rates = 2
    assert Counter(tiny("A1")) == {"--run": 2 * rates + 2 * seeds, "--cost": 2}
    assert "8 of 8" not in capsys.readouterr().out  # rates and rows are counted apart
    assert Counter(tiny("A2")) == {"--run": 2 * seeds, "--cost": 1}  # the base is A1's
    assert Counter(tiny("L")) == {"--run": seeds, "--cost": 1}  # the whole recipe is A2's
    assert len(tiny("F")) == 2 * seeds
    assert tiny("B") == []  # of 50 images A1 has both
    lines = [json.loads(line) for line in (tmp_path / "work" / "runs.jsonl").read_text().splitlines()]
    assert len({line["key"] for line in lines}) == len(lines) == 18
    assert all(0 <= line["accuracy"] <= 1 and line["loss"] > 0 for line in lines)
    assert {line["length"] for line in lines} == {"short", "long", "full"}
    assert [len(line["curve"]) for line in lines if line["seed"] == 100] == [0] * 4  # nothing is looked at on the way
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["costs.jsonl", "runs.jsonl"]
    capsys.readouterr()

    assert tiny("A1", "A2", "L", "F", "B", "--report", "--out", str(tmp_path / "out")) == []
    told = capsys.readouterr().out
    assert told.count("in pairs, with the 95 % interval of its mean") == 5
    assert "not whole" not in told
    results = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert list(results["parts"]) == ["A1", "A2", "L", "F", "B"]
    pair = [[run["accuracy"] for run in results["parts"]["F"][label]] for label in ("the recipe without crops", "base")]
    [(label, difference)] = results["differences"]["F"].items()
    assert (label, difference["mean"]) == ("the recipe without crops", pytest.approx(100 * np.subtract(*pair).mean()))
    assert "| Leave one out |" in (tmp_path / "out" / "recipe.md").read_text()


def test_what_is_not_whole_is_not_written(tiny, tmp_path, capsys):
    tiny("--report", "--out", str(tmp_path / "out"))
    assert "not whole: A1 has 0 of 2 rows, A2 has 0 of 2 rows" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_networks_are_compared_after_the_twin_agrees(tiny, tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    called = tiny("C", "--out", str(tmp_path / "out"))
    assert called == ["--agree", *["--run"] * 8, "--time", "--time"]
    nets = json.loads((tmp_path / "out" / "recipe.json").read_text())["nets"]
    assert [net["net"] for net in nets] == ["agreement", "MambaVision", "ViT"]
    assert nets[0]["worst"] < 1e-9
    assert nets[1]["parameters"] == 582_050
    assert tiny("C") == []

    path = tmp_path / "work" / "nets.jsonl"
    path.write_text(path.read_text().replace(json.dumps(nets[0]["worst"]), "0.25"))
    with pytest.raises(SystemExit, match=r"the losses of mvnp and its PyTorch twin differ by 2\.5e-01 in 3 steps"):
        tiny("C")


def test_networks_need_pytorch(tiny, monkeypatch):
    import recipe

    monkeypatch.setattr(recipe.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"part C needs torch: pip install -e '\.\[bench\]'"):
        tiny("C")


def test_a_wrong_data_set_is_said_by_its_run(tmp_path):
    """Of a process of its own."""
    import recipe

    with pytest.raises(SystemExit, match=r"^MambaVision \{\}, seed 100: no data set and no folder .*gone"):
        recipe.main(["A1", "--tiny", "--jobs", "1", "--work", str(tmp_path / "work"), "--data", str(tmp_path / "gone")])


# The peers


def test_peers_are_as_large_as_the_demo_model():
    torch = pytest.importorskip("torch")
    from torch_peers import PEERS, make_peer

    for name in PEERS:
        net = make_peer(name, 10, 0.05, 0)
        assert abs(sum(param.numel() for param in net.parameters()) / 582_050 - 1) < 0.02, name
        assert net.eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 10)


def test_a_dropped_path_leaves_the_mean_as_it_is():
    torch = pytest.importorskip("torch")
    from torch_peers import DropPath

    torch.manual_seed(0)
    layer, x = DropPath(0.25), torch.rand(4000, 1, 2, 3)
    y = layer(x)
    ratio = (y / x).reshape(4000, -1)
    assert ((ratio - ratio[:, :1]).abs() < 1e-5).all()
    assert {round(float(each), 3) for each in ratio[:, 0]} == {0.0, 1.333}
    assert abs(float((ratio[:, 0] == 0).float().mean()) - 0.25) < 0.03
    assert layer.eval()(x) is x


def test_a_peer_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    """After each epoch its weights, its statistics and its optimiser are kept."""
    torch = pytest.importorskip("torch")
    import torch_peers
    from recipe_run import TINY, Data, Row, Run, config_of

    from mvnp.data import BatchLoader

    config = config_of(Run(Row(net="ResNet"), 5, 0.01), TINY)
    loader = BatchLoader(Data("fashion-mnist-small", TINY).drawn("short", 0), 50, train=True, **config.loader_options)

    whole = torch_peers.train_peer("ResNet", config, loader, tmp_path / "whole")
    steps, step = [], torch_peers.Steps.step

    def stopped(self, *arguments):
        steps.append(1)
        if len(steps) == 4:  # in the second epoch of two steps
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(torch_peers.Steps, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        torch_peers.train_peer("ResNet", config, loader, tmp_path / "stopped")
    resumed = torch_peers.train_peer("ResNet", config, loader, tmp_path / "stopped")
    assert len(steps) == 6
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_peer_that_diverges_says_so():
    pytest.importorskip("torch")
    from recipe_run import TINY, Row, Run, config_of
    from torch_peers import Steps, make_peer

    steps = Steps(make_peer("ViT", 10, 0.0, 0), config_of(Run(Row(net="ViT"), 0, 0.01), TINY))
    images = np.full((4, 1, 64, 64), np.inf, np.float32)
    with pytest.raises(SystemExit, match=r"^ViT: the loss is nan, the norm of the gradients nan, at rate 0\.01$"):
        steps.step(images, np.zeros(4, np.int64), 0.01)
