"""Scans along several paths, and the attention in them: mvnp/visualize/arrays/scan_paths.py."""

import numpy as np
import pytest

from mvnp import Tape, VMamba
from mvnp.errors import InputError
from mvnp.models.mixer import MambaVisionMixer
from mvnp.visualize.arrays.scan_paths import scan_paths
from support.checks import normal
from support.figures import image
from support.randomise import randomised
from support.tiny import tiny
from support.tiny_vim import tiny_vim

OPTIONS = [
    {},
    {"halve": False, "class_token": None},
    {"directions": "one"},
    {"directions": "shared", "class_token": "double"},
    {"directions": "paired", "depth": 4},
]


def vim_image(model, seed=4):
    return normal((1, model.in_chans, *model.image_size), seed)


def given_to_the_gate(model, x, block):
    """y of each mixer, read off the cache of its gate."""
    tape = Tape(training=False)
    model(x, tape)
    return next(cache[0] for layer, cache in tape.entries if layer is block.mixer and type(cache) is tuple)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_attentions_of_all_paths_make_y(options):
    model = tiny_vim(dtype="float64", **options)
    x = vim_image(model)
    for number, block in enumerate(model.layers):
        paths = scan_paths(model, x, f"layers.{number}")
        y = given_to_the_gate(model, x, block)
        rebuilt = sum(path.y for path in paths)
        assert np.abs(rebuilt - y).max() <= 1e-10 * np.abs(y).max()
        # Measured by what passes through the states: most of y may be D u, and that is no proof.
        skip = sum(path.weight * path.D * path.u_of_tokens for path in paths)
        assert np.abs(y - skip).max() > 1e-3 * np.abs(y).max()


def test_there_and_back_every_token_sees_all():
    model = tiny_vim(dtype="float64")
    there, back = scan_paths(model, vim_image(model))
    assert (there.name, back.name) == ("there", "back")
    ahead = np.triu(np.ones((10, 10), bool), 1)
    assert not there.attention[..., ahead].any()
    assert there.attention[..., ahead.T].all()
    assert not back.attention[..., ahead.T].any()
    assert back.attention[..., ahead].all()
    np.testing.assert_array_equal(there.order, np.arange(10))
    np.testing.assert_array_equal(back.order, np.arange(10)[::-1])


def test_one_direction_is_half_blind():
    model = tiny_vim(directions="one")
    (there,) = scan_paths(model, vim_image(model))
    assert not there.attention[..., np.triu(np.ones((10, 10), bool), 1)].any()


@pytest.mark.parametrize("mixer", ["gated", "mamba_wide"])
def test_a_gated_mixer_has_one_path_too(mixer):
    """Its y is what the gate is given."""
    model = tiny(dtype="float64", mixer=mixer, pattern="first_half")
    block = model.levels[2].blocks[1]
    (rows,) = scan_paths(model, image(), "levels.2.blocks.1")
    y = given_to_the_gate(model, image(), block)
    assert np.abs(rows.y - y).max() <= 1e-10 * np.abs(y).max()
    assert np.abs(y - rows.D * rows.u_of_tokens).max() > 1e-3 * np.abs(y).max()


def test_the_mixer_of_mambavision_has_one_path():
    model = tiny(dtype="float64")
    tape = Tape(training=False)
    model(image(), tape)
    behind = {layer.path: cache for layer, cache in tape.entries}
    for path, layer in model.named_layers():
        if isinstance(layer, MambaVisionMixer):
            (rows,) = scan_paths(model, image(), path)
            y = behind[f"{path}.out_proj"][0][..., : rows.D.size]
            assert np.abs(rows.y - y).max() <= 1e-10 * np.abs(y).max()


def test_float32_is_worked_on_in_float64():
    model = tiny_vim()
    x = vim_image(model).astype(np.float32)
    paths = scan_paths(model, x, "layers.1.mixer")
    assert paths[0].attention.dtype == np.float64
    y = given_to_the_gate(model, x, model.layers[1])
    np.testing.assert_allclose(sum(path.y for path in paths), y, rtol=1e-4, atol=1e-5 * np.abs(y).max())


def test_wrong_arguments():
    model = tiny_vim()
    with pytest.raises(InputError, match=r"scan_paths: image has shape \(2, 2, 12, 10\), expected \(1, 2, H, W\)"):
        scan_paths(model, np.zeros((2, 2, 12, 10)))
    with pytest.raises(InputError, match=r"unknown block 'layers.7' .*choose one of layers.0.mixer, layers.1.mixer"):
        scan_paths(model, vim_image(model), "layers.7")


VMAMBA = [
    {},
    {"version": "v0", "d_state": 3},
    {"forward_type": "v052d_noz"},
    {"forward_type": "v051d_onnone_noz", "ssm_conv": -1, "d_state": 2},
]


@pytest.mark.parametrize("options", VMAMBA, ids=str)
def test_the_attentions_of_the_routes_make_the_merged_map(options):
    model = randomised(VMamba(dims=(8, 6), depths=(1, 2), num_classes=2, dtype="float64", **options), seed=3)
    x = normal((1, 3, 13, 22), 4)
    for at in ("layers.0.blocks.0", "layers.1.blocks.1"):
        paths = scan_paths(model, x, at)
        stage, block = (int(part) for part in at.split(".")[1::2])
        op, tape = model.levels[stage].blocks[block].op, Tape(training=False)
        given = model.patch_embed(x.transpose(0, 2, 3, 1))
        if stage == 1:
            given = model.levels[1].blocks[0](model.levels[0].downsample(model.levels[0](given)))
        v = op.in_proj(model.levels[stage].blocks[block].norm(given))
        v = v if op.gate == "none" else v[..., : v.shape[-1] // 2]
        m = op.mix(op.act(v if op.conv2d is None else op.conv2d(v)), tape)
        y = m.reshape(1, -1, m.shape[3])
        assert np.abs(sum(path.y for path in paths) - y).max() <= 1e-10 * np.abs(y).max()
        skip = sum(path.D * path.u_of_tokens for path in paths)
        assert np.abs(y - skip).max() > 1e-3 * np.abs(y).max()


def test_by_four_routes_every_token_sees_all_and_two_of_them_see_it():
    model = randomised(VMamba(dims=8, depths=(1,), num_classes=2, dtype="float64"), seed=3)
    paths = scan_paths(model, normal((1, 3, 8, 12), 4))
    assert [path.name for path in paths] == ["row by row", "column by column", "rows backwards", "columns backwards"]
    np.testing.assert_array_equal(
        [path.order for path in paths], [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]
    )
    seen = sum((path.attention != 0).all(axis=(0, 1)).astype(int) for path in paths)
    np.testing.assert_array_equal(seen, 2 + 2 * np.eye(6))


def test_the_cascade_is_no_sum_of_paths():
    """Its columns are scanned behind a norm of what its rows gave."""
    model = VMamba(dims=8, depths=(1,), num_classes=2, forward_type="v052dc_noz")
    with pytest.raises(InputError, match="a VMamba like this has no mixer whose scans are known here"):
        scan_paths(model, normal((1, 3, 8, 12), 4))
