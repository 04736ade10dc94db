"""Vim: mvnp/models/vim.py. Its numbers are the reference test's business."""

import json
from pathlib import Path

import numpy as np
import pytest

from mvnp import Backbone, Tape, Vim, create_model
from mvnp.check.gradcheck import gradcheck_layer
from mvnp.core import Layer
from mvnp.errors import InputError
from mvnp.execution.checkpointing import Checkpoint
from mvnp.execution.share import ShareTape
from mvnp.models.variants import VARIANTS
from support.checks import normal
from support.randomise import randomised
from support.tiny_vim import TINY_VIM, tiny_vim
from support.tolerance import DEEP, assert_close

SHAPES = json.loads(
    (Path(__file__).parent.parent / "reference" / "state_dict_shapes_vim_vmamba.json").read_text(encoding="utf-8")
)
PARAMETERS = {
    "vim_tiny": 7_148_008,
    "vim_tiny_stride8": 7_250_344,
    "vim_small": 25_796_584,
    "vim_small_stride8": 26_001_256,
    "vim_base": 97_598_440,
}
SIZE = (12, 10)  # 3x3 patches of 4 every 3 pixels, 2 rows and no columns left over
X = normal((3, 2, *SIZE), seed=5).astype(np.float32)
OPTIONS = [
    {},
    {"class_token": "head"},
    {"class_token": "double", "norm": "layer"},
    {"class_token": None},
    {"class_token": None, "pool": "last", "halve": False},
    {"class_token": None, "pool": "max"},
    {"directions": "one"},
    {"directions": "shared"},
    {"directions": "paired", "depth": 4},
    {"layer_scale": 0.5, "drop_path_rate": 0.2},
    {"directions": "paired", "drop_path_rate": 0.3},
    {"num_classes": 0},
]


def ids(options):
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "as released"


# Variants


@pytest.mark.parametrize("name", PARAMETERS)
def test_variants(name):
    model = create_model(name, allocate=False)
    assert type(model) is Vim
    assert model.parameter_count == VARIANTS[name].parameters == PARAMETERS[name]
    assert [(key, list(param.shape)) for key, param in model.named_state()] == list(map(tuple, SHAPES[name].items()))


def test_every_variant_is_in_the_table():
    of_family = [name for name, variant in VARIANTS.items() if variant.family == "Vim"]
    assert of_family == list(PARAMETERS) == [name for name in SHAPES if name.startswith("vim_")]


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [({"class_token": None}, 7_147_624), ({"directions": "shared"}, 6_567_400),
     ({"directions": "one"}, 6_419_944)],
)  # fmt: skip
def test_parameters_of_other_networks(changes, parameters):
    assert create_model("vim_tiny", allocate=False, **changes).parameter_count == parameters


# Gradients


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
@pytest.mark.parametrize("training", [True, False])
def test_gradients(options, training):
    layer = tiny_vim(**options).astype("float64")
    gradcheck_layer(layer, X.astype(float), training=training, jacobian=False, directions=2).raise_for_error()


class Features(Layer):
    """All stages as one array, or `pooled`, for a checker of layers that give one."""

    def __init__(self, inner, pooled=False):
        self.inner, self.pooled = inner, pooled

    def forward(self, x, tape=None):
        if self.pooled:
            return self.inner.pooled(x, tape)
        return np.stack(self.inner.features(x, tape), axis=1)

    def backward(self, dy, tape):
        if self.pooled:
            return self.inner.pooled_backward(dy, tape)
        return self.inner.features_backward(list(dy.swapaxes(0, 1)), tape)


class Stages(Features):
    """Only some of the stages, the last among them."""

    def forward(self, x, tape=None):
        maps = self.inner.features(x, tape)
        return np.stack([maps[0], maps[-1]], axis=1)

    def backward(self, dy, tape):
        between = [None] * (len(self.inner.channels) - 2)
        return self.inner.features_backward([dy[:, 0], *between, dy[:, 1]], tape)


@pytest.mark.parametrize("options", [*OPTIONS[:3], *OPTIONS[5:9], {"depth": 5, "drop_path_rate": 0.3}], ids=ids)
@pytest.mark.parametrize("kind", [Features, Stages])
def test_gradients_of_features(options, kind):
    model = tiny_vim(**options).astype("float64")
    layer = kind(Vim(**{**model.config, "num_classes": 0}))
    layer.inner.cut_after(len(model.channels) - 1)  # without the head's norm, which features do not depend on
    randomised(layer, seed=2)
    gradcheck_layer(layer, X.astype(float), training=True, jacobian=False, directions=2).raise_for_error()


@pytest.mark.parametrize("options", OPTIONS[:6], ids=ids)
def test_gradients_of_pooled(options):
    layer = Features(tiny_vim(**{**options, "num_classes": 0}).astype("float64"), pooled=True)
    gradcheck_layer(layer, X.astype(float), jacobian=False, directions=2).raise_for_error()


# What features are


@pytest.mark.parametrize("class_token", ["middle", "head", "double", None])
def test_features_are_the_mixers_outputs_without_class_tokens(class_token):
    model = tiny_vim(class_token=class_token, depth=3)
    outputs, r = [], model._tokens(X, None)
    for block in model.layers:
        outputs.append(block(r))
        r = r + outputs[-1]
    places = [at for at in range(r.shape[1]) if at not in model.class_places]
    assert len(places) == 9
    for got, m in zip(model.features(X), outputs, strict=True):
        np.testing.assert_array_equal(got, m[:, places].reshape(3, 3, 3, 6).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("depth", "directions", "ends"),
    [
        (24, "both", [6, 12, 18, 24]),
        (5, "one", [2, 3, 4, 5]),
        (2, "both", [1, 2]),
        (1, "both", [1]),
        (8, "paired", [1, 2, 3, 4]),
    ],
)
def test_stages_end_after_each_quarter(depth, directions, ends):
    model = Vim(depth=depth, directions=directions, allocate=False)
    assert model.stage_ends == ends
    assert model.channels == (192,) * len(ends)


def test_where_the_tokens_are():
    places = {
        name: Vim(**{**TINY_VIM, "class_token": name}, allocate=False).class_places for name in ("middle", "head", "double")
    }
    assert places == {"middle": [4], "head": [0], "double": [0, 10]}
    assert create_model("vim_tiny", allocate=False).class_places == [98]
    assert create_model("vim_tiny_stride8", allocate=False).class_places == [364]
    runs = {name: Vim(**{**TINY_VIM, "class_token": name}, allocate=False).patch_runs for name in places}
    assert runs == {"middle": [slice(0, 4), slice(5, 10)], "head": [slice(1, 10)], "double": [slice(1, 10)]}


@pytest.mark.parametrize(
    ("options", "feature"),
    [
        ({"class_token": "middle"}, lambda n: n[:, 4]),
        ({"class_token": "double"}, lambda n: (n[:, 0] + n[:, 10]) / 2),
        ({"class_token": None, "pool": "mean"}, lambda n: n.mean(axis=1)),
        ({"class_token": None, "pool": "last"}, lambda n: n[:, -1]),
        ({"class_token": None, "pool": "max"}, lambda n: n.max(axis=1)),
    ],
    ids=["middle", "double", "mean", "last", "max"],
)
def test_what_the_feature_is(options, feature):
    """Of all tokens behind the last norm. Where each token has logits of its own, they are not those of the feature."""
    model = tiny_vim(**options)
    assert_close(model.pooled(X), feature(model._encode(X, None)))
    assert model.head_takes_pooled == (options.get("pool") != "max")
    assert model.strides == (3, 3)
    features, pooled = model.features_and_pooled(X)
    np.testing.assert_array_equal(pooled, model.pooled(X))
    for got, want in zip(features, model.features(X), strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_class_token_is_the_feature_whatever_pool_says():
    got = [tiny_vim(pool=pool)(X) for pool in ("mean", "max", "last")]
    np.testing.assert_array_equal(got[0], got[1])
    np.testing.assert_array_equal(got[0], got[2])


def test_pixels_that_are_left_over_have_no_gradient():
    model, tape = tiny_vim(), Tape()
    dx = model.backward(normal((3, 3), 1).astype(np.float32), tape) if model(X, tape) is not None else None
    np.testing.assert_array_equal(dx[:, :, 10:], 0.0)
    assert (dx[:, :, :10] != 0).any(axis=(0, 1)).all()


def test_no_gradient_of_the_images():
    model, tape = tiny_vim(), Tape(inputs=False)
    assert model.backward(np.ones_like(model(X, tape)), tape) is None
    assert set(model.gradients(tape)) == {name for name, _ in model.named_parameters()}


# Drop path


def test_the_rates_are_those_of_the_release():
    """Block i drops what block i − 1 gave, at rate (i − 1)/(depth − 1); what the last gave is dropped at the full rate."""
    model = tiny_vim(depth=5, drop_path_rate=0.4)
    assert [block.drop_path.rate for block in model.layers] == pytest.approx([0.0, 0.0, 0.1, 0.2, 0.3])
    assert model.drop_path.rate == pytest.approx(0.4)


def test_a_sample_goes_around_a_mixer_whole():
    model = tiny_vim(depth=1, drop_path_rate=0.5)
    x = np.repeat(X[:1], 40, axis=0)
    dropped = model(x, Tape(seed=3))
    assert len({row.tobytes() for row in dropped}) == 2
    assert_close(model(x, Tape(training=False)), model(x))


# Initial values


def test_initial_values():
    model = Vim(img_size=32, patch_size=8, embed_dim=64, depth=4, num_classes=10, seed=3)
    mixer = model.layers[2].mixer
    np.testing.assert_allclose(mixer.A_log.data, np.broadcast_to(np.log(np.arange(1, 17)), (128, 16)), rtol=1e-6)
    np.testing.assert_array_equal(mixer.A_b_log.data, mixer.A_log.data)
    for D in (mixer.D, mixer.D_b, model.norm_f.weight, model.layers[0].norm.weight):
        np.testing.assert_array_equal(D.data, 1.0)
    # Quirk 1 of the release: the bias on the way back is 0, that on the way there is softplus⁻¹ of 0.001 to 0.1.
    np.testing.assert_array_equal(mixer.dt_proj_b.bias.data, 0.0)
    step = np.log1p(np.exp(mixer.dt_proj.bias.data.astype(float)))
    assert 0.00099 < step.min() < 0.002
    assert 0.05 < step.max() < 0.1001
    for layer, bound in (
        (mixer.in_proj, 1 / 8),
        (mixer.x_proj, 128**-0.5),
        (mixer.x_proj_b, 128**-0.5),
        (mixer.dt_proj, 1 / 2),
        (mixer.dt_proj_b, 1 / 2),
        (mixer.out_proj, (128 * 4) ** -0.5),
        (mixer.conv1d, 1 / 2),
        (mixer.conv1d_b, 1 / 2),
    ):
        largest = np.abs(layer.weight.data).max()
        assert 0.9 * bound < largest <= bound * 1.000001
    patch = model.patch_embed.proj
    assert patch.weight.data.std() == pytest.approx(192**-0.5 / 0.8796, rel=0.03)
    np.testing.assert_array_equal(patch.bias.data, 0.0)
    for normal_ in (model.pos_embed, model.head.weight):
        assert normal_.data.std() == pytest.approx(0.02, rel=0.1)
    np.testing.assert_array_equal(model.head.bias.data, 0.0)
    assert not np.array_equal(Vim(**TINY_VIM, seed=1).cls_token.data, Vim(**TINY_VIM, seed=2).cls_token.data)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype(dtype):
    model = Vim(**TINY_VIM, dtype=dtype)
    assert {param.dtype for _, param in model.named_state()} == {np.dtype(dtype)}
    assert model(X).dtype == model.pooled(X).dtype == model.features(X)[0].dtype == dtype
    assert model.astype("float64").config["dtype"] == "float64"


# What any model does


def test_settings_unless_others_are_given():
    assert Vim(allocate=False).config == {
        "img_size": 224,
        "patch_size": 16,
        "stride": 16,
        "embed_dim": 192,
        "depth": 24,
        "in_chans": 3,
        "num_classes": 1000,
        "d_state": 16,
        "class_token": "middle",
        "pool": "mean",
        "directions": "both",
        "halve": True,
        "norm": "rms",
        "layer_scale": None,
        "drop_path_rate": 0.0,
        "dtype": "float32",
        "seed": 0,
    }


def test_config_builds_it_again():
    model = tiny_vim(class_token="double", directions="shared", norm="layer", layer_scale=0.1)
    twin = Vim(**json.loads(json.dumps(model.config)), allocate=False)
    twin.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(twin(X), model(X))
    assert Vim(patch_size=8, allocate=False).config["stride"] == 8


def test_reset_head():
    model = tiny_vim()
    before = model.pooled(X)
    model.reset_head(7, seed=1)
    assert model(X).shape == (3, 7)
    np.testing.assert_array_equal(model.pooled(X), before)
    model.reset_head(0)
    np.testing.assert_array_equal(model(X), before)


@pytest.mark.parametrize("options", [{}, {"class_token": "double"}, {"directions": "paired", "depth": 4, "class_token": None}])
def test_backbone(options):
    model = tiny_vim(**{"depth": 4, **options})
    backbone = Backbone.of(model, out_norm="none")
    for got, want in zip(backbone(X), model.features(X), strict=True):
        np.testing.assert_array_equal(got, want)
    short = Backbone.of(model, out_indices=(0,))
    assert len(short.layers) < 4
    assert not any(key.startswith(("head", "norm_f", "layers.3")) for key in short.state_dict())
    tape = Tape()
    maps = short(X, tape)
    assert short.backward([np.ones_like(each) for each in maps], tape).shape == X.shape
    assert set(short.gradients(tape)) == {name for name, _ in short.named_parameters()}
    again = Backbone(**json.loads(json.dumps(short.config)))
    assert [key for key, _ in again.named_state()] == [key for key, _ in short.named_state()]


@pytest.mark.parametrize("options", OPTIONS[:10:3], ids=ids)
def test_in_micro_batches(options):
    """The blocks work out again in the backward what they have forgotten; the result is the same, drop path and all."""
    model = tiny_vim(**options).astype("float64")
    x, dy = X.astype(float), normal((3, 3), 2)
    results = []
    for size in (0, 1):
        parent = Tape(seed=4)
        tape = ShareTape(parent, slice(0, 3), 3, micro_batch=size)
        model(x, tape)
        assert any(isinstance(cache, Checkpoint) for _, cache in tape.entries) == bool(size)
        results.append([model.backward(dy, tape), *model.gradients(tape).values()])
    for whole, parts in zip(*results, strict=True):
        assert_close(parts, whole, terms=DEEP)


def test_depths_for_layer_decay():
    model = tiny_vim()
    depths = {"cls_token": 0, "pos_embed": 0, "patch_embed.proj.weight": 0, "layers.0.mixer.D": 1, "layers.1.norm.weight": 2}
    assert {key: model.depth_of(key) for key in depths} == depths
    assert model.depth_of("norm_f.weight") == model.depth_of("head.bias") == 3


# Wrong inputs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"img_size": 3}, r"a side of img_size is 3, expected an integer of at least 4"),
        ({"img_size": (12, 12, 12)}, r"img_size is \[12, 12, 12\], expected one number, or \(height, width\)"),
        ({"img_size": (12, 10**6)}, r"a side of img_size is 1000000, expected at most 65536"),
        ({"patch_size": 0}, r"patch_size is 0, expected an integer of at least 1"),
        ({"stride": 0}, r"stride is 0, expected an integer of at least 1"),
        ({"embed_dim": 0}, r"embed_dim is 0, expected an integer of at least 1"),
        ({"depth": 0}, r"depth is 0, expected an integer of at least 1"),
        ({"in_chans": 0}, r"in_chans is 0, expected an integer of at least 1"),
        ({"num_classes": -1}, r"num_classes is -1, expected an integer of at least 0"),
        ({"d_state": 0}, r"d_state is 0, expected an integer of at least 1"),
        ({"seed": -1}, r"seed is -1, expected an integer of at least 0"),
        ({"embed_dim": 10**6}, r"embed_dim 1000000, depth 2 and what else was given make about \de\+\d+ parameters"),
        ({"depth": 10**5}, r"embed_dim 6, depth 100000: 100,000 blocks, expected at most 10,000"),
        ({"halve": 1}, r"halve is 1, expected True or False"),
        ({"directions": "paired", "depth": 3}, r"depth is 3, and directions='paired' takes blocks two by two"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate is 1\.0, expected a probability"),
        ({"drop_path_rate": "a"}, r"drop_path_rate is 'a', expected a number"),
        ({"layer_scale": "x"}, r"layer_scale is 'x', expected a number, or None for no layer scale"),
        ({"dtype": "float16"}, r"dtype is 'float16', expected one of float32, float64"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(InputError, match="^Vim: " + message):
        Vim(**{**TINY_VIM, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"class_token": "middel"},
            r"unknown class_token 'middel' \(did you mean 'middle'\?\); choose one of middle, head, double",
        ),
        ({"pool": "sum"}, "unknown pool 'sum'; choose one of mean, max, last"),
        ({"directions": "v2"}, "unknown directions 'v2'; choose one of both, one, shared, paired"),
        ({"norm": "batch"}, "unknown norm 'batch'; choose one of rms, layer"),
    ],
)
def test_unknown_choices(options, message):
    with pytest.raises(InputError, match=message):
        Vim(**{**TINY_VIM, **options})


@pytest.mark.parametrize("name", ["in_chans", "num_classes", "d_state", "seed"])
def test_the_most_that_is_taken(name):
    most = 2**64 - 1 if name == "seed" else 2**20
    assert Vim(**{**TINY_VIM, name: most}, allocate=False).config[name] == most
    with pytest.raises(InputError, match=f"Vim: {name} is {most + 1}, expected at most {most}"):
        Vim(**{**TINY_VIM, name: most + 1}, allocate=False)


def test_images_of_another_size():
    model = tiny_vim()
    with pytest.raises(InputError, match=r"Vim: images of 10x12, expected 12x10, .*img_size=\(10, 12\)"):
        model(X.swapaxes(2, 3))
    with pytest.raises(InputError, match=r"Vim: x has shape \(3, 1, 12, 10\), expected \(B, 2, H, W\)"):
        model.features(X[:, :1])


def test_wrong_gradients():
    model, tape = tiny_vim(), Tape()
    model(X, tape)
    with pytest.raises(InputError, match=r"Vim: dlogits has shape \(3, 4\), expected \(B, 3\)"):
        model.backward(np.zeros((3, 4)), tape)
    with pytest.raises(InputError, match="features_backward: expected two gradients, the last of them an array"):
        model.features_backward([None, None], Tape())


def test_on_cupy(strict_cupy):
    from mvnp import from_numpy

    model, tape, x = Vim(**TINY_VIM, drop_path_rate=0.1), Tape(), from_numpy(X)
    logits = model(x, tape)
    dx = model.backward(logits * 0.5, tape)
    assert type(dx) is type(logits)
    strict_cupy.assert_no_syncs("a Vim")
