"""The figure of receptive fields: mvnp/visualize/figures/receptive_field.py."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm, PowerNorm

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.cut import BelowStage
from mvnp.visualize.arrays.families import family_of
from mvnp.visualize.arrays.receptive_field import box_through, effective_field
from mvnp.visualize.figures.receptive_field import receptive_field, zoom
from mvnp.visualize.figures.style import png
from support.checks import normal
from support.figures import image
from support.tiny import tiny
from support.tolerance import assert_close


def stages(figure):
    return [axes for axes in figure.axes if axes.get_title(loc="left").startswith("Stage")]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("scale", "kind"), [("log", LogNorm), ("power", PowerNorm)])
def test_each_stages_field_is_drawn(scale, kind, narrow):
    model, x = tiny(dtype="float64"), normal((2, 3, 70, 100), 1)
    figure = receptive_field(model, x, scale=scale, channels=None, narrow=narrow)
    for stage, axes in enumerate(stages(figure)):
        height, width = model.features(x)[stage].shape[2:]
        field = effective_field(BelowStage(model, stage), x, height // 2, width // 2)
        drawn = axes.images[0].get_array()
        relative = field / field.max()
        np.testing.assert_array_equal(np.ma.getmaskarray(drawn), relative < 1e-4)
        assert_close(drawn.compressed(), relative[relative >= 1e-4])
        assert isinstance(axes.images[0].norm, kind)
        cross = axes.lines[-1]
        assert (*cross.get_ydata(), *cross.get_xdata()) == (height // 2 * (4 << stage), width // 2 * (4 << stage))
    assert png(figure).startswith(b"\x89PNG")


def test_the_frame_is_what_the_feature_can_see():
    model, x = tiny(dtype="float64"), normal((1, 3, 150, 90), 1)
    for stage, axes in enumerate(stages(receptive_field(model, x))):
        height, width = model.features(x)[stage].shape[2:]
        top, bottom, left, right = box_through(family_of(model).steps(model, stage), (150, 90), height // 2, width // 2)
        frame = axes.patches[-1].get_path().transformed(axes.patches[-1].get_patch_transform()).get_extents()
        assert_close(frame.bounds, (left - 0.5, top - 0.5, right - left + 1, bottom - top + 1))
        shown = ~np.ma.getmaskarray(axes.images[0].get_array())
        assert shown[top : bottom + 1, left : right + 1].sum() == shown.sum() > 0


def test_a_small_field_is_shown_closer():
    assert [zoom((10, 10 + side - 1, 10, 10 + side - 1), (200, 400)) for side in (10, 30, 60, 100, 200)] == [8, 4, 2, 1, 1]
    model, x = tiny(dtype="float64"), normal((1, 3, 150, 130), 1)
    closest = stages(receptive_field(model, x))[0]
    assert "4x closer" in closest.get_title(loc="left")
    (bottom, top), (left, right) = closest.get_ylim(), closest.get_xlim()  # rows count downwards
    assert_close((bottom - top, right - left), (150 / 4, 130 / 4))
    assert_close(((bottom + top) / 2, (left + right) / 2), closest.lines[-1].get_xydata()[0][::-1])
    whole = stages(receptive_field(model, x))[3]
    assert (whole.get_ylim(), whole.get_xlim()) == ((149.5, -0.5), (-0.5, 129.5))


def test_the_number_in_the_title():
    model, x = tiny(dtype="float64"), image()
    axes = stages(receptive_field(model, x, channels=None))[0]
    field = effective_field(BelowStage(model, 0), x, 9, 9)
    largest = np.sort(field.ravel())[::-1]
    number = int(axes.get_title(loc="left").split("\n")[1].split()[0])
    assert largest[:number].sum() >= field.sum() / 2 > largest[: number - 1].sum()


def test_on_cupy(strict_cupy):
    assert png(receptive_field(tiny(), from_numpy(image().astype(np.float32)))).startswith(b"\x89PNG")


def test_bad_input():
    with pytest.raises(InputError, match="unknown scale 'lin'"):
        receptive_field(tiny(), image().astype(np.float32), scale="lin")
    with pytest.raises(InputError, match=r"receptive_field: image has shape .*, expected \(B, 3, H, W\)"):
        receptive_field(tiny(), image(channels=1).astype(np.float32))
    with pytest.raises(InputError, match="receptive_field: image has values that are not finite"):
        receptive_field(tiny(), np.full((1, 3, 64, 64), np.inf, np.float32))
    with pytest.raises(InputError, match="channels is 0, expected at least 1, or None"):
        receptive_field(tiny(), image().astype(np.float32), channels=0)
