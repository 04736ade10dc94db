"""A batch in shares: mvnp/execution/shares.py. However it is cut, the result is that of the whole batch."""

import gc
import itertools
import weakref
from functools import partial

import numpy as np
import pytest

import mvnp
from mvnp import Tape
from mvnp.execution import parallel, shares
from mvnp.execution.parallel import ThreadGroup, run
from mvnp.execution.share import ShareTape
from mvnp.execution.shares import Reduction
from mvnp.layers.batchnorm import BatchNorm
from support.checks import normal, relative
from support.randomise import randomised
from support.tiny import TINY
from support.tolerance import DEEP, assert_close, rounding


def model_of(**options):
    return randomised(mvnp.MambaVision(**{**TINY, "dtype": "float64", **options}))


@pytest.fixture
def cut(monkeypatch):
    """Cut batches into this many shares, whatever their size."""

    def into(number: int, pixels: int = 1 << 30) -> None:
        monkeypatch.setattr(parallel, "_chosen", number)
        monkeypatch.setattr(shares, "LEAST_PIXELS", 0)
        monkeypatch.setattr(shares, "SHARE_PIXELS", pixels)

    return into


def results_of(model, x, training, method="forward", seed=3):
    """Outputs, dx, all gradients and, after commit, all statistics and the next draw."""
    state = model.state_dict()
    tape = Tape(training=training, seed=seed)
    y = getattr(model, "forward" if method == "forward" else method)(x, tape)
    backward = {"forward": "backward", "pooled": "pooled_backward", "features": "features_backward"}[method]
    dy = [None, normal(y[1].shape, 8), None, normal(y[3].shape, 9)] if method == "features" else normal(y.shape, seed=9)
    dx = getattr(model, backward)(dy, tape)
    assert tape.entries == []
    tape.commit()
    found = {"dx": dx, **{f"d{key}": g for key, g in model.gradients(tape).items()}}
    found |= {f"y{i}": part for i, part in enumerate(y if isinstance(y, list) else [y])}
    found |= {f"after {key}": value for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    return {**found, "draw": tape.rng.random(3)}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_tape_goes_when_nobody_holds_it(cut, threads):
    """At once, with all its gradients: one that waits for the garbage collector is a step's memory for each step."""
    cut(threads)
    model, x = model_of(), normal((4, 3, 32, 32), seed=1)

    def step() -> weakref.ref:
        tape = Tape()
        model.backward(normal(model(x, tape).shape, seed=2), tape)
        tape.commit()
        return weakref.ref(tape)

    step()
    gc.collect()
    gc.disable()
    try:
        assert step()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("method", ["forward", "pooled", "features"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("number", [2, 3])
def test_with_a_tape(cut, number, training, method):
    """Five images in two or three shares, none of the same size: batch statistics, dropout and windows with padding."""
    model = model_of(drop_path_rate=0.3, drop_rate=0.2, attn_drop_rate=0.2)
    x = normal((5, 3, 40, 24), seed=1)
    whole = results_of(model, x, training, method)
    cut(number)
    in_shares = results_of(model, x, training, method)
    assert in_shares.keys() == whole.keys()
    scale = max(np.linalg.norm(value) for key, value in whole.items() if key.startswith("d") and key != "draw")
    for key, want in whole.items():
        # Gradients that are zero by mathematics are rounding noise: small beside the others.
        assert_close(in_shares[key], want, terms=DEEP, scale=max(np.abs(want).max(), 1e-3 * scale), message=key)


@pytest.mark.parametrize("pixels", [1, 2 * 32 * 32, 1 << 30])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_without_a_tape(cut, number, pixels):
    model, x = model_of(), normal((7, 3, 32, 32), seed=1)
    logits, stages = model(x), model.features(x)
    cut(number, pixels)
    assert_close(model(x), logits)
    for got, want in zip(model.features(x), stages, strict=True):
        assert_close(got, want)


def test_float32(cut):
    model, x = model_of(dtype="float32"), normal((4, 3, 32, 32), seed=1).astype(np.float32)
    whole = results_of(model, x, training=True)
    cut(2)
    in_shares = results_of(model, x, training=True)
    assert_close(in_shares["y0"], whole["y0"])
    assert relative(in_shares["dx"], whole["dx"]) <= rounding("float32")


def test_sizes_of_shares(cut):
    for B, number in itertools.product((1, 2, 5, 8), (1, 2, 3)):
        cut(number)
        x = np.zeros((B, 3, 8, 8))
        parts = shares.rows_of_shares(x, Tape())
        assert len(parts) == min(B, number)
        sizes = [len(x[part]) for part in parts]
        assert sum(sizes) == B
        assert max(sizes) - min(sizes) <= 1
    cut(2, pixels=3 * 64)
    assert len(shares.rows_of_shares(np.zeros((12, 3, 8, 8)), None)) == 4


def test_small_batches_are_not_cut(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 2)
    assert len(shares.rows_of_shares(np.zeros((4, 3, 32, 32)), Tape())) == 1
    assert len(shares.rows_of_shares(np.zeros((8, 3, 128, 128)), Tape())) == 2


def test_batchnorm_of_shares_is_that_of_the_batch(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 2)
    norm, x, dy = randomised(BatchNorm(3)), normal((6, 4, 3), seed=1), normal((6, 4, 3), seed=2)
    norm = norm.astype("float64")
    tape = Tape()
    want, dwant = norm(x, tape), norm.backward(dy, tape)
    group, parts, whole = ThreadGroup(2), [slice(0, 2), slice(2, 6)], Tape()
    reduction = Reduction(2, whole.add)
    tapes = [
        ShareTape(whole, part, 6, partial(group.all_gather, rank), partial(reduction.add, rank))
        for rank, part in enumerate(parts)
    ]
    y = run([lambda p=p, t=t: norm(x[p], t) for p, t in zip(parts, tapes, strict=True)], group)
    dx = run([lambda p=p, t=t: norm.backward(dy[p], t) for p, t in zip(parts, tapes, strict=True)], group)
    assert_close(np.concatenate(y), want)
    assert_close(np.concatenate(dx), dwant)
    for key, gradient in norm.gradients(whole).items():
        assert_close(gradient, norm.gradients(tape)[key])
    for _, buffer in norm.named_state():
        if not buffer.trainable:
            for share in tapes:
                assert_close(share.pending(buffer), tape.pending(buffer))


def test_a_share_that_fails_is_reported(cut):
    cut(2)
    model, x = model_of(), normal((4, 3, 32, 32), seed=1)
    model.levels[3].blocks[0].mlp.fc1.weight.data = np.zeros((1, 1))
    with pytest.raises(mvnp.errors.InputError, match="Linear: x has shape"):
        model(x, Tape())


def test_two_forwards_on_one_tape(cut):
    """Statistics move twice, gradients add up, and backwards run in reverse."""
    model, x, other = model_of(), normal((4, 3, 32, 32), seed=1), normal((2, 3, 32, 32), seed=2)

    def twice():
        tape = Tape()
        first, second = model(x, tape), model(other, tape)
        model.backward(normal(second.shape, 4), tape)
        model.backward(normal(first.shape, 5), tape)
        return model.gradients(tape), [tape.pending(model.norm.running_mean)]

    gradients, pending = twice()
    cut(2)
    in_shares, pending_in_shares = twice()
    assert_close(pending_in_shares[0], pending[0])
    for key in ("head.weight", "levels.2.blocks.0.mixer.A_log", "patch_embed.conv_down.0.weight"):
        assert_close(in_shares[key], gradients[key], terms=DEEP)


def test_gradients_are_summed_as_they_come_and_in_the_order_of_the_shares():
    sums = []
    reduction = Reduction(3, lambda key, gradient: sums.append((key, gradient)))
    # Not associative in floating point: 1e16 + 1 − 1e16 depends on the order.
    for rank, value in ((2, -1e16), (0, 1e16)):
        reduction.add(rank, 7, np.array(value))
    assert sums == []
    reduction.add(2, 7, np.array(5.0))  # the second use of a parameter: it waits for the second of the others
    reduction.add(1, 7, np.array(1.0))
    assert sums == [(7, 1e16 + 1 - 1e16)]
    for rank in (0, 1):
        reduction.add(rank, 7, np.array(2.0))
    assert sums[1:] == [(7, 9.0)]
    reduction.add(1, 8, np.array(3.0))
    reduction.finish()
    assert sums[2:] == [(8, 3.0)]
    reduction.finish()
    assert len(sums) == 3


def test_a_step_keeps_one_set_of_gradients(cut):
    """Nothing of the shares outlives the backward, without Python looking for cycles."""
    cut(2)
    model, tape = model_of(), Tape()
    y = model(normal((4, 3, 32, 32), seed=1), tape)
    record = tape.top(model)
    inner = weakref.ref(record.tapes[1])
    del record
    gc.disable()
    try:
        model.backward(y, tape)
        assert inner() is None
    finally:
        gc.enable()
