"""Every figure of every family is drawn, in both layouts, and shows what the arrays say."""

import inspect

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from mvnp import VMamba
from mvnp.errors import InputError
from mvnp.visualize import figures, internals, mean_hidden_attention
from mvnp.visualize.pages.explorer.figures import ENTRIES
from support.checks import normal
from support.figures import marks
from support.randomise import randomised
from support.tiny_vim import tiny_vim

MODELS = {
    "vim": tiny_vim(),
    "vim, both ends": tiny_vim(class_token="double", directions="shared"),
    "vim in pairs": tiny_vim(directions="paired", depth=4, class_token=None),
    "vmamba": randomised(VMamba(dims=(8, 6, 4), depths=(1, 2, 1), in_chans=2, num_classes=3), seed=3),
    "vmamba v0": randomised(VMamba(dims=(8,), depths=(2,), in_chans=2, num_classes=3, version="v0", d_state=2), seed=3),
}
DRAWN = [entry.draw for entry in ENTRIES]
WINDOWED = {"window_grid": "no levels with windows: its scans", "window_attention": "no block with attention"}
WINDOWED["attention_entropy"] = WINDOWED["window_attention"]
PAIRS = {
    "token_to_token": "in different orders",
    "attention_rollout": "in different orders",
    "grad_cam": "sums over two blocks",
}


def image_for(name):
    return normal((1, 2, *(MODELS[name].image_size or (33, 40))), 4).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_each_is_drawn_or_refused_in_words(name, draw):
    model, x = MODELS[name], image_for(name)
    refused = {**WINDOWED, **(PAIRS if name == "vim in pairs" else {})}
    for narrow in (False, True):
        if draw.__name__ in refused:
            with pytest.raises(InputError, match=refused[draw.__name__]):
                draw(model, x, narrow=narrow)
            continue
        made = draw(model, x, narrow=narrow)
        if isinstance(made, Figure):
            made.draw_without_rendering()
        else:
            assert made.startswith(b"GIF8")


@pytest.mark.parametrize("route", [None, "there", "back"])
def test_squares_are_what_the_scans_take(route):
    model, x = MODELS["vim"], image_for("vim")
    scans = internals(model, x).routes["layers.1.mixer"]
    chosen = scans if route is None else [scan for scan in scans if scan.route == route]
    takes = mean_hidden_attention(chosen)[0, 5]  # token 5 of the sequence is the middle of the map
    figure = figures.hidden_attention_map(model, x, block="layers.1", query=(1, 1), route=route)
    centres, values = marks(figure.axes[1])
    tokens = scans[0].tokens
    expected = {
        tuple(1.5 + 3.0 * tokens.positions[0, token][::-1]): takes[token]
        for token in range(10)
        if token not in (4, 5) and (route is None or (token < 5) == (route == "there"))
    }
    assert len(values) == len(expected)
    for centre, value in zip(centres, values, strict=True):
        np.testing.assert_allclose(value, expected[tuple(np.round(centre, 6))], rtol=1e-6)
    assert f"class token {takes[4]:.2g}" in figure.axes[1].get_title(loc="left")
    assert (figure.get_suptitle().split(", ")[-1]) == ("sum of 2 scans" if route is None else route)


def test_a_star_is_the_class_token():
    model, x = MODELS["vim"], image_for("vim")
    axes = figures.scan_path(model, x, route="back").axes[0]
    stars = [each for each in axes.collections if isinstance(each, PathCollection) and len(each.get_paths()[0].vertices) == 11]
    np.testing.assert_allclose([star.get_offsets() for star in stars], [[[3.0, 4.5]]])


def test_grad_cam_takes_the_last_stage_that_matters():
    for name, stage in (("vim", 0), ("vim in pairs", None), ("vmamba", 2), ("vmamba v0", 0)):
        if stage is not None:
            title = figures.grad_cam(MODELS[name], image_for(name)).get_suptitle()
            assert title.startswith(f"GradCAM on stage {stage}: ")
    with pytest.raises(InputError, match="stage is 0, expected 2 or 1"):
        figures.grad_cam(MODELS["vmamba"], image_for("vmamba"), stage=0)


def test_one_panel_for_each_stage():
    for name, stages in (("vim", 2), ("vmamba", 3), ("vmamba v0", 1)):
        figure = figures.receptive_field(MODELS[name], image_for(name))
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert sum(title.startswith("Stage") for title in titles) == stages


def test_figures_that_take_a_route():
    with_route = {draw.__name__ for draw in DRAWN if "route" in inspect.signature(draw).parameters}
    assert with_route == {
        *("scan_state", "state_animation", "timescales"),
        *("hidden_attention_matrix", "hidden_attention_map", "hidden_attention_groups"),
    }
