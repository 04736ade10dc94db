"""All families in pictures: mvnp/visualize/arrays/families, and what is computed by way of it."""

import importlib

import numpy as np
import pytest

from mvnp import Tape, VMamba
from mvnp.backend import to_numpy
from mvnp.errors import InputError
from mvnp.models.classifier import Classifier
from mvnp.visualize import hidden_attention_of, internals, mean_hidden_attention, relevance, rollout, scan_paths
from mvnp.visualize.arrays.class_evidence import grad_cam_of
from mvnp.visualize.arrays.cut import BelowStage, stage_evidence
from mvnp.visualize.arrays.families import family_of
from mvnp.visualize.arrays.families.family import FAMILIES, offset_of
from mvnp.visualize.arrays.first_filters import first_layer
from mvnp.visualize.arrays.gradient_flow import gradients_by_block
from mvnp.visualize.arrays.hidden_attention import channel_groups, seen
from mvnp.visualize.arrays.internals import record_attention, record_scan, record_scans
from mvnp.visualize.arrays.receptive_field import box_through, effective_field, stage_field
from mvnp.visualize.arrays.scan_state import path_points
from mvnp.visualize.arrays.token_to_token import level_matrices
from support.checks import normal
from support.randomise import randomised
from support.tiny import tiny
from support.tiny_vim import tiny_vim
from support.tolerance import DEEP, assert_close


def vmamba(**options):
    given = {"dims": (8, 6), "depths": (1, 2), "in_chans": 2, "num_classes": 3, "dtype": "float64", **options}
    return randomised(VMamba(**given), seed=3)


MODELS = {
    "vim": tiny_vim(dtype="float64"),
    "vim summed": tiny_vim(dtype="float64", halve=False, class_token=None),
    "vim one way": tiny_vim(dtype="float64", directions="one", class_token=None, pool="last"),
    "vim shared": tiny_vim(dtype="float64", directions="shared", class_token="double", norm="layer", layer_scale=0.5),
    "vim pairs": tiny_vim(dtype="float64", directions="paired", depth=4),
    "vim largest": tiny_vim(dtype="float64", class_token=None, pool="max"),
    "vmamba": vmamba(),
    "vmamba v0": vmamba(version="v0", d_state=3),
    "vmamba there and back": vmamba(forward_type="v052d_nozact", gmlp=True, downsample_version="v2"),
    "vmamba one route": vmamba(forward_type="v051d_ondwconv3_noz", posembed=True, img=32),
}


def image_for(name):
    model = MODELS[name]
    return normal((1, 2, *(model.image_size or (37, 50))), 4)


@pytest.mark.parametrize("name", MODELS)
def test_hidden_attention_of_all_scans_makes_what_they_give(name):
    model, x = MODELS[name], image_for(name)
    found = internals(model, x)
    assert list(found.routes)
    for path, scans in found.routes.items():
        paths = scan_paths(model, x, path)
        y = sum(each.y for each in paths)
        alpha = hidden_attention_of(scans)
        D = sum(scan.weight * scan.D for scan in scans)
        x_of_tokens = [scan.x[:, np.argsort(scan.order)] for scan in scans]
        if all(np.array_equal(x_of_tokens[0], each) for each in x_of_tokens):  # they read the same: VMamba, v1
            rebuilt = np.einsum("bdts,bsd->btd", alpha, x_of_tokens[0]) + D * x_of_tokens[0]
            assert np.abs(rebuilt - y).max() <= 1e-10 * np.abs(y).max()
        singly = [hidden_attention_of([scan]) for scan in scans]
        rebuilt = sum(
            np.einsum("bdts,bsd->btd", one, u) + scan.weight * scan.D * u
            for one, u, scan in zip(singly, x_of_tokens, scans, strict=True)
        )
        assert np.abs(rebuilt - y).max() <= 1e-10 * np.abs(y).max()
        assert_close(sum(singly), alpha, terms=len(scans))
        assert_close(mean_hidden_attention(scans), np.abs(alpha).mean(axis=1), terms=alpha.shape[1])
        assert_close(
            mean_hidden_attention(scans, signed=True), alpha.mean(axis=1), terms=alpha.shape[1], scale=np.abs(alpha).max()
        )
        assert (alpha[..., ~seen(scans)] == 0).all()
        assert (alpha[..., seen(scans)] != 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_states_are_those_of_the_scan_in_its_order(name):
    found = internals(MODELS[name], image_for(name))
    for scans in found.routes.values():
        for scan in scans:
            h = 0.0
            for t in range(scan.x.shape[1]):
                written = scan.delta[:, t, :, None] * scan.B[:, t, None, :] * scan.x[:, t, :, None]
                h = np.exp(scan.delta[:, t, :, None] * scan.A) * h + written
                assert_close(scan.states[:, t], h, terms=DEEP)
            np.testing.assert_array_equal(scan.windows.positions, scan.tokens.positions[:, scan.order])
            points = path_points(scan.windows)
            on_map = scan.windows.on_map
            places = scan.windows.positions[on_map][:, ::-1]
            np.testing.assert_array_equal(points[on_map], scan.windows.offset + scan.windows.stride * places)
            assert np.isfinite(points).all()


def test_parts_in_memory_are_all_channels(monkeypatch):
    scans = internals(MODELS["vim"], image_for("vim")).routes["layers.1.mixer"]
    whole = mean_hidden_attention(scans), mean_hidden_attention(scans, signed=True, channels=[3, 1])
    monkeypatch.setattr(importlib.import_module("mvnp.visualize.arrays.hidden_attention"), "AT_ONCE", 500)
    assert_close(mean_hidden_attention(scans), whole[0], terms=12)
    assert_close(mean_hidden_attention(scans, signed=True, channels=[3, 1]), whole[1], terms=2)
    alpha = hidden_attention_of(scans)[:, [3, 1]].mean(axis=1)
    assert_close(whole[1], alpha, terms=2, scale=np.abs(alpha).max())


def test_groups_go_by_the_pace_of_all_scans():
    scans = internals(MODELS["vim"], image_for("vim")).routes["layers.0.mixer"]
    pace = [sum(np.log(scan.timescale[channel]).mean() for scan in scans) for channel in range(12)]
    groups = channel_groups(scans, 3)
    np.testing.assert_array_equal(np.concatenate(groups), np.argsort(pace))
    assert [len(group) for group in groups] == [4, 4, 4]


def test_routes_by_name():
    model, x = MODELS["vmamba"], image_for("vmamba")
    scans = record_scans(model, x, "layers.1.blocks.1")
    names = ["row by row", "column by column", "rows backwards", "columns backwards"]
    assert [scan.route for scan in scans] == names
    assert all(scan.several for scan in scans)
    one = record_scan(model, x, "layers.1.blocks.1.op", "columns backwards")
    np.testing.assert_array_equal(one.states, scans[3].states)
    with pytest.raises(InputError, match=r"unknown route 'back'.*choose one of row by row, column by column"):
        record_scans(model, x, None, "back")
    repeated = record_scans(MODELS["vmamba one route"], image_for("vmamba one route"))
    assert [scan.route for scan in repeated] == [f"row by row, {group}" for group in (1, 2, 3, 4)]
    with pytest.raises(InputError, match="this model has no block with attention"):
        record_attention(model, x)


def test_where_tokens_stand():
    """Patches without padding around the middle of what they read; 3x3 convolutions of stride 2 around pixel 0."""
    windows = internals(MODELS["vim"], image_for("vim")).windows["layers"]
    assert (windows.H, windows.W, windows.stride, windows.offset, windows.L) == (3, 3, 3, 1.5, 10)
    assert windows.order == (0, 1, 2, 3, -1, 4, 5, 6, 7, 8)
    assert windows.extent == (0.0, 9.0, 9.0, 0.0)
    assert windows.find(1, 1) == (0, 5)
    assert list(windows.line_starts) == [0, 3, 7]
    assert windows.line == 3
    maps = internals(MODELS["vmamba"], image_for("vmamba")).windows
    assert [(each.H, each.W, each.stride, each.offset) for each in maps.values()] == [(10, 13, 4, 0.0), (5, 7, 8, 0.0)]
    v0 = internals(MODELS["vmamba v0"], image_for("vmamba v0")).windows
    assert [(each.H, each.W, each.stride, each.offset) for each in v0.values()] == [(9, 12, 4, 1.5), (5, 6, 8, 3.5)]
    turned = internals(MODELS["vim pairs"], image_for("vim pairs")).routes
    assert turned["layers.1.mixer"][0].tokens.order == turned["layers.0.mixer"][0].tokens.order[::-1]


def test_a_class_token_is_drawn_where_it_is_read():
    there, back = internals(MODELS["vim"], image_for("vim")).routes["layers.0.mixer"]
    between = (np.array([1.5, 4.5]) + np.array([4.5, 4.5])) / 2
    np.testing.assert_array_equal(path_points(there.windows)[0, 4], between)
    np.testing.assert_array_equal(path_points(back.windows)[0, 5], between)
    there, _ = internals(MODELS["vim shared"], image_for("vim shared")).routes["layers.0.mixer"]
    np.testing.assert_array_equal(path_points(there.windows)[0, [0, -1]], [[-1.5, 1.5], [10.5, 7.5]])


@pytest.mark.parametrize("name", MODELS)
def test_below_a_stage(name):
    model, x = MODELS[name], image_for(name)
    for stage in range(len(model.channels)):
        below, tape, whole = BelowStage(model, stage), Tape(training=False), Tape(training=False)
        features = model.features(x, whole)
        y = below.forward(x, tape)
        assert_close(y, features[stage], terms=DEEP)
        dy = normal(y.shape, 6)
        dfeatures = [np.zeros_like(each) for each in features]
        dfeatures[stage] = dy
        assert_close(below.backward(dy, tape), model.features_backward(dfeatures, whole), terms=DEEP)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "vim pairs"])
def test_gradients_at_a_stage_by_differences(name):
    """The directional derivative of the logits in the image, by way of the last stage but one and behind it: for a stage that
    all paths to the logits pass, it is the gradient there times the derivative of the stage."""
    model, x = MODELS[name], image_for(name)
    dlogits = normal((1, 3), 8)
    last = len(model.channels) - 1
    for stage in range(last + 1):
        S, dS = stage_evidence(model, x, dlogits, stage)
        assert_close(S, model.features(x)[stage], terms=DEEP)
        if "vim" in name:
            continue  # its residual sum goes past the stages
        direction, step = normal(x.shape, 9), 1e-6
        up, down = ((model(x + sign * step * direction) * dlogits).sum() for sign in (1, -1))
        S_up, S_down = (model.features(x + sign * step * direction)[stage] for sign in (1, -1))
        expected = (up - down) / (2 * step)
        by_stage = (dS * (S_up - S_down)).sum() / (2 * step)
        assert abs(by_stage - expected) <= 1e-5 * abs(expected) + 1e-8


def test_gradients_at_a_stage_of_vim():
    """m of a block is added to the tokens: shifting it there shifts the tokens that the next block gets."""
    model, x = MODELS["vim"], image_for("vim")
    dlogits, step = normal((1, 3), 8), 1e-6
    _, dS = stage_evidence(model, x, dlogits, 0)
    shift = normal(dS.shape, 9)
    tokens = np.zeros((1, 10, 6))
    tokens[:, np.array([0, 1, 2, 3, 5, 6, 7, 8, 9])] = shift.transpose(0, 2, 3, 1).reshape(1, 9, 6)

    def logits(sign):
        r = model._tokens(x, None)
        m = model.layers[0](r) + sign * step * tokens
        r = r + m
        m = model.layers[1](r)
        return model.head(model.norm_f(r + m)[:, 4])

    expected = ((logits(1) - logits(-1)) * dlogits).sum() / (2 * step)
    assert abs((dS * shift).sum() - expected) <= 1e-6 * abs(expected)


def test_a_stage_that_the_logit_does_not_depend_on():
    """A Vim's class token is all that its head sees, and the last patches' m reach nothing."""
    for name, depends in (("vim", False), ("vim summed", True), ("vmamba", True)):
        model, x = MODELS[name], image_for(name)
        last = len(model.channels) - 1
        values, asked = grad_cam_of(model, x, 1, last)
        assert asked is depends
        assert depends or values.max() == 0
        assert grad_cam_of(model, x, 1, last - 1)[1]
    with pytest.raises(InputError, match="sums over two blocks"):
        grad_cam_of(MODELS["vim pairs"], image_for("vim pairs"), 1, 0)


@pytest.mark.parametrize("gamma", [0.0, 0.25])
@pytest.mark.parametrize("name", MODELS)
def test_relevance_is_conserved(name, gamma):
    model, x = MODELS[name], image_for(name)
    found = relevance(model, x, 1, gamma)
    parts = np.abs(found.pixels).sum() + sum(map(abs, found.biases.values()))
    assert found.error <= 1e-12 * parts
    assert_close(found.logit, to_numpy(model(x))[0, 1], terms=DEEP)
    assert np.abs(found.map).max() > 0
    if "vim" in name:
        embedded = found.biases[""]  # of the class tokens and positions
        assert embedded != 0


def test_relevance_refuses_what_it_has_no_rule_for():
    cascade = vmamba(forward_type="v052dc_noz")
    with pytest.raises(InputError, match=r"no rule for Cascade.*gradient_times_input and grad_cam need none"):
        relevance(cascade, normal((1, 2, 32, 32), 1))


@pytest.mark.parametrize("name", MODELS)
def test_fields_lie_in_their_boxes(name):
    model, x = MODELS[name], image_for(name)
    for stage in range(len(model.channels)):
        field, (top, bottom, left, right), (row, column) = stage_field(model, x, stage, 3)
        outside = np.ones(field.shape, bool)
        outside[top : bottom + 1, left : right + 1] = False
        assert (field[outside] == 0).all()
        assert (field[~outside] > 0).mean() > 0.4
        assert (row, column) == tuple(side // 2 for side in BelowStage(model, stage).forward(x).shape[2:])


def test_a_box_of_vim_leaves_out_what_no_patch_reads():
    model = tiny_vim(img_size=(13, 10), dtype="float64")
    below = BelowStage(model, 1)
    steps = family_of(model).steps(model, 1)
    assert box_through(steps, (13, 10), 1, 1) == (0, 12, 0, 9)
    model = tiny_vim(img_size=(15, 10), dtype="float64")  # the last two rows are left over
    below = BelowStage(model, 1)
    assert box_through(family_of(model).steps(model, 1), (15, 10), 1, 1) == (0, 12, 0, 9)
    field = effective_field(below, normal((1, 2, 15, 10), 3), 1, 1)
    assert (field[13:] == 0).all()
    assert (field[:13] > 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_by_block(name):
    model, x = MODELS[name], image_for(name)
    blocks = gradients_by_block(model, x, 2)
    tape = Tape(training=False)
    logits = model(x, tape)
    ask = np.zeros_like(logits)
    ask[0, 2] = 1
    model.backward(ask, tape)
    layers = dict(model.named_layers())
    assert (blocks[0].kind, blocks[-1].kind, blocks[-1].path) == ("stem", "head", model.head.path)
    count = sum(model.config["depths"]) if "vmamba" in name else model.config["depth"]
    assert sum(block.kind == "mixer" for block in blocks) == count
    for block in blocks:
        gradients = [tape.gradient(param) for _, param in layers[block.path].named_parameters()]
        expected = np.sqrt(sum((g**2).sum() for g in gradients if g is not None))
        assert_close(block.parameters, expected, terms=DEEP)
    if "vmamba" in name:
        assert [block.path for block in blocks if block.kind == "downsampling"] == ["layers.0.downsample"]


def test_first_layers():
    for name, words in (("vim", "before the positions are added"), ("vmamba", "before any norm")):
        model, x = MODELS[name], image_for(name)
        kernels, answers, said = first_layer(model, x)
        assert said == words
        conv = model.patch_embed.proj if name == "vim" else model.patch_embed.steps[0]
        padding = conv.padding[0]
        padded = np.pad(x[0], ((0, 0), (padding, padding), (padding, padding)))
        K, s = kernels.shape[2], conv.stride[0]
        patch = padded[:, s : s + K, 2 * s : 2 * s + K]
        assert_close(answers[:, 1, 2], (kernels * patch).sum(axis=(1, 2, 3)) + conv.bias.data, terms=DEEP)


def test_rollout_of_scans():
    found = internals(MODELS["vim"], image_for("vim"))
    matrices = level_matrices(found, "layers")
    assert list(matrices) == ["layers.0.mixer", "layers.1.mixer"]
    rolled = rollout(matrices.values())
    assert rolled.shape == (2, 1, 10, 10)
    assert_close(rolled.sum(axis=-1), np.ones((2, 1, 10)), terms=10)
    with pytest.raises(InputError, match="given their tokens in different orders"):
        level_matrices(internals(MODELS["vim pairs"], image_for("vim pairs")), "layers")


def test_offsets_are_where_a_token_is_centred():
    """A network of averages finds it: the mean place of what it reads, away from the edges."""
    for name in ("vmamba there and back", "vmamba v0"):
        model = MODELS[name]
        steps = family_of(model).steps(model, 1)
        middle = box_through([step for step in steps if not hasattr(step, "P") or step.P == 2], (999, 999), 60, 60)
        assert (middle[0] + middle[1]) / 2 == offset_of(steps) + 60 * 8


def test_unknown_families_are_refused():
    class Other(Classifier):
        pass

    with pytest.raises(InputError, match="there are no pictures of a Other; there are of MambaVision, Vim, VMamba"):
        family_of(Other())
    assert [kind.__name__ for kind in FAMILIES] == ["MambaVision", "Vim", "VMamba"]
    assert family_of(tiny()).paper.startswith("Hatamizadeh")


def test_a_cascade_has_no_scans_to_show():
    model = vmamba(forward_type="v052dc_noz")
    found = internals(model, normal((1, 2, 32, 32), 1))
    assert (found.routes, found.windows) == ({}, {})
