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
# # 3. Building MambaVision block by block
#
# The whole network, forward, from NumPy alone: about sixty lines. At the end it takes the weights of a model of this project
# and has to give the same logits. Clarity comes first here; how the same is done fast is in `mvnp/layers`.

# %%
# %matplotlib inline
import math

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from questions import of_notebook
from scipy.special import erf

import mvnp

check = of_notebook(3, globals())

config = {"dim": 16, "in_dim": 8, "depths": (1, 1, 3, 2), "num_heads": (1, 2, 4, 8), "window_size": (8, 8, 4, 2)}
model = mvnp.MambaVision(**config, num_classes=10, dtype="float64", seed=3)

# The norms and biases of a fresh model do nothing yet; give them something to do, so that a mistake shows.
rng = np.random.default_rng(0)
weights = {
    name: value + 0.2 * rng.random(value.shape) if value.ndim == 1 else value for name, value in model.state_dict().items()
}
model.load_state_dict(weights)
image = rng.standard_normal((1, 3, 70, 90))

# %% [markdown]
# Weights come by their official names, such as `levels.2.blocks.0.mixer.in_proj.weight`. A small helper picks out those of one
# layer.


# %%
def part(prefix):
    """The weights whose names begin with `prefix`, without it."""
    found = {name.removeprefix(f"{prefix}."): value for name, value in weights.items() if name.startswith(f"{prefix}.")}
    if not found:
        raise KeyError(f"{prefix}.*")
    return found


print(*part("levels.2.blocks.0.mixer"), sep="\n")

# %% [markdown]
# ## Convolution
#
# A 3x3 convolution is a matrix product: every output pixel is a row of $3 \cdot 3 \cdot C$ inputs times the kernels. Maps are
# kept as $(H, W, C)$ here.


# %%
def conv(x, w, stride=1):
    """x (H, W, C), kernels (O, C, 3, 3) with padding 1: (H', W', O)."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    patches = sliding_window_view(padded, (3, 3), axis=(0, 1))[::stride, ::stride]  # (H', W', C, 3, 3)
    return np.einsum("hwcij,ocij->hwo", patches, w["weight"]) + w.get("bias", 0.0)


def batchnorm(x, w, eps):
    """In evaluation, with the running statistics."""
    return (x - w["running_mean"]) / np.sqrt(w["running_var"] + eps) * w["weight"] + w["bias"]


def stem(x):
    w = {i: part(f"patch_embed.conv_down.{i}") for i in (0, 1, 3, 4)}  # 2 and 5 are the ReLUs
    x = np.maximum(batchnorm(conv(x, w[0], 2), w[1], 1e-4), 0)
    return np.maximum(batchnorm(conv(x, w[3], 2), w[4], 1e-4), 0)


x = stem(image[0].transpose(1, 2, 0))
print(image.shape, "->", x.shape)

# %% [markdown]
# **Question 1.** The stem halves the map twice. How many rows and columns does it make of an image of 225 by 310 pixels?
# `(rows, columns)`

# %%
answer = None
check(1, answer)

# %% [markdown]
# ## The first two levels: residual convolution blocks
#
# $x + \mathrm{BN}(\mathrm{conv}(\mathrm{GELU}(\mathrm{BN}(\mathrm{conv}\,x))))$. Why begin with convolutions? The maps are
# large there, and edges and textures are local: what a convolution does best, at a cost that grows only with the number of
# pixels.


# %%
def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def conv_block(x, w):
    y = gelu_tanh(batchnorm(conv(x, w("conv1")), w("norm1"), 1e-5))
    return x + batchnorm(conv(y, w("conv2")), w("norm2"), 1e-5)


def at(path):
    """part() below a path: at("levels.0.blocks.0")("conv1")."""
    return lambda name: part(f"{path}.{name}")


def downsample(x, level):
    return conv(x, part(f"levels.{level}.downsample.reduction.0"), 2)


for level in (0, 1):
    for index in range(config["depths"][level]):
        x = conv_block(x, at(f"levels.{level}.blocks.{index}"))
    x = downsample(x, level)
    print("after level", level, x.shape)

# %% [markdown]
# ## Windows
#
# From here on the network works on tokens in square windows. Maps that do not divide are padded with zeros at the right and at
# the bottom.


# %%
def to_windows(x, P):
    """(H, W, C) to (windows, P·P, C)."""
    H, W, C = x.shape
    x = np.pad(x, ((0, -H % P), (0, -W % P), (0, 0)))
    return x.reshape(x.shape[0] // P, P, x.shape[1] // P, P, C).swapaxes(1, 2).reshape(-1, P * P, C)


def from_windows(tokens, P, H, W):
    """The way back, without the padding."""
    rows, columns, C = -(-H // P), -(-W // P), tokens.shape[-1]
    return tokens.reshape(rows, columns, P, P, C).swapaxes(1, 2).reshape(rows * P, columns * P, C)[:H, :W]


order = to_windows(np.arange(25.0).reshape(5, 5, 1), 4)[..., 0]
print("the four windows of a 5x5 map, P = 4:\n", order.astype(int))

# %% [markdown]
# **Question 2.** In MambaVision-T an image of 224 by 224 pixels gives level 2 a map of 14 by 14 tokens and windows of 14. How
# many windows, and how many padded tokens in all, has an image of 256 by 320? `(windows, padded)`

# %%
answer = None
check(2, answer)

# %% [markdown]
# ## The mixer
#
# Half of the channels pass a selective scan, the other half only a convolution, and both are put side by side. Mamba
# multiplies them instead; but a scan sees only what comes before a token, and in an image there is no before. What the scan
# cannot see, the other branch keeps.


# %%
def silu(x):
    return x / (1 + np.exp(-x))


def conv1d(x, w):
    """Each channel on its own, kernel 3, along the tokens: x (windows, L, C), weight (C, 1, 3)."""
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    return sum(padded[:, k : k + x.shape[1]] * w["weight"][:, 0, k] for k in range(3))


def scan(x, delta, A, B, C, D):
    """h_t = exp(Δ_t A) h_(t−1) + Δ_t B_t x_t,  y_t = C_t · h_t + D x_t."""
    h, y = np.zeros((x.shape[0], *A.shape)), np.empty_like(x)
    for t in range(x.shape[1]):
        step = delta[:, t, :, None]
        h = np.exp(step * A) * h + step * B[:, t, None, :] * x[:, t, :, None]
        y[:, t] = (h * C[:, t, None, :]).sum(-1) + D * x[:, t]
    return y


def mixer(x, w, path):
    u, z = np.split(x @ w("in_proj")["weight"].T, 2, axis=-1)
    u, z = silu(conv1d(u, w("conv1d_x"))), silu(conv1d(z, w("conv1d_z")))
    rank, N = w("dt_proj")["weight"].shape[1], weights[f"{path}.A_log"].shape[1]
    dt, B, C = np.split(u @ w("x_proj")["weight"].T, [rank, rank + N], axis=-1)
    dt = dt @ w("dt_proj")["weight"].T + w("dt_proj")["bias"]
    # The official model adds the bias a second time, inside the scan.
    delta = np.log1p(np.exp(dt + w("dt_proj")["bias"]))
    s = scan(u, delta, -np.exp(weights[f"{path}.A_log"]), B, C, weights[f"{path}.D"])
    return np.concatenate([s, z], axis=-1) @ w("out_proj")["weight"].T


# %% [markdown]
# **Question 3.** Change the last token of a window. Which tokens of the *scan's* output change? `"all"`, `"the last"` or
# `"none"`

# %%
answer = None
check(3, answer)

# %% [markdown]
# ## Attention, the MLP, and the block
#
# The first half of a level's blocks, rounded up, has mixers, the second half attention. No positional embedding: the
# convolutions and the scan know where they are.


# %%
def attention(x, w, heads):
    n, L, C = x.shape
    qkv = x @ w("qkv")["weight"].T + w("qkv")["bias"]
    q, k, v = qkv.reshape(n, L, 3, heads, C // heads).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(C // heads)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    y = (e / e.sum(axis=-1, keepdims=True)) @ v
    return y.swapaxes(1, 2).reshape(n, L, C) @ w("proj")["weight"].T + w("proj")["bias"]


def layernorm(x, w):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * w["weight"] + w["bias"]


def mlp(x, w):
    x = x @ w("fc1")["weight"].T + w("fc1")["bias"]
    return (0.5 * x * (1 + erf(x / math.sqrt(2)))) @ w("fc2")["weight"].T + w("fc2")["bias"]


def block(x, path, heads, scans):
    w, inside = at(path), at(f"{path}.mixer")
    y = layernorm(x, w("norm1"))
    x = x + (mixer(y, inside, f"{path}.mixer") if scans else attention(y, inside, heads))
    return x + mlp(layernorm(x, w("norm2")), at(f"{path}.mlp"))


# %% [markdown]
# ## Levels 2 and 3, and the head
#
# **Question 4.** The line below that decides which blocks have a mixer is wrong for a level of three blocks. Run on, and the
# comparison at the end tells you so. Give the right number of mixers as a function of the level's depth.


# %%
def mixers(depth):
    return depth // 2


answer = None
check(4, answer)
if answer is not None:
    mixers = answer

# %%
maps = [x]
for level in (2, 3):
    (H, W, _), P, depth = x.shape, config["window_size"][level], config["depths"][level]
    tokens = to_windows(x, P)
    for index in range(depth):
        try:
            tokens = block(tokens, f"levels.{level}.blocks.{index}", config["num_heads"][level], index < mixers(depth))
        except KeyError as missing:
            print(f"There are no weights {missing}: is this block of the other kind?")
            break
    x = from_windows(tokens, P, H, W)
    maps.append(x)
    x = downsample(x, level) if level == 2 else x

pooled = batchnorm(x, part("norm"), 1e-5).mean(axis=(0, 1))
logits = part("head")["weight"] @ pooled + part("head")["bias"]
print("largest difference from mvnp's logits:", np.abs(logits - model(image)[0]).max())

# %% [markdown]
# With question 4 answered, the difference is rounding: you have built the network. Until then it is not.
#
# ## What it is made of

# %% alt="Bars of parameters by level: level 3 has most, then level 2; most of both are MLPs, then mixers and attention; convolutions matter in levels 0 to 2 only."
names = {"stem": "patch_embed", "level 0": "levels.0", "level 1": "levels.1", "level 2": "levels.2", "level 3": "levels.3"}
counts = {name: dict.fromkeys(("convolutions", "mixers", "attention", "MLPs and norms"), 0) for name in [*names, "head"]}
big = mvnp.create_model("mamba_vision_T", allocate=False)
for name, parameter in big.named_parameters():
    where = next((label for label, prefix in names.items() if name.startswith(prefix)), "head")
    if ".mixer." in name:
        kind = "attention" if ".qkv." in name or ".proj." in name else "mixers"
    else:
        kind = "convolutions" if len(parameter.shape) == 4 else "MLPs and norms"
    counts[where][kind] += parameter.size

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
left = np.zeros(len(counts))
for kind, color in zip(counts["stem"], ("#5b6675", "#c14a00", "#0060a8", "#d5dae1"), strict=True):
    millions = np.array([counts[where][kind] for where in counts]) / 1e6
    axes.barh(list(counts), millions, left=left, color=color, label=kind)
    left += millions
axes.invert_yaxis()
axes.set(xlabel="million parameters of MambaVision-T")
axes.legend()
plt.show()

# %% [markdown]
# **Question 5.** How many parameters has MambaVision-T?

# %%
answer = None
check(5, answer)
