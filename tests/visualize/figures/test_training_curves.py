"""The figure of a training: mvnp/visualize/figures/training_curves.py."""

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.visualize.arrays.training_curves import running_mean
from mvnp.visualize.figures.style import png
from mvnp.visualize.figures.training_curves import training_curves
from support.figures import run_log
from support.tolerance import assert_close


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_was_logged(narrow):
    figure = training_curves(run_log(), narrow=narrow)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    steps, mean, tests = panels["Loss"].lines
    assert_close(steps.get_xydata(), np.stack([np.arange(1, 61), 2.3 / np.arange(1, 61)], axis=1))
    assert_close(mean.get_ydata(), running_mean(steps.get_ydata()))
    assert_close(tests.get_xydata(), [[20, 1 / 20], [60, 1 / 60]])
    assert_close(panels["Test accuracy"].lines[0].get_xydata(), [[20, 0.2], [60, 0.6]])
    assert [text.get_text() for text in panels["Test accuracy"].texts] == ["60.0%"]
    assert_close(panels["Learning rate"].lines[0].get_ydata(), 0.001 * np.arange(1, 61))
    assert panels["Loss"].get_ylim()[1] > 2.3
    assert png(figure).startswith(b"\x89PNG")


def test_before_the_first_evaluation():
    png(training_curves(run_log(5)))


def test_a_log_without_steps():
    with pytest.raises(InputError, match="the log has no steps"):
        training_curves([])
