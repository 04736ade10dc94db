"""The backward of every layer's page, derived a second time by computer algebra.

Each test writes the forward of a small case in symbols, lets SymPy differentiate ⟨dy, y⟩, and asks that the formula of the
page be the same expression: not at some numbers, but for all. The formulas stand here as they stand on the page, equation by
equation; the code beside them is held to central differences elsewhere.
"""

from __future__ import annotations

import itertools

import pytest
import sympy as sp
from sympy import Rational, exp, log, sqrt

C = 3


def reals(name: str, *shape: int) -> sp.Matrix | sp.MutableDenseNDimArray:
    """An array of real symbols: a column for one axis."""
    array = sp.MutableDenseNDimArray.zeros(*shape)
    for index in itertools.product(*(range(size) for size in shape)):
        array[index] = sp.Symbol(f"{name}_{'_'.join(map(str, index))}", real=True)
    return array


def positive(name: str) -> sp.Symbol:
    return sp.Symbol(name, positive=True)


def entries(array: sp.MutableDenseNDimArray) -> list:
    return list(sp.flatten(array))


def paired(dy, y) -> sp.Expr:
    """⟨dy, y⟩: its derivative is what a backward gives."""
    return sum(a * b for a, b in zip(entries(dy), entries(y), strict=True))


def assert_derivative(loss: sp.Expr, x, dx) -> None:
    """dx is ∂loss/∂x, entry by entry, as an expression."""
    for symbol, formula in zip(entries(x), entries(dx), strict=True):
        assert sp.simplify(sp.diff(loss, symbol) - formula) == 0, f"the gradient of {symbol}"


def array(values) -> sp.MutableDenseNDimArray:
    return sp.MutableDenseNDimArray(values)


def test_linear_2():
    x, W, b, dy = reals("x", 2, 3), reals("W", 2, 3), reals("b", 2), reals("dy", 2, 2)
    y = array([[sum(W[o, i] * x[r, i] for i in range(3)) + b[o] for o in range(2)] for r in range(2)])
    loss = paired(dy, y)
    assert_derivative(loss, x, dy.tomatrix() * W.tomatrix())
    assert_derivative(loss, W, dy.tomatrix().T * x.tomatrix())
    assert_derivative(loss, b, array([sum(dy[r, o] for r in range(2)) for o in range(2)]))


@pytest.mark.parametrize(("x", "slope"), [(positive("x"), 1), (sp.Symbol("x", negative=True), 0)])
def test_relu_2(x, slope):
    dy = sp.Symbol("dy")
    assert_derivative(dy * sp.Max(x, 0), array([x]), array([dy * slope]))


def test_gelu_2_and_4():
    x, dy = sp.symbols("x dy", real=True)
    Phi, phi = (1 + sp.erf(x / sqrt(2))) / 2, exp(-(x**2) / 2) / sqrt(2 * sp.pi)
    assert_derivative(dy * x * Phi, array([x]), array([dy * (Phi + x * phi)]))
    c = sp.Symbol("c")  # 0.044715
    u, du = sqrt(2 / sp.pi) * (x + c * x**3), sqrt(2 / sp.pi) * (1 + 3 * c * x**2)
    t = sp.tanh(u)
    assert_derivative(dy * x / 2 * (1 + t), array([x]), array([dy / 2 * (1 + t + x * (1 - t**2) * du)]))


def test_silu_2():
    x, dy = sp.symbols("x dy", real=True)
    sigma = 1 / (1 + exp(-x))
    assert_derivative(dy * x * sigma, array([x]), array([dy * sigma * (1 + x * (1 - sigma))]))


def test_softplus_2():
    x, dy = sp.symbols("x dy", real=True)
    y = log(1 + exp(x))
    assert_derivative(dy * y, array([x]), array([dy * (1 - exp(-y))]))
    assert_derivative(dy * y, array([x]), array([dy / (1 + exp(-x))]))


def test_dropout_2_and_layer_scale_2():
    x, m, dy = reals("x", 2, 2), reals("m", 2), reals("dy", 2, 2)
    loss = sum(dy[r, c] * m[c] * x[r, c] for r in range(2) for c in range(2))
    assert_derivative(loss, x, array([[m[c] * dy[r, c] for c in range(2)] for r in range(2)]))
    assert_derivative(loss, m, array([sum(dy[r, c] * x[r, c] for r in range(2)) for c in range(2)]))


def test_pool_2():
    x, dy = reals("x", 2, 3), sp.Symbol("dy")
    assert_derivative(dy * sum(entries(x)) / 6, x, array([[dy / 6] * 3] * 2))


def softmax(x) -> list:
    total = sum(exp(value) for value in entries(x))
    return [exp(value) / total for value in entries(x)]


def test_softmax_2():
    x, dy = reals("x", C), reals("dy", C)
    y = softmax(x)
    mean = sum(d * value for d, value in zip(entries(dy), y, strict=True))
    assert_derivative(paired(dy, array(y)), x, array([y[i] * (dy[i] - mean) for i in range(C)]))


def test_cross_entropy_3():
    B, dL = 2, sp.Symbol("dL")
    z, p = reals("z", B, C), reals("p", B, C)  # targets that need not sum to one
    q = [softmax(z[b, :]) for b in range(B)]
    loss = -dL / B * sum(p[b, c] * log(q[b][c]) for b in range(B) for c in range(C))
    dz = [[dL / B * (q[b][c] * sum(p[b, k] for k in range(C)) - p[b, c]) for c in range(C)] for b in range(B)]
    assert_derivative(loss, z, array(dz))


def test_binary_cross_entropy_3():
    dL, n = sp.symbols("dL n", positive=True)
    z, p = reals("z", C), reals("p", C)
    q = [1 / (1 + exp(-value)) for value in entries(z)]
    loss = -dL / n * sum(p[c] * log(q[c]) + (1 - p[c]) * log(1 - q[c]) for c in range(C))
    assert_derivative(loss, z, array([dL / n * (q[c] - p[c]) for c in range(C)]))


def test_mesa_3():
    B, (dL, F, T) = 2, sp.symbols("dL F T", positive=True)
    z, teacher = reals("z", B, C), reals("zbar", B, C)
    q, p = ([softmax([value / T for value in logits[b, :]]) for b in range(B)] for logits in (z, teacher))
    loss = dL * F / B * sum(p[b][c] * (log(p[b][c]) - log(q[b][c])) for b in range(B) for c in range(C))
    dz = [[dL * F / (B * T) * (q[b][c] - p[b][c]) for c in range(C)] for b in range(B)]
    assert_derivative(loss, z, array(dz))


def standardised(x: list, eps: sp.Expr) -> tuple[list, sp.Expr]:
    """x̂ and r of a group of values."""
    mean = sum(x) / len(x)
    r = 1 / sqrt(sum((value - mean) ** 2 for value in x) / len(x) + eps)
    return [(value - mean) * r for value in x], r


def test_layernorm_2_and_3():
    x, gamma, beta, dy = reals("x", C), reals("g", C), reals("b", C), reals("dy", C)
    normalised, r = standardised(entries(x), positive("eps"))
    loss = sum(dy[c] * (gamma[c] * normalised[c] + beta[c]) for c in range(C))
    g = [gamma[c] * dy[c] for c in range(C)]
    mean_g, mean_gx = sum(g) / C, sum(a * b for a, b in zip(g, normalised, strict=True)) / C
    assert_derivative(loss, x, array([r * (g[c] - mean_g - normalised[c] * mean_gx) for c in range(C)]))
    assert_derivative(loss, gamma, array([dy[c] * normalised[c] for c in range(C)]))
    assert_derivative(loss, beta, dy)


def test_rmsnorm_2_and_3():
    x, gamma, dy = reals("x", C), reals("g", C), reals("dy", C)
    r = 1 / sqrt(sum(value**2 for value in entries(x)) / C + positive("eps"))
    x_hat = [value * r for value in entries(x)]
    loss = sum(dy[c] * gamma[c] * x_hat[c] for c in range(C))
    g = [gamma[c] * dy[c] for c in range(C)]
    mean_gx = sum(a * b for a, b in zip(g, x_hat, strict=True)) / C
    assert_derivative(loss, x, array([r * (g[c] - x_hat[c] * mean_gx) for c in range(C)]))
    assert_derivative(loss, gamma, array([dy[c] * x_hat[c] for c in range(C)]))


def test_gate_2_and_3():
    x, z, dy = reals("x", 2), reals("z", 2), reals("dy", 2)
    sigma = [1 / (1 + exp(-value)) for value in entries(z)]
    loss = sum(dy[i] * x[i] * z[i] * sigma[i] for i in range(2))
    assert_derivative(loss, x, array([dy[i] * z[i] * sigma[i] for i in range(2)]))
    assert_derivative(loss, z, array([dy[i] * x[i] * sigma[i] * (1 + z[i] * (1 - sigma[i])) for i in range(2)]))


def test_batchnorm_2_to_4():
    n, gamma, beta = 3, sp.Symbol("gamma"), sp.Symbol("beta")
    x, dy = reals("x", n), reals("dy", n)
    normalised, r = standardised(entries(x), positive("eps"))
    loss = sum(dy[i] * (gamma * normalised[i] + beta) for i in range(n))
    dbeta, dgamma = sum(entries(dy)), sum(dy[i] * normalised[i] for i in range(n))
    assert_derivative(loss, array([gamma, beta]), array([dgamma, dbeta]))
    # The line of code, which reuses the two sums.
    assert_derivative(loss, x, array([gamma * r * (dy[i] - dbeta / n - normalised[i] * dgamma / n) for i in range(n)]))
    mu, r = sp.symbols("mu r")
    loss = sum(dy[i] * (gamma * (x[i] - mu) * r + beta) for i in range(n))
    assert_derivative(loss, x, array([r * gamma * dy[i] for i in range(n)]))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("K", [2, 3, 4])
def test_conv1d_2_and_3(K, causal):
    L, p = 5, K - 1 if causal else (K - 1) // 2
    x, w, b, dy = reals("x", L), reals("w", K), sp.Symbol("b"), reals("dy", L)

    def at(values, t):
        return values[t] if 0 <= t < L else 0

    y = array([sum(w[k] * at(x, t + k - p) for k in range(K)) + b for t in range(L)])
    loss = paired(dy, y)
    assert_derivative(loss, x, array([sum(w[k] * at(dy, s - k + p) for k in range(K)) for s in range(L)]))
    assert_derivative(loss, w, array([sum(dy[t] * at(x, t + k - p) for t in range(L)) for k in range(K)]))
    assert sp.expand(sp.diff(loss, b) - sum(entries(dy))) == 0


@pytest.mark.parametrize("stride", [1, 2])
def test_conv2d_3(stride):
    H, K, p = 4, 3, 1
    out = (H + 2 * p - K) // stride + 1
    x, w, dy = reals("x", H, H), reals("w", K, K), reals("dy", out, out)
    sites, taps = list(itertools.product(range(out), repeat=2)), list(itertools.product(range(K), repeat=2))

    def pixel(h, v):
        return x[h, v] if 0 <= h < H and 0 <= v < H else sp.Integer(0)

    X = sp.Matrix(
        len(sites), len(taps), lambda r, k: pixel(*(stride * s + t - p for s, t in zip(sites[r], taps[k], strict=True)))
    )
    M, dY = sp.Matrix(entries(w)), sp.Matrix(entries(dy))
    loss = (dY.T * X * M)[0]
    dX = dY * M.T
    gathered = sp.zeros(H, H)  # col2im: what lies in several patches is added
    for (r, site), (k, tap) in itertools.product(enumerate(sites), enumerate(taps)):
        h, v = (stride * s + t - p for s, t in zip(site, tap, strict=True))
        if 0 <= h < H and 0 <= v < H:
            gathered[h, v] += dX[r, k]
    assert_derivative(loss, x, gathered)
    assert_derivative(loss, w, X.T * dY)


def test_winograd_1_computes_the_correlation():
    """With the points as fractions there is no rounding: the sums are equal as expressions."""
    points = [Rational(value) for value in ("0", "3/4", "-3/4", "3/2", "-3/2")]
    z = sp.Symbol("z")
    A, G, T = sp.zeros(6, 4), sp.zeros(6, 3), sp.zeros(6, 6)
    for i, point in enumerate(points):
        others = [other for other in points if other != point]
        A[i, :] = sp.Matrix([[point**k for k in range(4)]])
        G[i, :] = sp.Matrix([[point**k / sp.prod([point - other for other in others]) for k in range(3)]])
        T[i, :5] = sp.Matrix([sp.Poly(sp.prod([z - other for other in others]), z).all_coeffs()[::-1]])
    A[5, 3] = G[5, 2] = 1
    T[5, :] = sp.Matrix([sp.Poly(sp.prod([z - point for point in points]), z).all_coeffs()[::-1]])
    d, g = sp.Matrix(entries(reals("d", 6))), sp.Matrix(entries(reals("g", 3)))
    y = A.T * (G * g).multiply_elementwise(T * d)
    assert sp.expand(y - sp.Matrix([sum(g[k] * d[i + k] for k in range(3)) for i in range(4)])) == sp.zeros(4, 1)


def test_winograd_4_turns_the_kernel():
    H, p = 4, 1
    x, w, dy = reals("x", H), reals("w", 3), reals("dy", H)

    def at(values, t):
        return values[t] if 0 <= t < H else 0

    loss = sum(dy[h] * w[i] * at(x, h + i - p) for h in range(H) for i in range(3))
    assert_derivative(loss, x, array([sum(w[2 - i] * at(dy, s + i - (2 - p)) for i in range(3)) for s in range(H)]))


def test_window_2_is_the_adjoint_of_1():
    """⟨dy, S Z x⟩ = ⟨Zᵀ Sᵀ dy, x⟩ on a map of 3×3 in windows of 2."""
    x, dy = reals("x", 3, 3), reals("dy", 4, 4)  # windows, tokens

    def place(window, token):
        return 2 * (window // 2) + token // 2, 2 * (window % 2) + token % 2

    loss, dx = 0, sp.zeros(3, 3)
    for window, token in itertools.product(range(4), repeat=2):
        row, column = place(window, token)
        if row < 3 and column < 3:
            loss += dy[window, token] * x[row, column]
            dx[row, column] = dy[window, token]
    assert_derivative(loss, x, dx)


def test_attention_3_and_4():
    L, d = 2, 2
    q, k, v, do = (reals(name, L, d).tomatrix() for name in ("q", "k", "v", "do"))
    s = q * k.T / sqrt(d)
    a = sp.Matrix([softmax(s[i, :]) for i in range(L)])
    loss = paired(do, a * v)
    da = do * v.T
    ds = sp.Matrix(L, L, lambda i, j: a[i, j] * (da[i, j] - sum(da[i, m] * a[i, m] for m in range(L))))
    assert_derivative(loss, v, a.T * do)
    assert_derivative(loss, q, ds * k / sqrt(d))
    assert_derivative(loss, k, ds.T * q / sqrt(d))


def test_linear_recurrence_2_and_3():
    k, start = 4, sp.Symbol("start")
    a, u, dh = reals("a", k), reals("u", k), reals("dh", k)
    h = []
    for t in range(k):
        h.append(a[t] * (h[-1] if h else start) + u[t])
    g = [sp.Integer(0)] * (k + 1)
    for t in reversed(range(k)):
        g[t] = dh[t] + (a[t + 1] * g[t + 1] if t + 1 < k else 0)
    loss = paired(dh, array(h))
    assert_derivative(loss, u, array(g[:k]))
    assert_derivative(loss, a, array([g[t] * (h[t - 1] if t else start) for t in range(k)]))
    assert sp.expand(sp.diff(loss, start) - a[0] * g[0]) == 0


def test_linear_recurrence_4_to_6():
    """Chunks, the join of two steps, and the cumulative sum, with the loop: the same states."""
    k, start = 4, sp.Symbol("start")
    a, u = [positive(f"a_{t}") for t in range(k)], entries(reals("u", k))
    h = []
    for t in range(k):
        h.append(a[t] * (h[-1] if h else start) + u[t])
    fresh = a[3] * u[2] + u[3]  # h' of (4): the chunk of tokens 2 and 3, started from 0
    assert sp.expand(fresh + a[3] * a[2] * h[1] - h[3]) == 0

    def join(first, second):  # (5)
        return first[0] * second[0], second[0] * first[1] + second[1]

    steps = list(zip(a, u, strict=True))
    left, right = join(join(steps[0], steps[1]), steps[2]), join(steps[0], join(steps[1], steps[2]))
    assert all(sp.expand(x - y) == 0 for x, y in zip(left, right, strict=True))
    assert sp.expand(left[0] * start + left[1] - h[2]) == 0
    S = [sum(log(value) for value in a[: t + 1]) for t in range(k)]
    assert sp.simplify(exp(S[3]) * (start + sum(exp(-S[s]) * u[s] for s in range(k))) - h[3]) == 0  # (6)


def test_selective_scan_4_to_10():
    """One channel, two states, three tokens: (4) to (10), and dA with and without the factor that is easily forgotten."""
    l, n = 3, 2
    x, dt, A, B, gate, dy = reals("x", l), reals("dt", l), reals("A", n), reals("B", l, n), reals("C", l, n), reals("dy", l)
    D, bias = sp.symbols("D bias")
    delta = [log(1 + exp(dt[t] + bias)) for t in range(l)]
    decay = [[exp(delta[t] * A[i]) for i in range(n)] for t in range(l)]
    h: list[list] = []
    for t in range(l):
        before = h[-1] if h else [sp.Integer(0)] * n
        h.append([decay[t][i] * before[i] + delta[t] * B[t, i] * x[t] for i in range(n)])
    loss = sum(dy[t] * (sum(gate[t, i] * h[t][i] for i in range(n)) + D * x[t]) for t in range(l))

    g = [[sp.Integer(0)] * n for _ in range(l)]
    for t in reversed(range(l)):
        for i in range(n):
            g[t][i] = gate[t, i] * dy[t] + (decay[t + 1][i] * g[t + 1][i] if t + 1 < l else 0)
    e = [[g[t][i] * (h[t - 1][i] if t else 0) * decay[t][i] for i in range(n)] for t in range(l)]
    into = [sum(g[t][i] * B[t, i] for i in range(n)) for t in range(l)]
    ddelta = [sum(e[t][i] * A[i] for i in range(n)) + x[t] * into[t] for t in range(l)]
    ddt = [ddelta[t] * (1 - exp(-delta[t])) for t in range(l)]
    dA = [sum(e[t][i] * delta[t] for t in range(l)) for i in range(n)]
    claims = {
        "x": (x, [delta[t] * into[t] + D * dy[t] for t in range(l)]),
        "dt": (dt, ddt),
        "A": (A, dA),
        "B": (B, [[g[t][i] * delta[t] * x[t] for i in range(n)] for t in range(l)]),
        "C": (gate, [[dy[t] * h[t][i] for i in range(n)] for t in range(l)]),
        "D and bias": (array([D, bias]), [sum(dy[t] * x[t] for t in range(l)), sum(ddt)]),
    }
    # Exponentials and logarithms nest too deep to be simplified away; at exact points the difference is zero to 40 digits.
    symbols = sorted(loss.free_symbols, key=str)
    point = {symbol: Rational((-1) ** number * (number * 7 % 17 + 1), 8) for number, symbol in enumerate(symbols)}  # none is 0
    for name, (of, formula) in claims.items():
        for symbol, claim in zip(entries(of), entries(array(formula)), strict=True):
            difference = (sp.diff(loss, symbol) - claim).subs(point)
            assert abs(sp.N(difference, 40, maxn=200)) < 1e-35, f"the gradient of {name}: {symbol}"
    forgotten = sum(g[t][0] * (h[t - 1][0] if t else 0) * delta[t] for t in range(l))
    assert abs(sp.N((sp.diff(loss, A[0]) - forgotten).subs(point))) > 1e-3
