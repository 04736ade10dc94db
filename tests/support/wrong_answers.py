"""What readers write in place of a backward, and what they are to be told.

{layer: [(right, wrong, kind, text), …]}. In the layer's own answer, as `mvnp learn` cuts it out, the text `right` (it occurs
once) becomes `wrong`. One of the hints has to be of this kind and hold this text.
"""

Wrong = tuple[str, str, str, str]

_WINDOWS = "tokens.reshape(-1, Hp // P, Wp // P, P, P, tokens.shape[2])"
_COL2IM = "dX[:, k * I : (k + 1) * I]"
_CONV2D_DW = "dM.reshape(Kh, Kw, I, O).transpose(3, 2, 0, 1)"
_CONV1D_DX = "dx = sum(weight[:, 0, K - 1 - k] * dy_padded[:, k : k + L] for k in range(K))  # (2)"
_CONV1D_OVERWRITTEN = """dx = xp.zeros(x.shape)
    for k in range(K):
        t = np.arange(max(0, p - k), min(L, L + p - k))
        dx[:, t + k - p] = weight[:, 0, k] * dy[:, t]"""

_LINEAR_RETURN = "return dx, dweight, sum_rows(dy) if has_bias else None"
_LINEAR_DW = "dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])"
_RELU = "return dy * array_module(dy, y).sign(y)  # (2)"
_SCALE = "return gamma * dy, sum_rows(dy * x)  # (2)"
_POOL = "return array_module(dy).broadcast_to(dy[:, None, None, :] / (H * W), cache)"
_SOFTMAX = "y * (dy - (dy * y).sum(axis=-1, keepdims=True))"
_MESA = "return dloss * factor / (len(p) * temperature) * (q - p)"
_CROSS = "return dloss / len(p) * (q * p.sum(axis=1, keepdims=True) - p)"
_SILU = "gate * (1 + x * (1 - gate))"
_GATE_DX = "dx = dy * silu_forward(z)[0]  # (2)"
_GATE_DZ = "return dx, silu_backward(dy * x, z)  # (3)"
_RMSNORM_RETURN = "return dx, sum_rows(dy * x_hat)  # (3)"
_SOFTPLUS = "dy * -array_module(dy, y).expm1(-y)"
_DROP = "return mask * dy  # (2)"
_LAYERNORM_DX = "rstd * (g - row_mean(g) - x_hat * row_mean(g * x_hat))"
_LAYERNORM_X_HAT = "(x - mean) * rstd\n    g = weight"
_BATCH_DX = "input_gradient(dy, x, mean, rstd, weight, mean_g, mean_g_x_hat)"
_DQ, _DK, _DV, _DS = (
    "dq = ds @ k / math.sqrt(q.shape[-1])",
    "dk = transposed(ds) @ q / math.sqrt(q.shape[-1])",
    "dv = transposed(a if dropout is None else dropout * a) @ do",
    "ds = softmax_backward(da if dropout is None else dropout * da, a)",
)
_H_BEFORE = "h_before = xp.concatenate([zero if start is None else start[None], h[:-1]])"
_ADJOINT = "g = METHODS[method](a_next[::-1], dh[::-1], zero[0])[::-1]"
_RECURRENCE_RETURN = "return g * h_before, g, None if start is None else a[0] * g[0]"
_G = "g[:, t] = g[:, t] + decay[:, t + 1] * g[:, t + 1]"
_SCAN_DX = "dx = delta * g_B + D * dy"

# The scan once more, in one loop back in time, with the states of one token.
SIMPLE_SCAN = """
def selective_scan_backward(dy, cache):
    x, delta, A, B, C, D = cache[:6]
    h = selective_scan_states(cache).swapaxes(2, 3)  # (b, l, d, n)
    b, l, d, n = h.shape
    dx, ddelta, dA, dB, dC = (np.zeros_like(v) for v in (x, delta, A, B, C))
    after = np.zeros((b, d, n))
    for t in reversed(range(l)):
        decay = np.exp(delta[:, t, :, None] * A)
        g = C[:, t, None, :] * dy[:, t, :, None] + after
        before = h[:, t - 1] if t > 0 else np.zeros_like(g)
        e = g * before * decay
        into = (g * B[:, t, None, :]).sum(axis=2)
        dx[:, t] = delta[:, t] * into + D * dy[:, t]
        ddelta[:, t] = (e * A).sum(axis=2) + x[:, t] * into
        dA += (e * delta[:, t, :, None]).sum(axis=0)
        dB[:, t] = (g * (delta[:, t] * x[:, t])[:, :, None]).sum(axis=1)
        dC[:, t] = (h[:, t] * dy[:, t, :, None]).sum(axis=1)
        after = decay * g
    ddt = ddelta * (1.0 - np.exp(-delta)) if cache.softplus else ddelta
    dD = (dy * x).sum(axis=(0, 1))
    return dx, ddt, dA, dB, dC, dD, ddt.sum(axis=(0, 1)) if cache.has_bias else None
"""

WRONG_SIMPLE_SCANS: list[Wrong] = [
    (" + after\n", "\n", "mistake", "nothing comes back from later steps"),
    ("after = decay * g", "after = g", "mistake", "g_t has no decay"),
    ("after = decay * g", "after = np.exp(delta[:, t - 1, :, None] * A) * g", "mistake", "g_t takes the decay of its own step"),
    ("        after = decay * g", "        after = -decay * g", "mistake", "comes back from later steps has the wrong sign"),
    ("reversed(range(l))", "range(l)", "mistake", "g runs forward in time"),
    ("C[:, t, None, :] * dy", "B[:, t, None, :] * dy", "mistake", "B stands where C belongs in g_t"),
    ("C[:, t, None, :] * dy", "dy", "mistake", "g lacks C_t"),
    ("e = g * before * decay", "e = g * before", "mistake", "the factor exp(Δ_t A) of e_t is missing"),
    ("e = g * before * decay", "e = g * h[:, t] * decay", "mistake", "h_t stands where h_(t−1) belongs"),
    ("h[:, t - 1] if t > 0 else np.zeros_like(g)", "h[:, t - 1]", "mistake", "h_(t−1) wraps round"),
    ("(1.0 - np.exp(-delta))", "np.exp(-delta)", "mistake", "the slope of softplus is e^−Δ"),
    ("(1.0 - np.exp(-delta))", "1.0 / (1.0 + np.exp(-delta))", "mistake", "the slope of softplus is taken of Δ"),
    ("+ D * dy[:, t]", "+ D", "missing factor", "the factor dy is missing"),
    ("dy * x).sum(axis=(0, 1))", "dy * x).sum(axis=1)", "missing sum", "the sum over the axis 0"),
    ("dA += (e", "dA = (e", "zero", "each share added (+=)"),
    ("(e * A).sum(axis=2) + x", "(e * A).sum(axis=2) - x", "sign", "the term x_t Σ_n g_t B_t has the wrong sign"),
]

WRONG_ANSWERS: dict[str, list[Wrong]] = {
    "linear": [
        ("dx = dy @ weight", "dx = dy @ weight.T", "transposed", "W is to be transposed"),
        (_LINEAR_DW, "x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])", "transposed", "it is transposed"),
        ("sum_rows(dy) if has", "dy if has", "missing sum", "the sum over the axes B and L is missing"),
        ("sum_rows(dy) if has", "dy.sum(axis=0) if has", "missing sum", "the sum over the axis 0 of this array is missing"),
        ("sum_rows(dy) if has", "dy.mean(axis=(0, 1)) if has", "factor", "a mean stands where a sum belongs"),
        (_LINEAR_DW, f"{_LINEAR_DW} / dy[..., 0].size", "factor", "1/6 (B·L)"),
        (_LINEAR_DW, "dy[0].T @ x[0]", "partly", "only the first index along B is taken of dy"),
        ("dx = dy @ weight", "dx = -dy @ weight", "sign", "has the wrong sign"),
        ("dx = dy @ weight", "dx = 2 * dy @ weight", "factor", "a factor"),
        ("dx = dy @ weight", "dx = dy.reshape(-1, dy.shape[-1]) @ weight", "shape", "the numbers are right, reshape them"),
        (
            _LINEAR_RETURN,
            "return dweight, dx, sum_rows(dy) if has_bias else None",
            "order",
            "come in the order dweight, dx and dbias",
        ),
        (_LINEAR_RETURN, "return dx, dweight", "number", "returns 2 arrays, expected 3"),
        ("sum_rows(dy) if has_bias else None", "sum_rows(dy)", "absent", "there was no bias"),
        ("dx = dy @ weight", "dx = np.ones_like(dy) @ weight", "missing factor", "the factor dy is missing"),
    ],
    "relu": [
        (_RELU, "return dy", "missing factor", "the factor [x > 0] is missing"),
        (_RELU, "return dy * (cache >= 0)", "missing factor", "the factor [x > 0] is missing"),
        (_RELU, "return (cache > 0) * 1.0", "missing factor", "the factor dy is missing"),
        (_RELU, "return dy * cache", "mixed up", "y stands where [x > 0] belongs"),
        (_RELU, "return dy * (cache <= 0)", "mistake", "the condition is the wrong way round"),
        (_RELU, "return np.where(cache > 0, dy, -dy)", "mistake", "the backward of |x|"),
        (_RELU, "return np.maximum(dy, 0)", "mistake", "the condition looks at the sign of dy"),
        (_RELU, "return -dy * (cache > 0)", "sign", "has the wrong sign"),
        (_RELU, "return np.abs(dy) * (cache > 0)", "absolute", "an absolute value was taken"),
        (_RELU, "return (dy * (cache > 0)).sum(axis=0)", "sum too many", "summed over the axis B"),
        (_RELU, "dy *= cache > 0\n    return dy", "in place", "dy is changed in place"),
        (_RELU, "dy * (cache > 0)", "nothing", "its last line is to be `return`"),
        (_RELU, "return (dy * (cache > 0)).T", "transposed", "it is transposed"),
        (_RELU, "return dy * (cache > 0) / len(dy)", "factor", "1/4 (B)"),
    ],
    "layer_scale": [
        (_SCALE, "return dy, sum_rows(dy * x)", "missing factor", "the factor γ is missing"),
        (_SCALE, "return dy * x, sum_rows(dy * x)", "mixed up", "x stands where γ belongs"),
        (_SCALE, "return dy * gamma, dy * x", "missing sum", "the sum over the axes B and L is missing"),
        (_SCALE, "return dy * gamma, (dy * x).sum(axis=0)", "missing sum", "the sum over the axis 0 of this array is missing"),
        (_SCALE, "return dy * gamma, (dy * x).sum()", "sum too many", "summed over the axis C"),
        (_SCALE, "return dy * gamma, (dy * x).mean(axis=(0, 1))", "factor", "1/6 (B·L)"),
        (_SCALE, "return dy * gamma, dy.sum(axis=(0, 1))", "missing factor", "the factor x is missing"),
        (_SCALE, "return dy * gamma, x.sum(axis=(0, 1))", "missing factor", "the factor dy is missing"),
        (_SCALE, "return dy / gamma, (dy * x).sum(axis=(0, 1))", "inverse", "divided by γ"),
        (_SCALE, "return dy * gamma, (dy * x * gamma).sum(axis=(0, 1))", "mistake", "γ stands in its own gradient"),
        (_SCALE, "return dy * gamma", "number", "expected 2: dx and dgamma"),
        (_SCALE, "return (dy * x).sum(axis=(0, 1)), dy * gamma", "order", "come in the order dgamma and dx"),
        (_SCALE, "return dy * gamma, -(dy * x).sum(axis=(0, 1))", "sign", "has the wrong sign"),
        (_SCALE, "return dy * gamma, (dy * x)[0].sum(axis=0)", "partly", "the sum over B is missing"),
    ],
    "pool": [
        (_POOL, "return np.broadcast_to(dy[:, None, None, :], cache)", "missing factor", "the factor 1/(HW) is missing"),
        (_POOL, "return dy / (H * W)", "broadcast", "belong to every entry along the missing axes"),
        (_POOL, "return dy[:, None, None, :] / (H * W)", "broadcast", "belong to every entry along the missing axes"),
        (_POOL, "return np.broadcast_to(dy[:, None, None, :] / H, cache)", "mistake", "divided by H alone"),
        (_POOL, "return np.broadcast_to(dy[:, None, None, :] / (H + W), cache)", "mistake", "divided by H + W"),
        (_POOL, "return np.broadcast_to(dy[:, None, None, :] * (H * W), cache)", "mistake", "multiplied by HW"),
        (
            _POOL,
            "return np.broadcast_to(dy[:, None, None, :] / (B * H * W), cache)",
            "mistake",
            "divided by the batch size as well",
        ),
        (_POOL, "return np.broadcast_to(dy[:, None, None, :] / (B * C), cache)", "mistake", "divided by B C"),
        (_POOL, "return np.broadcast_to(-dy[:, None, None, :] / (H * W), cache)", "sign", "has the wrong sign"),
        (_POOL, "return np.ones(cache) / (H * W)", "missing factor", "the factor dy is missing"),
        (_POOL, "dx = np.zeros(cache)\n    dx[:, 0, 0] = dy\n    return dx", "mistake", "all of dy goes to the first pixel"),
        (_POOL, "return np.broadcast_to(dy.mean(0) / (H * W), cache)", "averaged", "averaged along B"),
        (
            _POOL,
            "return np.broadcast_to(dy[:1, None, None, :] / (H * W), cache)",
            "partly",
            "dy of the first index along B is used for all",
        ),
    ],
    "softmax": [
        (_SOFTMAX, "y * dy", "missing term", "the term − y Σ_j dy_j y_j is missing"),
        (_SOFTMAX, "-y * (dy * y).sum(axis=-1, keepdims=True)", "missing term", "the term y dy is missing"),
        (_SOFTMAX, "y * (dy + (dy * y).sum(axis=-1, keepdims=True))", "sign", "the term − y Σ_j dy_j y_j has the wrong sign"),
        (_SOFTMAX, "y * (dy - dy.sum(axis=-1, keepdims=True))", "missing factor", "the factor y_j in the sum is missing"),
        (_SOFTMAX, "y * (dy - (dy * y).sum(axis=0, keepdims=True))", "mistake", "runs over the first axis"),
        (_SOFTMAX, "y * (dy - (dy * y).mean(axis=-1, keepdims=True))", "mistake", "a mean stands where the sum"),
        (_SOFTMAX, "y * (dy - (dy * y).sum())", "mistake", "runs over the whole array"),
        (_SOFTMAX, "y * (dy - dy * y)", "mistake", "the sum over j is not taken"),
        (_SOFTMAX, "dy - (dy * y).sum(axis=-1, keepdims=True)", "missing factor", "the factor y is missing"),
        (_SOFTMAX, "y * y * (dy - (dy * y).sum(axis=-1, keepdims=True))", "twice", "the factor y is there twice"),
        (_SOFTMAX, "y * ((dy * y).sum(axis=-1, keepdims=True) - dy)", "sign", "has the wrong sign"),
        (
            _SOFTMAX,
            "y * dy - (dy * y).sum(axis=-1, keepdims=True)",
            "missing factor",
            "in the term − y Σ_j dy_j y_j: the factor y is missing",
        ),
        (
            _SOFTMAX,
            "y * (1.0 - (dy * y).sum(axis=-1, keepdims=True))",
            "missing factor",
            "in the term y dy: the factor dy is missing",
        ),
        (
            _SOFTMAX,
            "y * (dy - 2 * (dy * y).sum(axis=-1, keepdims=True))",
            "twice",
            "the term − y Σ_j dy_j y_j is counted twice",
        ),
    ],
    "cross_entropy": [
        (
            _CROSS,
            "return q * p.sum(axis=1, keepdims=True) * (dloss / len(p))",
            "missing term",
            "the term − dloss/B p is missing",
        ),
        (_CROSS, "return (p - q) * (dloss / len(p))", "sign", "has the wrong sign"),
        (_CROSS, "return (q + p) * (dloss / len(p))", "sign", "the term − dloss/B p has the wrong sign"),
        (_CROSS, "return (q - p) * dloss", "missing factor", "the factor 1/B is missing"),
        (_CROSS, "return (q - p) / len(p)", "missing factor", "the factor dloss is missing"),
        (_CROSS, "return (q - p) * (dloss / p.shape[1])", "mistake", "divided by the classes C"),
        (_CROSS, "return (q - p) * (dloss / p.size)", "mistake", "divided by all B·C entries"),
        (_CROSS, "return (log_q - p) * (dloss / len(p))", "mixed up", "log q stands where q belongs"),
        (_CROSS, "return (1.0 - p) * (dloss / len(p))", "missing factor", "the factor q is missing"),
        (_CROSS, "return -p * (dloss / len(p))", "missing term", "the term dloss/B q is missing"),
        (_CROSS, "return -p * log_q * (dloss / len(p))", "mistake", "that is the loss itself"),
        (_CROSS, "return ((q - p) * (dloss / len(p))).sum(axis=0)", "sum too many", "summed over the axis B"),
        (_CROSS, "return (q * (1 - q) - p) * (dloss / len(p))", "mistake", "q (1 − q) stands where q belongs"),
        (_CROSS, "return -p / q * (dloss / len(p))", "mistake", "that is the gradient of q"),
    ],
    "mesa": [
        (_MESA, "return dloss * factor / (len(p) * temperature) * q", "missing term", "the term − dloss F/(B T) p is missing"),
        (_MESA, "return dloss * factor / (len(p) * temperature) * (p - q)", "sign", "has the wrong sign"),
        (_MESA, "return dloss * factor / (len(p) * temperature) * (q + p)", "sign", "− dloss F/(B T) p has the wrong sign"),
        (_MESA, "return dloss * factor / temperature * (q - p)", "missing factor", "the factor 1/B is missing"),
        (_MESA, "return dloss * factor / len(p) * (q - p)", "missing factor", "the factor 1/T is missing"),
        (_MESA, "return dloss / (len(p) * temperature) * (q - p)", "missing factor", "the factor F is missing"),
        (_MESA, "return factor / (len(p) * temperature) * (q - p)", "missing factor", "the factor dloss is missing"),
        (_MESA, "return dloss * factor * temperature / len(p) * (q - p)", "mistake", "multiplied by T"),
        (_MESA, "return dloss * factor / (p.size * temperature) * (q - p)", "mistake", "divided by all B·C entries"),
        (_MESA, "return dloss * factor / (p.shape[1] * temperature) * (q - p)", "mistake", "divided by the classes C"),
        (_MESA, "return dloss * factor / (len(p) * temperature) * (-p / q)", "mistake", "that is the gradient of q"),
        (_MESA, "return dloss * factor / (len(p) * temperature) * (log_q - p)", "mixed up", "log q stands where q belongs"),
    ],
    "silu": [
        (_SILU, "gate", "missing term", "the term dy x σ(x) (1 − σ(x)) is missing"),
        (_SILU, "x * gate * (1.0 - gate)", "missing term", "the term dy σ(x) is missing"),
        (_SILU, "gate * (1.0 - x * (1.0 - gate))", "sign", "the term dy x σ(x) (1 − σ(x)) has the wrong sign"),
        (_SILU, "gate * (1.0 + x)", "missing factor", "the factor (1 − σ(x)) is missing"),
        (_SILU, "gate * (1.0 + (1.0 - gate))", "missing factor", "the factor x is missing"),
        (_SILU, "(1.0 + x * (1.0 - gate))", "missing factor", "the factor σ(x) is missing"),
        (
            _SILU,
            "(gate + x * (1.0 - gate))",
            "missing factor",
            "in the term dy x σ(x) (1 − σ(x)): the factor σ(x) is missing",
        ),
        (_SILU, "gate * (1.0 + x * (1.0 + gate))", "mistake", "σ (1 − σ), not σ (1 + σ)"),
        (_SILU, "gate * (1.0 + x * gate)", "mixed up", "σ(x) stands where (1 − σ(x)) belongs"),
        ("dy * gate", "gate", "missing factor", "the factor dy is missing"),
        ("dy * gate", "dy + gate", "not linear", "something is added"),
        ("gate = sigmoid(x)", "gate = sigmoid(2.0 * x)", "mistake", "σ(2x) stands where σ(x) belongs"),
        (_SILU, "-gate * (1.0 + x * (1.0 - gate))", "sign", "has the wrong sign"),
        (
            _SILU,
            "gate * (1.0 + x * gate * (1.0 - gate))",
            "twice",
            "in the term dy x σ(x) (1 − σ(x)): the factor σ(x) is there twice",
        ),
    ],
    "gate": [
        (_GATE_DX, "dx = dy * z", "missing factor", "the factor σ(z) is missing"),
        (_GATE_DX, "dx = silu_forward(z)[0]", "missing factor", "the factor dy is missing"),
        (_GATE_DX, "dx = dy * x * silu_forward(z)[0]", "mistake", "x stands in its own gradient"),
        (_GATE_DX, "dx = dy * silu_forward(x)[0]", "mistake", "SiLU is taken of x"),
        (_GATE_DX, "dx = -dy * silu_forward(z)[0]", "sign", "has the wrong sign"),
        (_GATE_DX, "dx = dy * silu_forward(z)[0] ** 2", "mistake", "SiLU(z) is there twice"),
        (_GATE_DZ, "return dx, silu_backward(dy, z)", "missing factor", "the factor x is missing"),
        (_GATE_DZ, "return dx, silu_backward(dy * x, x)", "mistake", "SiLU is taken of x"),
        (_GATE_DZ, "return dx, dy * x * (z > 0)", "mistake", "the slope of ReLU"),
        (_GATE_DZ, "return silu_backward(dy * x, z), dx", "order", "come in the order dz and dx"),
        (_GATE_DZ, "return dx", "number", "expected 2: dx and dz"),
        (_GATE_DZ, "return dx, -silu_backward(dy * x, z)", "sign", "has the wrong sign"),
        (
            _GATE_DZ,
            "return dx, dy * x * silu_forward(z)[0] / z",
            "missing term",
            "the term dy x z σ(z) (1 − σ(z)) is missing",
        ),
    ],
    "softplus": [
        (_SOFTPLUS, "dy", "missing factor", "the factor σ(x) is missing"),
        (_SOFTPLUS, "-np.expm1(-y)", "missing factor", "the factor dy is missing"),
        (_SOFTPLUS, "dy * np.expm1(-y)", "sign", "has the wrong sign"),
        (_SOFTPLUS, "dy / (1.0 + np.exp(-y))", "mistake", "σ is taken of y; it belongs to x"),
        (_SOFTPLUS, "dy * np.exp(-y)", "mistake", "the factor is σ(−x)"),
        (_SOFTPLUS, "dy * -np.expm1(-y) * np.exp(-y)", "mistake", "one derivative too many"),
        (_SOFTPLUS, "dy * (1.0 + np.exp(-y))", "mistake", "1 + e⁻ʸ stands where 1 − e⁻ʸ belongs"),
        (_SOFTPLUS, "dy * -np.expm1(y)", "mistake", "1 − eʸ stands where 1 − e⁻ʸ belongs"),
        (_SOFTPLUS, "dy * np.expm1(y)", "mistake", "the factor eˣ lacks its denominator"),
        (_SOFTPLUS, "dy * (y > np.log(2.0))", "mistake", "[x > 0] is the slope of max(x, 0)"),
        (_SOFTPLUS, "dy * y", "mixed up", "y stands where σ(x) belongs"),
        (_SOFTPLUS, "dy / -np.expm1(-y)", "inverse", "divided by σ(x)"),
        (_SOFTPLUS, "dy * dy * -np.expm1(-y)", "twice", "the factor dy is there twice"),
    ],
    "gelu": [
        ("(cdf(x) + x * pdf(x))", "cdf(x)", "missing term", "the term dy x φ(x) is missing"),
        ("(cdf(x) + x * pdf(x))", "x * pdf(x)", "missing term", "the term dy Φ(x) is missing"),
        ("cdf(x) + x * pdf(x)", "cdf(x) - x * pdf(x)", "sign", "the term dy x φ(x) has the wrong sign"),
        ("cdf(x) + x * pdf(x)", "cdf(x) + pdf(x)", "missing factor", "the factor x is missing"),
        (" / math.sqrt(2 * math.pi)", "", "missing factor", "the factor 1/√(2π) is missing"),
        ("-x * x / 2", "-x * x", "mistake", "without the 1/2"),
        ("-x * x / 2", "x * x / 2", "mistake", "the exponent of φ has the wrong sign"),
        ("math.sqrt(2 * math.pi)", "math.sqrt(math.pi)", "mistake", "divided by √π"),
        ("cdf(x) + x * pdf(x)", "(1 + erf(x)) / 2 + x * pdf(x)", "mistake", "erf takes x/√2"),
        ("cdf(x) + x * pdf(x)", "erf(x / math.sqrt(2)) + x * pdf(x)", "mistake", "erf alone is not Φ"),
        ("dy * (cdf(x)", "(cdf(x)", "missing factor", "the factor dy is missing"),
        (
            "(1 + tanh + x * (1 - tanh * tanh) * du)",
            "(1 + tanh)",
            "missing term",
            "the term dy/2 x (1 − tanh² u) u' is missing",
        ),
        ("(1 - tanh * tanh) * du", "(1 - tanh * tanh)", "missing factor", "the factor u' is missing"),
        ("(1 - tanh * tanh) * du", "(1 - tanh) * du", "mistake", "1 − tanh², not 1 − tanh"),
        ("0.134145 * x", "0.044715 * x", "mistake", "the 3 of (x³)' = 3x² is missing"),
        ("du = SQRT_2_OVER_PI * (1 ", "du = (1 ", "mistake", "√(2/π) is missing in u'"),
        ("dy / 2 * (1 + tanh", "dy * (1 + tanh", "missing factor", "the factor 1/2 is missing"),
        ("1 + tanh + x", "1 + tanh - x", "sign", "the term dy/2 x (1 − tanh² u) u' has the wrong sign"),
    ],
    "dropout": [
        (_DROP, "return dy", "missing factor", "the factor m is missing"),
        (_DROP, "return dy * (cache > 0)", "mistake", "the factor 1/(1 − p) of what was kept is missing"),
        (_DROP, "return dy * (cache == 0)", "mistake", "goes through what was dropped"),
        (_DROP, "return dy * (1.0 - cache)", "mistake", "1 − m stands where m belongs"),
        (_DROP, "return dy * cache.max()", "mistake", "all is scaled by 1/(1 − p)"),
        (_DROP, "return cache", "missing factor", "the factor dy is missing"),
        (_DROP, "return dy * cache * cache", "twice", "the factor m is there twice"),
        (_DROP, "return dy / cache.max() * (cache > 0)", "mistake", "scaled by 1 − p"),
        (_DROP, "return np.where(cache > 0, dy * cache, dy)", "mistake", "what was dropped gets dy unscaled"),
        (_DROP, "return dy * cache.mean(axis=0)", "mistake", "the average of the mask"),
        (_DROP, "return -dy * cache", "sign", "has the wrong sign"),
        (_DROP, "return dy * cache[0]", "mistake", "only the mask of the first sample"),
        (_DROP, "return dy * cache / cache.sum()", "mistake", "divided by its sum or mean"),
        (_DROP, "return dy * np.roll(cache, 1, axis=0)", "mistake", "the mask of the sample before"),
    ],
    "drop_path": [
        (_DROP, "return dy", "missing factor", "the factor m is missing"),
        (_DROP, "return dy * (cache > 0)", "mistake", "the factor 1/(1 − p) of what was kept is missing"),
        (_DROP, "return dy * (cache == 0) * cache.max()", "mistake", "goes through what was dropped"),
        (_DROP, "return dy * (1.0 - cache)", "mistake", "1 − m stands where m belongs"),
        (_DROP, "return dy * cache.max()", "mistake", "all is scaled by 1/(1 − p)"),
        (_DROP, "return np.broadcast_to(cache, dy.shape)", "missing factor", "the factor dy is missing"),
        (_DROP, "return dy * cache[:, 0]", "mistake", "the mask has lost an axis"),
        (_DROP, "return (dy * cache).sum(axis=(1, 2))", "sum too many", "summed over the axes L and C"),
        (_DROP, "return dy * cache.mean()", "mistake", "the average of the mask"),
        (_DROP, "return dy * cache[::-1]", "mistake", "the mask is taken in reverse order"),
        (_DROP, "return dy / cache", "not finite", "look for a division by 0"),
        (_DROP, "return dy * cache / cache.mean()", "mistake", "divided by its sum or mean"),
        (_DROP, "return cache * dy.mean(axis=0)", "averaged", "averaged along B"),
        (_DROP, "return -dy * cache", "sign", "has the wrong sign"),
    ],
    "rmsnorm": [
        (" - x_hat * row_mean(g * x_hat)", "", "missing term", "the term − r x̂ ⟨g x̂⟩ is missing"),
        ("g - x_hat * row_mean", "g - row_mean(g) - x_hat * row_mean", "mistake", "⟨g⟩ is subtracted"),
        ("g - x_hat * row_mean", "g + x_hat * row_mean", "sign", "the term − r x̂ ⟨g x̂⟩ has the wrong sign"),
        ("dx = rstd * (g", "dx = (g", "missing factor", "the factor r is missing"),
        ("dx = rstd * (g", "dx = 1 / rstd * (g", "mistake", "1/r stands where r belongs"),
        ("g = weight * dy", "g = 1.0 * dy", "mistake", "g lacks γ"),
        ("x_hat = x * rstd\n    g", "x_hat = x\n    g", "mistake", "x, not standardised, stands where x̂ belongs"),
        ("row_mean(g * x_hat)", "(g * x_hat).sum(axis=-1, keepdims=True)", "mistake", "a sum stands there"),
        ("- x_hat * row_mean(g * x_hat)", "- row_mean(g * x_hat)", "missing factor", "the factor x̂ is missing"),
        (_RMSNORM_RETURN, "return dx, sum_rows(dy)", "missing factor", "the factor x̂ is missing"),
        (_RMSNORM_RETURN, "return dx, dy * x_hat", "missing sum", "the sum over the axes B and L is missing"),
        (_RMSNORM_RETURN, "return dx", "number", "expected 2: dx and dweight"),
        (_RMSNORM_RETURN, "return -dx, sum_rows(dy * x_hat)", "sign", "has the wrong sign"),
    ],
    "layernorm": [
        ("g - row_mean(g) - x_hat", "g - x_hat", "missing term", "the term − r ⟨g⟩ is missing"),
        (" - x_hat * row_mean(g * x_hat)", "", "missing term", "the term − r x̂ ⟨g x̂⟩ is missing"),
        (_LAYERNORM_DX, "rstd * g", "missing term", "the term − r ⟨g⟩ is missing and the term − r x̂ ⟨g x̂⟩ is missing"),
        ("g - row_mean(g) - x_hat", "g + row_mean(g) - x_hat", "sign", "the term − r ⟨g⟩ has the wrong sign"),
        ("dx = rstd * (g", "dx = (g", "missing factor", "the factor r is missing"),
        ("dx = rstd * (g", "dx = 1 / rstd * (g", "mistake", "1/r stands where r belongs"),
        ("g = weight * dy", "g = 1.0 * dy", "mistake", "g lacks γ"),
        (
            _LAYERNORM_X_HAT,
            "x - mean\n    g = weight",
            "mistake",
            "x − μ, without its factor r, stands where x̂ belongs",
        ),
        (_LAYERNORM_X_HAT, "x * rstd\n    g = weight", "mistake", "μ is not subtracted in x̂"),
        ("row_mean(g * x_hat)", "(g * x_hat).sum(axis=-1, keepdims=True)", "mistake", "a sum stands there"),
        ("- x_hat * row_mean(g * x_hat)", "- row_mean(g * x_hat)", "missing factor", "the factor x̂ is missing"),
        (
            "sum_rows(dy * x_hat), sum_rows(dy)",
            "sum_rows(dy * x), sum_rows(dy)",
            "mistake",
            "x, not standardised, stands where x̂ belongs",
        ),
        (
            "sum_rows(dy * x_hat), sum_rows(dy)",
            "sum_rows(dy), sum_rows(dy * x_hat)",
            "order",
            "come in the order dx, dbias and dweight",
        ),
        (
            "return dx, sum_rows(dy * x_hat)",
            "return dx, dy * x_hat",
            "missing sum",
            "the sum over the axes B and L is missing",
        ),
        ("return dx, sum_rows", "return dx.reshape(-1, x.shape[-1]), sum_rows", "shape", "reshape them"),
        ("sum_rows(dy * x_hat)", "sum_rows(g * x_hat)", "mixed up", "g stands where dy belongs"),
    ],
    "batchnorm": [
        (
            "x, weight, mean, rstd, _, n = cache",
            "x, weight, mean, rstd, variance, n = cache\n    rstd = variance**-0.5",
            "rounded",
            "a small constant such as ε",
        ),
        (
            'dbias of (2) and (3). Of a share, dweight and dbias are its part of the sums."""',
            '"""\n    dy = dy.astype(np.float32)',
            "rounded",
            "is it computed in float32",
        ),
        (_BATCH_DX, "weight * rstd * dy", "missing term", "the term − r ⟨g⟩ is missing and the term − r x̂ ⟨g x̂⟩ is missing"),
        ("g - mean_g - x_hat * mean_g_x_hat", "g - mean_g", "missing term", "the term − r x̂ ⟨g x̂⟩ is missing"),
        ("g - mean_g - x_hat", "g - x_hat", "missing term", "the term − r ⟨g⟩ is missing"),
        ("g - mean_g - x_hat", "g + mean_g - x_hat", "sign", "the term − r ⟨g⟩ has the wrong sign"),
        ("weight * dbias_all / n, weight * dweight_all / n", "dbias_all / n, dweight_all / n", "mistake", "g lacks γ"),
        ("return rstd * (g -", "return (g -", "missing factor", "the factor r is missing"),
        (
            _BATCH_DX,
            "weight * rstd * (dy - mean_g / weight - (x - mean) * mean_g_x_hat / weight)",
            "missing factor",
            "in the term − r x̂ ⟨g x̂⟩: the factor r is missing",
        ),
        (
            "weight * dbias_all / n, weight * dweight_all / n",
            "weight * dbias_all, weight * dweight_all",
            "mistake",
            "a sum stands there",
        ),
        (
            "weight * dbias_all / n, weight * dweight_all / n",
            "weight * dbias_all / (n - 1), weight * dweight_all / (n - 1)",
            "mistake",
            "divided by n − 1",
        ),
        (
            "return sum_rows(dy * x_hat), sum_rows(dy)",
            "return sum_rows(dy * x_hat / rstd), sum_rows(dy)",
            "mistake",
            "x − μ, without its factor r, stands where x̂ belongs",
        ),
        ("dx = rstd * weight * dy", "dx = weight * dy", "missing factor", "the factor r is missing"),
        (
            "dx = rstd * weight * dy",
            "g = dy * weight * rstd\n    dx = g - g.mean(axis=(0, 1))",
            "mistake",
            "the running statistics are constants",
        ),
        ("dx = rstd * weight * dy", "dx = rstd * dy", "mistake", "g lacks γ"),
        (
            "return dx, *parameter_gradients(dy, x, mean, rstd)",
            "return dx, *parameter_gradients(dy, x, mean, rstd)[::-1]",
            "order",
            "come in the order dx, dbias and dweight",
        ),
    ],
    "window": [
        (
            "windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, Hp",
            "windows.reshape(-1, Hp",
            "mistake",
            "reshaped without a transposition",
        ),
        (
            "windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, Hp",
            "windows.transpose(0, 1, 4, 2, 3, 5).reshape(-1, Hp",
            "mistake",
            "rows and columns inside a window are exchanged",
        ),
        ("return x_padded[:, :H, :W]", "return x_padded", "too large", "the padding is not cropped"),
        ("return x_padded[:, :H, :W]", "return x_padded[:, Hp - H :, Wp - W :]", "mistake", "cropped elsewhere"),
        ("return x_padded[:, :H, :W]", "return x_padded[:, :H, Wp - W :]", "mistake", "cropped elsewhere"),
        ("return x_padded[:, :H, :W]", "return x_padded[:, :H, :W][:, ::-1]", "reversed", "along H"),
        (
            "windows = tokens.reshape(",
            "windows = tokens[:, ::-1].reshape(",
            "mistake",
            "the order of the pixels in a window is reversed",
        ),
        (
            _WINDOWS,
            _WINDOWS.replace("Hp // P, Wp // P", "Wp // P, Hp // P") + ".transpose(0, 2, 1, 3, 4, 5)",
            "mistake",
            "column by column",
        ),
        (
            _WINDOWS,
            _WINDOWS.replace("-1, Hp // P, Wp // P", "Hp // P, Wp // P, -1") + ".transpose(2, 0, 1, 3, 4, 5)",
            "mistake",
            "the batch is taken for the fastest axis",
        ),
        ("return x_padded[:, :H, :W]", "return -x_padded[:, :H, :W]", "sign", "has the wrong sign"),
        ("return x_padded[:, :H, :W]", "return x_padded[:, :H, :W] / P**2", "factor", "1/4 (P·P or B·C)"),
        (
            "return x_padded[:, :H, :W]",
            "return x_padded[::-1, :H, :W]",
            "mistake",
            "the images of the batch are in reverse order",
        ),
        ("return x_padded[:, :H, :W]", "return np.swapaxes(x_padded[:, :H, :W], 1, 2)", "transposed", "it is transposed"),
    ],
    "attention": [
        (f"{_DQ}\n    {_DK}", "dq, dk = ds @ k, transposed(ds) @ q", "mistake", "the factor 1/√d of the scores is missing"),
        (
            f"{_DQ}\n    {_DK}",
            "dq, dk = ds @ k / q.shape[-1], transposed(ds) @ q / q.shape[-1]",
            "mistake",
            "the factor is 1/d, expected 1/√d",
        ),
        (_DS, "ds = da if dropout is None else dropout * da", "mistake", "softmax's backward is missing"),
        (
            _DS,
            "ds = a * (da if dropout is None else dropout * da)",
            "missing term",
            "the term − a (Σ_j da_j a_j) k/√d is missing",
        ),
        (_DK, _DK.replace("transposed(ds)", "ds"), "mistake", "is not transposed where keys or values gather from queries"),
        (_DV, "dv = (a if dropout is None else dropout * a) @ do", "mistake", "is not transposed where keys or values gather"),
        (_DQ, _DQ.replace("@ k", "@ q"), "mixed up", "q stands where k belongs"),
        (_DK, _DK.replace("@ q", "@ k"), "mixed up", "k stands where q belongs"),
        (_DS, "ds = softmax_backward(da, a)", "mistake", "the dropout mask m is missing"),
        (_DV, "dv = transposed(a) @ do", "mistake", "the dropout mask m is missing"),
        ("da = do @ transposed(v)", "da = do @ transposed(k)", "mistake", "da is made with k"),
        ("    return dq, dk, dv", "    return dq, dv, dk", "order", "come in the order dq, dv and dk"),
        (_DQ, _DQ.replace("ds @", "-ds @"), "sign", "has the wrong sign"),
        (
            _DS,
            "da = da if dropout is None else dropout * da\n    ds = a * (da - (da * a).sum(-2, keepdims=True))",
            "mistake",
            "runs over the queries",
        ),
        (_DV, _DV.replace("@ do", "@ v"), "mixed up", "v stands where do belongs"),
    ],
    "conv1d": [
        ("weight[:, 0, K - 1 - k] * dy", "weight[:, 0, k] * dy", "mistake", "the kernel runs the wrong way round"),
        (_CONV1D_DX, _CONV1D_DX.replace("range(K)", "range(K - 1)"), "missing term", "of tap k = 0 is missing"),
        (_CONV1D_DX, _CONV1D_OVERWRITTEN, "mistake", "the taps overwrite each other"),
        (_CONV1D_DX, _CONV1D_DX.replace("weight", "(-1) ** (k == K - 1) * weight"), "sign", "of tap k = 0 has the wrong sign"),
        (_CONV1D_DX, _CONV1D_DX.replace("range(K)", "range(K) if k != K - 2"), "missing term", "of tap k = 1 is missing"),
        (
            "sum_rows(dy * x_padded[:, k : k + L])",
            "sum_rows(dy * (x_padded[:, k : k + L] if k != 1 else 0 * x))",
            "missing term",
            "of tap k = 1 is missing",
        ),
        (
            "sum_rows(dy * x_padded[:, k : k + L])",
            "sum_rows(x * dy_padded[:, k : k + L])",
            "mistake",
            "the kernel runs the wrong way round",
        ),
        (
            "    return dx, xp.stack(dw, axis=1)[:, None],",
            "    return dx, xp.stack(dw, axis=1)[:, None] / (len(x) * L),",
            "factor",
            "1/10 (B·L)",
        ),
        ("else sum_rows(dy)", "else dy", "missing sum", "the sum over the axes B and L is missing"),
        (
            "else sum_rows(dy)",
            "else dy.sum(axis=1)",
            "missing sum",
            "the sum over the axis 0 of this array is missing",
        ),
        ("else sum_rows(dy)", "else dy.mean(axis=(0, 1))", "factor", "1/10 (B·L)"),
        ("xp.stack(dw, axis=1)[:, None], None", "xp.stack(dw, axis=1), None", "shape", "reshape them"),
        ("    return dx, xp.stack", "    return -dx, xp.stack", "sign", "has the wrong sign"),
        ("weight[:, 0, K - 1 - k] * dy", "weight[:, 0, p] * dy", "mistake", "the middle tap is used for all"),
    ],
    "conv2d": [
        ("X.T @ dY", "X.T @ dY * 2", "factor", "a factor"),
        ("X.T @ dY", "X.T @ -dY", "sign", "has the wrong sign"),
        ("X.T @ dY", "X.T @ dY / len(dY)", "factor", "a mean stands where a sum belongs"),
        ("before + dX", "dX", "mistake", "the last one overwrites the others"),
        (_COL2IM, "dX[:, (kernel[0] * kernel[1] - 1 - k) * I :][:, :I]", "mistake", "turned by 180°"),
        (
            _COL2IM,
            "dX[:, (k % kernel[1] * kernel[0] + k // kernel[1]) * I :][:, :I]",
            "mistake",
            "rows and columns i and j are exchanged",
        ),
        ("dx_padded[:, ph : ph + H, pw : pw + W]", "dx_padded[:, :H, :W]", "mistake", "cropped at the wrong place"),
        ("dx_padded[:, ph : ph + H, pw : pw + W]", "dx_padded[:, 2 * ph :, 2 * pw :]", "mistake", "cropped at the wrong place"),
        ("dx_padded[:, ph : ph + H, pw : pw + W]", "dx_padded", "too large", "the padding is not cropped"),
        (_CONV2D_DW, _CONV2D_DW.replace("3, 2, 0, 1", "3, 2, 1, 0"), "mistake", "rows and columns i and j are exchanged"),
        (_CONV2D_DW, _CONV2D_DW.replace("3, 2, 0, 1", "2, 3, 0, 1"), "transposed", "it is transposed"),
        (_CONV2D_DW, _CONV2D_DW + "[:, :, ::-1, ::-1]", "mistake", "turned by 180°"),
        ("sum_rows(dY) if has_bias", "dy if has_bias", "missing sum", "the sum over the axes B, H and W is missing"),
        (
            "sum_rows(dY) if has_bias",
            "dy.sum(axis=0) if has_bias",
            "missing sum",
            "the sum over the axes 0 and 1 of this array is missing",
        ),
        ("X, dY = im2col(x,", "X, dY = im2col(x[:, ::-1],", "reversed", "x is read the wrong way round along its axis 1"),
        ("return dx, dweight, sum_rows(dY)", "return dx, None, sum_rows(dY)", "kind", "is None, expected an array"),
    ],
    "winograd": [
        ("turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)", "turned = weight.swapaxes(0, 1)", "mistake", "turned by 180°"),
        (
            "turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)",
            "turned = weight[:, :, ::-1].swapaxes(0, 1)",
            "mistake",
            "the kernel's columns run the wrong way round",
        ),
        (
            "turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)",
            "turned = weight[:, :, :, ::-1].swapaxes(0, 1)",
            "mistake",
            "the kernel's rows run the wrong way round",
        ),
        (
            "turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)",
            "turned = weight[:, :, ::-1, ::-1]",
            "mistake",
            "input and output channels are exchanged",
        ),
        ("around = (TAPS - 1 - padding[0], TAPS - 1 - padding[1])", "around = (0, 0)", "too small", "the border is missing"),
        (
            "around = (TAPS - 1 - padding[0], TAPS - 1 - padding[1])",
            "around = (TAPS - 1, TAPS - 1)",
            "too large",
            "the padding is not cropped",
        ),
        ("dU = V.swapaxes(1, 2) @ dY", "dU = -V.swapaxes(1, 2) @ dY", "sign", "has the wrong sign"),
        ("dw = G.T @ dU", "dw = 2 * G.T @ dU", "factor", "a factor"),
        (
            ".reshape(TAPS, TAPS, I, O).transpose(3, 2, 0, 1)",
            ".reshape(TAPS, TAPS, I, O).transpose(3, 2, 1, 0)",
            "mistake",
            "rows and columns i and j are exchanged",
        ),
        (
            ".reshape(TAPS, TAPS, I, O).transpose(3, 2, 0, 1)",
            ".reshape(TAPS, TAPS, I, O).transpose(2, 3, 0, 1)",
            "transposed",
            "it is transposed",
        ),
        (
            ".reshape(TAPS, TAPS, I, O).transpose(3, 2, 0, 1)",
            ".reshape(TAPS, TAPS, I, O)[::-1, ::-1].transpose(3, 2, 0, 1)",
            "mistake",
            "turned by 180°",
        ),
        (
            "return dx, dweight, sum_rows(dy) if has_bias else None",
            "return dx, dweight, dy if has_bias else None",
            "missing sum",
            "the sum over the axes B, H and W is missing",
        ),
        (
            "return dx, dweight, sum_rows(dy) if has_bias else None",
            "return dx, dweight, dy.mean(axis=(0, 1, 2)) if has_bias else None",
            "factor",
            "has a factor",
        ),
        ("dw = G.T @ dU", "dw = G @ dU", "product", "a transposition is missing"),
    ],
    "linear_recurrence": [
        (_ADJOINT, "g = dh", "missing term", "the term a_(t+1) g_(t+1) is missing"),
        (_ADJOINT, _ADJOINT.replace("a_next[", "a["), "mistake", "g_t takes the decay of its own step"),
        (_ADJOINT, _ADJOINT.replace("a_next[::-1]", "np.ones_like(a)"), "mistake", "g_t has no decay"),
        (_ADJOINT, _ADJOINT.replace("a_next[", "-a_next["), "mistake", "has the wrong sign"),
        (_ADJOINT, "g = METHODS[method](a, dh, zero[0])", "mistake", "g runs forward in time"),
        (
            _RECURRENCE_RETURN,
            _RECURRENCE_RETURN.replace("g * h_before", "g * h"),
            "mistake",
            "h_t stands where h_(t−1) belongs",
        ),
        (
            _RECURRENCE_RETURN,
            _RECURRENCE_RETURN.replace("g * h_before", "np.concatenate([g[:1] * 0, g[:-1]]) * h_before"),
            "mistake",
            "g_(t−1) stands where g_t belongs",
        ),
        (
            _RECURRENCE_RETURN,
            _RECURRENCE_RETURN.replace("g * h_before", "dh * h_before"),
            "mistake",
            "nothing comes back from later steps",
        ),
        (_H_BEFORE, "h_before = xp.concatenate([zero, h[:-1]])", "mistake", "at the first step h_(−1) is the start"),
        (_RECURRENCE_RETURN, _RECURRENCE_RETURN.replace("a[0] * g", "g"), "missing factor", "the factor a_0 is missing"),
        (_RECURRENCE_RETURN, _RECURRENCE_RETURN.replace("a[0] * g", "a[1] * g"), "mistake", "a_1 stands where a_0 belongs"),
        (
            _RECURRENCE_RETURN,
            _RECURRENCE_RETURN.replace("g * h_before, g", "g, g * h_before"),
            "order",
            "come in the order dinputs, ddecay and dstart",
        ),
        (_RECURRENCE_RETURN, _RECURRENCE_RETURN.replace("a[0] * g[0]", "a * g"), "too large", "only that of the first index"),
        (_ADJOINT, "g = dh + a_next * np.concatenate([dh[1:], zero])", "mistake", "only one step comes back"),
        (_RECURRENCE_RETURN, "return g * h_before, g", "number", "expected 3: ddecay, dinputs and dstart"),
    ],
    "selective_scan": [
        (_G, "pass", "mistake", "nothing comes back from later steps"),
        (_G, _G.replace("+ decay[:, t + 1]", "- decay[:, t + 1]"), "mistake", "comes back from later steps has the wrong sign"),
        (_G, _G.replace("decay[:, t + 1]", "decay[:, t]"), "mistake", "g_t takes the decay of its own step"),
        ("e = g * h_before * decay", "e = g * h_before", "mistake", "the factor exp(Δ_t A) of e_t is missing"),
        ("e = g * h_before * decay", "e = g * h * decay", "mistake", "h_t stands where h_(t−1) belongs"),
        (_SCAN_DX, "dx = delta * g_B", "missing term", "the term D dy_t is missing"),
        (_SCAN_DX, "dx = g_B + D * dy", "missing factor", "the factor Δ_t is missing"),
        (_SCAN_DX, "dx = D * dy", "missing term", "the term Δ_t Σ_n g_t B_t is missing"),
        ("e, A.T) + x * g_B", "e, A.T)", "missing term", "the term x_t Σ_n g_t B_t is missing"),
        ('xp.einsum("blnd,nd->bld", e, A.T) + x', "x", "missing term", "the term Σ_n e_t A is missing"),
        (
            "softplus_backward(ddelta, delta) if softplus else ddelta",
            "ddelta",
            "mistake",
            "the slope 1 − e^−Δ of softplus is missing",
        ),
        ("g, delta * x)", "g, x)", "missing factor", "the factor Δ_t is missing"),
        ("g, delta * x)", "g, delta)", "missing factor", "the factor x is missing"),
        ("sum_rows(e * delta[:, :, None, :], axes=2)", "sum_rows(e, axes=2)", "missing factor", "the factor Δ_t is missing"),
        ("dy, h)", "dy, g)", "mixed up", "g stands where h_t belongs"),
        ("axes=2).T", "axes=2)", "transposed", "it is transposed"),
        ("sum_rows(ddt) if has_bias", "ddt if has_bias", "missing sum", "the sum over the axes b and l is missing"),
        ("sum_rows(dy * x)", "sum_rows(dy)", "missing factor", "the factor x is missing"),
    ],
    "checkpointed_scan": [
        ("dh[-1] = dh[-1] + c", "pass", "mistake", "nothing comes back over the border of two blocks"),
        ("dh[-1] = dh[-1] + c", "dh[-1] = dh[-1] - c", "mistake", "over the border of two blocks has the wrong sign"),
        ("e = da * recurrence[0]", "e = da", "mistake", "the factor exp(Δ_t A) of e_t is missing"),
        ("delta_b * g_B + D * dy_b", "delta_b * g_B", "missing term", "the term D dy_t is missing"),
        ("e, A.T) + x_b * g_B", "e, A.T)", "missing term", "the term x_t Σ_n g_t B_t is missing"),
        ("softplus_backward(ddelta, delta_b) if softplus else ddelta", "ddelta", "mistake", "the slope 1 − e^−Δ of softplus"),
        ("g, delta_b * x_b)", "g, x_b)", "missing factor", "the factor Δ_t is missing"),
        ("dy_b, h)", "dy_b, g)", "mixed up", "g stands where h_t belongs"),
        ("sum_rows(dy_b * x_b)", "sum_rows(dy_b)", "missing factor", "the factor x is missing"),
        ("sum_rows(ddt) if has_bias", "ddt if has_bias", "missing sum", "the sum over the axes b and l is missing"),
        ("return dx, ddt, dA,", "return dx, ddt, dA.T,", "transposed", "it is transposed"),
    ],
}
