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
# # 4. Training it and watching the state change
#
# A small MambaVision learns to tell garments apart, for about half a minute, and we look into its scan before, in between and
# after: what does it write to its memory, and how long does it keep it?

# %% alt="The picture that is watched: a coat, grey on black."
# %matplotlib inline
import copy

import matplotlib.pyplot as plt
import numpy as np
from questions import of_notebook
from small_model import keep, make, pictures, train

from mvnp.training import evaluate
from mvnp.visualize import internals, scan_state

check = of_notebook(4, globals())

model, train_loader, test_loader = make()
watched = pictures(test_loader, 1)
SCAN = "levels.2.blocks.0.mixer"

figure, axes = plt.subplots(figsize=(2.6, 2.6), layout="constrained")
axes.imshow(watched[0, 0], cmap="gray")
axes.set(title=test_loader.dataset.classes[test_loader.dataset.labels[0]], xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Before training
#
# The scan of level 2 sees the image as 4 by 4 tokens. Its step sizes $\Delta$ come out of a softplus, whose bias starts at 0,
# and weights that start close to 0.
#
# **Question 1.** So what is $\Delta$, to about one percent, for every token and channel before training?

# %%
before = internals(model, watched).scans[SCAN]

answer = None
check(1, answer)

# %% [markdown]
# With the rates $A = -1, \dots, -8$ that it begins with, the states fade to $1/e$ after $\tau = 1/(\Delta |A|)$ tokens.
#
# **Question 2.** What is the *longest* timescale before training, in tokens?

# %%
answer = None
check(2, answer)

# %% [markdown]
# ## Training
#
# One step is what notebook 2 was about, for the whole network: forward with a tape, the gradient of the loss, backward, and an
# update of all parameters. Now and then we look inside.

# %% alt="The loss of each step and its running mean: it falls from 2.3 to about 1 within a hundred steps and slowly on."
losses, looks = [], {0: before}
for step, result in enumerate(train(model, train_loader), start=1):
    losses.append(result.loss)
    if step & (step - 1) == 0 and step >= 4:  # 4, 8, 16, …
        looks[step] = internals(model, watched).scans[SCAN]
looks[step] = internals(model, watched).scans[SCAN]
keep(model, test_loader)
print(f"{step} steps; accuracy on the test images: {evaluate(model, test_loader).accuracy:.1%}")

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.plot(losses, color="#d5dae1", label="each step")
window = max(1, len(losses) // 40)
smooth = np.convolve(losses, np.full(window, 1 / window), "valid")
axes.plot(np.arange(len(smooth)) + window // 2, smooth, color="#0060a8", label=f"mean of {window}")
axes.set(xlabel="step", ylabel="loss", ylim=(0, 2.5))
axes.legend()
plt.show()

# %% [markdown]
# ## What the memory learnt
#
# Each row below is a moment of the training. On the left, the step $\Delta$ of every token, in the channel where it came to
# differ most from token to token: bright tokens overwrite the memory, dark ones are more nearly passed over. On the right, all
# states along the scan, each divided by its largest.

# %% alt="Rows for five moments of the training. Left, the step of each of four by four tokens: even at first, different from token to token at the end. Right, heat maps of all states along the scan: noise at first, later a few tokens write and others are passed over."
after = looks[max(looks)]
channel = after.delta[0].std(axis=0).argmax()
shown = sorted(looks)[:: max(1, (len(looks) - 1) // 3)]
figure, axes = plt.subplots(len(shown), 2, figsize=(7, 1.7 * len(shown)), width_ratios=(1, 3.2), layout="constrained")
low, high = (pick([pick(looks[step].delta[..., channel]) for step in shown]) for pick in (np.min, np.max))
for (left, right), step in zip(axes, shown, strict=True):
    scan = looks[step]
    steps = scan.windows.lay_out(scan.delta[..., channel])
    image = left.imshow(steps, cmap="viridis", vmin=low, vmax=high)
    left.set(ylabel=f"step {step}", xticks=[], yticks=[])
    states = scan.states[0].reshape(len(scan.states[0]), -1).T
    right.imshow(states / np.abs(states).max(axis=1, keepdims=True), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    right.set(ylabel="states", yticks=[])
axes[0, 0].set_title(f"Δ in channel {channel}", fontsize=9)
axes[0, 1].set_title("states along the scan (left to right)", fontsize=9)
axes[-1, 1].set_xlabel("token t")
figure.colorbar(image, ax=list(axes[:, 0]), location="left", label="Δ")
plt.show()

# %% [markdown]
# The steps were alike everywhere; now they depend on what a token shows. How differently are they spread, and what became of
# the timescales?

# %% alt="Left, histograms of the step: a single spike at 0.69 before, spread around it after. Right, timescales sorted: eight stairs before, nearly the same but smooth after."
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
for scan, name, color in ((before, "before", "#c14a00"), (after, "after", "#0060a8")):
    left.hist(scan.delta.ravel(), bins=40, histtype="step", color=color, linewidth=1.8, label=name)
    right.plot(np.sort(scan.timescale, axis=None), color=color, linewidth=1.8, label=name)
left.set(xlabel="Δ", ylabel="tokens × channels", yscale="log")
right.set(xlabel="state, fastest first", ylabel="timescale τ, tokens", yscale="log")
left.legend()
plt.show()

# %% [markdown]
# **Question 3.** Did the training change the timescales more through $A$ or through $\Delta$? Compare how far $\log |A|$ and
# $\log$ of the mean $\Delta$ of a channel have moved, on average over the states and channels: `"A"` or `"delta"`.

# %%
answer = None
check(3, answer)

# %% [markdown]
# ## One image, all of it
#
# The figure below is one of `mvnp.visualize`; its docstring says how to read it.

# %% alt="The scan's path over the coat, the length of its state after each token, its steps, and all states along the way; see the figure's docstring."
scan_state(model, watched)

# %% [markdown]
# ## Does it need its memory?
#
# Set $B$ to 0, and nothing is ever written: what is left of the scan is the skip $D x$. The parameters of $B$ are $N = 8$ rows
# of `x_proj`, after those of $dt$. Do it in both levels that have a scan.

# %%
without = copy.deepcopy(model)
for level in without.levels[2:]:
    mixer = level.blocks[0].mixer
    mixer.x_proj.weight.data[mixer.rank : mixer.rank + mixer.d_state] = 0.0
for name, variant in (("with its memory", model), ("without", without)):
    found = evaluate(variant, test_loader)
    print(f"{name}: accuracy {found.accuracy:.1%}, loss {found.loss:.3f}")

# %% [markdown]
# Little is lost. That is worth knowing before one reads too much into a picture: a garment of sixteen tokens, with convolutions
# in front and attention behind, can do without a memory. A figure shows what a part does, not what depends on it; for that one
# takes the part away.
#
# **Question 4.** In the model without memory, what do the tokens of that mixer still see of each other? `"nothing"`, `"their
# neighbours"` or `"everything before them"`

# %%
answer = None
check(4, answer)

# %% [markdown]
# The trained model is kept beside this notebook; the next one looks at where it looks.
