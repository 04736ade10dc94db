"""The rules of MambaLRP: what each layer holds constant while relevance passes through it.

A layer that is a matrix times its input, y = W(x) x + b, is treated as if W did not depend on x: [·] below is held constant.
The layer is then affine, and its "gradient times input" conserves: Σ x dx + Σ b db = Σ y dy, whatever dy is.

    SiLU           y = x [σ(x)]                                     dx = dy σ(x)                                   (1)
    GELU           y = x [Φ(x)]                                     dx = dy Φ(x)                                   (2)
    LayerNorm      y = γ (x − ⟨x⟩) [r] + β                          g = γ dy,  dx = r (g − ⟨g⟩)                    (3)
    RMSNorm        y = γ x [r]                                      dx = r γ dy
    attention      o = [a] v                                        dv = aᵀ do,  dq = dk = 0                       (4)
    scan           h_t = [Ā_t] h_(t−1) + [Δ_t B_t] x_t              g_t = C_t dy_t + Ā_(t+1) g_(t+1)
                   y_t = [C_t] h_t + D x_t                          dx_t = Δ_t Σ_n B_t g_t + D dy_t                (5)
    gate           y = ½ x [z σ(z)] + ½ [x σ(z)] z                  dx = ½ dy z σ(z),  dz = ½ dy x σ(z)            (6)

Convolution, linear layer, layer scale, pooling, window cutting, residual sum and BatchNorm in evaluation are affine as they
are, and ReLU is x [x > 0], which its own gradient treats so: they keep their backwards, whose gradient times input is LRP-0.
MambaVision concatenates its branches; a mixer that gates them, as Mamba's and Vim's do, gives half the relevance to each: (6).
So does any other product of two branches, y = u v, in VMamba's gate and gated MLPs: du = ½ v dy, dv = ½ u dy.

Each class is a layer with another backward. The tape is popped in the order of the layer's own.

(1), (5), (6): Jafari, Montavon, Müller, Eberle: MambaLRP, arXiv:2406.07592. (3), (4): Ali et al.: XAI for Transformers: Better
Explanations through Conservative Propagation, arXiv:2202.07304. (2) is (1) with another gate.
"""

from __future__ import annotations

from ....backend import Array, array_module
from ....core import Layer, Tape, sum_rows
from ....layers.attention import AttentionCache
from ....layers.conv1d import Conv1d, conv1d_backward, conv1d_forward
from ....layers.gelu import GELU, cdf, tanh_u
from ....layers.layernorm import LayerNorm, row_mean
from ....layers.rmsnorm import RMSNorm
from ....layers.selective_scan import selective_scan_backward
from ....layers.silu import SiLU, sigmoid, silu_forward
from ....models.attention import MultiHeadAttention
from ....models.mixer import MambaVisionMixer
from ....models.ss2d import SS2D
from ....models.vim_mixer import VimMixer, Way
from ....models.vss_stages import GatedMlp


def gelu_gate(x: Array, approximate: str) -> Array:
    """Φ(x) of (2), exact ("none") or by its tanh."""
    return cdf(x) if approximate == "none" else (1 + tanh_u(x)) / 2


def layernorm_relevance(dy: Array, cache: tuple) -> tuple[Array, Array]:
    """dx of (3) and dβ, from the cache of `layernorm_forward`."""
    _, weight, _, rstd = cache
    g = dy * weight
    return rstd * (g - row_mean(g)), sum_rows(dy)


def attention_relevance(do: Array, cache: AttentionCache) -> Array:
    """dv of (4), from the cache of `attention_forward`."""
    return cache.weights.swapaxes(-1, -2) @ do


def gate_relevance(dy: Array, cache: tuple) -> tuple[Array, Array]:
    """dx, dz of (6), from the cache of `gate_forward`."""
    x, z = cache
    return dy * silu_forward(z)[0] / 2, dy * x * sigmoid(z) / 2


class GatedConv1d(Conv1d):
    """A depthwise convolution, whose SiLU, where it has one, is (1)."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        if not self.silu:
            return super().backward(dy, tape)
        x, weight, bias, *_ = tape.pop(self)
        v, of_v = conv1d_forward(x, weight, bias, causal=self.causal)  # without the SiLU
        return self.accumulate(tape, conv1d_backward(dy * sigmoid(v), of_v), self.weight, self.bias)


class GatedGELU(GELU):
    """GELU with (2)."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        return dy * gelu_gate(tape.pop(self), self.approximate)


class GatedSiLU(SiLU):
    """SiLU with (1)."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        return dy * sigmoid(tape.pop(self))


class FixedScaleRMSNorm(RMSNorm):
    """RMSNorm, whose r is held constant."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        _, weight, rstd = tape.pop(self)
        return rstd * weight * dy


class FixedScaleLayerNorm(LayerNorm):
    """LayerNorm with (3)."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        return self.accumulate(tape, layernorm_relevance(dy, tape.pop(self)), self.bias)


class FixedWeightAttention(MultiHeadAttention):
    """Attention with (4): relevance reaches a token through its value, never through query and key."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        B, L, C = dy.shape
        dmerged = self.proj.backward(self.proj_drop.backward(dy, tape), tape)
        dv = attention_relevance(dmerged.reshape(B, L, self.heads, -1).transpose(0, 2, 1, 3), tape.pop(self))
        for norm in (self.k_norm, self.q_norm):
            if norm is not None:
                tape.pop(norm)
        dqkv = array_module(dy).zeros((B, L, 3, self.heads, C // self.heads), dy.dtype)
        dqkv[:, :, 2] = dv.transpose(0, 2, 1, 3)
        return self.qkv.backward(dqkv.reshape(B, L, 3 * C), tape)


class FixedStepMixer(MambaVisionMixer):
    """The mixer with (5): relevance passes through what is scanned, never through the Δ, B and C that were made from it."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        xp = array_module(dy)
        dsz = self.out_proj.backward(dy, tape)
        ds, dz = gate_relevance(dsz, tape.pop(self)) if self.kind.gated else xp.split(dsz, 2, axis=-1)
        mask = tape.pop(self)
        du, *_ = selective_scan_backward(ds, tape.pop(self))  # dx of a scan is its gradient at fixed Δ, B and C: (5)
        tape.pop(self.dt_proj)
        tape.pop(self.x_proj)
        return self._branches_backward(du, dz, mask, tape)


class FixedStepVimMixer(VimMixer):
    """Vim's mixer with (5) in its scans, and (6) in its gate, whose SiLU is (1)."""

    def _gate_backward(self, dy: Array, tape: Tape) -> tuple[Array, Array]:
        return gate_relevance(dy, tape.pop(self))

    def _of_scan_backward(self, of_scan: tuple[Array, ...], way: Way, tape: Tape) -> Array:
        tape.pop(way.dt_proj)
        tape.pop(way.x_proj)
        return way.conv1d.backward(of_scan[0], tape)


class FixedStepSS2D(SS2D):
    """VMamba's mixer with (5) in its scans and, in the version that has a gate, (6)."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        # W_out is linear and has no bias: half of what comes to it makes half of what comes to each branch.
        return super().backward(dy if self.gate == "none" else dy / 2, tape)

    def scan_backward(self, dy: Array, tape: Tape) -> tuple[Array, tuple[Array, ...]]:
        ds, *_ = selective_scan_backward(dy, tape.pop(self))
        tape.pop(self)
        return ds, ()

    def accumulate_groups(self, tape: Tape, gradients: list[tuple[Array, ...]]) -> None:
        """What the parameters of the scans would learn is no relevance."""


class HalvedMlp(GatedMlp):
    """A gated MLP with (6)."""

    def backward(self, dy: Array, tape: Tape) -> Array:
        dproduct = self.fc2.backward(dy, tape) / 2
        a, gate = tape.pop(self)
        da, db = dproduct * gate, self.act.backward(dproduct * a, tape)
        return self.fc1.backward(array_module(dy).concatenate([da, db], axis=-1), tape)


RULES: dict[type[Layer], type[Layer]] = {
    Conv1d: GatedConv1d,
    GELU: GatedGELU,
    LayerNorm: FixedScaleLayerNorm,
    MultiHeadAttention: FixedWeightAttention,
    MambaVisionMixer: FixedStepMixer,
    RMSNorm: FixedScaleRMSNorm,
    SiLU: GatedSiLU,
    VimMixer: FixedStepVimMixer,
    SS2D: FixedStepSS2D,
    GatedMlp: HalvedMlp,
}
