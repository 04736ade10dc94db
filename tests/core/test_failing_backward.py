"""A backward that fails leaves the tape as it was, or says that it is spent: `Tape.attempt`."""

import numpy as np
import pytest

from mvnp import Layer, Tape
from mvnp.core import TapeError
from mvnp.errors import InputError
from mvnp.execution import parallel, shares
from mvnp.layers.gelu import GELU
from mvnp.layers.linear import Linear
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.blocks import Block, ConvBlock
from mvnp.models.mixer import MambaVisionMixer
from mvnp.models.mlp import Mlp
from mvnp.models.stages import HybridLevel, PatchEmbed
from support.checks import normal
from support.randomise import randomised
from support.tiny import tiny


def block(mixer):
    return Block(8, mixer, Mlp(8, 12, drop=0.2), drop_path=0.3, layer_scale=0.5)


PARTS = {
    "linear": (lambda: Linear(8, 5), (3, 8)),
    "attention": (lambda: MultiHeadAttention(8, 2, qk_norm=True, proj_drop=0.1), (2, 5, 8)),
    "mixer": (lambda: MambaVisionMixer(8), (2, 5, 8)),
    "mlp": (lambda: Mlp(8, 12, drop=0.2), (2, 5, 8)),
    "conv_block": (lambda: ConvBlock(8, 0.3, 0.5), (2, 4, 3, 8)),
    "block": (lambda: block(MultiHeadAttention(8, 2)), (2, 5, 8)),
    "hybrid_level": (lambda: HybridLevel([block(MambaVisionMixer(8))], 3, True, None), (2, 4, 2, 8)),
    "stem": (lambda: PatchEmbed(3, 4, 8), (2, 8, 8, 3)),
    "model": (lambda: tiny(drop_path_rate=0.2), (2, 3, 32, 32)),
}


def results(layer, x, dy, before_backward):
    tape = Tape(seed=1)
    y = layer(x, tape)
    before_backward(tape, y)
    dx = layer.backward(dy(y), tape)
    assert tape.entries == []
    return {"dx": dx, **layer.gradients(tape), **{f"update {i}": value for i, (_, value) in enumerate(tape.updates)}}


@pytest.mark.parametrize("wrong", ["channels", "dtype"])
@pytest.mark.parametrize("name", PARTS)
def test_the_right_backward_follows(name, wrong):
    make, shape = PARTS[name]
    layer, x = randomised(make()), normal(shape, seed=1).astype("f4")

    def dy(y):
        return normal(y.shape, seed=2).astype("f4")

    def fail(tape, y):
        entries, updates = list(tape.entries), list(tape.updates)
        bad = normal((*y.shape[:-1], y.shape[-1] + 1), seed=3).astype("f4") if wrong == "channels" else dy(y).astype("i8")
        with pytest.raises((InputError, ValueError)):
            layer.backward(bad, tape)
        assert len(tape.entries) == len(entries)
        assert all(now[0] is then[0] and now[1] is then[1] for now, then in zip(tape.entries, entries, strict=True))
        assert tape.updates == updates
        assert tape.grads == {}

    want = results(layer, x, dy, lambda tape, y: None)
    got = results(layer, x, dy, fail)
    assert got.keys() == want.keys()
    for key, value in want.items():
        np.testing.assert_array_equal(got[key], value, err_msg=key)


def test_gradients_of_an_earlier_backward_stay():
    layer, tape, x = randomised(Linear(2, 3)), Tape(), normal((4, 2), seed=1).astype("f4")
    first, second = layer(x, tape), layer(2 * x, tape)
    layer.backward(first, tape)
    before = {key: value.copy() for key, value in layer.gradients(tape).items()}
    with pytest.raises(InputError):
        layer.backward(second[:, :2], tape)
    for key, value in layer.gradients(tape).items():
        np.testing.assert_array_equal(value, before[key])
    assert len(tape.entries) == 1


class Failing(Layer):
    """The identity, whose backward fails as often as is asked for."""

    def __init__(self, times):
        self.times = times

    def forward(self, x, tape=None):
        return self.record(tape, (x, None))

    def backward(self, dy, tape):
        tape.pop(self)
        if self.times:
            self.times -= 1
            raise MemoryError("no room")
        return dy


class Chain(Layer):
    def __init__(self, *steps):
        self.steps = steps

    def forward(self, x, tape=None):
        for step in self.steps:
            x = step(x, tape)
        return x

    def backward(self, dy, tape):
        for step in reversed(self.steps):
            dy = step.backward(dy, tape)
        return dy


def test_a_failure_before_the_first_gradient_is_undone():
    chain, tape, x = Chain(Linear(2, 2), Failing(1), GELU()), Tape(), np.ones((1, 2), np.float32)
    y = chain(x, tape)
    with pytest.raises(MemoryError):
        chain.backward(y, tape)
    assert [type(layer) for layer, _ in tape.entries] == [Linear, Failing, GELU]
    chain.backward(y, tape)
    assert set(chain.gradients(tape)) == {"steps.0.weight", "steps.0.bias"}


def test_a_failure_half_way_spends_the_tape():
    chain, tape, x = Chain(Failing(1), Linear(2, 2)), Tape(), np.ones((1, 2), np.float32)
    y = chain(x, tape)
    with pytest.raises(MemoryError):
        chain.backward(y, tape)
    message = (
        r"this tape is spent: a backward on it failed half way \(MemoryError: no room\); run forward again, with a new tape"
    )
    for use in (lambda: chain.backward(y, tape), lambda: chain(x, tape), lambda: chain.gradients(tape)):
        with pytest.raises(TapeError, match=message):
            use()


def test_a_share_that_fails_spends_the_tape(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 2)
    monkeypatch.setattr(shares, "LEAST_PIXELS", 0)
    model, tape = tiny(), Tape()
    y = model(normal((2, 3, 32, 32), seed=1).astype("f4"), tape)
    with pytest.raises(InputError, match="MambaVision: dlogits has shape"):  # the whole batch is looked at before it is shared
        model.backward(y[:, :2], tape)
    monkeypatch.setattr(model.patch_embed.conv_down[0], "backward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.backward(y, tape)
    with pytest.raises(TapeError, match="this tape is spent"):
        model.backward(y, tape)


def test_a_tape_by_keyword_and_no_tape():
    layer, tape, x = Linear(2, 2), Tape(), np.ones((1, 2), np.float32)
    y = layer(x, tape)
    with pytest.raises(InputError):
        layer.backward(dy=y[:, :1], tape=tape)
    assert len(tape.entries) == 1
    layer.backward(dy=y, tape=tape)
    with pytest.raises(TypeError, match="tape"):
        layer.backward(y)


def test_memory_is_not_held_until_the_end():
    """What has been popped goes once a gradient has been added: a step's peak does not grow."""
    chain, tape = Chain(Linear(2, 2), Linear(2, 2)), Tape()
    chain(np.ones((1, 2), np.float32), tape)
    tape.attempt(lambda: (tape.pop(chain.steps[1]), tape.accumulate(chain.steps[1].bias, np.ones(2, np.float32))))
    assert tape._popped is None
    assert len(tape.entries) == 1
