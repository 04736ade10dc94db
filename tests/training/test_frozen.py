"""A classifier of which only the head is trained: mvnp/training/frozen.py."""

import numpy as np
import pytest

from mvnp import MambaVision, Tape
from mvnp.check.gradcheck import gradcheck_layer
from mvnp.errors import InputError
from mvnp.training import AdamW, FrozenTrunk, train_step
from support.tiny import TINY, tiny
from support.tolerance import assert_close

X = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
LABELS = np.array([0, 1, 2, 1])


def test_same_logits_and_keys():
    model = tiny()
    frozen = FrozenTrunk(model)
    np.testing.assert_array_equal(frozen(X), model(X))
    assert list(frozen.state_dict()) == list(model.state_dict())
    assert [name for name, _ in frozen.named_parameters()] == ["head.weight", "head.bias"]


def test_nothing_but_the_head_is_recorded():
    model, tape = tiny(drop_path_rate=0.5), Tape(training=True)
    logits = FrozenTrunk(model)(X, tape)
    np.testing.assert_array_equal(logits, model(X))  # evaluation, whatever the tape says
    assert [layer for layer, _ in tape.entries] == [model.head]
    assert FrozenTrunk(model).backward(np.ones_like(logits), tape) is None
    assert tape.entries == []


def test_gradients():
    model = tiny().astype("float64")
    frozen = FrozenTrunk(model)
    x = X.astype(np.float64)
    gradcheck_layer(model.head, model.pooled(x), jacobian=False).raise_for_error()
    tapes = [Tape(training=False), Tape(training=True)]
    dy = np.random.default_rng(1).standard_normal((4, 3))
    model(x, tapes[0])
    model.backward(dy, tapes[0])
    frozen(x, tapes[1])
    frozen.backward(dy, tapes[1])
    for name, gradient in frozen.gradients(tapes[1]).items():
        assert_close(gradient, model.gradients(tapes[0])[name])


def test_a_step_changes_the_head_alone():
    model = tiny()
    before, frozen = model.state_dict(), FrozenTrunk(model)
    optimizer = AdamW(frozen.named_parameters())
    losses = [train_step(frozen, optimizer, X, LABELS, lr=0.05).loss for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
    changed = {key for key, array in model.state_dict().items() if not np.array_equal(array, before[key])}
    assert changed == {"head.weight", "head.bias"}
    assert {key.split(".", 1)[1] for key in optimizer.state_dict() if key != "step"} == changed


def test_without_a_head():
    with pytest.raises(InputError, match="no head"):
        FrozenTrunk(tiny(num_classes=0))


def test_on_cupy(strict_cupy):
    frozen = FrozenTrunk(MambaVision(**TINY))
    optimizer = AdamW(frozen.named_parameters())
    losses = [train_step(frozen, optimizer, X, LABELS, lr=0.05).loss for _ in range(3)]
    assert losses[-1] < losses[0]
