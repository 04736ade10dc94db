"""MESA for two classes: the loss and its gradient as the student's logit moves, at three temperatures."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.mesa import mesa_backward, mesa_forward
from mvnp.visualize.figures.style import BLUE, GREEN, MUTED, ORANGE, new_figure, set_labels

TEACHER = 3.0  # the teacher's logit of the first class; that of the second is 0, as the student's is


def draw() -> Figure:
    figure = new_figure(6.4, 2.6, "Student and teacher apart, F = T²")
    left, right = figure.subplots(1, 2)
    student = np.linspace(-9.0, 15.0, 241)
    for temperature, colour in ((1.0, BLUE), (3.0, ORANGE), (9.0, GREEN)):
        losses, gradients = [], []
        for value in student:
            loss, cache = mesa_forward(
                np.array([[value, 0.0]]), np.array([[TEACHER, 0.0]]), temperature=temperature, factor=temperature**2
            )
            losses.append(float(loss))
            gradients.append(mesa_backward(1.0, cache)[0, 0])
        left.plot(student, losses, color=colour, label=f"T = {temperature:.0f}")
        right.plot(student, gradients, color=colour)
    for panel in (left, right):
        panel.axvline(TEACHER, color=MUTED, linewidth=0.8)
    set_labels(left, "loss", "student's logit", "nats")
    set_labels(right, "gradient", "student's logit", "")
    left.legend(loc="upper center", frameon=False)
    return figure
