"""Formulas of comments: which pieces of a sentence are some, and what they are in LaTeX."""

import pytest


def formulas(text):
    from plain_math import cut, latex

    pieces = list(cut(text))
    assert "".join(piece for piece, _ in pieces) == text
    return [" ".join(latex(piece).split()) for piece, formula in pieces if formula]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x_j raises its own weight", ["x_{j}"]),
        ("∂x̂_i/∂x_j = r (δ_ij − 1/C − x̂_i x̂_j / C). Summed", [
            r"\partial \hat x_{i}/\partial x_{j} = r (\delta _{ij} - 1/C - \hat x_{i} \hat x_{j} / C)"
        ]),
        ("taps y_h = Σ_i w_i x_(h + i − p) gives dx_s", [r"y_{h} = \sum_{i} w_{i} x_{h + i - p}", r"\mathrm d x_{s}"]),
        ("h_t = exp(a) h_(t−1) + …, so", [r"h_{t} = \exp (a) h_{t-1} + \dots"]),
        ("with a = Δ_t A. The factor exp(a) is easily forgotten", [r"a = \Delta _{t} A", r"\exp (a)"]),
        ("uniform in ±1/√(I Kh Kw).", [r"\pm 1/\sqrt{I K_h K_w}"]),
        ("of Π_(j≠i) (z − p_j), Lagrange's", [r"\prod_{j\ne i} (z - p_{j})"]),
        ("outputs y = Aᵀ [(G g) (T d)] of six", [r"y = A^{\mathsf T} [(G g) (T d)]"]),
        ("⟨g⟩ = γ dβ / n, of the whole batch", [r"\langle g\rangle = \gamma \mathrm d \beta / n"]),
        ("with Φ' = φ", [r"\Phi ' = \varphi"]),
        ("in 2 log₂ k rounds", [r"2 \log _{2} k"]),
        ("softmax: max(x, 0), entry by entry", [r"\max (x, 0)"]),
        ("A = −exp(A_log) is negative", [r"A = -\exp (A_{\text{log}})"]),
        ("over √v̂ + ε", [r"\sqrt{\hat v} + \varepsilon"]),
        ("exp(ΔA) is the hold", [r"\exp (\Delta A)"]),
        ("Δ = dt + b", [r"\Delta = dt + b"]),
    ],
)  # fmt: skip
def test_formulas(text, found):
    assert formulas(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "y of (1), and the cache. Raises InputError unless x is (B, L, D).",
        "A decay of 0 counts as the smallest number, and I say so: a step is a map",
        "dx, dweight, dbias of (2) and (3); dbias is None where there was no bias.",
        "X of (2), (B·H'·W', Kh·Kw·I): tap (i, j) of all patches is a slice of the padded image.",
        "`d_state`, dt_bias and v05_noz are names; so is A_log",
        "the mixer's x, 0..C−1, and/or, 3x3, 1e-5",
        "q = softmax(z)",
        "y = log(1 + eˣ)",
        "",
    ],
)
def test_what_is_prose(text):
    assert formulas(text) == []
