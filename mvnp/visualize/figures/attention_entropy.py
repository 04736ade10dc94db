"""How spread out attention is, head by head."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ...backend import Array
from ...errors import refusing
from ...models.classifier import Classifier
from ..arrays.attention_entropy import query_spread
from ..arrays.internals import record_attention
from ..arrays.picture import as_picture
from .overlay import show_marks, show_picture
from .panels import image_panels, title_of
from .style import add_colorbar, set_title


@refusing
def attention_entropy(model: Classifier, image: Array, *, block: str | None = None, narrow: bool = False) -> Figure:
    """Whether the tokens of an image (1, C, H, W) attend to few tokens or to all, in each head of an attention block.

    block     path of the attention's block, such as 'levels.2.blocks.1'; None: the first
    narrow    laid out for a phone

    How to read it. A square is a query token, its colour e^H, the perplexity of its weights, where H is their entropy: as
    many tokens, weighted alike, would be as spread out. 1 is a query that takes all from one token; the end of the scale is
    the whole window, all alike. The scale is that of the entropy itself: a step on it is a factor. Above each head is the
    mean over the map, and heads are sorted by it: the most pointed first, with their own numbers. Padding is left out, as
    queries; as keys it counts where the model lets it.
    """
    record, picture = record_attention(model, image, block), as_picture(image)
    windows = record.windows
    spread, L = query_spread(record), windows.L
    means = np.nanmean(spread, axis=(1, 2))
    title = title_of("Tokens that a query attends to", record, narrow)
    figure, panels = image_panels(title, len(spread), picture, windows, narrow, below=0.7)
    norm = LogNorm(1.0, max(L, 2))
    for axes, head in zip(panels, np.argsort(means, kind="stable"), strict=True):
        show_picture(axes, picture, windows)
        marks = show_marks(axes, windows, spread[head], norm)
        set_title(axes, f"Head {head + 1}: {means[head]:.1f} of {L}")
    bar = add_colorbar(figure, marks, panels, "e^entropy, in tokens", location="bottom", aspect=50)
    ticks = [*(2**power for power in range(int(np.log2(L)))), L]
    bar.set_ticks(ticks, labels=[str(tick) for tick in ticks])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    return figure
