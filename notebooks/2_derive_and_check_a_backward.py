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
# # 2. Deriving and checking a backward
#
# A backward takes $dy$, the gradient of a loss with respect to a layer's output, and gives the gradients with respect to its
# inputs. This notebook derives two of them, checks them as this project checks all of its own, and shows how checks can fool
# you.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
from questions import of_notebook

import mvnp  # noqa: F401  for your answers

check = of_notebook(2, globals())

rng = np.random.default_rng(0)

# %% [markdown]
# ## What a backward computes
#
# Let the layer be $y = f(x)$, and a loss $\ell$ a number made from $y$. With $dy_i = \partial \ell/\partial y_i$ the chain rule
# says
#
# $$
# dx_j = \sum_i dy_i\,\frac{\partial y_i}{\partial x_j} .
# $$
#
# The Jacobian $\partial y_i/\partial x_j$ itself is never made: it would have as many entries as outputs times inputs. A
# backward is code for the *product* of $dy$ with it.
#
# ## A linear layer
#
# $y = x W^\top + b$ with $x$ of $(n, I)$, $W$ of $(O, I)$ and $b$ of $(O,)$. In indices:
# $y_{no} = \sum_i x_{ni} W_{oi} + b_o$. Now read off who uses what:
#
# - $x_{ni}$ is used in $y_{no}$ for every $o$, with weight $W_{oi}$: $\;dx_{ni} = \sum_o dy_{no} W_{oi}$.
# - $W_{oi}$ is used in $y_{no}$ for every $n$, with weight $x_{ni}$: $\;dW_{oi} = \sum_n dy_{no} x_{ni}$.
# - $b_o$ is used in $y_{no}$ for every $n$, with weight 1: $\;db_o = \sum_n dy_{no}$.
#
# **Question 1.** Write it in array code.

# %%
x, W, b = rng.standard_normal((5, 3)), rng.standard_normal((4, 3)), rng.standard_normal(4)
dy = rng.standard_normal((5, 4))

answer = None  # a function of dy, x, W that returns dx, dW, db
check(1, answer)

# %% [markdown]
# ## Checking by differences
#
# Is a backward right? Ask the forward. For a loss $\ell(x) = \langle w, f(x) \rangle$ with any fixed weights $w$ (the
# **cotangent**) the gradient of $\ell$ is the backward of $w$; and the slope of $\ell$ in a direction $v$ can be measured:
#
# $$
# \langle dx, v \rangle \approx \frac{\ell(x + h v) - \ell(x - h v)}{2h} .
# $$


# %%
def slope(f, x, v, w, h=1e-5):
    """The slope of ⟨w, f(x + t v)⟩ at t = 0, by a central difference."""
    return ((w * f(x + h * v)).sum() - (w * f(x - h * v)).sum()) / (2 * h)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dy, x):
    """∂y_i/∂x_j = y_i (δ_ij − y_j), so dx = y (dy − ⟨dy, y⟩)."""
    y = softmax(x)
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


x = rng.standard_normal((3, 6))
v, w = rng.standard_normal((2, *x.shape))
print("by the backward:", (softmax_backward(w, x) * v).sum(), "  by differences:", slope(softmax, x, v, w))

# %% [markdown]
# **Question 2.** Someone forgets the second term and writes `return y * dy`. Another one takes $w = (1, 1, \dots)$ for the
# check, since that is simple, and a third writes `return 0 * dy`. With $w$ all ones, which of `y * dy` and `0 * dy` passes the
# check? Answer `"first"`, `"second"`, `"both"` or `"neither"`, and try it out before.

# %%
answer = None
check(2, answer)

# %% [markdown]
# ## How large should h be?
#
# Too large, and the curve is not straight over the step; too small, and the difference drowns in rounding.

# %% alt="Error against step on logarithmic axes: two valleys. That of float64 reaches 1e-11 near a step of 1e-5, that of float32 about 1e-4 near a step of 1e-2."
sizes = 10.0 ** np.arange(-12, 0.5, 0.5)
exact = (softmax_backward(w, x) * v).sum()
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for dtype, style in ((np.float64, "o-"), (np.float32, "s--")):
    arrays = (array.astype(dtype) for array in (x, v, w))
    x_, v_, w_ = arrays
    errors = [abs(float(slope(softmax, x_, v_, w_, dtype(h))) - exact) / abs(exact) for h in sizes]
    axes.loglog(sizes, np.maximum(errors, 1e-16), style, markersize=4, label=np.dtype(dtype).name)
axes.set(xlabel="step h", ylabel="relative error of the slope")
axes.legend()
plt.show()

# %% [markdown]
# On the right the error falls with $h^2$; on the left it rises with $\varepsilon/h$, where $\varepsilon$ is the rounding of the
# number format. That is why gradients are checked in float64, even of a network that runs in float32.
#
# **Question 3.** The two balance where $h^2 \approx \varepsilon/h$. For float64, $\varepsilon = 2.2 \cdot 10^{-16}$: what is
# $h$ there?

# %%
answer = None
check(3, answer)

# %% [markdown]
# ## LayerNorm
#
# $\hat x = (x - \mu)\,r$ with the mean $\mu$ and $r = 1/\sqrt{\sigma^2 + \epsilon}$, over $C$ channels. Each output depends on
# each input three ways: directly, through $\mu$, and through $r$:
#
# $$
# \frac{\partial \hat x_i}{\partial x_j} = r\,\delta_{ij} - r\,\frac{\partial \mu}{\partial x_j}
#   + (x_i - \mu)\,\frac{\partial r}{\partial x_j}, \qquad
# \frac{\partial \mu}{\partial x_j} = \frac1C, \qquad
# \frac{\partial r}{\partial x_j} = -\frac{r^3}{2}\,\frac{\partial \sigma^2}{\partial x_j} .
# $$
#
# **Question 4.** What is $\partial \sigma^2/\partial x_j$? ($\sigma^2 = \frac1C \sum_i (x_i - \mu)^2$; $\mu$ depends on $x_j$
# too, but watch what that contributes.) Write it as a function of `x` (C,) that gives all C of them.

# %%
answer = None
check(4, answer)

# %% [markdown]
# Put together, $\partial \hat x_i/\partial x_j = r\,(\delta_{ij} - \tfrac1C - \tfrac1C \hat x_i \hat x_j)$. Sum it against
# $dy_i$ and write $\langle\cdot\rangle$ for the mean over the channels:
#
# $$
# dx = r\,\bigl(dy - \langle dy\rangle - \hat x\,\langle dy\,\hat x\rangle\bigr) .
# $$
#
# **Question 5.** Write the backward, then let `mvnp.gradcheck` compare it with differences. Leave out one of the three terms
# first, and look at the table that it prints.


# %%
def standardise(x, eps=1e-5):
    """x̂ over the last axis, and what the backward needs."""
    mean = x.mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    return (x - mean) * r, (x, mean, r)


answer = None  # a function of dy and (x, mean, r) that returns dx
check(5, answer)

# %% [markdown]
# ## What a check cannot see
#
# A gradient check compares a backward with *its own* forward. It knows nothing of what the forward should have been.
#
# **Question 6.** Of these mistakes, which one does it find? `"a"` the forward divides by $\sigma + \epsilon$ in place of
# $\sqrt{\sigma^2 + \epsilon}$ and the backward was derived from that; `"b"` the forward is right, and the backward uses the
# variance with $C - 1$ in the denominator; `"c"` the forward normalises over the wrong axis, and so does the backward.

# %%
answer = None
check(6, answer)

# %% [markdown]
# ## Where to go on
#
# `mvnp learn` has every layer of the network as an exercise of this kind, and `mvnp check` runs this project's own checks.
