"""Training under the stand-in for CuPy: NumPy's numbers, one wait of the host in a step, runs that change backends."""

import contextlib

import numpy as np
import pytest

from mvnp.kernels import dispatch
from mvnp.training import EMA, LAMB, AdamW, Teacher, evaluate, read_checkpoint, read_log, train_step
from support.strict_cupy import installed
from support.sudden_end import Stop, stop_at
from support.tolerance import DEEP, assert_close
from support.toy_training import RECIPE, ToyModel, toy_config, toy_loaders, toy_run, toy_trainer


@pytest.fixture(autouse=True)
def array_code(monkeypatch):
    """The stand-in computes array code: to the bit, only NumPy's array code is the same."""
    monkeypatch.setattr(dispatch, "_chosen", "off")


def steps(count):
    model, (train, test) = ToyModel(), toy_loaders(toy_config())
    optimizer = AdamW(model.named_parameters())
    results = [
        train_step(model, optimizer, *train.batch(0, i), lr=0.05, seed=[0, i], clip_norm=0.5, label_smoothing=0.1)
        for i in range(count)
    ]
    return results, model, optimizer, test


def test_one_wait_in_a_step():
    with installed() as recorder:
        model, (train, _) = ToyModel(), toy_loaders(toy_config())
        optimizer = AdamW(model.named_parameters())
        recorder.clear()
        train_step(model, optimizer, *train.batch(0, 0), lr=0.05, clip_norm=0.5)
        assert len(recorder.syncs) == 1, recorder.syncs


def test_one_wait_in_an_evaluation():
    with installed() as recorder:
        model, (_, test) = ToyModel(), toy_loaders(toy_config())
        recorder.clear()
        evaluate(model, test)
        assert len(recorder.syncs) == 1, recorder.syncs


def test_same_numbers():
    want, model, _, test = steps(4)
    evaluation, weights = evaluate(model, test), model.state_dict()
    with installed():
        got, model, _, test = steps(4)
        assert got == want
        assert evaluate(model, test) == evaluation
        for key, array in model.state_dict().items():
            np.testing.assert_array_equal(array.get(), weights[key])


@pytest.mark.parametrize("changes", [{}, {"loss": "bce"}, {"class_weights": "balanced"}, {"optimizer": "sgd", "accumulate": 2}])
def test_the_whole_recipe_on_a_device(tmp_path, changes):
    """LAMB, the average as a teacher, mixed targets, on NumPy and on the device: the same to rounding."""
    config = toy_config(**{**RECIPE, "accumulate": 1, "epochs": 3, **changes})
    toy_run(tmp_path / "host", config=config)
    with installed():
        toy_run(tmp_path / "device", config=config)
    got, want = (_losses(tmp_path / name) for name in ("device", "host"))
    assert_close(got, want, terms=DEEP)


def test_two_waits_in_a_step_with_a_teacher():
    with installed() as recorder:
        model, (train, _) = ToyModel(), toy_loaders(toy_config())
        optimizer, average = LAMB(model), EMA(model, 0.9)
        batch = train.batch(0, 0)
        recorder.clear()
        train_step(model, optimizer, *batch, lr=0.05, clip_norm=0.5, teacher=Teacher(average.model, 0.5), more=[(*batch, None)])
        average.update(model)
        assert len(recorder.syncs) == 2, recorder.syncs  # the second for what MESA says


@pytest.mark.parametrize("first", ["device", "host"])
def test_a_run_that_changes_backends(tmp_path, monkeypatch, first):
    """The stand-in computes NumPy's numbers, so even this run is the uninterrupted one, to rounding."""
    toy_run(tmp_path / "whole")
    places = (installed, contextlib.nullcontext) if first == "device" else (contextlib.nullcontext, installed)
    with places[0](), monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stop):
            toy_run(tmp_path / "moved")
    with places[1]():
        toy_run(tmp_path / "moved", resume=True)
    got, want = (read_checkpoint(tmp_path / run / "checkpoint.safetensors") for run in ("moved", "whole"))
    assert got.arrays.keys() == want.arrays.keys()
    assert got.position.epoch == want.position.epoch
    for key, array in want.arrays.items():
        # The gradient of a bias in front of a norm is rounding noise, of which AdamW makes steps; the norm's mean has them.
        if not key.endswith(("inner.bias", "running_mean")):
            assert_close(got.arrays[key], array, terms=DEEP, message=key)
    # In evaluation that mean lags behind, and the noise can decide which epoch is the best: it is the best of this run's log.
    epochs = [line for line in read_log(tmp_path / "moved" / "log.jsonl") if line["event"] == "epoch"]
    best = read_checkpoint(tmp_path / "moved" / "best.safetensors").position
    assert best.epoch == max(epochs, key=lambda line: line["test_accuracy"])["epoch"]
    got, want = (_losses(tmp_path / run) for run in ("moved", "whole"))
    assert len(want) > 7
    assert_close(got, want, terms=DEEP)


def _losses(run):
    return np.array([line["loss"] for line in read_log(run / "log.jsonl") if "loss" in line], np.float32)


def test_a_run_says_how_much_memory_it_took(tmp_path, capsys):
    with installed():
        toy_trainer(tmp_path, quiet=False).run()
    assert capsys.readouterr().err.splitlines()[-1] == "peak GPU memory 12 MB"
