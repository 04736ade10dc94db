"""The figure of the gradient through the depth: mvnp/visualize/figures/gradient_flow.py."""

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.visualize.arrays.gradient_flow import gradients_by_block
from mvnp.visualize.figures.gradient_flow import gradient_flow, short_names
from mvnp.visualize.figures.style import png
from support.figures import image
from support.tiny import tiny
from support.tolerance import assert_close


@pytest.mark.parametrize("narrow", [False, True])
def test_the_norms_are_drawn(narrow):
    model, x = tiny(dtype="float64"), image()
    blocks = gradients_by_block(model, x, 1)
    figure = gradient_flow(model, x, target=1, narrow=narrow)
    for axes, name in zip(figure.axes, ("activations", "parameters"), strict=True):
        line = axes.lines[0].get_ydata()
        expected = [getattr(block, name) for block in blocks]
        if name == "activations":
            assert np.isnan(line[-1])  # the head's output is the logit
            line, expected = line[:-1], expected[:-1]
        assert_close(line, expected)
        marked = {marks.get_label(): np.asarray(marks.get_xdata()) for marks in axes.lines[1:]}
        for kind, places in marked.items():
            assert [blocks[place].kind for place in places] == [kind] * len(places)
        assert sum(map(len, marked.values())) == len(blocks)
        assert [tick.get_text() for tick in axes.get_xticklabels()] == short_names(blocks)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {block.kind for block in blocks}
    assert png(figure).startswith(b"\x89PNG")


def test_names():
    names = short_names(gradients_by_block(tiny(dtype="float64"), image()))
    assert names == ["stem", "0.0", "0 → 1", "1.0", "1 → 2", "2.0", "2.1", "2 → 3", "3.0", "3.1", "head"]


def test_a_gradient_of_zero_has_no_mark():
    model = tiny(dtype="float64")
    model.head.weight.data[1] = 0.0
    figure = gradient_flow(model, image(), target=1)
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).all()
    assert png(figure).startswith(b"\x89PNG")


def test_bad_input():
    with pytest.raises(InputError, match="gradient_flow: image has shape"):
        gradient_flow(tiny(), image(channels=1).astype(np.float32))
    with pytest.raises(InputError, match="target is 3"):
        gradient_flow(tiny(), image().astype(np.float32), target=3)
