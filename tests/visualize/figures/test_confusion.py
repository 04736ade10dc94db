"""The figure of what was taken for what: mvnp/visualize/figures/confusion.py."""

import numpy as np

from mvnp.visualize.figures.confusion import LABELLED, NUMBERED, confusion_matrix
from mvnp.visualize.figures.style import png

COUNTS = np.array([[6, 2, 0], [0, 0, 0]])


def test_what_is_drawn_are_shares_of_rows_and_counts():
    figure = confusion_matrix(COUNTS, ["cat", "dog", "(no folder)"], "75.0% of 8 are right")
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0]])
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [
        ((column, row), str(COUNTS[row, column])) for row in range(2) for column in range(3)
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "(no folder)"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert figure.get_suptitle() == "75.0% of 8 are right"
    assert png(figure).startswith(b"\x89PNG")


def test_many_classes_have_neither_names_nor_numbers():
    for count, named, numbered in ((NUMBERED, True, True), (NUMBERED + 1, True, False), (LABELLED + 1, False, False)):
        names = [f"class {index}" for index in range(count)]
        axes = confusion_matrix(np.eye(count, dtype=int), names, "").axes[0]
        assert ([label.get_text() for label in axes.get_yticklabels()] == names) == named
        assert (len(axes.texts) == count**2) == numbered
