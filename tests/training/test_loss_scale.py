"""Training in mixed precision: mvnp/training/loss_scale.py, and what train_step and Trainer do with it."""

import numpy as np
import pytest

from mvnp.errors import InputError, TrainingError
from mvnp.training import AdamW, TrainingConfig, read_checkpoint, read_log, train_step
from mvnp.training import trainer as trainer_module
from mvnp.training.loss_scale import FIRST, adapted
from mvnp.training.run_checkpoint import Position
from mvnp.training.step import HalfOverflowError
from support.strict_cupy import installed
from support.tolerance import near
from support.toy_training import ToyModel, assert_same_outcome, toy_config, toy_loaders, toy_trainer


def test_the_scale_adapts():
    assert adapted(1024.0, 7, overflowed=True) == (512.0, 0)
    assert adapted(2.0, 7, overflowed=True) == (1.0, 0)
    assert adapted(1024.0, 7, overflowed=False) == (1024.0, 8)
    assert adapted(1024.0, 1998, overflowed=False) == (1024.0, 1999)
    assert adapted(1024.0, 1999, overflowed=False) == (2048.0, 0)
    assert adapted(2.0**23, 1999, overflowed=False) == (2.0**24, 0)
    assert adapted(2.0**24, 1999, overflowed=False) == (2.0**24, 0)
    with pytest.raises(TrainingError, match="overflow float16 at a loss scale of 1"):
        adapted(1.0, 0, overflowed=True)


def test_a_run_begins_with_a_scale_of_65536():
    assert Position().loss_scale == FIRST == 65536


def steps(count, **options):
    model, (train, _) = ToyModel(), toy_loaders(toy_config())
    optimizer = AdamW(model.named_parameters())
    losses = [
        train_step(model, optimizer, *train.batch(i // 5, i % 5), lr=0.02, seed=[0, i], **options).loss for i in range(count)
    ]
    return losses, model, optimizer


def test_the_same_as_float32_to_rounding():
    exact, mixed = (steps(10, loss_scale=scale)[0] for scale in (None, 1024.0))
    assert mixed == [near(loss, terms=1, dtype="float16") for loss in exact]
    assert mixed[1:] != exact[1:]
    assert exact[0] == mixed[0]


def test_gradients_that_float16_would_lose():
    """All below 6e-8, the smallest number of float16: without a scale nothing is left, with one all of them."""
    found = []
    for scale in (None, 1.0, 2.0**14):
        _, model, optimizer = steps(0)
        model.outer.weight.data *= np.float32(1e-7)
        images, labels = toy_loaders(toy_config())[0].batch(0, 0)
        train_step(model, optimizer, images, labels, lr=0.0, loss_scale=scale)
        found.append(np.linalg.norm(optimizer.m["inner.weight"]))
    exact, lost, kept = found
    assert kept == near(exact, terms=4, dtype="float16")
    assert lost < 0.1 * exact


def test_an_overflow_changes_nothing():
    _, model, optimizer = steps(3, loss_scale=1024.0)
    before = {**model.state_dict(), **optimizer.state_dict()}
    images, labels = toy_loaders(toy_config())[0].batch(0, 0)
    with pytest.raises(HalfOverflowError, match="a gradient overflowed float16") as caught:
        train_step(model, optimizer, images, labels, lr=0.02, loss_scale=2.0**40)
    assert np.isfinite(caught.value.loss)
    for key, array in {**model.state_dict(), **optimizer.state_dict()}.items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)


def test_one_wait_in_a_step():
    with installed() as recorder:
        model, (train, _) = ToyModel(), toy_loaders(toy_config())
        optimizer = AdamW(model.named_parameters())
        recorder.clear()
        train_step(model, optimizer, *train.batch(0, 0), lr=0.05, clip_norm=0.5, loss_scale=64.0)
        assert len(recorder.syncs) == 1, recorder.syncs


def test_a_run(tmp_path, monkeypatch):
    """Steps that overflow are skipped and noted, and a run that was cut off goes on with the scale that it had."""
    config = toy_config(precision="mixed")
    original, seen = trainer_module.train_step, []

    def watched(*arguments, **options):
        seen.append(options["loss_scale"])
        if len(seen) == 8:
            raise ConnectionError
        return original(*arguments, **options)

    def run(out, resume=False):
        trainer = toy_trainer(out, resume, config)
        if not resume:
            trainer.position.loss_scale = 2.0**24
        trainer.run()

    run(tmp_path / "whole")
    log = [line for line in read_log(tmp_path / "whole/log.jsonl") if line["event"] == "step"]
    skipped = [line["step"] for line in log if line["grad_norm"] is None]
    assert skipped
    assert skipped == list(range(1, len(skipped) + 1))
    position = read_checkpoint(tmp_path / "whole/checkpoint.safetensors").position
    assert (position.loss_scale, position.good_steps) == (2.0 ** (24 - len(skipped)), 15 - len(skipped))
    assert position.accuracy > 0.5
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "train_step", watched)
        with pytest.raises(ConnectionError):
            run(tmp_path / "cut")
    assert seen[: len(skipped) + 1] == [2.0 ** (24 - i) for i in range(len(skipped) + 1)]
    run(tmp_path / "cut", resume=True)
    assert_same_outcome(tmp_path / "cut", tmp_path / "whole")


def test_settings():
    with pytest.raises(InputError, match="precision is 'half', expected one of full, mixed"):
        TrainingConfig(model={}, precision="half")
    with pytest.raises(InputError, match="the model's dtype is float64, expected float32"):
        TrainingConfig(model={"dtype": "float64"}, precision="mixed")
