"""Caches forgotten and worked out again: mvnp/execution/checkpointing.py. The result is that of a step that keeps them."""

import tracemalloc

import numpy as np
import pytest

import mvnp
from mvnp import Tape
from mvnp.execution import parallel, shares
from mvnp.execution.share import ShareTape
from mvnp.models.backbone import Backbone
from mvnp.training import AdamW, train_step
from support.checks import normal
from support.randomise import randomised
from support.tiny import TINY
from support.tolerance import DEEP, assert_close

IMAGES = 5


def model_of(kind=mvnp.MambaVision, **options):
    rates = {"drop_path_rate": 0.3, "drop_rate": 0.2, "attn_drop_rate": 0.2}
    return randomised(kind(**{**TINY, "depths": (2, 1, 2, 2), "dtype": "float64", **rates, **options}))


def results_of(model, micro_batch, training=True):
    """Outputs, dx, all gradients and, after commit, all statistics and the next draw."""
    state, whole = model.state_dict(), Tape(training=training, seed=3)
    tape = ShareTape(whole, slice(0, IMAGES), IMAGES, micro_batch=micro_batch)
    y = model(normal((IMAGES, 3, 40, 24), seed=1), tape)
    outputs = y if isinstance(y, list) else [y]
    dy = [normal(each.shape, seed=9 + i) for i, each in enumerate(outputs)]
    found = {"dx": model.backward(dy if isinstance(y, list) else dy[0], tape)}
    assert tape.entries == []
    tape.commit()
    found |= {f"y{i}": each for i, each in enumerate(outputs)}
    found |= {f"d {key}": gradient for key, gradient in model.gradients(tape).items()}
    found |= {f"after {key}": value for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    return {**found, "draw": tape.rng.generator.random(3)}


def assert_same(got, want):
    assert got.keys() == want.keys()
    scale = max(np.linalg.norm(value) for key, value in want.items() if key.startswith("d "))
    for key, value in want.items():
        # A gradient that is zero by mathematics is rounding noise: small beside the others.
        assert_close(got[key], value, terms=DEEP, scale=max(np.abs(value).max(), 1e-3 * scale), message=key)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("micro_batch", [1, 2, 5, 8])
def test_the_same_as_the_whole_batch(micro_batch, training):
    model = model_of()
    assert_same(results_of(model, micro_batch, training), results_of(model, 0, training))


@pytest.mark.parametrize("out_indices", [(0, 1), (0, 2, 3), (1, 3)])
def test_backbone(out_indices):
    arguments = {key: value for key, value in TINY.items() if key != "num_classes"}
    model = randomised(Backbone(**{**arguments, "dtype": "float64", "drop_path_rate": 0.3, "out_indices": out_indices}))
    assert_same(results_of(model, 2), results_of(model, 0))


def test_with_threads(monkeypatch):
    """Shares that meet at every BatchNorm meet there again when they run forward for the second time."""
    model = model_of()
    want = results_of(model, 0)
    monkeypatch.setattr(parallel, "_chosen", 2)
    monkeypatch.setattr(shares, "LEAST_PIXELS", 0)
    assert_same(results_of(model, 2), want)


def peak_of_a_step(batch, micro_batch):
    """Bytes beyond those that are there before and after."""
    model = mvnp.MambaVision(**{**TINY, "dim": 8, "depths": (1, 1, 8, 4)})
    optimizer = AdamW(model.named_parameters())
    images, labels = normal((batch, 3, 64, 64), seed=1).astype("f4"), np.arange(batch) % 3
    train_step(model, optimizer, images, labels, lr=1e-3)  # makes the workspaces
    tracemalloc.start()
    try:
        train_step(model, optimizer, images, labels, lr=1e-3, micro_batch=micro_batch)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 1)
    plain, saving = ([peak_of_a_step(batch, micro) for batch in (16, 32)] for micro in (0, 4))
    assert saving[0] < 0.7 * plain[0]
    # What one image more costs.
    assert saving[1] - saving[0] < 0.7 * (plain[1] - plain[0])
