"""What a step makes smaller: mvnp/training/objective.py."""

import numpy as np
import pytest

from mvnp.training import Teacher
from mvnp.training.objective import Objective, weighted
from support.checks import normal
from support.tolerance import DEEP, assert_close, near

LOGITS, LABELS = normal((3, 4), seed=1), np.array([2, 0, 2])
SHARES = np.array([[0.5, 0.25, 0.25, 0.0], [0.0, 1.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
WEIGHTS = np.array([0.5, 1.0, 2.0, 4.0])


class Says:
    """A teacher's model, that gives the same logits whatever it sees."""

    def __call__(self, x):
        return normal((3, 4), seed=2) * x.sum()


def loss_of(objective, logits, target, teacher=None):
    return objective.gradient(np.ones(1), logits, target, teacher, 1.0)[0]


OBJECTIVES = {
    "labels": (Objective(), LABELS),
    "smoothed": (Objective(smoothing=0.2), LABELS),
    "shares": (Objective(smoothing=0.2), SHARES),
    "weighted labels": (Objective(smoothing=0.2, class_weights=WEIGHTS), LABELS),
    "weighted shares": (Objective(smoothing=0.2, class_weights=WEIGHTS), SHARES),
    "bce": (Objective("bce", smoothing=0.2), LABELS),
    "bce, threshold": (Objective("bce", threshold=0.2), SHARES),
}


@pytest.mark.parametrize(
    "teacher", [None, Teacher(Says(), 0.5), Teacher(Says(), 2.0, 2.0, 4.0)], ids=["none", "MESA", "another"]
)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_is_that_of_the_loss(name, teacher):
    """By central differences; and twice the scale is twice the gradient, not the loss."""
    objective, target = OBJECTIVES[name]
    loss, gradient, apart = objective.gradient(np.ones(1), LOGITS, target, teacher, 2.0)
    assert (apart is None) == (teacher is None)
    numeric = np.zeros_like(LOGITS)
    for place in np.ndindex(LOGITS.shape):
        step = np.zeros_like(LOGITS)
        step[place] = 1e-5
        ends = [loss_of(objective, LOGITS + sign * step, target, teacher) for sign in (1, -1)]
        numeric[place] = 2 * (ends[0] - ends[1]) / 2e-5
    assert np.abs(gradient - numeric).max() < 1e-8 * max(1.0, np.abs(numeric).max())
    if teacher is not None:
        plain = loss_of(objective, LOGITS, target)
        assert_close(loss, plain + teacher.weight * apart, terms=DEEP)


def test_losses_by_hand():
    """Two classes, logits (0, log 3): q = (1/4, 3/4); s = 1/2 makes a label (3/4, 1/4)."""
    logits, label = np.log([[1.0, 3.0]]), np.array([0])
    assert loss_of(Objective(), logits, label) == near(np.log(4))
    smoothed = 0.75 * np.log(4) + 0.25 * np.log(4 / 3)
    assert loss_of(Objective(smoothing=0.5), logits, label) == near(smoothed)
    # An image of the class that counts 3 counts 3 times, smoothing and all; of shares, each class's term by its own.
    weights = np.array([3.0, 2.0])
    assert loss_of(Objective(smoothing=0.5, class_weights=weights), logits, label) == near(3 * smoothed)
    shares = 3 * 0.75 * np.log(4) + 2 * 0.25 * np.log(4 / 3)
    assert loss_of(Objective(smoothing=0.5, class_weights=weights), logits, np.array([[1.0, 0.0]])) == near(shares)


def test_weighted_targets_by_hand():
    weights = np.array([1.0, 2.0])
    assert_close(weighted(np.array([1, 0]), weights, 0.5, 2), [[0.5, 1.5], [0.75, 0.25]])
    assert_close(weighted(np.array([[0.0, 1.0], [0.5, 0.5]]), weights, 0.5, 2), [[0.25, 1.5], [0.5, 1.0]])


def test_a_teacher_is_that_of_mesa_unless_it_is_another():
    assert (Teacher(Says(), 1.0).temperature, Teacher(Says(), 1.0).factor) == (3.0, 50.0)
