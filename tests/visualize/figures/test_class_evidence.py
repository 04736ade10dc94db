"""The figures of what speaks for a class: mvnp/visualize/figures/class_evidence.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.class_evidence import grad_cam_map, gradient_times_input_map
from mvnp.visualize.arrays.lrp import relevance
from mvnp.visualize.arrays.pixel_maps import cell_sums
from mvnp.visualize.figures.class_evidence import grad_cam, gradient_times_input, mamba_lrp
from mvnp.visualize.figures.style import png
from support.figures import image, marks
from support.tiny import tiny
from support.tolerance import DEEP, assert_close, near, shown

CLASSES = ["Trouser", "Bag", "Coat"]


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


@pytest.mark.parametrize("narrow", [False, True])
def test_gradient_times_input_is_drawn(narrow):
    model, x = tiny(dtype="float64"), image()
    figure = gradient_times_input(model, x, target=1, classes=CLASSES, narrow=narrow)
    values = gradient_times_input_map(model, x, 1)
    _assert_maps(figure, values)
    assert figure.get_suptitle() == "Gradient × input: Bag"
    assert f"add up to {values.sum():+.2f}" in figure.get_supxlabel().replace("\n", " ")
    assert f"logit is {model(x)[0, 1]:+.2f}" in figure.get_supxlabel().replace("\n", " ")
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("narrow", [False, True])
def test_relevance_is_drawn_with_its_sum(narrow):
    model, x = tiny(dtype="float64"), image()
    figure = mamba_lrp(model, x, target=2, gamma=0.5, narrow=narrow)
    found = relevance(model, x, 2, gamma=0.5)
    _assert_maps(figure, found.map)
    assert figure.get_suptitle() == "MambaLRP: class 2"
    text = figure.get_supxlabel().replace("\n", " ")
    said = [float(word.rstrip(".")) for word in text.split() if word[0] in "+-"]
    assert said == [shown(each, decimals=2) for each in (found.map.sum(), sum(found.biases.values()), found.logit)]
    assert said[0] + said[1] == near(said[2], noise=3 * 0.005)
    assert png(figure).startswith(b"\x89PNG")


def _assert_maps(figure, values):
    shown = panels(figure)
    np.testing.assert_array_equal(shown["Pixel by pixel"].images[0].get_array(), values)
    assert shown["Pixel by pixel"].images[0].norm.vmin == -shown["Pixel by pixel"].images[0].norm.vmax
    _, drawn = marks(shown["Summed over 5x5 pixels"])
    assert_close(drawn, cell_sums(values, 5).ravel())


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("stage", [2, 3])
def test_grad_cam_has_a_square_for_each_token(stage, narrow):
    model, x = tiny(dtype="float64"), image()[:, :, :, :40]
    target = next(t for t in range(3) if grad_cam_map(model, x, t, stage).any())
    figure = grad_cam(model, x, target=target, stage=stage, narrow=narrow)
    values = grad_cam_map(model, x, target, stage)
    assert values.shape == {2: (5, 3), 3: (3, 2)}[stage]
    centres, drawn = marks(panels(figure)[f"{values.shape[0]}x{values.shape[1]} tokens"])
    assert_close(drawn, values.ravel())
    stride = 4 << stage
    grid = np.stack(np.meshgrid(range(values.shape[1]), range(values.shape[0])), axis=-1).reshape(-1, 2) * stride
    assert_close(centres, grid, terms=DEEP)
    assert png(figure).startswith(b"\x89PNG")


def test_grad_cam_where_nothing_speaks_for_the_class():
    model, x = tiny(dtype="float64"), image()
    model.head.weight.data[1] = 0.0
    assert "5x5 tokens: none speaks for it" in panels(grad_cam(model, x, target=1, stage=2))


def test_the_predicted_class_is_the_default():
    model, x = tiny(dtype="float64"), image()
    name = CLASSES[model(x)[0].argmax()]
    for figure in (gradient_times_input(model, x, classes=CLASSES), mamba_lrp(model, x, classes=CLASSES)):
        assert figure.get_suptitle().endswith(f": {name}")
    assert grad_cam(model, x, classes=CLASSES).get_suptitle() == f"GradCAM on stage 3: {name}"


def test_on_cupy(strict_cupy):
    x = from_numpy(image().astype(np.float32))
    for figure in (gradient_times_input(tiny(), x), mamba_lrp(tiny(), x), grad_cam(tiny(), x)):
        assert png(figure).startswith(b"\x89PNG")


def test_bad_input():
    for function, name in ((gradient_times_input, "gradient_times_input"), (mamba_lrp, "relevance"), (grad_cam, "grad_cam")):
        with pytest.raises(InputError, match=rf"{name}: image has shape .*, expected \(1, 3, H, W\)"):
            function(tiny(), np.zeros((2, 3, 64, 64), np.float32))
        with pytest.raises(InputError, match="target is 7, expected a class between 0 and 2"):
            function(tiny(), image().astype(np.float32), target=7)
        with pytest.raises(InputError, match="names 2 classes, but the model has 3"):
            function(tiny(), image().astype(np.float32), classes=["Bag", "Coat"])
    with pytest.raises(InputError, match="grad_cam: stage is 1, expected 3 or 2"):
        grad_cam(tiny(), image().astype(np.float32), stage=1)
