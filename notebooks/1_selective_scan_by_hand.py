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
# # 1. A selective scan by hand
#
# A selective scan carries a small memory along a sequence. This notebook builds one from a single number, step by step, until
# it is the scan of Mamba, and then walks it backwards. You need NumPy and the chain rule.
#
# Cells that begin with `answer = None` are questions: replace `None`, run the cell, and it tells you whether you are right.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
from questions import of_notebook

from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward

check = of_notebook(1, globals())

rng = np.random.default_rng(0)

# %% [markdown]
# ## A memory of one number
#
# The simplest memory keeps a share $a$ of what it holds, and adds what comes in:
#
# $$
# h_t = a\,h_{t-1} + u_t, \qquad h_{-1} = 0 .
# $$


# %% alt="Three lines that jump to 1 at token 2 and fall: for a = 0.5 to nothing within six tokens, for 0.8 within twenty, for 0.95 to a third at the end."
def recurrence(a, u):
    """h_t = a_t h_(t−1) + u_t for sequences a and u (tokens,)."""
    h, states = 0.0, []
    for decay, new in zip(a, u, strict=True):
        h = decay * h + new
        states.append(h)
    return np.array(states)


impulse = np.zeros(24)
impulse[2] = 1.0
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
for a, style in ((0.5, "o-"), (0.8, "s--"), (0.95, "^:")):
    axes.plot(recurrence(np.full(24, a), impulse), style, markersize=4, label=f"a = {a}")
axes.set(xlabel="token t", ylabel="state h", title="What is left of a 1 that came in at token 2")
axes.legend()
plt.show()

# %% [markdown]
# What came in at token $s$ is still there at token $t$ with the weight $a^{t-s}$. It falls to $1/e$ after
# $\tau = -1/\ln a$ tokens: the **timescale**.
#
# **Question 1.** What is the timescale, in tokens, of $a = 0.8$?

# %%
answer = None
check(1, answer)

# %% [markdown]
# ## From continuous time to tokens
#
# Mamba thinks of the memory as a system in continuous time, $h' = A h + B x$ with $A < 0$, and of a token as an input that
# lasts for a time $\Delta$. While $x$ does not change, this can be solved exactly (zero-order hold):
#
# $$
# h_t = e^{\Delta A}\,h_{t-1} + \frac{e^{\Delta A} - 1}{A}\,B\,x_t .
# $$
#
# For small $\Delta A$ the second factor is close to $\Delta$. Mamba takes $\Delta B$ there (Euler's rule), and so does
# MambaVision. Let us look at how far apart they are.

# %% alt="The weight of the input against the step: Euler's straight line, and below it two curves that flatten, for A = -1 towards 1 and for A = -4 at a quarter."
steps = np.linspace(0.01, 2, 100)
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
for A, style in ((-1.0, "-"), (-4.0, "--")):
    axes.plot(steps, (np.exp(steps * A) - 1) / A, style, color="#0060a8", label=f"exact hold, A = {A:g}")
axes.plot(steps, steps, ":", color="#c14a00", label="Euler: Δ")
axes.set(xlabel="step Δ", ylabel="weight of the input", ylim=(0, 1.2))
axes.legend()
plt.show()

# %% [markdown]
# **Question 2.** With $\Delta = \ln 2$ and $A = -2$: which share of the old state is kept from one token to the next?

# %%
answer = None
check(2, answer)

# %% [markdown]
# ## What makes it selective
#
# Now let the *token* choose $\Delta$. A large step fades the old memory and writes the token in; a step near 0 passes the
# token over and keeps the memory as it is. One number, $\Delta_t$, opens both gates at once.
#
# Here is a sequence of twelve numbers. We want the one at position 4 to be remembered until the end, and all others to be
# passed over.


# %% alt="Bars of twelve inputs, the fifth marked and of height 2. A line for small steps jumps there and stays near 2; the line for steps of one half is pulled along by every bar."
def scan_one(x, delta, A=-1.0, B=1.0):
    """The states of one channel with one state: h_t = exp(Δ_t A) h_(t−1) + Δ_t B x_t."""
    return recurrence(np.exp(delta * A), delta * B * x)


x = np.array([0.3, -1.2, 0.7, 0.1, 2.0, -0.4, 0.9, -1.5, 0.2, 0.6, -0.8, 1.1])
marked = np.arange(12) == 4
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.bar(np.arange(12), x, color=np.where(marked, "#c14a00", "#d5dae1"))
for other, style in ((0.5, "s--"), (0.02, "o-")):
    axes.plot(scan_one(x, np.where(marked, 1.0, other)), style, label=f"Δ = 1 at token 4, {other} elsewhere")
axes.set(xlabel="token t", ylabel="x (bars), h (lines)")
axes.legend()
plt.show()

# %% [markdown]
# **Question 3.** Give two steps `(marked, others)` for which the last state is within 0.01 of $x_4 = 2$.

# %%
answer = None
check(3, answer)

# %% [markdown]
# A fixed $a$ cannot do this: whatever keeps token 4 keeps tokens 5 to 11 just as well.
#
# ## The whole scan
#
# The real one has many channels with $N$ states each. $\Delta$ belongs to a channel, the gates $B_t$ and $C_t$ to a token. $A$
# is the rate of each state, and $D$ a skip past the memory:
#
# $$
# h_t = e^{\Delta_t A}\,h_{t-1} + \Delta_t B_t x_t, \qquad y_t = \sum_n C_t h_t + D x_t, \qquad
# \Delta_t = \ln(1 + e^{dt_t}) .
# $$


# %%
def selective_scan(x, dt, A, B, C, D):
    """x, dt (L, d)   A (d, N)   B, C (L, N)   D (d,), d channels: all states h (L, d, N), and y (L, d)."""
    delta = np.log1p(np.exp(dt))
    h = np.zeros_like(A)
    states, outputs = [], []
    for t in range(len(x)):
        h = np.exp(delta[t][:, None] * A) * h + (delta[t] * x[t])[:, None] * B[t]
        states.append(h)
        outputs.append(h @ C[t] + D * x[t])
    return np.array(states), np.array(outputs)


L, channels, N = 6, 3, 2
x, dt = rng.standard_normal((2, L, channels))
A, D = -np.exp(rng.standard_normal((channels, N))), rng.standard_normal(channels)
B, C = rng.standard_normal((2, L, N))
h, y = selective_scan(x, dt, A, B, C, D)

# The same by mvnp, which has a batch axis in front.
y_mvnp, cache = selective_scan_forward(x[None], dt[None], A, B[None], C[None], D)
print("largest difference:", np.abs(y - y_mvnp[0]).max())

# %% [markdown]
# **Question 4.** How many numbers does the memory of one scan hold in level 2 of MambaVision-T (320 channels, of which half
# pass the scan, with 8 states each)? Compare it with the 196 tokens of 320 channels that a window has.

# %%
answer = None
check(4, answer)

# %% [markdown]
# ## The scan as attention
#
# Put the recurrence into itself. What token $s$ has written comes out at token $t$ with the weight
#
# $$
# \alpha_{ts} = \sum_n C_{t,n}\;\Bigl(\prod_{k=s+1}^{t} e^{\Delta_k A_n}\Bigr)\;\Delta_s B_{s,n} ,
# \qquad y_t = \sum_{s \le t} \alpha_{ts}\,x_s + D\,x_t .
# $$
#
# That is a matrix of tokens by tokens, as attention has one, for every channel. The product of exponentials is the
# exponential of a sum, and the sum from $s+1$ to $t$ is a difference of two cumulative sums.


# %%
def hidden_attention(dt, A, B, C, channel):
    """α (L, L) of one channel."""
    delta = np.log1p(np.exp(dt[:, channel]))
    total = np.cumsum(delta)
    faded = np.exp((total - total[:, None])[..., None] * A[channel])
    return np.tril((C[:, None] * faded * delta[:, None] * B).sum(axis=-1))


# %% [markdown]
# **Question 5.** The function above is wrong: what it writes grows on the way in place of fading. Mend it. Row $t$ of the
# matrix is the token that reads, column $s$ the one that wrote.

# %%
answer = None  # a function like the one above
check(5, answer)

# %% [markdown]
# ## Backwards
#
# Say that $\mathcal L$ is a loss; write $\mathrm{d}v$ for $\partial \mathcal L/\partial v$ of anything, and $g_t$ for that of
# $h_t$, with all that follows from $h_t$. Who reads $h_t$? The output $y_t$, with weight $C_t$, and the next state, with weight
# $e^{\Delta_{t+1} A}$. So
#
# $$
# g_t = C_t\,\mathrm{d}y_t + e^{\Delta_{t+1} A}\,g_{t+1}, \qquad g_L = 0 .
# $$
#
# The same recurrence, run from the end. From $g$ all gradients follow by the product rule on one token. For $A$: at token $t$
# the decay $e^{\Delta_t A}$ multiplies $h_{t-1}$, and its derivative by $A$ is $\Delta_t e^{\Delta_t A}$. That $h_{t-1}$ depends
# on $A$ as well is counted at the tokens before; `dA` is the sum over all.


# %%
def backward(dy, x, dt, A, B, C, D, h):
    """dx (L, d) and dA (d, N)."""
    delta = np.log1p(np.exp(dt))
    decay = np.exp(delta[..., None] * A)
    g = np.zeros_like(h)
    following = np.zeros_like(A)
    for t in reversed(range(len(x))):
        g[t] = dy[t][:, None] * C[t] + following
        following = decay[t] * g[t]
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    dx = delta * (g * B[:, None]).sum(axis=-1) + D * dy
    dA = (g * before * decay * delta[..., None]).sum(axis=0)
    return dx, dA


dy = rng.standard_normal(y.shape)
dx, dA = backward(dy, x, dt, A, B, C, D, h)
expected = selective_scan_backward(dy[None], cache)
print("dx:", np.abs(dx - expected[0][0]).max(), "  dA:", np.abs(dA - expected[2]).max())

# %% [markdown]
# **Question 6.** `before` is $h_{t-1}$. Somebody writes `h` there in its place. By how much is `dA[0, 0]` then wrong? (Work it
# out by code. All shapes fit, and nothing but a check would tell.)

# %%
answer = None
check(6, answer)

# %% [markdown]
# ## Why it can be fast
#
# The recurrence looks sequential, but it is not bound to be. One step is the map $h \mapsto a h + u$. Two steps, $(a, u)$ and
# then $(b, v)$, are one step $(ab,\, bu + v)$, and this combination is associative: pairs can be combined first, then pairs of
# pairs. The last of $L$ states takes about $\log_2 L$ rounds, each of them parallel. (Those between take as many more, back down
# the tree.)


# %%
def combine(first, second):
    (a, u), (b, v) = first, second
    return a * b, b * u + v


steps = [(a, u) for a, u in rng.uniform(0.2, 1.0, (8, 2))]
pairs = [combine(steps[i], steps[i + 1]) for i in range(0, 8, 2)]
fours = [combine(pairs[i], pairs[i + 1]) for i in range(0, 4, 2)]
print("in three rounds:", combine(*fours)[1], "   in eight steps:", recurrence(*np.transpose(steps))[-1])

# %% [markdown]
# **Question 7.** How many rounds does the last state of 16,384 tokens take?

# %%
answer = None
check(7, answer)

# %% [markdown]
# ## Where to go on
#
# The page on the selective scan has the whole derivation, with all seven gradients, and `mvnp/layers/selective_scan.py` the
# code. `mvnp learn` lets you write the backward yourself. The next notebook is about how to derive and check one.
