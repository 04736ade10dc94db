"""The whole model: mvnp/models/mambavision.py. Its agreement with the official one is test_reference.py's business."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mvnp import MambaVision, Tape, gradcheck_layer, to_numpy
from mvnp.core import Layer
from mvnp.errors import CheckpointError, InputError
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.conv2d import Conv2d
from mvnp.layers.layernorm import LayerNorm
from mvnp.layers.linear import Linear
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.mixer import MambaVisionMixer
from support.checks import normal, relative
from support.randomise import randomised
from support.tiny import TINY, image_off_kinks, tiny
from support.tolerance import assert_close, chance


def image(*shape, seed=1):
    return normal(shape, seed=seed).astype(np.float32)


# Shapes


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 3), (16, 16), (17, 40), (33, 31), (64, 1)])
def test_any_size(size):
    """Odd, tiny, not square: each stage is half of the one before, rounded up."""
    model, x, tape = tiny(), image(2, 3, *size), Tape()
    quarter = [-(-side // 4) for side in size]
    expected = [(2, 4 * 2**level, *(-(-side // 2**level) for side in quarter)) for level in range(4)]
    assert [stage.shape for stage in model.features(x)] == expected
    assert model.pooled(x).shape == (2, 32)
    logits = model(x, tape)
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()
    dx = model.backward(np.ones_like(logits), tape)
    assert dx.shape == x.shape
    assert np.isfinite(dx).all()
    assert tape.entries == []


def test_the_faces_agree():
    """Logits are the head on the pooled features, and those are the normalised mean of the last stage."""
    model, x = tiny(), image(2, 3, 20, 24)
    pooled, last = model.pooled(x), model.features(x)[-1]
    assert_close(model(x), pooled @ model.head.weight.data.T + model.head.bias.data)
    mean, var = model.norm.running_mean.data, model.norm.running_var.data
    expected = (last.mean(axis=(2, 3)) - mean) / np.sqrt(var + 1e-5) * model.norm.weight.data + model.norm.bias.data
    assert_close(pooled, expected)


def test_without_a_head():
    model, x = tiny(num_classes=0), image(2, 3, 16, 16)
    assert model.head is None
    assert not [key for key in model.state_dict() if key.startswith("head.")]
    np.testing.assert_array_equal(model(x), model.pooled(x))
    tape = Tape()
    y = model(x, tape)
    assert model.backward(np.ones_like(y), tape).shape == x.shape


def test_one_channel():
    model = tiny(in_chans=1)
    assert model(image(2, 1, 16, 16)).shape == (2, 3)
    with pytest.raises(InputError, match=r"x has shape \(2, 3, 16, 16\), expected \(B, 1, H, W\)"):
        model(image(2, 3, 16, 16))


# Gradients. The step is small and the images are picked so that no ReLU of the stem changes its side on the way; the sizes
# so that each BatchNorm sees four values or more, since between two values it is all but a step.

STEP = 5e-5

OPTIONS = {
    "plain": {},
    "one channel, no head": {"in_chans": 1, "num_classes": 0},
    "layer scale, qk-norm": {"layer_scale": 0.1, "layer_scale_conv": 0.1, "qk_scale": True, "qkv_bias": False},
    "drop": {"drop_path_rate": 0.3, "drop_rate": 0.2, "attn_drop_rate": 0.2},
    "corrected": {"quirks": "corrected", "head_norm": "layer"},
    "mamba's mixer, attention first": {"mixer": "mamba", "pattern": "first_half"},
    "wide gates, no attention": {"mixer": "gated_wide", "pattern": "none"},
    "attention alone": {"pattern": ("SS", "SS")},
    "four states, even kernel": {"d_state": 4, "d_conv": 4, "mlp_ratio": 1.5, "dt_bias": "once"},
}


def check(layer, model, batch=2, training=True):
    x = image_off_kinks(model, (batch, model.in_chans, 17, 33), training)  # the last two maps are 2x3 and 1x2: both are padded
    report = gradcheck_layer(layer, x, training=training, directions=1, step=STEP, tape_seed=3)
    assert len(report.comparisons) == 1 + len(list(layer.named_parameters()))
    report.raise_for_error()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients_in_training(options):
    model = tiny(**options)
    check(model, model)


@pytest.mark.parametrize("options", [OPTIONS["plain"], OPTIONS["corrected"]], ids=["plain", "corrected"])
def test_gradients_in_evaluation(options):
    model = tiny(**options)
    check(model, model, batch=1, training=False)


class Features(Layer):
    """The chosen stages in one long vector. Its parameters are the trunk's: the head norm and the head have no part in them."""

    def __init__(self, model, stages):
        self.trunk = [model.patch_embed, *model.levels]
        self.rest = {"model": model}  # in a dictionary, so that it is not found among the children
        self.stages = stages

    def forward(self, x, tape=None):
        features = self.rest["model"].features(x, tape)
        self.shapes = [feature.shape for feature in features]
        return np.concatenate([features[i].ravel() for i in self.stages])

    def backward(self, dy, tape):
        parts = iter(np.split(dy, np.cumsum([math.prod(self.shapes[i]) for i in self.stages])[:-1]))
        dfeatures = [next(parts).reshape(shape) if i in self.stages else None for i, shape in enumerate(self.shapes)]
        return self.rest["model"].features_backward(dfeatures, tape)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stages", [(0, 1, 2, 3), (1, 3), (3,)])
def test_gradients_of_features(stages, training):
    """Each stage has two readers: the next level, and whoever asked for it."""
    model = tiny().astype("float64")
    check(Features(model, stages), model, training=training)


def test_gradients_of_pooled():
    class Pooled(Layer):
        def __init__(self, model):
            self.model = model

        def forward(self, x, tape=None):
            return self.model.pooled(x, tape)

        def backward(self, dy, tape):
            return self.model.pooled_backward(dy, tape)

    model = tiny()
    model.head = None
    check(Pooled(model), model)


def test_all_gradients_together():
    """A step along the gradient of everything changes the loss by what it promises."""
    model, tape = tiny().astype("float64"), Tape()
    x = image_off_kinks(model, (2, 3, 17, 33), training=True)
    logits = model(x, tape)
    model.backward(logits, tape)  # of the loss ½ Σ logits²
    gradients = model.gradients(tape)
    squared_length = sum(np.sum(gradient**2) for gradient in gradients.values())

    def loss_after(step):
        moved = tiny().astype("float64")
        for key, param in moved.named_parameters():
            param.data = param.data + step * gradients[key] / np.sqrt(squared_length)
        return 0.5 * np.sum(moved(x, Tape()) ** 2)

    slope = (loss_after(1e-6) - loss_after(-1e-6)) / 2e-6
    assert abs(slope / np.sqrt(squared_length) - 1) < 1e-7


# Behaviour


def test_images_do_not_meet_in_evaluation():
    model, x = tiny(), image(3, 3, 20, 28)
    logits, features = model(x), model.features(x)
    for index in range(3):
        alone = x[index : index + 1]
        assert_close(model(alone)[0], logits[index])
        for stage, expected in zip(model.features(alone), features, strict=True):
            assert_close(stage[0], expected[index])


def test_evaluation_is_the_same_with_and_without_a_tape():
    model, x = tiny(drop_path_rate=0.5, drop_rate=0.5, attn_drop_rate=0.5), image(2, 3, 16, 16)
    tape, before = Tape(training=False), model.state_dict()
    with_tape, without = model(x, tape), model(x)
    assert_close(without, with_tape)  # without, norms are folded into convolutions: the same but for rounding
    double, x = model.astype("float64"), x.astype("float64")
    assert_close(double(x), double(x, Tape(training=False)))
    assert len(tape.entries) > 50
    tape.commit()
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_training_is_told_by_its_seed():
    model, x = tiny(drop_path_rate=0.5, drop_rate=0.1, attn_drop_rate=0.1), image(4, 3, 16, 16)
    first, same, other = (model(x, Tape(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert relative(first, other) > 0.01


def test_a_float32_model_keeps_its_precision():
    """float64 images and cotangents are brought to the model's dtype; nothing of the model becomes float64."""
    model, tape = tiny(), Tape()
    x, dlogits = normal((2, 3, 16, 16), seed=1), normal((2, 3), seed=2)
    logits = model(x, tape)
    dx = model.backward(dlogits, tape)
    assert {str(g.dtype) for g in (logits, dx, *model.gradients(tape).values(), *model.features(x))} == {"float32"}
    np.testing.assert_array_equal(model(x), model(x.astype(np.float32)))


def test_float32_against_float64():
    model, x, dlogits = tiny(), normal((4, 3, 40, 64), seed=1), normal((4, 3), seed=2)
    twin, tapes = model.astype("float64"), (Tape(), Tape())
    assert_close(model(x, tapes[0]), twin(x, tapes[1]))
    assert_close(model.backward(dlogits, tapes[0]), twin.backward(dlogits, tapes[1]))
    assert twin.config == {**model.config, "dtype": "float64"}
    assert model.config["dtype"] == "float32"


def test_the_input_is_left_alone():
    model, x, tape = tiny(), image(2, 3, 16, 16), Tape()
    before, dlogits = x.copy(), np.ones((2, 3), np.float32)
    model(x, tape)
    model.backward(dlogits, tape)
    np.testing.assert_array_equal(x, before)
    assert (dlogits == 1).all()


def test_drop_path_rises_over_all_blocks():
    model = tiny(depths=(2, 1, 3, 2), drop_path_rate=0.7)
    convolutions = [block.drop_path.rate for level in model.levels[:2] for block in level.blocks]
    hybrids = [(block.drop_path1.rate, block.drop_path2.rate) for level in model.levels[2:] for block in level.blocks]
    assert_close(convolutions, [0.0, 0.1, 0.2])
    assert_close(hybrids, [(rate, rate) for rate in (0.3, 0.4, 0.5, 0.6, 0.7)])


def test_each_dropout_rate_reaches_its_place():
    """`drop_rate` after the MLPs' layers and after attention's projection, `attn_drop_rate` on the attention weights."""
    model = tiny(drop_rate=0.1, attn_drop_rate=0.2)
    for level in model.levels[2:]:
        for block in level.blocks:
            assert (block.mlp.drop1.rate, block.mlp.drop2.rate) == (0.1, 0.1)
        attention = level.blocks[-1].mixer
        assert (attention.attn_drop.rate, attention.proj_drop.rate) == (0.2, 0.1)


def test_drop_path_drops_images_first_and_windows_then():
    model, tape = tiny(drop_path_rate=0.5), Tape()
    model(image(3, 3, 64, 64), tape)
    masks = {owner.path: cache.shape for owner, cache in tape.entries if "drop_path" in owner.path and cache is not None}
    assert "levels.0.blocks.0.drop_path" not in masks  # the first rate is 0
    assert masks["levels.1.blocks.0.drop_path"] == (3, 1, 1, 1)
    assert masks["levels.2.blocks.0.drop_path1"] == (3 * 4, 1, 1)  # a map of 4x4 in windows of 2
    assert masks["levels.3.blocks.1.drop_path2"] == (3, 1, 1)


@pytest.mark.parametrize(("depth", "kinds"), [(1, "M"), (2, "MA"), (3, "MMA"), (5, "MMMAA")])
def test_the_first_half_mixes_by_scan(depth, kinds):
    model = MambaVision(**{**TINY, "depths": (1, 1, depth, depth)}, allocate=False)
    for level in model.levels[2:]:
        mixers = [block.mixer for block in level.blocks]
        assert [MambaVisionMixer if kind == "M" else MultiHeadAttention for kind in kinds] == [type(m) for m in mixers]


@pytest.mark.parametrize(("mlp_ratio", "hidden"), [(4, 64), (1.5, 24), (0.3, 4), (2.99, 47)])
def test_mlp_width_is_rounded_down(mlp_ratio, hidden):
    model = MambaVision(**{**TINY, "mlp_ratio": mlp_ratio}, allocate=False)
    assert model.levels[2].blocks[0].mlp.fc1.weight.shape == (hidden, 16)


def test_options_outside_the_variants_add_the_official_keys():
    def keys_of(**options):
        return set(MambaVision(**{**TINY, **options}, allocate=False).state_dict())

    plain = keys_of()
    assert keys_of(layer_scale_conv=0.1) - plain == {"levels.0.blocks.0.gamma", "levels.1.blocks.0.gamma"}
    gammas = {f"levels.{level}.blocks.{i}.gamma_{g}" for level in (2, 3) for i in (0, 1) for g in (1, 2)}
    assert keys_of(layer_scale=1e-5) - plain == gammas
    norms = {f"levels.{level}.blocks.1.mixer.{n}_norm.{p}" for level in (2, 3) for n in "qk" for p in ("weight", "bias")}
    assert keys_of(qk_scale=True) - plain == norms
    assert plain - keys_of(qkv_bias=False) == {f"levels.{level}.blocks.1.mixer.qkv.bias" for level in (2, 3)}


def test_layers_know_their_place():
    model = tiny()
    assert model.levels[2].blocks[0].mixer.path == "levels.2.blocks.0.mixer"
    assert model.levels[2].blocks[0].mixer.label == "MambaVisionMixer (levels.2.blocks.0.mixer)"


def test_threads_share_a_model():
    """No layer keeps anything of a pass: passes that run at the same time give what each gives alone."""
    model = tiny(drop_path_rate=0.2)
    images = [image(2, 3, 12 + 4 * index, 16, seed=index) for index in range(4)]

    def step(index):
        tape = Tape(seed=index)
        logits = model(images[index], tape)
        return logits, model.backward(logits, tape), model.gradients(tape)

    alone = [step(index) for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(step, [0, 1, 2, 3] * 3))
    for number, (logits, dx, gradients) in enumerate(together):
        expected = alone[number % 4]
        np.testing.assert_array_equal(logits, expected[0])
        np.testing.assert_array_equal(dx, expected[1])
        for key, gradient in gradients.items():
            np.testing.assert_array_equal(gradient, expected[2][key])


# Making one


def test_settings_unless_others_are_given():
    needed = {"dim": 4, "in_dim": 2, "depths": [1, 1, 2, 2], "num_heads": [1, 1, 2, 2], "window_size": [8, 8, 2, 2]}
    model = MambaVision(**needed)
    assert model.config == {
        **needed,
        "mlp_ratio": 4.0,
        "drop_path_rate": 0.0,
        "in_chans": 3,
        "num_classes": 1000,
        "qkv_bias": True,
        "qk_scale": None,
        "drop_rate": 0.0,
        "attn_drop_rate": 0.0,
        "layer_scale": None,
        "layer_scale_conv": None,
        "d_state": 8,
        "d_conv": 3,
        "mixer": "concat",
        "pattern": "last_half",
        "pattern_seed": 0,
        "quirks": "official",
        "dt_bias": None,
        "dt_init": None,
        "head_norm": None,
        "padding": None,
        "dtype": "float32",
        "seed": 0,
    }
    assert (model.channels, model.strides, model.image_size) == ((4, 8, 16, 32), (4, 8, 16, 32), None)
    assert model.head_takes_pooled


def test_the_seed_tells_the_parameters():
    first, same, other = (MambaVision(**TINY, seed=seed).state_dict() for seed in (5, 5, 6))
    for key, value in first.items():
        np.testing.assert_array_equal(value, same[key])
    assert any((value != other[key]).any() for key, value in first.items())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": np.float64, "dim": np.int64(4), "depths": np.array([1, 1, 2, 2]), "layer_scale": np.float32(0.5)},
        {"mixer": "gated_one_conv_wide", "pattern": "random", "pattern_seed": 4},
        {"pattern": ("SM", "SS")},
        {"quirks": "paper", "padding": "masked", "num_classes": 0, "qk_scale": True, "seed": 9, "drop_path_rate": 0.25},
    ],
)
def test_the_config_builds_the_same_model(options):
    model = MambaVision(**{**TINY, **options})
    again = MambaVision(**json.loads(json.dumps(model.config)))
    assert again.config == model.config
    expected = model.state_dict()
    assert again.state_dict().keys() == expected.keys()
    for key, value in again.state_dict().items():
        assert value.dtype == expected[key].dtype
        np.testing.assert_array_equal(value, expected[key])
    x = image(1, 3, 9, 8)
    np.testing.assert_array_equal(again(x), model(x))


def test_official_initial_values():
    model = MambaVision(**{**TINY, "dim": 16, "in_dim": 16, "mlp_ratio": 4, "num_classes": 100, "layer_scale": 0.25})
    seen = set()
    for _, layer in model.named_layers():
        seen.add(type(layer))
        if isinstance(layer, Linear):
            weight = np.asarray(layer.weight)
            if weight.size > 1000:  # enough of them to tell σ
                assert abs(weight.std() / 0.02 - 1) < chance(1, 2 * weight.size), layer.label
                assert abs(weight.mean()) < chance(0.02, weight.size), layer.label
            assert layer.bias is None or not np.asarray(layer.bias).any()
        elif isinstance(layer, Conv2d):
            bound = 1 / math.sqrt(layer.weight.shape[1] * 9)
            for param in (layer.weight, layer.bias):
                value = None if param is None else np.asarray(param)
                assert value is None or np.abs(value).max() <= bound
                assert value is None or value.size < 1000 or abs(value.std() / (bound / math.sqrt(3)) - 1) < 0.1
        elif isinstance(layer, BatchNorm | LayerNorm):
            assert (np.asarray(layer.weight) == 1).all()
            assert not np.asarray(layer.bias).any()
        if isinstance(layer, BatchNorm):
            assert not np.asarray(layer.running_mean).any()
            assert (np.asarray(layer.running_var) == 1).all()
            assert layer.num_batches_tracked.data == 0
    assert {Linear, Conv2d, BatchNorm, LayerNorm} <= seen
    assert (np.asarray(model.levels[3].blocks[0].gamma_1.gamma) == 0.25).all()


def test_norms_have_the_official_eps():
    model = MambaVision(**TINY, allocate=False)
    eps = {path: layer.eps for path, layer in model.named_layers() if isinstance(layer, BatchNorm | LayerNorm)}
    assert {path for path, value in eps.items() if value == 1e-4} == {"patch_embed.conv_down.1", "patch_embed.conv_down.4"}
    assert set(eps.values()) == {1e-4, 1e-5}


# Bad input


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 8, 8), np.float32), r"MambaVision: x has shape \(3, 8, 8\), expected \(B, 3, H, W\)"),
        (np.zeros((1, 8, 8, 3), np.float32), r"MambaVision: x has shape \(1, 8, 8, 3\), expected \(B, 3, H, W\)"),
        (np.zeros((1, 4, 8, 8), np.float32), r"MambaVision: x has shape \(1, 4, 8, 8\), expected \(B, 3, H, W\)"),
        (np.zeros((1, 3, 8, 8), np.uint8), r"x has dtype uint8, expected a floating one .*x\.astype\('float32'\)"),
        (np.zeros((1, 3, 8, 8), np.int64), r"x has dtype int64, expected a floating one"),
        (np.zeros((1, 3, 8, 8), complex), r"x has dtype complex128, expected a floating one"),
        (np.zeros((0, 3, 8, 8), np.float32), r"x is empty, shape \(0, 3, 8, 8\); expected \(B, 3, H, W\) with no axis of"),
        (np.zeros((1, 3, 0, 8), np.float32), r"x is empty, shape \(1, 3, 0, 8\)"),
        ([[1.0]], r"x is a list, expected an array \(B, 3, H, W\)"),
        (None, r"x is a NoneType, expected an array"),
    ],
)
def test_wrong_images(x, message):
    for call in (tiny(), tiny().pooled, tiny().features):
        with pytest.raises(InputError, match=message):
            call(x)


def test_a_batch_too_small_to_train():
    """One image of up to 32 pixels leaves a last map of one pixel, which BatchNorm cannot standardise."""
    model = tiny()
    assert model(image(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(InputError, match=r"BatchNorm: .*one value for each channel; training needs two"):
        model(image(1, 3, 32, 32), Tape())
    assert model(image(2, 3, 32, 32), Tape()).shape == (2, 3)
    assert tiny(head_norm="layer")(image(1, 3, 32, 32), Tape()).shape == (1, 3)


def test_nan_passes_through():
    """A NaN is the caller's to find: it reaches the logits of its own image, and no other's in evaluation."""
    model, x = tiny(), image(2, 3, 16, 16)
    clean = model(x, Tape(training=False))
    x[0, 1, 3, 4] = np.nan
    tape = Tape(training=False)
    logits = model(x, tape)
    assert np.isnan(logits[0]).all()
    np.testing.assert_array_equal(logits[1], clean[1])
    dx = model.backward(np.ones_like(logits), tape)
    assert np.isnan(dx[0]).any()
    assert np.isfinite(dx[1]).all()


def test_a_state_dict_that_does_not_fit():
    """Every missing, unexpected and misshapen entry at once, and nothing is loaded."""
    model = tiny()
    before, state = model.state_dict(), tiny().state_dict()
    state = {key: np.zeros_like(value) for key, value in state.items()}
    del state["head.bias"], state["levels.2.blocks.0.mixer.D"]
    state["head.weight"] = np.zeros((5, 32))
    state["fc.weight"] = np.zeros(2)
    with pytest.raises(CheckpointError) as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    assert "does not fit MambaVision: 4 entries differ" in message
    for line in (
        "missing: head.bias (3,)",
        "missing: levels.2.blocks.0.mixer.D (8,)",
        "unexpected: fc.weight (2,)",
        "misshapen: head.weight has shape (5, 32), expected (3, 32)",
    ):
        assert f"\n  {line}\n" in message
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_state_dict_round_trip():
    model, other, x = tiny(), randomised(MambaVision(**TINY), seed=2), image(1, 3, 8, 8)
    assert relative(other(x), model(x)) > 0.1
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other(x), model(x))


def test_parameters_are_row_major_from_the_start():
    # Rounding depends on the layout: a resumed training, whose weights come from a file, must have the same.
    model = MambaVision(**TINY)
    assert [key for key, param in model.named_state() if not param.data.flags.c_contiguous] == []
    model.load_state_dict({key: np.asarray(to_numpy(value), order="F") for key, value in model.state_dict().items()})
    assert [key for key, param in model.named_state() if not param.data.flags.c_contiguous] == []
