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
# # 5. Seeing where it looks
#
# A MambaVision mixes tokens in two ways, by scans and by attention. Both can be written as a matrix of tokens by tokens, and so
# be looked at together. Then we ask the opposite question: which pixels does the answer hang on? And at the end, how far such
# pictures can be trusted.
#
# The model is the one of notebook 4; if that has not been run, it is trained now, for half a minute.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
from questions import of_notebook
from small_model import make, pictures, trained

from mvnp.visualize import (
    attention_rollout,
    grad_cam,
    gradient_times_input,
    hidden_attention_map,
    hidden_attention_matrix,
    hidden_attention_of,
    internals,
    level_matrices,  # noqa: F401  for your answers
    mamba_lrp,
    receptive_field,
    relevance,
    rollout,  # noqa: F401  for your answers
    window_attention,
)

check = of_notebook(5, globals())

model, loader = trained()
classes = loader.dataset.classes
number = 1
image = pictures(loader, 4)[number : number + 1]
seen = internals(model, image)
print("the model says", classes[seen.logits.argmax()], "- the label is", classes[loader.dataset.labels[number]])

# %% [markdown]
# ## Attention
#
# Level 2 has 4 by 4 tokens in one window. Its second block is attention, with four heads.

# %% alt="The picture of a bag with a framed token, and for each of four heads squares on those tokens that it attends to."
window_attention(model, image, query=(1, 1))

# %% [markdown]
# **Question 1.** The mark "equal" on the scale is the weight of a token if the query took the same of all. What is it here?

# %%
answer = None
check(1, answer)

# %% [markdown]
# ## The attention that hides in the scan
#
# The first block of the level is a scan. It has no weights, but they can be worked out: with $\Delta$, $B$ and $C$ known, the
# scan is a linear map of its input (notebook 1),
#
# $$
# y_t = \sum_{s \le t} \alpha_{ts}\,x_s + D\,x_t .
# $$

# %% alt="Two lower triangular matrices of sixteen by sixteen tokens. Left, the size of hidden attention: largest on the diagonal, fading within two or three tokens. Right, its sign: blue and red alternate along the diagonals."
scan = seen.scans["levels.2.blocks.0.mixer"]
alpha = hidden_attention_of(scan)  # windows, channels, tokens, tokens
print(alpha.shape)
hidden_attention_matrix(model, image, query=(1, 1))

# %% [markdown]
# **Question 2.** Is that the whole truth about the scan? Write a function of `alpha`, `x` (windows, tokens, channels) and `D`
# that gives $y$. It is compared with what the scan itself made, $C h + D x$ from the recorded states.

# %%
answer = None
check(2, answer)

# %% [markdown]
# On the image: what one token took from those before it.

# %% alt="The bag four times: a framed token, what it takes from the tokens before it, what it gives to those after it, and what it takes with its sign."
hidden_attention_map(model, image, query=(2, 2))

# %% [markdown]
# **Question 3.** How much of what the *last* token of the window takes comes from more than four steps back? Take $|\alpha|$,
# averaged over channels, in row 15: the sum over columns 0 to 10, over the sum of the whole row.

# %%
answer = None
check(3, answer)

# %% [markdown]
# ## Both together
#
# Make of each block a matrix with non-negative rows that add up to 1; add the identity, for the residual connection hands every
# token on; multiply block after block. That is **rollout**: an estimate of how much of each token is in each other after the
# whole level.

# %% alt="The bag three times: what has come into the framed token after the scan, after the attention, and what all tokens together took."
attention_rollout(model, image, query=(1, 1))

# %% [markdown]
# **Question 4.** Which token, other than itself, is token 5 (row 1, column 1) made of most, after the level's two blocks?
# `rollout(level_matrices(seen, "levels.2").values())` has the shape (blocks, windows, tokens, tokens).

# %%
answer = None
check(4, answer)

# %% [markdown]
# Rollout is a story about tokens only: it knows nothing of the MLPs, of signs, or of what the values say. The next pictures use
# the backward, and with it the whole network.
#
# ## What a feature can see, and what it does see

# %% alt="Four panels, one for each stage: influence of pixels on the central feature, brightest around a cross in the middle, wider from stage to stage."
receptive_field(model, pictures(loader, 4))

# %% [markdown]
# **Question 5.** The frame around a stage is what it can see at most. The two convolutions of the stem have kernels of 3 and
# strides of 2. How many pixels wide is what one output of the *stem* sees?

# %%
answer = None
check(5, answer)

# %% [markdown]
# ## What speaks for the class
#
# The gradient of a logit says what would happen to it if a pixel changed. Times the pixel, it is that pixel's share, to first
# order.

# %% alt="The bag; its gradient times input pixel by pixel, red and blue mixed like noise; and the same summed over squares of five pixels."
gradient_times_input(model, image, classes=classes)

# %% [markdown]
# These shares do not add up to anything. Layer-wise relevance propagation changes the backward so that they do: gates, norms
# and softmax weights count as constants, so that each layer is linear in what it passes on, and nothing is lost on the way.

# %% alt="The bag; its relevance pixel by pixel, mostly red along the upper and lower edges of the bag; and the same summed over squares of five pixels."
mamba_lrp(model, image, classes=classes)

# %% [markdown]
# **Question 6.** By how much does the relevance of all pixels and all biases together miss the logit? `relevance(model, image)`
# has `.pixels`, `.biases` and `.logit`. Answer `"nothing but rounding"`, `"a few percent"` or `"more"`.

# %%
answer = None
check(6, answer)

# %% alt="The bag; and over it two by two squares with the evidence of each token of the last stage."
grad_cam(model, image, classes=classes)

# %% [markdown]
# ## Can one believe it?
#
# A test that costs nothing: draw the same picture for a model that has learnt nothing. What looks the same there was not about
# what the model knows. (Adebayo et al., *Sanity Checks for Saliency Maps*, arXiv:1810.03292.)

# %% alt="The bag, the relevance map of the trained model, and that of a model with fresh weights: both follow the picture, in different places."
fresh, _, _ = make()
figure, panels = plt.subplots(1, 3, figsize=(8, 2.9), layout="constrained")
panels[0].imshow(image[0, 0], cmap="gray")
panels[0].set_title("image", fontsize=10)
maps = [relevance(which, image, target=int(seen.logits.argmax()), gamma=0.25).map for which in (model, fresh)]
for axes, values, name in zip(panels[1:], maps, ("relevance, trained", "relevance, fresh weights"), strict=True):
    most = np.percentile(np.abs(values), 99.5)
    axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most)
    axes.set_title(name, fontsize=10)
for axes in panels:
    axes.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Question 7.** How alike are the two maps? Give the correlation of their pixels, between −1 and 1.

# %%
answer = None
check(7, answer)

# %% [markdown]
# All of these figures for a picture and weights of your own: `mvnp visualize IMAGE --weights W --out DIR`.
