"""MambaVision as a backbone: mvnp/models/backbone.py."""

import json

import numpy as np
import pytest

import mvnp
from mvnp import Backbone, MambaVision, Tape
from mvnp.check.gradcheck import gradcheck_layer
from mvnp.core import Layer
from mvnp.errors import CheckpointError, InputError
from mvnp.layers.layernorm import layernorm_forward
from support.randomise import randomised
from support.tiny import TINY, image_off_kinks, tiny
from support.tolerance import assert_close

TRUNK = {name: value for name, value in TINY.items() if name != "num_classes"}
X = np.random.default_rng(0).standard_normal((2, 3, 40, 34)).astype(np.float32)


class Flattened(Layer):
    """All maps of a backbone as one array, for a checker of layers that give one."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, tape=None):
        maps = self.inner(x, tape)
        self.shapes = [each.shape for each in maps]
        return np.concatenate([each.reshape(len(x), -1) for each in maps], axis=1)

    def backward(self, dy, tape):
        edges = np.cumsum([0, *(np.prod(shape[1:]) for shape in self.shapes)])
        parts = [dy[:, edges[i] : edges[i + 1]].reshape(shape) for i, shape in enumerate(self.shapes)]
        return self.inner.backward(parts, tape)


def test_stages_of_the_classifier():
    model = tiny()
    maps = Backbone.of(model, out_norm="none")(X)
    assert [each.shape for each in maps] == [(2, 4, 10, 9), (2, 8, 5, 5), (2, 16, 3, 3), (2, 32, 2, 2)]
    for got, want in zip(maps, model.features(X), strict=True):
        np.testing.assert_array_equal(got, want)


def test_by_name():
    """A variant's arguments, and others in their place; no head, and what only a head needs is not among them."""
    backbone = Backbone("mamba_vision_T", drop_path_rate=0.4, allocate=False)
    whole = mvnp.create_model("mamba_vision_T", drop_path_rate=0.4, allocate=False)
    ours = {"family": "MambaVision", "out_indices": [0, 1, 2, 3], "out_norm": "layer"}
    headless = {name: value for name, value in whole.config.items() if name not in ("num_classes", "head_norm")}
    assert backbone.config == {**headless, **ours}
    assert (backbone.head, backbone.num_classes) == (None, 0)
    assert (backbone.channels, backbone.strides) == (whole.channels, whole.strides)


def test_weights_are_drawn_as_those_of_a_classifier():
    state = MambaVision(**TINY, seed=5).state_dict()
    for key, array in Backbone(**TRUNK, seed=5, out_norm="none").state_dict().items():
        np.testing.assert_array_equal(array, state[key])


def test_what_is_known_of_the_pictures():
    model = tiny()
    model.know(preparation=np.asarray)
    assert Backbone.of(model).preparation is np.asarray


def test_each_output_has_a_norm_of_its_own():
    model = tiny()
    backbone = Backbone.of(model, out_indices=(1, 3))
    keys = set(backbone.state_dict()) - set(model.state_dict())
    assert keys == {f"outnorm{index}.{name}" for index in (1, 3) for name in ("weight", "bias")}
    assert (backbone.outnorm3.path, backbone.levels[1].path) == ("outnorm3", "levels.1")
    randomised(backbone, seed=3)
    backbone.load_trunk(model.state_dict())  # the norms stay as they are
    state = backbone.state_dict()
    for got, index in zip(backbone(X), (1, 3), strict=True):
        stage = model.features(X)[index].transpose(0, 2, 3, 1)
        want, _ = layernorm_forward(stage, state[f"outnorm{index}.weight"], state[f"outnorm{index}.bias"])
        assert_close(got, want.transpose(0, 3, 1, 2))


def test_batch_norm():
    backbone = Backbone.of(tiny(), out_norm="batch")
    assert {"outnorm0.running_mean", "outnorm3.num_batches_tracked"} <= set(backbone.state_dict())
    tape = Tape(training=True)
    for each in backbone(X, tape):
        assert_close(each.mean(axis=(0, 2, 3)), 0.0, scale=1.0)
        np.testing.assert_allclose(each.std(axis=(0, 2, 3)), 1.0, atol=1e-2)
    before = backbone.state_dict()["outnorm2.running_mean"]
    tape.commit()
    assert not np.array_equal(backbone.state_dict()["outnorm2.running_mean"], before)


@pytest.mark.parametrize(
    "options", [{}, {"out_norm": "batch", "out_indices": (0, 2)}, {"out_norm": "none", "window_size": (8, 8, 4, 3)}]
)
@pytest.mark.parametrize("training", [True, False])
def test_gradients(options, training):
    layer = Flattened(randomised(Backbone(**{**TRUNK, "drop_path_rate": 0.1, **options}), seed=2).astype("float64"))
    x = image_off_kinks(layer.inner, (2, 3, 20, 22), training)
    gradcheck_layer(layer, x, training=training, jacobian=False, directions=2).raise_for_error()


def test_every_parameter_gets_a_gradient():
    # Levels behind the last output are not made: an optimiser would wait for their gradients in vain.
    backbone = Backbone(**TRUNK, out_indices=(0, 1))
    assert len(backbone.levels) == 2
    tape = Tape()
    maps = backbone(X, tape)
    assert backbone.backward([np.ones_like(each) for each in maps], tape).shape == X.shape
    assert set(backbone.gradients(tape)) == {name for name, _ in backbone.named_parameters()}
    assert "levels.1.downsample.reduction.0.weight" not in backbone.state_dict()


def test_no_gradient_of_the_images():
    backbone, tape = Backbone(**TRUNK), Tape(inputs=False)
    assert backbone.backward([np.ones_like(each) for each in backbone(X, tape)], tape) is None


def test_other_windows_keep_the_weights():
    model = tiny()
    wide = Backbone.of(model, window_size=(8, 8, 3, 2), out_norm="none")
    assert [level.window for level in wide.levels[2:]] == [3, 2]
    theirs = model.features(X)
    ours = wide(X)
    np.testing.assert_array_equal(ours[1], theirs[1])  # before the first window
    assert not np.allclose(ours[2], theirs[2])  # 3x3 tokens: one window in place of four padded ones
    for key, array in wide.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[key])


def test_weights_are_a_copy():
    model = tiny()
    backbone = Backbone.of(model)
    backbone.patch_embed.conv_down[0].weight.data[...] = 0.0
    assert np.any(model.patch_embed.conv_down[0].weight.data)


def test_config_builds_it_again():
    backbone = randomised(Backbone(**TRUNK, out_indices=[1, 2], out_norm="batch", quirks="corrected", layer_scale=0.1))
    twin = Backbone(**json.loads(json.dumps(backbone.config)), allocate=False)
    twin.load_state_dict(backbone.state_dict())
    for one, other in zip(backbone(X), twin(X), strict=True):
        np.testing.assert_array_equal(one, other)
    assert backbone.astype("float64")(X)[0].dtype == np.float64
    assert twin.levels[2].mask_padding


def test_image_sizes():
    backbone = Backbone(**TRUNK)
    for height, width in ((32, 32), (33, 47), (1, 64)):
        shapes = [each.shape[2:] for each in backbone(np.zeros((1, 3, height, width), np.float32))]
        assert shapes == [(-(-height // s), -(-width // s)) for s in (4, 8, 16, 32)]


@pytest.mark.parametrize("indices", [(), (4,), (1, 4), (1, 0), (1, 1), "01", 2, (True,), (0.5,), np.arange(4), None])
def test_wrong_out_indices(indices):
    with pytest.raises(InputError, match=r"out_indices is .*, expected some of the stages 0, 1, 2, 3, ascending"):
        Backbone(**TRUNK, out_indices=indices)


def test_wrong_arguments():
    with pytest.raises(InputError, match="unknown out_norm 'ln'; choose one of layer, batch, none"):
        Backbone(**TRUNK, out_norm="ln")
    with pytest.raises(InputError, match="num_classes is an argument of the classifier"):
        Backbone(**TINY)
    with pytest.raises(InputError, match="Backbone: x has shape"):
        Backbone(**TRUNK)(X[:, :1])
    backbone, tape = Backbone(**TRUNK), Tape()
    maps = backbone(X, tape)
    with pytest.raises(InputError, match="backward got 3 gradients, expected 4"):
        backbone.backward(maps[:3], tape)
    with pytest.raises(InputError, match="the gradient of stage 1 has shape"):
        backbone.backward([maps[0], maps[2], maps[2], maps[3]], tape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mamba_vision_X"}, r"unknown model 'mamba_vision_X' .*; of a model to be trained, Backbone\.of\("),
        ({"family": "Mamba"}, r"unknown family 'Mamba'.*; choose one of MambaVision, Vim, VMamba"),
        ({"window": (8, 8, 2, 2)}, r"unknown option 'window' of a Backbone \(did you mean 'window_size'\?\)"),
        ({"dim": 8, "in_dim": 4}, "without a name, MambaVision needs depths, num_heads, window_size; give them, or"),
    ],
)
def test_what_it_is_made_of(arguments, message):
    with pytest.raises(InputError, match=message):
        Backbone(**arguments)


def test_weights_of_another_variant():
    backbone = Backbone(**TRUNK)
    before = backbone.state_dict()
    with pytest.raises(CheckpointError, match="misshapen: levels"):
        backbone.load_trunk(tiny(dim=8).state_dict())
    with pytest.raises(CheckpointError, match=r"missing: levels\.3\.blocks\.1"):
        backbone.load_trunk(MambaVision(**{**TINY, "depths": (1, 1, 2, 1)}).state_dict())
    for key, array in backbone.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_on_cupy(strict_cupy):
    backbone, tape = Backbone(**TRUNK, out_norm="batch"), Tape(training=True)
    x = mvnp.from_numpy(X)
    dx = backbone.backward([each * 0.5 for each in backbone(x, tape)], tape)
    tape.commit()
    assert mvnp.backend_name() == "cupy"
    assert type(dx) is type(x)
    assert type(backbone(x)[3]) is type(x)
    strict_cupy.assert_no_syncs("a backbone")
