# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Three ways to scan a picture
#
# MambaVision reads a picture row by row in windows, Vim there and back, VMamba along four routes. What follows from that? Here
# every picture comes after a question: predict first, then look. Nothing has to be trained: what a token *can* see depends on the
# paths alone.
#
# All three get a map of 8 by 8 tokens. Rows and columns are counted from 0.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
from questions import check, check_that
from small_model import make, pictures

import mvnp
from mvnp.layers.window import window_partition, window_reverse
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.mixer import MambaVisionMixer
from mvnp.models.ss2d import SS2D
from mvnp.models.vim_mixer import VimMixer
from mvnp.visualize import (
    hidden_attention_map,
    hidden_attention_matrix,
    hidden_attention_of,
    internals,
    scan_path,
)

_, _, loader = make()
image = pictures(loader, 4)[1:2, :, ::2, ::2]  # (1, 1, 32, 32)
vim = mvnp.Vim(img_size=32, patch_size=4, embed_dim=32, depth=1, d_state=8, in_chans=1, num_classes=10, seed=1)
vmamba = mvnp.VMamba(dims=32, depths=(1,), in_chans=1, num_classes=10, seed=1)

# %% [markdown]
# ## The paths
#
# **Question 1.** Vim reads all rows, one after another. Token (2, 5) lies right above token (3, 5). How many steps later is the lower
# one read?

# %%
answer = None
check(answer, lambda: 8, hint="The rest of row 2 comes first, and then row 3 up to column 5.", why="A whole row.")

# %% alt="A bag with the path of Vim's scan: eight rows from top left to bottom right, a star for the class token half way."
scan_path(vim, image)

# %% [markdown]
# **Question 2.** And how many steps later in MambaVision, in windows of 4 by 4?

# %%
answer = None
check(
    answer, lambda: 4, hint="A row of the window is 4 tokens long.", why="The smaller the window, the nearer what lies above."
)

# %% [markdown]
# **Question 3.** VMamba has four routes. On the one that comes soonest, how many steps is it from (2, 5) to (3, 5)?

# %%
answer = None
check(answer, lambda: 1, hint="One route goes down the columns.", why="That is what the second pair of routes is for.")

# %% alt="The bag with VMamba's second route: eight columns, each from top to bottom, from left to right."
scan_path(vmamba, image, route="column by column")

# %% [markdown]
# ## What one block sees
#
# A token sees those tokens in which the gradient of its output is not 0. The function below asks a mixer of each kind, with random
# weights, for token (3, 5).

# %%
C = 16
TOKENS = (lambda m: m.reshape(1, 64, C), lambda d: d.reshape(1, 8, 8, C))
WINDOWS = (lambda m: window_partition(m, 4), lambda d: window_reverse(d, 4, 8, 8))
MAP = (lambda m: m, lambda d: d)


def sees(mixer, ways):
    """The tokens (8, 8) on which the mixer's output at (3, 5) depends."""
    to_mixer, to_map = ways
    x = np.random.default_rng(0).standard_normal((1, 8, 8, C)).astype("float32")
    tape = mvnp.Tape(training=False)
    mixer.forward(to_mixer(x), tape)
    dy = np.zeros_like(x)
    dy[0, 3, 5] = 1
    return (to_map(mixer.backward(to_mixer(dy), tape)) != 0).any(axis=(0, 3))


def show(**kinds):
    _, panels = plt.subplots(1, len(kinds), figsize=(2.2 * len(kinds), 2.5), layout="constrained", squeeze=False)
    for axes, (name, seen) in zip(panels[0], kinds.items(), strict=True):
        axes.imshow(seen, cmap="Blues", vmin=0, vmax=1.4)
        axes.plot(5, 3, "s", color="tab:orange")
        axes.set_title(f"{name.replace('_', ' ')}: {seen.sum()}", fontsize=10)
        axes.set(xticks=[], yticks=[])
    plt.show()


# %% [markdown]
# **Question 4.** Vim's way there alone, which is Mamba's own block: how many of the 64 tokens does (3, 5) see, itself among them?

# %%
answer = None
check(
    answer,
    lambda: int(sees(VimMixer(C, directions="one"), TOKENS).sum()),
    hint="Rows 0 to 2 whole, and row 3 up to itself. Its convolution is causal and adds none.",
    why="3 · 8 + 6.",
)

# %% [markdown]
# **Question 5.** MambaVision's scan block, in a window of 4 by 4: the window of (3, 5) has rows 0 to 3 and columns 4 to 7. How many
# tokens does it see? Its convolution has a kernel of 3 and is centred.

# %%
answer = None
check(
    answer,
    lambda: int(sees(MambaVisionMixer(C), WINDOWS).sum()),
    hint="Those read before it in the window: rows 0 to 2, and (3, 4); itself; and one that the convolution lends from ahead.",
    why="12 + 1 + 1 + 1. Of its window only (3, 7) is missing.",
)

# %% [markdown]
# **Question 6.** And how many does it see in VMamba's block?

# %%
answer = None
check(
    answer,
    lambda: int(sees(SS2D(C), MAP).sum()),
    hint="Each token comes before (3, 5) either by rows or by rows backwards.",
    why="All. Two of the four routes would have done for that; the others make it near.",
)

# %% alt="Five maps of 8 by 8 tokens with those that the token in row 3, column 5 sees: 30 in Vim's way there, all in both ways, 15 in MambaVision's scan, 16 in its attention, all in VMamba."
show(
    Vim_there=sees(VimMixer(C, directions="one"), TOKENS),
    Vim=sees(VimMixer(C), TOKENS),
    scan=sees(MambaVisionMixer(C), WINDOWS),
    attention=sees(MultiHeadAttention(C, 2), WINDOWS),
    VMamba=sees(SS2D(C), MAP),
)

# %% [markdown]
# **Question 7.** So MambaVision's scan misses what comes later, in its window, and has no way back. Which block sees it? Answer
# `"attention"`, `"the MLP"` or `"none"`.

# %%
answer = None
check(
    answer,
    lambda: "attention",
    hint="Look at the fourth map: all 16 of the window. An MLP mixes no tokens.",
    why="That is why one path is enough there; VMamba has no attention, and needs four.",
)

# %% [markdown]
# ## The attention that hides in two scans
#
# Written out, each scan is a matrix: what every token takes from every other (notebook 5). Vim's scan there can only take from
# earlier tokens: its matrix is lower triangular. The matrix of the scan back is put into the tokens' own order, too.
#
# **Question 8.** What is the matrix of the way back: `"lower"` triangular, `"upper"` triangular, or `"full"`?

# %%
there, back = internals(vim, image).routes["layers.0.mixer"]
answer = None


def shape_of_back():
    alpha = hidden_attention_of([back])[0, 0]
    below, above = np.tril(alpha, -1).any(), np.triu(alpha, 1).any()
    return "full" if below and above else "lower" if below else "upper"


check(
    answer,
    shape_of_back,
    hint="On the way back a token has read those with larger numbers.",
    why="Together the two are full: every token takes from every other.",
)

# %% alt="Two upper triangular matrices of 65 by 65 tokens, the size and the sign of what each takes from each on the way back."
hidden_attention_matrix(vim, image, route="back")

# %% [markdown]
# **Question 9.** Both ways together give $y$, before the gate. Write a function of `scans`, the two records. Each has
# `.weight`, `.D` (channels), `.x` (1, tokens, channels, in the order of the *scan*) and `.order`, the number of the token that each
# step of the scan meets. `hidden_attention_of([scan])` is $\alpha$ in the tokens' own order, with the weight in it.

# %%
answer = None


def makes_y(function):
    y = sum(
        scan.weight * (np.einsum("wln,wldn->wld", scan.C, scan.states) + scan.D * scan.x)[:, np.argsort(scan.order)]
        for scan in (there, back)
    )
    return np.allclose(function((there, back)), y, atol=1e-4 * np.abs(y).max())


check_that(
    answer,
    makes_y,
    hint="For each scan u = scan.x[:, np.argsort(scan.order)], and then α u summed over s, plus weight · D · u; add both scans up.",
    why="The two scans read different inputs, each by a convolution of its own, so that their matrices alone are not enough.",
)

# %% alt="The bag with a framed token, and squares on the tokens before and behind it that it takes from in Vim's two scans."
hidden_attention_map(vim, image, query=(3, 5))

# %% [markdown]
# ## Near and far
#
# **Question 10.** Leave out the nearest neighbours: what the middle token takes from further away, does it come mostly from its own
# row, and hardly from its column? Say for which: `"Vim"`, `"VMamba"`, `"both"` or `"neither"`.

# %%
answer = None


def row_over_column(model):
    """How much token (4, 4) takes from its row, over how much from its column, beyond the neighbours."""
    (scans,) = internals(model, image).routes.values()
    tokens = scans[0].tokens
    _, query = tokens.find(4, 4)
    takes = tokens.spread(0, np.abs(hidden_attention_of(scans))[0, :, query].mean(axis=0))
    far = [0, 1, 2, 6, 7]
    return takes[4, far].sum() / takes[far, 4].sum()


def mostly_by_row():
    names = [name for name, model in (("Vim", vim), ("VMamba", vmamba)) if row_over_column(model) > 1.5]
    return "both" if len(names) == 2 else names[0] if names else "neither"


check(
    answer,
    mostly_by_row,
    hint="Along its row a token is one step from the next in both. How many is it along its column, in each?",
    why="In Vim the next of a column is a row away, and much has faded by then. VMamba has routes for both.",
)

# %% alt="The bag with a framed token, and squares on tokens of its row and of its column that it takes from in VMamba's four scans."
hidden_attention_map(vmamba, image, query=(4, 4))

# %% [markdown]
# The effective receptive field of a fresh VMamba is a plain square all the same, `receptive_field(vmamba, image)`: its convolutions
# outweigh its scans, until these have learnt what to write. In [trained models](../three_ways.md) the paths show.

# %% [markdown]
# ## The cost
#
# **Question 11.** An image twice as high and twice as wide: by what factor do the steps of a scan over the whole map grow, and by what
# factor the weights of attention over the whole map? Answer with both, `(steps, weights)`.

# %%
answer = None
check(
    answer,
    lambda: (4, 16),
    hint="There are four times as many tokens. Attention has a weight for each pair of them.",
    why="MambaVision's attention stays within windows, and so grows by 4, too.",
)

# %% [markdown]
# The page [Three ways to scan a picture](../three_ways.md) has the measured times, the mixers side by side, and what the paper's
# concatenation is worth.
