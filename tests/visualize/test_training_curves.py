"""The figure of a training: mvnp/visualize/training_curves.py."""

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.visualize.style import png
from mvnp.visualize.training_curves import evaluation_series, running_mean, step_series, training_curves
from support.tolerance import assert_close


def log(steps=60, per_epoch=20):
    lines = []
    for step in range(1, steps + 1):
        fields = {"step": step, "epoch": (step - 1) // per_epoch + 1}
        lines.append({"event": "step", **fields, "lr": 0.001 * step, "loss": 2.3 / step, "grad_norm": 1.0})
        if step % per_epoch == 0:
            tested = step != 2 * per_epoch  # the second epoch was not evaluated
            found = (
                {"test_loss": 1 / step, "test_accuracy": step / 100}
                if tested
                else dict.fromkeys(("test_loss", "test_accuracy"))
            )
            lines.append({"event": "epoch", **fields, "train_loss": 1.0, **found})
    return lines


def test_series():
    steps, tests = step_series(log()), evaluation_series(log())
    np.testing.assert_array_equal(steps["step"], np.arange(1, 61))
    assert_close(steps["loss"], 2.3 / np.arange(1, 61))
    assert {name: list(values) for name, values in tests.items()} == {
        "step": [20, 60],
        "test_loss": [1 / 20, 1 / 60],
        "test_accuracy": [0.2, 0.6],
    }


def test_running_mean():
    np.testing.assert_array_equal(running_mean(np.array([3.0, 1.0])), [3, 1])  # a fortieth of two is one
    values = np.random.default_rng(0).standard_normal(160)
    expected = [values[max(0, end - 4) : end].mean() for end in range(1, 161)]
    assert_close(running_mean(values), expected)


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_was_logged(narrow):
    figure = training_curves(log(), narrow=narrow)
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
    png(training_curves(log(5)))


def test_a_log_without_steps():
    with pytest.raises(InputError, match="the log has no steps"):
        training_curves([])
