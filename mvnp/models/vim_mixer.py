"""The mixer of Vim: a Mamba that reads its tokens there and back.

    x, y (b, l, c)    E = 2c inner channels    R = ⌈c/16⌉ rank of dt    N states
    turn: the tokens in the opposite order

    x, z = split(W_in x)                                                              (1)
    for each direction, with weights of its own, on x or on turn x:
    u = SiLU(conv(x))          causal, K = 4                                          (2)
    dt, B, C = split(W_x u)    dt = W_dt dt + b        A = −exp(A_log)                (3)
    s = scan(u, dt, A, B, C, D)                                                       (4)
    y = W_out (gate((s + turn s_b) / 2, z))                                           (5)

Both directions share W_in, z and W_out. The gate is the same at a token whichever way it is read,
so one gate serves both. Causal convolution and scan see the past alone; what is the past on the way
back is the future on the way there.

    directions "both"      as above, "v2"; without `halve`, (5) lacks the 1/2
               "one"       the way there alone: Mamba's own block
               "shared"    "v1": u, dt, B, C and D of (2) and (3) are shared, and turned for the
                           scan back, which has an A of its own; never halved

Zhu et al.: Vision Mamba, arXiv:2401.09417, algorithm 1; Gu, Dao: Mamba, arXiv:2312.00752, section
3.4. The 1/2 and the initial values are the official release's, which starts dt's bias on the way
back at 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape
from ..errors import check_array, check_choice, check_positive
from ..layers.conv1d import Conv1d
from ..layers.gate import gate_backward, gate_forward
from ..layers.layer_scale import LayerScale
from ..layers.linear import Linear
from ..layers.selective_scan import selective_scan_backward, selective_scan_forward

DIRECTIONS = ("both", "one", "shared")
K = 4  # of the convolutions


class Way(NamedTuple):
    """The weights of (2) and (3)."""

    conv1d: Conv1d
    x_proj: Linear
    dt_proj: Linear


def turn(x: Array) -> Array:
    """(B, L, ...), the last token first."""
    return x[:, ::-1]


class VimMixer(Layer):
    """Token mixing by scans in two directions.

    channels      C
    d_state       N
    directions    "both", "one" or "shared"; `halve`: the 1/2 of (5), for "both"
    layer_scale   initial factor of y for each channel; None: no layer scale
    depth         blocks of the network: W_out starts smaller in a deeper one
    """

    def __init__(
        self,
        channels: int,
        d_state: int = 16,
        directions: str = "both",
        halve: bool = True,
        layer_scale: float | None = None,
        depth: int = 1,
        init: Initializer | None = None,
    ) -> None:
        check_choice("directions", directions, DIRECTIONS)
        init = init or Initializer()
        check_positive("VimMixer", channels=channels, d_state=d_state, depth=depth)
        E, self.d_state, self.rank = 2 * channels, d_state, math.ceil(channels / 16)
        self.directions, self.halve = directions, halve and directions == "both"
        self.A_log, self.D = self._rates(E, init), Param(init.full((E,), 1.0))
        if directions != "one":
            self.A_b_log = self._rates(E, init)
        if directions == "both":
            self.D_b = Param(init.full((E,), 1.0))
        self.in_proj = _linear(channels, 2 * E, channels, init)
        self.conv1d, self.x_proj, self.dt_proj = self._way(E, init)
        step = np.exp(init.rng.uniform(np.log(0.001), np.log(0.1), E))
        self.dt_proj.bias = Param(init.array(step + np.log(-np.expm1(-step))))  # softplus⁻¹
        if directions == "both":
            self.conv1d_b, self.x_proj_b, self.dt_proj_b = self._way(E, init)
        self.out_proj = _linear(E, channels, E * depth, init)
        self.gamma = None if layer_scale is None else LayerScale(channels, layer_scale, init)

    def _rates(self, E: int, init: Initializer) -> Param:
        """A_log: each channel starts with the decay rates 1, 2, …, N ("S4D-real")."""
        rates = np.arange(1.0, self.d_state + 1)
        return Param(init.array(np.broadcast_to(np.log(rates), (E, self.d_state))))

    def _way(self, E: int, init: Initializer) -> Way:
        R, N = self.rank, self.d_state
        dt_proj = _linear(R, E, R, init)
        dt_proj.bias = Param(init.full((E,), 0.0))
        conv1d = Conv1d(E, K, bias=True, silu=True, causal=True, init=init)
        return Way(conv1d, _linear(E, R + 2 * N, E, init), dt_proj)

    @property
    def scans(self) -> int:
        """How many scans (4) there are."""
        return 1 if self.directions == "one" else 2

    @property
    def there(self) -> Way:
        """The weights of the way there."""
        return Way(self.conv1d, self.x_proj, self.dt_proj)

    @property
    def back(self) -> Way:
        """Those of the way back."""
        return Way(self.conv1d_b, self.x_proj_b, self.dt_proj_b)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        """(B, L, C) to the same."""
        check_array("VimMixer", "x", x, ("B", "L", self.in_proj.weight.shape[1]))
        x, z = array_module(x).split(self.in_proj(x, tape), 2, axis=-1)  # (1)
        of_scan = self._of_scan(x, self.there, tape)
        s = self._scan(of_scan, self.A_log, self.D, tape)
        if self.directions == "shared":
            turned = tuple(turn(v) for v in of_scan)
            s = s + turn(self._scan(turned, self.A_b_log, self.D, tape))
        if self.directions == "both":
            of_scan = self._of_scan(turn(x), self.back, tape)
            s = s + turn(self._scan(of_scan, self.A_b_log, self.D_b, tape))
        y = self.record(tape, gate_forward(s / 2 if self.halve else s, z))
        y = self.out_proj(y, tape)  # (5)
        return y if self.gamma is None else self.gamma(y, tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        dy = dy if self.gamma is None else self.gamma.backward(dy, tape)
        ds, dz = self._gate_backward(self.out_proj.backward(dy, tape), tape)  # (5)
        ds = ds / 2 if self.halve else ds
        dx_back = 0
        if self.directions == "both":
            of_scan = self._scan_backward(turn(ds), self.A_b_log, self.D_b, tape)
            dx_back = turn(self._of_scan_backward(of_scan, self.back, tape))
        if self.directions == "shared":
            turned = self._scan_backward(turn(ds), self.A_b_log, self.D, tape)
            there = self._scan_backward(ds, self.A_log, self.D, tape)
            of_scan = tuple(v + turn(v_b) for v, v_b in zip(there, turned, strict=True))
        else:
            of_scan = self._scan_backward(ds, self.A_log, self.D, tape)
        dx = self._of_scan_backward(of_scan, self.there, tape) + dx_back
        return self.in_proj.backward(array_module(dx).concatenate([dx, dz], axis=-1), tape)  # (1)

    def _gate_backward(self, dy: Array, tape: Tape) -> tuple[Array, Array]:
        """The gradients of what the scans give, and of z."""
        return gate_backward(dy, tape.pop(self))

    def _of_scan(self, x: Array, way: Way, tape: Tape | None) -> tuple[Array, ...]:
        """u, dt, B, C of (2) and (3)."""
        R, N = self.rank, self.d_state
        u = way.conv1d(x, tape)  # (2)
        dt, B, C = array_module(x).split(way.x_proj(u, tape), [R, R + N], axis=-1)
        return u, way.dt_proj(dt, tape), B, C  # (3)

    def _of_scan_backward(self, of_scan: tuple[Array, ...], way: Way, tape: Tape) -> Array:
        """dx, from the gradients of u, dt, B, C."""
        du, ddt, dB, dC = of_scan
        ddt = way.dt_proj.backward(ddt, tape)  # (3)
        dq = array_module(du).concatenate([ddt, dB, dC], axis=-1)
        return way.conv1d.backward(du + way.x_proj.backward(dq, tape), tape)  # (2)

    def _scan(self, of_scan: tuple[Array, ...], A_log: Param, D: Param, tape: Tape | None) -> Array:
        """s of (4)."""
        u, dt, B, C = of_scan
        A = -array_module(u).exp(A_log.data)
        scan = selective_scan_forward(u, dt, A, B, C, D.data, keep=tape is not None)
        return self.record(tape, scan)

    def _scan_backward(self, ds: Array, A_log: Param, D: Param, tape: Tape) -> tuple[Array, ...]:
        """The gradients of u, dt, B, C."""
        cache = tape.pop(self)
        du, ddt, dA, dB, dC, dD, _ = selective_scan_backward(ds, cache)  # (4)
        tape.accumulate(A_log, dA * cache.A)  # A = −exp(A_log) is its own derivative
        tape.accumulate(D, dD)
        return du, ddt, dB, dC


def _linear(inputs: int, outputs: int, fan_in: int, init: Initializer) -> Linear:
    """Without bias, and uniform in ±1/√fan_in."""
    linear = Linear(inputs, outputs, bias=False, init=Initializer(allocate=False))
    linear.weight = Param(init.uniform((outputs, inputs), fan_in=fan_in))
    return linear
