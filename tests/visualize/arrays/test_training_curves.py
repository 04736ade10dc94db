"""The arrays behind the figure: mvnp/visualize/arrays/training_curves.py."""

import numpy as np

from mvnp.visualize.arrays.training_curves import evaluation_series, running_mean, step_series
from support.figures import run_log
from support.tolerance import assert_close


def test_series():
    steps, tests = step_series(run_log()), evaluation_series(run_log())
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
