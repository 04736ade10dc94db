"""Loss and gradient for two test pictures: one that a trained model gets right, and the first that it gets wrong."""

import numpy as np
from demo_model import demo, image, model
from matplotlib.figure import Figure

from mvnp.data import load_dataset
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from mvnp.layers.softmax import softmax_forward
from mvnp.visualize.figures.style import BLUE, MUTED, ORANGE, new_figure, set_labels


def draw() -> Figure:
    classes, labels = demo().classes or (), load_dataset("fashion-mnist-small")[1].labels
    logits = np.concatenate([model()(image(number)) for number in range(40)])
    losses = [float(cross_entropy_forward(logits[n : n + 1], labels[n : n + 1])[0]) for n in range(40)]
    wrong = int(np.argmax(logits.argmax(axis=1) != labels[:40]))
    figure = new_figure(5.8, 3.4, "Prediction q, and the gradient q − p")
    panels = figure.subplots(1, 4, sharey=True)
    rows = np.arange(len(classes))
    for (left, right), number in zip(panels.reshape(2, 2), (int(np.argmin(losses)), wrong), strict=True):
        z, label = logits[number : number + 1], labels[number : number + 1]
        loss, cache = cross_entropy_forward(z, label)
        left.barh(rows, softmax_forward(z)[0][0], color=BLUE)
        left.set_xlim(0, 1)
        right.barh(rows, cross_entropy_backward(1.0, cache)[0], color=ORANGE)
        right.set_xlim(-1, 1)
        right.axvline(0, color=MUTED, linewidth=0.8)
        set_labels(left, f"{classes[label[0]]}:\nloss {float(loss):.2f}")
        set_labels(right, "gradient")
    panels[0].set_yticks(rows, classes)
    panels[0].invert_yaxis()
    return figure
