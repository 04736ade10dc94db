"""The MambaVision mixer: half of the channels pass a selective scan, half a plain convolution.

    x, y (b, l, c)    two branches of d = c/2 channels    R = ⌈c/16⌉ rank of dt    N states
    small letters, since A, B, C and D are matrices of the scan

    u, z = split(W_in x)                                                            (1)
    u = SiLU(conv_x(u))        z = SiLU(conv_z(z))                                  (2)
    dt, B, C = split(W_x u)    dt = W_dt dt + b        A = −exp(A_log)              (3)
    s = scan(u, dt, A, B, C, D, b)                                                  (4)
    y = W_out concat(s, z)                                                          (5)

The convolutions are not causal, and the second branch is concatenated where Mamba would gate:
tokens of an image have no past, and the branch without a scan keeps what a one-way recurrence
loses. A is −exp(A_log) so that it stays negative.

The steps from Mamba's block to this one, as the paper measured them:

    y = W_out gate(s, z)       gate(s, z) = s z σ(z), which has the SiLU of z       (6)

    mixer            conv_x     z of (6)      top-1
    mamba            causal     z             80.5    Mamba's own block
    gated_one_conv              z             80.9
    gated                       conv_z(z)     81.3
    concat                      (5)           82.3    as released

The paper does not say how wide they are. Here a gated mixer has d = c/2 too, and W_out half the
columns; one with "_wide" behind its name has d = c, as Mamba.

Padded tokens can be masked: they enter (2) as zeros, and in (4) the scan takes no step there.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, eqs 6 and 7, algorithm 1, table 4; the gate: Gu,
Dao: Mamba, arXiv:2312.00752, section 3.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape
from ..errors import InputError, check_array, check_choice, check_positive
from ..layers.conv1d import Conv1d
from ..layers.gate import gate_backward, gate_forward
from ..layers.linear import Linear
from ..layers.selective_scan import selective_scan_backward, selective_scan_forward
from .quirks import Quirks

# softplus(−10⁴ + bias) is exactly 0: no step at a token with this dt, and no gradient there.
NO_STEP = -1e4


@dataclass(frozen=True)
class Kind:
    """A row of the table: whether conv_x is causal, whether there is a conv_z, (6) for (5), and
    D = C for D = C/2."""

    causal: bool = False
    conv_z: bool = True
    gated: bool = True
    wide: bool = False


MIXERS = {
    "concat": Kind(gated=False),
    "gated": Kind(),
    "gated_wide": Kind(wide=True),
    "gated_one_conv": Kind(conv_z=False),
    "gated_one_conv_wide": Kind(conv_z=False, wide=True),
    "mamba": Kind(causal=True, conv_z=False),
    "mamba_wide": Kind(causal=True, conv_z=False, wide=True),
}


class MambaVisionMixer(Layer):
    """Token mixing by scan and convolution.

    channels    c, even
    d_state     N; d_conv: kernel size of the two convolutions
    quirks      `dt_bias` and `dt_init` matter here
    mixer       a row of the table above: a name in MIXERS
    """

    def __init__(
        self,
        channels: int,
        d_state: int = 8,
        d_conv: int = 3,
        quirks: Quirks | None = None,
        init: Initializer | None = None,
        mixer: str = "concat",
    ) -> None:
        check_choice("mixer", mixer, MIXERS)
        check_positive("MambaVisionMixer", d_state=d_state, d_conv=d_conv)
        if channels < 2 or channels % 2:
            raise InputError(
                f"MambaVisionMixer: channels is {channels}, expected an even number: two"
                " branches share them"
            )
        init, quirks, self.kind = init or Initializer(), quirks or Quirks(), MIXERS[mixer]
        d = channels if self.kind.wide else channels // 2
        self.d_state, self.rank = d_state, math.ceil(channels / 16)
        self.bias_twice = quirks.dt_bias == "twice"
        # Each channel starts with the decay rates 1, 2, …, N ("S4D-real").
        rates = np.arange(1.0, d_state + 1)
        self.A_log = Param(init.array(np.broadcast_to(np.log(rates), (d, d_state))))
        self.D = Param(init.full((d,), 1.0))
        self.in_proj = Linear(channels, 2 * d, bias=False, init=init)
        self.x_proj = Linear(d, self.rank + 2 * d_state, bias=False, init=init)
        self.dt_proj = Linear(self.rank, d, init=init)
        gated = self.kind.gated  # then the gate has z's SiLU
        self.out_proj = Linear(d if gated else 2 * d, channels, bias=False, init=init)
        self.conv1d_x = Conv1d(d, d_conv, silu=True, causal=self.kind.causal, init=init)
        self.conv1d_z = Conv1d(d, d_conv, silu=not gated, init=init) if self.kind.conv_z else None
        if quirks.dt_init == "published":
            self._publish_dt(init)

    def _publish_dt(self, init: Initializer) -> None:
        """Mamba's initialisation of dt_proj: softplus(b) is log-uniform between 0.001 and 0.1."""
        step = np.exp(init.rng.uniform(np.log(0.001), np.log(0.1), self.D.size))
        self.dt_proj.bias = Param(init.array(step + np.log(-np.expm1(-step))))  # softplus⁻¹
        self.dt_proj.weight = Param(init.uniform(self.dt_proj.weight.shape, fan_in=self.rank))

    def forward(self, x: Array, tape: Tape | None = None, mask: Array | None = None) -> Array:
        """(B, L, C) to (B, L, C); `mask` (B, L) is False at padded tokens, to be left out."""
        check_array("MambaVisionMixer", "x", x, ("B", "L", self.in_proj.weight.shape[1]))
        xp, R, N = array_module(x), self.rank, self.d_state
        xz = self.in_proj(x, tape)
        u, z = xp.split(xz if mask is None else xz * mask[..., None], 2, axis=-1)  # (1)
        u = self.conv1d_x(u, tape)
        z = z if self.conv1d_z is None else self.conv1d_z(z, tape)  # (2)
        dt, B, C = xp.split(self.x_proj(u, tape), [R, R + N], axis=-1)
        dt = self.dt_proj(dt, tape)
        if mask is not None:
            dt = xp.where(mask[..., None], dt, NO_STEP)
        A, D, b = -xp.exp(self.A_log.data), self.D.data, self._bias().data  # (3)
        scan = selective_scan_forward(
            u, dt, A, B, C, D, b if self.bias_twice else None, keep=tape is not None
        )
        s = self.record(tape, scan)  # (4)
        if tape is not None:
            tape.push(self, mask)
        if self.kind.gated:
            return self.out_proj(self.record(tape, gate_forward(s, z)), tape)  # (6)
        return self.out_proj(xp.concatenate([s, z], axis=-1), tape)  # (5)

    def backward(self, dy: Array, tape: Tape) -> Array:
        xp = array_module(dy)
        dsz = self.out_proj.backward(dy, tape)
        if self.kind.gated:
            ds, dz = gate_backward(dsz, tape.pop(self))  # (6)
        else:
            ds, dz = xp.split(dsz, 2, axis=-1)  # (5)
        mask, scan = tape.pop(self), tape.pop(self)
        du, ddt, dA, dB, dC, dD, db = selective_scan_backward(ds, scan)  # (4)
        tape.accumulate(self.A_log, dA * scan.A)  # A = −exp(A_log) is its own derivative
        tape.accumulate(self.D, dD)
        if self.bias_twice:
            tape.accumulate(self._bias(), db)  # the second of its two paths; dt_proj has the first
        ddt = self.dt_proj.backward(ddt, tape)  # (3)
        du = du + self.x_proj.backward(xp.concatenate([ddt, dB, dC], axis=-1), tape)
        return self._branches_backward(du, dz, mask, tape)

    def _branches_backward(self, du: Array, dz: Array, mask: Array | None, tape: Tape) -> Array:
        """dx, from the gradients of what the two branches of (2) give: back through (2), (1)."""
        dz = dz if self.conv1d_z is None else self.conv1d_z.backward(dz, tape)  # (2)
        du = self.conv1d_x.backward(du, tape)
        dxz = array_module(du).concatenate([du, dz], axis=-1)
        return self.in_proj.backward(dxz if mask is None else dxz * mask[..., None], tape)  # (1)

    def _bias(self) -> Param:
        assert self.dt_proj.bias is not None
        return self.dt_proj.bias
