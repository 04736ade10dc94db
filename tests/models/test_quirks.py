"""The switches between official, paper and corrected: mvnp/models/quirks.py."""

import numpy as np
import pytest

from mvnp import MambaVision, Tape
from mvnp.errors import InputError
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.layernorm import LayerNorm
from mvnp.models.mixer import MambaVisionMixer
from mvnp.models.quirks import CHOICES, PRESETS, Quirks, resolve
from support.checks import normal, relative
from support.tiny import TINY, tiny
from support.tolerance import DEEP, assert_close, rounding

X = normal((2, 3, 40, 33), seed=1).astype(np.float32)  # maps of 3x3 and 2x2 in the hybrid stages: one is padded
DT_BIAS = "levels.2.blocks.0.mixer.dt_proj.bias"


def mixers_of(model):
    return [layer for _, layer in model.named_layers() if isinstance(layer, MambaVisionMixer)]


def test_presets():
    assert resolve("official") == Quirks("twice", "overwritten", "batch", "visible")
    assert resolve("paper") == Quirks("once", "published", "batch", "visible")
    assert resolve("corrected") == Quirks("once", "published", "batch", "masked")
    assert MambaVision(**TINY, allocate=False).config["quirks"] == "official"


def test_a_switch_overrides_its_preset():
    assert resolve("paper", dt_bias="twice", padding=None) == Quirks("twice", "published", "batch", "visible")
    model = tiny(quirks="corrected", padding="visible")
    assert not any(level.mask_padding for level in model.levels[2:])
    assert not any(mixer.bias_twice for mixer in mixers_of(model))


def test_official_is_the_default():
    model = tiny()
    assert all(mixer.bias_twice for mixer in mixers_of(model))
    assert not any(level.mask_padding for level in model.levels[2:])
    assert isinstance(model.norm, BatchNorm)


# dt_bias


def test_dt_bias_once_or_twice():
    """Δ = softplus(W dt + b + b): once with the doubled bias is twice with the bias, and all the rest is as it was."""
    twice, once = tiny(), tiny(dt_bias="once")
    assert twice.state_dict().keys() == once.state_dict().keys()
    assert relative(once(X), twice(X)) > 1e-3
    state = twice.state_dict()
    once.load_state_dict({key: 2 * value if key.endswith("dt_proj.bias") else value for key, value in state.items()})
    assert_close(once(X), twice(X))


def test_the_doubled_bias_has_two_gradient_paths():
    """∂Δ/∂b comes through dt_proj and through the scan, and both are equal."""
    gradients = {}
    for dt_bias in ("once", "twice"):
        model, tape = tiny(dt_bias=dt_bias).astype("float64"), Tape(training=False)
        if dt_bias == "once":
            state = tiny().astype("float64").state_dict()
            model.load_state_dict({k: 2 * v if k.endswith("dt_proj.bias") else v for k, v in state.items()})
        model.backward(np.ones_like(model(X, tape)), tape)
        gradients[dt_bias] = model.gradients(tape)
    for key, gradient in gradients["twice"].items():
        paths = 2 if key.endswith("dt_proj.bias") else 1
        assert_close(gradient, paths * gradients["once"][key], terms=DEEP)
    assert np.abs(gradients["once"][DT_BIAS]).min() > 1e-9


# dt_init


def test_published_init_gives_small_steps():
    """softplus(b) in [0.001, 0.1], log-uniform, instead of softplus(0) = 0.69 — and nothing else is touched."""
    options = {**TINY, "dim": 32}
    published = MambaVision(**options, dt_init="published")
    assert published.parameter_count == MambaVision(**options).parameter_count
    for mixer in mixers_of(published):
        step = np.log1p(np.exp(np.asarray(mixer.dt_proj.bias, np.float64)))
        assert step.min() >= 0.001 * (1 - rounding("float32", 16))
        assert step.max() <= 0.1 * (1 + rounding("float32", 16))
        assert step.std() > 0.01
        weight = np.asarray(mixer.dt_proj.weight)
        assert np.abs(weight).max() <= mixer.rank**-0.5
        assert np.abs(weight).max() > 0.5 * mixer.rank**-0.5
    for mixer in mixers_of(MambaVision(**options)):
        assert not np.asarray(mixer.dt_proj.bias).any()
        assert np.abs(np.asarray(mixer.dt_proj.weight)).max() < 0.2


def test_init_is_a_matter_of_values_only():
    """With the same weights, a model with the published init is the same model."""
    state = tiny().state_dict()
    published = tiny(dt_init="published")
    published.load_state_dict(state)
    np.testing.assert_array_equal(published(X), tiny()(X))


# head_norm


def test_head_norm():
    batch, layer = tiny(), tiny(head_norm="layer")
    assert isinstance(layer.norm, LayerNorm)
    for ours, theirs in zip(layer.features(X), tiny().features(X), strict=True):
        assert ours.shape == theirs.shape
    buffers = {f"norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert batch.state_dict().keys() - layer.state_dict().keys() == buffers
    # The mean of vectors that are each standardised over the channels; `pooled` of the rest of the network is as it was.
    last = layer.features(X)[-1].transpose(0, 2, 3, 1)
    standard = (last - last.mean(-1, keepdims=True)) / np.sqrt(last.var(-1, keepdims=True) + 1e-5)
    expected = (standard * layer.norm.weight.data + layer.norm.bias.data).mean(axis=(1, 2))
    assert_close(layer.pooled(X), expected)


# padding


def test_masked_padding_changes_padded_maps_only():
    visible, masked = tiny(), tiny(padding="masked")
    assert visible.state_dict().keys() == masked.state_dict().keys()
    before, after = visible.features(X), masked.features(X)
    for level in (0, 1):  # convolution levels have no windows
        np.testing.assert_array_equal(before[level], after[level])
    for level in (2, 3):
        assert relative(after[level], before[level]) > 1e-3
    whole = normal((2, 3, 64, 64), seed=2).astype(np.float32)  # 4x4 and 2x2: nothing is padded
    np.testing.assert_array_equal(masked(whole), visible(whole))


def test_masked_padding_cannot_be_seen(monkeypatch):
    """Whatever stands in the padded tokens: with the mask, the features and every gradient are the same."""
    from mvnp.layers.window import window_partition

    def with_rubbish(x, P):
        B, H, W, C = x.shape
        ground = np.random.default_rng(0).standard_normal((B, -(-H // P) * P, -(-W // P) * P, C)).astype(x.dtype)
        ground[:, :H, :W] = x
        return window_partition(ground, P)

    def run(padding, rubbish):
        model, tape = tiny(padding=padding), Tape(training=False)
        with monkeypatch.context() as patch:
            if rubbish:
                patch.setattr("mvnp.models.stages.window_partition", with_rubbish)
            features = model.features(X, tape)
        dx = model.features_backward([np.ones_like(feature) for feature in features], tape)
        return [*features, dx, *model.gradients(tape).values()]

    for clean, rubbish in zip(run("masked", False), run("masked", True), strict=True):
        np.testing.assert_array_equal(rubbish, clean)
    assert relative(run("visible", True)[3], run("visible", False)[3]) > 0.01


def test_the_mask_reaches_every_mixer():
    model, tape = tiny(padding="masked"), Tape(training=False)
    model(X, tape)
    attention = [cache.weights for owner, cache in tape.entries if owner is model.levels[2].blocks[1].mixer]
    scan = [cache for owner, cache in tape.entries if owner is model.levels[2].blocks[0].mixer]
    # A 3x3 map in windows of 2: the last window has one real token, its first.
    assert (attention[0][3, :, :, 0] == 1).all()
    assert not attention[0][3, :, :, 1:].any()
    assert not scan[0].delta[3, 1:].any()
    assert scan[0].delta[3, 0].all()


# Bad input


@pytest.mark.parametrize("name", CHOICES)
def test_unknown_choice(name):
    first = CHOICES[name][0]
    with pytest.raises(InputError) as caught:
        MambaVision(**TINY, **{name: first + "s"})
    assert f"unknown {name} '{first}s' (did you mean '{first}'?); choose one of {', '.join(CHOICES[name])}" in str(caught.value)


def test_unknown_preset():
    with pytest.raises(InputError, match=r"unknown quirks 'offical' \(did you mean 'official'\?\); choose one of official"):
        MambaVision(**TINY, quirks="offical")
    assert set(PRESETS) == {"official", "paper", "corrected"}
