"""SS2D, the mixer of VMamba: a map read along four routes, a selective scan on each.

    x, y (b, h, w, c)    E = int(c · ratio) inner channels    R = ⌈c/16⌉ rank of dt    N states
    K = 4 routes, L = hw tokens

    v = W_in x              v, z = split(W_in x)  with a gate                       (1)
    u = SiLU(conv(v))                                       depthwise, 3x3          (2)
    s = cross_scan(u)                                                               (3)
    dt, B, C = split(W_x,k s_k)    dt = W_dt,k dt    A_k = −exp(A_log,k)            (4)
    y_k = scan(s_k, dt, A_k, B, C, D_k, b_k)                    for each route k    (5)
    m = cross_merge(y)                                                              (6)
    y = W_out LN(m)         y = W_out (LN(m) SiLU(z))  with a gate                  (7)

Every route has projections, A, D and a bias of its own. Their outputs are added, not averaged: LN
takes any common factor out again, in y, and in all gradients but those of (1) to (6).

The cascade, one of the paper's ablations, goes along every row by itself, and then along every
column; its two directions are added without turning the second back, as officially:

    m = plain LN(u);  m = plain LN(scan_0(rows) + scan_1(rows reversed));  the same with columns

Liu et al.: VMamba, arXiv:2401.10166, section 4 and appendix; the names of the parameters, and the
order of the routes, are those of the official release.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape
from ..errors import check_array, check_choice
from ..layers.cross_scan import ROUTES, cross_merge, cross_scan
from ..layers.depthwise_conv2d import DepthwiseConv2d
from ..layers.gelu import GELU
from ..layers.layernorm import LayerNorm, layernorm_backward, layernorm_forward
from ..layers.linear import Linear, linear_backward, linear_forward
from ..layers.relu import ReLU
from ..layers.selective_scan import selective_scan_backward, selective_scan_forward
from ..layers.silu import SiLU

ACTIVATIONS: dict[str, type[Layer]] = {"silu": SiLU, "relu": ReLU, "gelu": GELU}
INITS = ("v0", "v1", "v2")
K = len(ROUTES)


class SS2D(Layer):
    """Token mixing by four scans over a map.

    channels     c
    d_state      N; ratio: E over c; rank: R, None: as above
    routes       which route each of the four groups of parameters reads
    activation   behind the convolution and on the gate
    gate         "none", "activated": LN(m) times SiLU(z), or "plain": times z
    conv         kernel size of the convolution, 0: none; conv_bias: whether it has a bias
    out_norm     "layer"; "none"; or "dwconv3": a depthwise 3x3 convolution in its place
    start        how A, D and Δ begin: "v0" as Mamba's; "v1" and "v2" the paper's "rand" and "zero"
    """

    def __init__(
        self,
        channels: int,
        d_state: int = 1,
        ratio: float = 1.0,
        rank: int | None = None,
        routes: Sequence[int] = ROUTES,
        activation: str = "silu",
        gate: str = "none",
        conv: int = 3,
        conv_bias: bool = False,
        out_norm: str = "layer",
        start: str = "v0",
        init: Initializer | None = None,
    ) -> None:
        init = init or Initializer()
        E, N, R = int(channels * ratio), d_state, rank or math.ceil(channels / 16)
        self.d_state, self.rank, self.routes, self.gate = N, R, tuple(routes), gate
        # The parts stand in the order that their keys have in the official release.
        self.x_proj_weight = Param(init.uniform((K, R + 2 * N, E), fan_in=E))
        self._begin(E, start, init)
        self.out_norm: LayerNorm | list[Layer | None] | None = None
        if out_norm == "layer":
            self.out_norm = LayerNorm(E, init=init)
        elif out_norm == "dwconv3":  # a list: the official key is `out_norm.1.weight`
            self.out_norm = [None, DepthwiseConv2d(E, 3, bias=False, init=init)]
        self.in_proj = Linear(channels, E if gate == "none" else 2 * E, bias=False, init=init)
        check_choice("activation of an SS2D", activation, ACTIVATIONS)
        self.act = ACTIVATIONS[activation]()
        self.gate_act = ACTIVATIONS[activation]() if gate == "activated" else None
        self.conv2d = DepthwiseConv2d(E, conv, bias=conv_bias, init=init) if conv else None
        self.out_proj = Linear(E, channels, bias=False, init=init)

    def _begin(self, E: int, start: str, init: Initializer) -> None:
        """A, D, and the projection of Δ with its bias, whose softplus is log-uniform in 0.001–0.1
        at first."""
        N, R, rng = self.d_state, self.rank, init.rng
        A_log = np.broadcast_to(np.log(np.arange(1.0, N + 1)), (K * E, N))
        step = np.exp(rng.uniform(np.log(0.001), np.log(0.1), (K, E)))
        weight, bias = init.uniform((K, E, R), fan_in=R), step + np.log(-np.expm1(-step))
        if start != "v0":
            draw = rng.standard_normal if start == "v1" else rng.random
            A_log = rng.standard_normal((K * E, N)) if start == "v1" else np.zeros((K * E, N))
            weight, bias = init.array(0.1 * draw((K, E, R))), 0.1 * draw((K, E))
        self.A_logs = Param(init.array(A_log))
        self.Ds = Param(init.full((K * E,), 1.0))
        self.dt_projs_weight = Param(weight)
        self.dt_projs_bias = Param(init.array(bias))

    @property
    def norm_layer(self) -> Layer | None:
        """What stands between the scans and the gate."""
        return self.out_norm[1] if isinstance(self.out_norm, list) else self.out_norm

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        """(B, H, W, C) to the same."""
        check_array("SS2D", "x", x, ("B", "H", "W", self.in_proj.weight.shape[1]))
        v, z = self.in_proj(x, tape), None
        if self.gate != "none":
            v, z = array_module(x).split(v, 2, axis=-1)  # (1)
            z = z if self.gate_act is None else self.gate_act(z, tape)
        v = v if self.conv2d is None else self.conv2d(v, tape)
        m = self.mix(self.act(v, tape), tape)  # (2)
        m = m if self.norm_layer is None else self.norm_layer(m, tape)
        if z is not None:
            self._keep(tape, (m, z))
            m = m * z
        return self.out_proj(m, tape)  # (7)

    def backward(self, dy: Array, tape: Tape) -> Array:
        dm, dz = self.out_proj.backward(dy, tape), None
        if self.gate != "none":
            m, z = tape.pop(self)
            dm, dz = dm * z, dm * m
        dm = dm if self.norm_layer is None else self.norm_layer.backward(dm, tape)
        dv = self.act.backward(self.mix_backward(dm, tape), tape)
        dv = dv if self.conv2d is None else self.conv2d.backward(dv, tape)
        if dz is not None:
            dz = dz if self.gate_act is None else self.gate_act.backward(dz, tape)
            dv = array_module(dy).concatenate([dv, dz], axis=-1)
        return self.in_proj.backward(dv, tape)

    def mix(self, u: Array, tape: Tape | None = None) -> Array:
        """m of (3) to (6), (B, H, W, E)."""
        _, H, W, _ = u.shape
        s = cross_scan(u, self.routes)  # (3)
        y = array_module(u).stack([self.scan(k, s[k], tape) for k in range(K)])
        self._keep(tape, (H, W))
        return cross_merge(y, H, W, self.routes)  # (6)

    def mix_backward(self, dm: Array, tape: Tape) -> Array:
        """du; the adjoint of (6) is (3), and that of (3) is (6)."""
        H, W = tape.pop(self)
        dy = cross_scan(dm, self.routes)
        ds, of_params = [], []
        for k in reversed(range(K)):
            ds_k, gradients = self.scan_backward(dy[k], tape)
            ds.append(ds_k)
            of_params.append(gradients)
        self.accumulate_groups(tape, of_params[::-1])
        return cross_merge(array_module(dm).stack(ds[::-1]), H, W, self.routes)

    def scan(self, k: int, s: Array, tape: Tape | None = None) -> Array:
        """y_k of (4) and (5), (B, L, E), of the tokens s that group k reads."""
        N, R, E = self.d_state, self.rank, s.shape[2]
        group = slice(k * E, (k + 1) * E)
        q, x_cache = linear_forward(s, self.x_proj_weight.data[k])
        dt, B, C = array_module(s).split(q, [R, R + N], axis=-1)
        dt, dt_cache = linear_forward(dt, self.dt_projs_weight.data[k])
        A, D = -array_module(s).exp(self.A_logs.data[group]), self.Ds.data[group]  # (4)
        bias = self.dt_projs_bias.data[k]
        self._keep(tape, (x_cache, dt_cache))
        scan = selective_scan_forward(s, dt, A, B, C, D, bias, keep=tape is not None)
        return self.record(tape, scan)  # (5)

    def scan_backward(self, dy: Array, tape: Tape) -> tuple[Array, tuple[Array, ...]]:
        """ds_k, back through (5) and (4), and the gradients of the parameters of that group."""
        scan, (x_cache, dt_cache) = tape.pop(self), tape.pop(self)
        ds, ddt, dA, dB, dC, dD, db = selective_scan_backward(dy, scan)  # (5)
        ddt, dW_dt, _ = linear_backward(ddt, dt_cache)  # (4)
        dq = array_module(dy).concatenate([ddt, dB, dC], axis=-1)
        ds_of_q, dW_x, _ = linear_backward(dq, x_cache)
        # A = −exp(A_log) is its own derivative.
        return ds + ds_of_q, (dW_x, dW_dt, db, dA * scan.A, dD)

    def accumulate_groups(self, tape: Tape, gradients: list[tuple[Array, ...]]) -> None:
        """Leave the gradients of all groups, in order, on the tape."""
        params = [self.x_proj_weight, self.dt_projs_weight, self.dt_projs_bias]
        params += [self.A_logs, self.Ds]
        for param, groups in zip(params, zip(*gradients, strict=True), strict=True):
            together = array_module(groups[0]).concatenate(groups)
            tape.accumulate(param, together.reshape(param.shape))

    def _keep(self, tape: Tape | None, cache: tuple) -> None:
        if tape is not None:
            tape.push(self, cache)


class Cascade(SS2D):
    """SS2D with rows, and then columns, as sequences of their own."""

    def mix(self, u: Array, tape: Tape | None = None) -> Array:
        for first in (0, 2):
            u = self._plain_norm(u, tape)
            B, H, W, E = u.shape
            lines = u.reshape(B * H, W, E)
            y = self.scan(first, lines, tape) + self.scan(first + 1, lines[:, ::-1], tape)
            u = y.reshape(B, H, W, E).swapaxes(1, 2)
        return u

    def mix_backward(self, dm: Array, tape: Tape) -> Array:
        of_params = []
        for _ in ("columns", "rows"):
            dm = dm.swapaxes(1, 2)
            B, H, W, E = dm.shape
            dy = dm.reshape(B * H, W, E)
            ds_back, gradients_back = self.scan_backward(dy, tape)
            ds, gradients = self.scan_backward(dy, tape)
            of_params += [gradients_back, gradients]
            dm = (ds + ds_back[:, ::-1]).reshape(B, H, W, E)
            dm = layernorm_backward(dm, tape.pop(self))[0]
        self.accumulate_groups(tape, of_params[::-1])
        return dm

    def _plain_norm(self, u: Array, tape: Tape | None) -> Array:
        """LayerNorm without parameters of its own."""
        xp, E = array_module(u), u.shape[3]
        return self.record(tape, layernorm_forward(u, xp.ones(E, u.dtype), xp.zeros(E, u.dtype)))
