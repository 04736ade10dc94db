"""What `mvnp check` runs: mvnp/check/layer_checks.py and mvnp/check/model_checks.py."""

import importlib
import pkgutil

import numpy as np
import pytest

import mvnp.layers
from mvnp.check import layer_checks, model_checks
from mvnp.check.gradcheck import gradcheck
from mvnp.check.layer_checks import Case, run_checks, select_cases
from mvnp.check.model_checks import KINK_MARGIN, nearest_kink, off_kinks
from mvnp.core import Layer
from mvnp.errors import InputError
from mvnp.layers.relu import ReLU
from mvnp.models.stages import PatchEmbed

STEMS = [module.name for module in pkgutil.iter_modules(mvnp.layers.__path__)]
PARTS = ["mixer", "mlp", "conv_block", "block", "patch_embed", "downsample", "hybrid_level", "model"]
PARTS += ["vim", "vim_mixer", "ss2d", "patch_merging", "vss_block", "vmamba"]


@pytest.mark.parametrize("case", select_cases(), ids=lambda case: case.name)
def test_every_gradient_is_right(case):
    case.run().raise_for_error()


def test_every_layer_has_a_case():
    assert len(STEMS) >= 18
    assert {case.layer for case in select_cases()} == {*STEMS, *PARTS}


@pytest.mark.parametrize("stem", STEMS)
def test_every_function_of_a_layer_is_used(stem):
    module = importlib.import_module(f"mvnp.layers.{stem}")
    pairs = [name for name in vars(module) if name.endswith(("_forward", "_backward")) and not name.startswith("_")]
    own = [name for name in pairs if getattr(module, name).__module__ == module.__name__ or stem == "drop_path"]
    assert all(getattr(layer_checks, name) is getattr(module, name) for name in own)
    assert own or stem in ("window", "cross_scan")  # whose two functions are each other's backward


def test_names_tell_the_cases_apart():
    names = [case.name for case in select_cases()]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 46  # so that the table stays readable


def test_selection_keeps_the_order_of_the_table():
    assert [case.layer for case in select_cases(["silu", "linear", "silu"])] == ["linear", "linear", "silu"]
    assert [report.name for report in run_checks(["silu"])] == ["silu"]
    layers = [case.layer for case in select_cases()]
    assert layers == sorted(layers, key=layers.index)  # the cases of one layer stand together


def test_unknown_layer():
    with pytest.raises(InputError, match=r"unknown layer 'selectivescan' \(did you mean 'selective_scan'\?\)"):
        run_checks(["selectivescan"])


def test_tolerance_reaches_the_report():
    report = select_cases(["linear"])[0].run(tolerance=1e-30)
    assert report.tolerance == 1e-30
    assert not report.ok


@pytest.mark.parametrize(
    ("function", "position", "layer", "tensor"),
    [("selective_scan_backward", 2, "mixer", "A_log"), ("selective_scan_backward", 6, "mixer", "dt_proj.bias")],
)
def test_a_wrong_mixer_is_found(function, position, layer, tensor, monkeypatch):
    from mvnp.models import mixer

    right = getattr(mixer, function)

    def wrong(dy, cache):
        gradients = list(right(dy, cache))
        gradients[position] = gradients[position] * 1.001
        return tuple(gradients)

    monkeypatch.setattr(mixer, function, wrong)
    report = next(case for case in select_cases([layer]) if "twice" in case.what).run()
    assert [row.tensor for row in report.comparisons if row.error > report.tolerance] == [tensor]


def test_a_wrong_layer_is_found_inside_the_model(monkeypatch):
    # Levels 2 and 3 pass on too much: all before level 3 is wrong, what comes after it right.
    monkeypatch.setattr(importlib.import_module("mvnp.check.gradcheck"), "LOCATE_LIMIT", 1)  # the place is not asked for

    def wrong(self, dy, tape):
        return 1.001 * backward(self, dy, tape)

    backward = model_checks.HybridLevel.backward
    monkeypatch.setattr(model_checks.HybridLevel, "backward", wrong)
    report = next(case for case in select_cases(["model"]) if case.what == "evaluation").run()
    errors = {row.tensor: row.error for row in report.comparisons}
    wrong_ones = {name for name, error in errors.items() if error > report.tolerance}
    assert {"x", "levels.1.blocks.0.conv1.weight", "levels.2.blocks.0.norm1.weight"} <= wrong_ones
    assert not any(name.startswith(("head", "norm", "levels.3")) for name in wrong_ones)


def test_a_gradient_that_cannot_be_compared_makes_a_failed_report():
    def forward(x):
        return 2 * x, None

    def check(**options):
        return gradcheck(forward, lambda dy, _: dy[:1], {"x": np.ones(3)}, **options)

    report = Case("broken", "shape", check).run()
    assert not report.ok
    assert report.error == np.inf
    assert "dx has shape (1,), expected that of x, (3,)" in str(report)


def test_distance_from_kinks_by_hand():
    class Shifted(Layer):
        """relu(x + 1): its kink is at −1."""

        def __init__(self):
            self.relu = ReLU()

        def forward(self, x, tape=None):
            return self.relu(x + 1, tape)

    layer = Shifted()
    assert nearest_kink(layer, np.array([[0.5, -1.25, -3.0]]), training=True) == 0.25
    assert nearest_kink(ReLU(), np.array([-0.5, 2.0]), training=True) == 0.5
    assert "forward" not in vars(layer.relu)  # as it was before


@pytest.mark.parametrize("training", [True, False])
def test_inputs_are_off_the_kinks(training):
    layer = PatchEmbed(1, 2, 2).astype("float64")
    x = off_kinks(layer, (2, 9, 9, 1), training)
    assert KINK_MARGIN < nearest_kink(layer, x, training) < np.inf


def test_inputs_that_cannot_be_off_the_kinks(monkeypatch):
    monkeypatch.setattr(model_checks, "TRIES", 3)
    with pytest.raises(AssertionError, match="none of 3 inputs"):
        off_kinks(ReLU(), (4,), training=True, margin=10.0)


@pytest.mark.parametrize("case", select_cases([*STEMS, "patch_embed"]), ids=lambda case: case.name)
def test_checks_run_on_cupy(case, strict_cupy):
    case.run().raise_for_error()
