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
from questions import of_notebook
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
    hidden_attention_of,  # noqa: F401  for your answers
    internals,
    scan_path,
)

check = of_notebook(6, globals())

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
check(1, answer)

# %% alt="A bag with the path of Vim's scan: eight rows from top left to bottom right, a star for the class token half way."
scan_path(vim, image)

# %% [markdown]
# **Question 2.** And how many steps later in MambaVision, in windows of 4 by 4?

# %%
answer = None
check(2, answer)

# %% [markdown]
# **Question 3.** VMamba has four routes. On the one that comes soonest, how many steps is it from (2, 5) to (3, 5)?

# %%
answer = None
check(3, answer)

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
check(4, answer)

# %% [markdown]
# **Question 5.** MambaVision's scan block, in a window of 4 by 4: the window of (3, 5) has rows 0 to 3 and columns 4 to 7. How many
# tokens does it see? Its convolution has a kernel of 3 and is centred.

# %%
answer = None
check(5, answer)

# %% [markdown]
# **Question 6.** And how many does it see in VMamba's block?

# %%
answer = None
check(6, answer)

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
check(7, answer)

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
check(8, answer)

# %% alt="Two upper triangular matrices of 65 by 65 tokens, the size and the sign of what each takes from each on the way back."
hidden_attention_matrix(vim, image, route="back")

# %% [markdown]
# **Question 9.** Both ways together give $y$, before the gate. Write a function of `scans`, the two records. Each has
# `.weight`, `.D` (channels), `.x` (1, tokens, channels, in the order of the *scan*) and `.order`, the number of the token that each
# step of the scan meets. `hidden_attention_of([scan])` is $\alpha$ in the tokens' own order, with the weight in it.

# %%
answer = None
check(9, answer)

# %% alt="The bag with a framed token, and squares on the tokens before and behind it that it takes from in Vim's two scans."
hidden_attention_map(vim, image, query=(3, 5))

# %% [markdown]
# ## Near and far
#
# **Question 10.** Leave out the nearest neighbours: what the middle token takes from further away, does it come mostly from its own
# row, and hardly from its column? Say for which: `"Vim"`, `"VMamba"`, `"both"` or `"neither"`.

# %%
answer = None
check(10, answer)

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
check(11, answer)

# %% [markdown]
# The page [Three ways to scan a picture](../three_ways.md) has the measured times, the mixers side by side, and what the paper's
# concatenation is worth.
