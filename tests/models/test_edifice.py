"""The Edifice face: mvnp/models/edifice.py. Its options, its outputs, and none of its faults."""

import math

import numpy as np
import pytest

import mvnp
from mvnp import MambaVision, Tape
from mvnp.errors import InputError
from mvnp.layers.linear import Linear
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.mixer import MambaVisionMixer
from support.checks import normal, relative
from support.randomise import randomised
from support.tolerance import assert_close

SMALL = {"dim": 4, "depths": [1, 1, 2, 2], "num_heads": [1, 1, 2, 2], "mlp_ratio": 2, "d_state": 2, "window_size": [2, 2, 2, 2]}


def small(**options):
    return randomised(mvnp.build(**{**SMALL, **options}), seed=1)


def image(*shape, seed=1):
    return normal(shape, seed=seed).astype(np.float32)


def mixers_of(model, kind=MambaVisionMixer):
    return [layer for _, layer in model.named_layers() if isinstance(layer, kind)]


# Options and outputs


def test_features_or_logits():
    """(B, 8·dim) without classes, (B, num_classes) with them, as output_size says."""
    x = image(2, 3, 32, 32)
    assert small()(x).shape == (2, 32) == (2, mvnp.output_size(**SMALL))
    assert small(num_classes=5)(x).shape == (2, 5) == (2, mvnp.output_size(**SMALL, num_classes=5))
    assert mvnp.output_size() == 640
    assert mvnp.output_size(num_classes=1000) == 1000
    assert mvnp.output_size(**mvnp.base_config()) == 1024


def test_defaults():
    """What `build()` builds, without waiting for its 30 million values."""
    config = default_config()
    assert config["dim"] == 80
    assert config["in_dim"] == 32
    assert config["depths"] == [1, 3, 8, 4]
    assert config["num_heads"] == [2, 4, 8, 16]
    assert config["window_size"] == [8, 8, 14, 7]
    assert config["mlp_ratio"] == 4
    assert (config["drop_path_rate"], config["drop_rate"]) == (0.0, 0.0)
    assert (config["d_state"], config["d_conv"]) == (8, 3)
    assert (config["in_chans"], config["num_classes"]) == (3, 0)


def default_config(**options):
    """The config of what build makes from these options."""
    found = {}

    class Unallocated(MambaVision):
        def __init__(self, **arguments):
            super().__init__(**arguments, allocate=False)
            found.update(self.config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mvnp.models.edifice.MambaVision", Unallocated)
        mvnp.build(**options)
    return found


@pytest.mark.parametrize(
    ("config", "variant"),
    [(mvnp.tiny_config, "mamba_vision_T"), (mvnp.small_config, "mamba_vision_S"), (mvnp.base_config, "mamba_vision_B")],
)
def test_named_configs_are_the_trunks_of_the_variants(config, variant):
    got, expected = default_config(**config()), mvnp.create_model(variant, allocate=False).config
    for name in ("dim", "in_dim", "depths", "num_heads", "window_size", "mlp_ratio"):
        assert got[name] == expected[name]


def test_every_option_reaches_the_model():
    config = small(in_channels=1, mlp_ratio=3, d_state=5, d_conv=2, num_classes=7, dropout=0.25, seed=9, dtype="float64").config
    assert config["in_chans"] == 1
    assert config["mlp_ratio"] == 3
    assert (config["d_state"], config["d_conv"]) == (5, 2)
    assert config["num_classes"] == 7
    assert (config["dim"], config["depths"], config["num_heads"]) == (4, [1, 1, 2, 2], [1, 1, 2, 2])
    assert (config["seed"], config["dtype"], config["window_size"]) == (9, "float64", [2, 2, 2, 2])


def test_backbone():
    """No head, whatever num_classes says; feature_size and input_shape describe what goes out and in."""
    backbone = mvnp.build_backbone(**SMALL, num_classes=5, in_channels=1, image_size=32)
    batch, *shape = mvnp.input_shape(**SMALL, num_classes=5, in_channels=1, image_size=32)
    assert batch is None
    assert backbone(image(2, *shape)).shape == (2, mvnp.feature_size(**SMALL, num_classes=5)) == (2, 32)
    assert mvnp.input_shape() == (None, 3, 224, 224)
    assert mvnp.feature_size() == 640


# The head, and what Edifice gets wrong (facts: each fault has its test)


def test_head_is_layer_norm_over_channels_then_pool_then_linear():
    """Edifice normalises over the width axis."""
    model, x = small(num_classes=5), image(2, 3, 32, 40)
    last = model.features(x)[-1].transpose(0, 2, 3, 1)
    assert last.shape == (2, 1, 2, 32)
    standard = (last - last.mean(-1, keepdims=True)) / np.sqrt(last.var(-1, keepdims=True) + 1e-5)
    pooled = (standard * model.norm.weight.data + model.norm.bias.data).mean(axis=(1, 2))
    assert_close(model.pooled(x), pooled)
    assert_close(model(x), pooled @ model.head.weight.data.T + model.head.bias.data)


def test_heads_are_split():
    """Edifice computes attention over all channels at once, whatever num_heads says."""
    model, x, tape = small(), image(2, 3, 32, 32), Tape(training=False)
    model(x, tape)
    attention = mixers_of(model, MultiHeadAttention)
    weights = [cache.weights for owner, cache in tape.entries if owner in attention]
    assert [w.shape for w in weights] == [(2, 2, 4, 4), (2, 2, 4, 4)]  # images · windows, heads, tokens, tokens
    assert relative(weights[0][:, 0], weights[0][:, 1]) > 0.01
    others = small(num_heads=[1, 1, 4, 4])
    others.load_state_dict(model.state_dict())
    assert relative(others(x), model(x)) > 1e-3


def test_A_is_minus_n_and_trained():
    """Edifice has −log n, as a constant."""
    model = mvnp.build(**{**SMALL, "d_state": 4})
    for mixer in mixers_of(model):
        assert_close(-np.exp(mixer.A_log.data), np.broadcast_to([-1.0, -2.0, -3.0, -4.0], mixer.A_log.shape))
    gradients = gradients_of(small())
    for level in (2, 3):
        assert np.abs(gradients[f"levels.{level}.blocks.0.mixer.A_log"]).max() > 0


def test_D_skip():
    """Edifice leaves out D x."""
    model, x = small(), image(2, 3, 32, 32)
    gradients, before = gradients_of(model), model(x)
    for mixer in mixers_of(model):
        mixer.D.data = mixer.D.data + 1
    assert relative(model(x), before) > 1e-3
    assert np.abs(gradients["levels.2.blocks.0.mixer.D"]).min() > 0


def gradients_of(model):
    tape = Tape()
    y = model(image(2, 3, 32, 32), tape)
    model.backward(image(*y.shape, seed=2), tape)
    return model.gradients(tape)


@pytest.mark.parametrize("dim", [4, 12])
def test_dt_rank_is_rounded_up(dim):
    """⌈C/16⌉ of the level's width C. Edifice takes ⌊dim/32⌋."""
    model = mvnp.build(**{**SMALL, "dim": dim})
    assert [mixer.dt_proj.weight.shape[1] for mixer in mixers_of(model)] == [math.ceil(4 * dim / 16), math.ceil(8 * dim / 16)]


def test_no_extra_biases():
    """Only dt_proj, qkv, proj and the MLPs have one; Edifice puts one on every linear map and convolution of the mixer."""
    model = mvnp.build(**SMALL, num_classes=5)
    without = {path.rsplit(".", 1)[1] for path, layer in model.named_layers() if getattr(layer, "bias", 0) is None}
    having = {path.rsplit(".", 1)[-1] for path, layer in model.named_layers() if isinstance(layer, Linear) and layer.bias}
    assert {"in_proj", "x_proj", "out_proj", "conv1d_x", "conv1d_z"} <= without
    assert having == {"dt_proj", "qkv", "proj", "fc1", "fc2", "head"}


def test_windows_and_padding():
    """Edifice's text has windows, its code attends over the whole map."""
    model, tape = small(), Tape(training=False)
    model(image(1, 3, 96, 96), tape)  # maps of 6x6 and 3x3 in windows of 2: nine windows, and four with padding
    shapes = [cache.weights.shape for owner, cache in tape.entries if isinstance(owner, MultiHeadAttention)]
    assert shapes == [(9, 2, 4, 4), (4, 2, 4, 4)]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (8, 100), (1, 1)])
def test_any_image_size(size):
    """image_size is what input_shape reports; the model takes others too, square or not."""
    model = small(image_size=64)
    assert model(image(2, 3, *size)).shape == (2, 32)
    assert np.isfinite(model(image(2, 3, *size), Tape())).all()


def test_dropout_drops():
    """Edifice ignores its option. It is the dropout rate of the blocks, and their drop-path rate."""
    model, x = small(dropout=0.5), image(4, 3, 32, 32)
    block = model.levels[3].blocks[1]
    assert block.mlp.drop1.rate == block.mlp.drop2.rate == block.mixer.proj_drop.rate == 0.5
    assert block.drop_path1.rate == block.drop_path2.rate == 0.5
    np.testing.assert_array_equal(model(x), small()(x))
    np.testing.assert_array_equal(model(x, Tape(training=False)), small()(x, Tape(training=False)))
    assert relative(model(x, Tape(seed=1)), model(x, Tape(seed=2))) > 0.01
    np.testing.assert_array_equal(small()(x, Tape(seed=1)), small()(x, Tape(seed=2)))


def test_large_steps_do_not_overflow():
    """Edifice takes log(1 + eˣ), which is infinite from x = 89 on in float32."""
    model, x, tape = small(), image(2, 3, 32, 32), Tape()
    for mixer in mixers_of(model):
        mixer.dt_proj.bias.data = np.full_like(mixer.dt_proj.bias.data, 300.0)
    y = model(x, tape)
    assert np.isfinite(y).all()
    model.backward(np.ones_like(y), tape)
    assert all(np.isfinite(gradient).all() for gradient in model.gradients(tape).values())


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"nun_classes": 3},
            r"unknown option 'nun_classes' \(did you mean 'num_classes'\?\); options are image_size, in_channels",
        ),
        ({"drop_path_rate": 0.1}, r"unknown option 'drop_path_rate'.*options are"),
        ({"dim": "a"}, r"edifice: dim is 'a', expected an integer of at least 1"),
        ({"in_channels": 0}, r"edifice: in_channels is 0, expected an integer of at least 1"),
        ({"image_size": 0}, r"edifice: image_size is 0, expected an integer of at least 1"),
        ({"num_classes": -2}, r"edifice: num_classes is -2, expected an integer of at least 0"),
        ({"dropout": 1.0}, r"edifice: dropout is 1\.0, expected a probability in \[0, 1\)"),
        ({"dropout": None}, r"edifice: dropout is None, expected a number"),
    ],
)
def test_wrong_options(options, message):
    """Refused by every function alike, under Edifice's own names."""
    for call in (mvnp.build, mvnp.output_size, mvnp.feature_size, mvnp.input_shape):
        with pytest.raises(InputError, match=message):
            call(**{**SMALL, **options})


def test_options_that_do_not_fit_together():
    with pytest.raises(InputError, match=r"num_heads\[2\] = 3 does not divide the width of level 2, 4·dim = 16"):
        mvnp.build(**{**SMALL, "num_heads": [1, 1, 3, 2]})
    with pytest.raises(InputError, match=r"depths is \[1, 1\], expected four integers"):
        mvnp.build(**{**SMALL, "depths": [1, 1]})
