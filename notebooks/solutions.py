"""What the notebooks' questions are about: the right answer, a hint for a wrong one, and the reason for a right one.

Kept here so that whoever reads a question does not read its answer with it. `QUESTIONS[2, 3]` is question 3 of notebook 2. A
`truth` or a `test` is given the names of the notebook as attributes: what stands in its cells so far can be compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import mvnp


@dataclass(frozen=True)
class Question:
    """`truth(names)` gives the answer; where there are several, `test(answer, names)` says whether one is right."""

    hint: str
    why: str
    truth: Callable[[Any], Any] | None = None
    test: Callable[[Any, Any], bool] | None = None
    tolerance: float = 1e-3


def _remembers(steps: Any, n: Any) -> bool:
    return abs(n.scan_one(n.x, np.where(n.marked, *steps))[-1] - 2.0) < 0.01


def _reconstructs(attention: Any, n: Any) -> bool:
    given, x, y = (n.dt, n.A, n.B, n.C), n.x, n.y
    return all(np.allclose(attention(*given, c) @ x[:, c] + n.D[c] * x[:, c], y[:, c]) for c in range(n.channels))


def _wrong_by(n: Any) -> float:
    delta = np.log1p(np.exp(n.dt))
    decay = np.exp(delta[..., None] * n.A)
    g, following = np.zeros_like(n.h), np.zeros_like(n.A)
    for t in reversed(range(n.L)):
        g[t] = n.dy[t][:, None] * n.C[t] + following
        following = decay[t] * g[t]
    return (g * n.h * decay * delta[..., None]).sum(axis=0)[0, 0] - n.dA[0, 0]


def _is_linear_backward(backward: Any, n: Any) -> bool:
    dy, x, W = n.dy, n.x, n.W
    expected = np.einsum("no,oi->ni", dy, W), np.einsum("no,ni->oi", dy, x), np.einsum("no->o", dy)
    found = backward(dy, x, W)
    return all(a.shape == b.shape and np.allclose(a, b) for a, b in zip(found, expected, strict=True))


def _is_variance_gradient(gradient: Any, n: Any) -> bool:
    x = n.rng.standard_normal(7)
    return np.allclose(gradient(x), [(np.var(x + d) - np.var(x - d)) / 2e-5 for d in 1e-5 * np.eye(7)], rtol=1e-6)


def _passes_gradcheck(backward: Any, n: Any) -> bool:
    report = mvnp.gradcheck(n.standardise, backward, {"x": n.rng.standard_normal((4, 6))}, name="standardise")
    print(report)
    return report.ok


def _moved_more(n: Any) -> str:
    rates = np.abs(np.log(-n.after.A) - np.log(-n.before.A)).mean()
    steps = np.abs(np.log(n.after.delta.mean(axis=(0, 1))) - np.log(n.before.delta.mean(axis=(0, 1)))).mean()
    return "A" if rates > steps else "delta"


def _gives_the_scan(function: Any, n: Any) -> bool:
    scan = n.scan
    y = np.einsum("wln,wldn->wld", scan.C, scan.states) + scan.D * scan.x
    return np.allclose(function(n.alpha, scan.x, scan.D), y, atol=1e-4 * np.abs(y).max())


def _far_share(n: Any) -> float:
    row = np.abs(n.alpha[0, :, 15]).mean(axis=0)
    return row[:11].sum() / row.sum()


def _most_taken(n: Any) -> int:
    row = n.rollout(n.level_matrices(n.seen, "levels.2").values())[-1, 0, 5].copy()
    row[5] = 0
    return int(row.argmax())


def _missed(n: Any) -> str:
    found = n.relevance(n.model, n.image)
    share = abs(found.pixels.sum() + sum(found.biases.values()) - found.logit) / abs(found.logit)
    return "nothing but rounding" if share < 1e-3 else "a few percent" if share < 0.1 else "more"


def _way_back(n: Any) -> str:
    alpha = n.hidden_attention_of([n.back])[0, 0]
    below, above = np.tril(alpha, -1).any(), np.triu(alpha, 1).any()
    return "full" if below and above else "lower" if below else "upper"


def _gives_both_scans(function: Any, n: Any) -> bool:
    y = sum(
        scan.weight * (np.einsum("wln,wldn->wld", scan.C, scan.states) + scan.D * scan.x)[:, np.argsort(scan.order)]
        for scan in (n.there, n.back)
    )
    return np.allclose(function((n.there, n.back)), y, atol=1e-4 * np.abs(y).max())


def _mostly_by_row(n: Any) -> str:
    def row_over_column(model: Any) -> float:
        """How much token (4, 4) takes from its row, over how much from its column, beyond the neighbours."""
        (scans,) = n.internals(model, n.image).routes.values()
        tokens = scans[0].tokens
        _, query = tokens.find(4, 4)
        takes = tokens.spread(0, np.abs(n.hidden_attention_of(scans))[0, :, query].mean(axis=0))
        far = [0, 1, 2, 6, 7]
        return takes[4, far].sum() / takes[far, 4].sum()

    names = [name for name, model in (("Vim", n.vim), ("VMamba", n.vmamba)) if row_over_column(model) > 1.5]
    return "both" if len(names) == 2 else names[0] if names else "neither"


QUESTIONS = {
    (1, 1): Question("τ = −1 / ln a, with the natural logarithm.", "About four and a half tokens.", lambda n: -1 / np.log(0.8)),
    (1, 2): Question("It is e^(ΔA), and e^(ln 2) = 2.", "A quarter: 2 to the power −2.", lambda n: np.exp(np.log(2) * -2)),
    (1, 3): Question(
        "With Δ = 1 the marked token is written with weight 1. How small must the other steps be for the rest not to matter?",
        "With Δ of nearly 0, e^(ΔA) is nearly 1 and ΔB nearly 0: the token is neither written nor does it fade anything.",
        test=_remembers,
    ),
    (1, 4): Question("Half the channels, times the states of each.", "1280 numbers, whatever the length.", lambda n: 160 * 8),
    (1, 5): Question(
        "With S the cumulative sum of Δ, the exponent is (S_t − S_s) A: negative below the diagonal, since A is.",
        "Weights times inputs give the outputs: the scan is a linear map of x once Δ, B and C are known.",
        test=_reconstructs,
    ),
    (1, 6): Question("Wrong minus right, with h in the place of before in the last line of backward.", "Far off.", _wrong_by),
    (1, 7): Question("Each round halves the number of pieces.", "2 to the power 14 is 16,384.", lambda n: 14),
    (2, 1): Question(
        "dx is dy @ W. For dW, which of dy and x has to be transposed so that the shape comes out as (O, I)? db is a sum.",
        "The shapes leave little choice, once you know what is summed.",
        test=_is_linear_backward,
    ),
    (2, 2): Question(
        "Measure slope(softmax, x, v, np.ones_like(x)).",
        "The outputs of a softmax add up to 1, whatever x is: with w all ones the loss is constant, and its gradient 0. Such a"
        " check lets a backward pass that returns nothing at all. Cotangents must be drawn at random.",
        lambda n: "second",
    ),
    (2, 3): Question(
        "Solve h³ = ε for h.", "6e-6: the middle of the valley in the picture.", lambda n: 2.2e-16 ** (1 / 3), tolerance=0.2
    ),
    (2, 4): Question(
        "The terms with ∂μ/∂x_j add up to −2/C² Σ (x_i − μ), and deviations from the mean add up to 0.",
        "2 (x_j − μ)/C, that is 2 x̂_j/(r C).",
        test=_is_variance_gradient,
    ),
    (2, 5): Question(
        "Compare with the formula, term by term; the means keep their axis (keepdims=True).",
        "What you have written is what mvnp/layers/layernorm.py does, less the gain and the shift.",
        test=_passes_gradcheck,
    ),
    (2, 6): Question(
        "In which of them do forward and backward not belong together?",
        "For a and c you need something independent of the forward: a case worked out by hand, or another implementation.",
        lambda n: "b",
    ),
    (3, 1): Question(
        "A stride of 2 with kernel 3 and padding 1 rounds up: (n + 1) // 2.",
        "(57, 78).",
        lambda n: n.stem(np.zeros((225, 310, 3))).shape[:2],
    ),
    (3, 2): Question(
        "256 / 16 = 16 rows and 320 / 16 = 20 columns, each rounded up to a multiple of 14.",
        "More than half of the tokens are padding: sizes that divide are much the cheaper.",
        lambda n: (2 * 2, 28 * 28 - 16 * 20),
    ),
    (3, 3): Question(
        "h_t is made of the tokens up to t.",
        "That is why attention follows in the same level: there every token sees every other of its window.",
        lambda n: "the last",
    ),
    (3, 4): Question(
        "The first half, rounded up.",
        "Eleven blocks: six mixers, five attentions.",
        test=lambda count, n: [count(depth) for depth in range(1, 12)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6],
    ),
    (3, 5): Question("Add up what the picture was made from.", "31.8 million.", lambda n: 31_794_248, tolerance=1e-9),
    (4, 1): Question(
        "softplus(0) = ln(1 + e⁰).",
        "ln 2. (Mamba's paper begins with steps of 0.001 to 0.1; the released MambaVision draws its weights anew after that.)",
        lambda n: float(n.before.delta.mean()),
        tolerance=0.02,
    ),
    (4, 2): Question(
        "The slowest rate is A = −1.", "1/ln 2 = 1.44.", lambda n: float(n.before.timescale.max()), tolerance=0.05
    ),
    (4, 3): Question(
        "np.abs(np.log(-after.A) - np.log(-before.A)).mean(), and the same for after.delta.mean(axis=(0, 1)).",
        "Both can lengthen a memory. A does it for all tokens alike, and only Δ for some tokens and not for others.",
        _moved_more,
    ),
    (4, 4): Question(
        "What stands before the scan in both branches?",
        "The convolutions of kernel 3 along the tokens. And attention follows in the next block, which sees all of the window.",
        lambda n: "their neighbours",
    ),
    (5, 1): Question("The weights of a query add up to 1, over all tokens of its window.", "1/16.", lambda n: 1 / 16),
    (5, 2): Question(
        "Sum over s: np.einsum('wdts,wsd->wtd', alpha, x), and the skip. The D is one number for each channel.",
        "To rounding: it is all that the scan does, once its gates are given. Why they are as they are it does not say.",
        test=_gives_the_scan,
    ),
    (5, 3): Question(
        "np.abs(alpha[0, :, 15]).mean(axis=0) is the row.",
        "This scan looks back a token or two. Long timescales need a small Δ|A|, and here nothing asks for them.",
        _far_share,
        tolerance=0.02,
    ),
    (5, 4): Question(
        "Take the last block and row 5, set its own entry to 0, and look for the largest.",
        "It is the lightest square of the middle panel.",
        _most_taken,
    ),
    (5, 5): Question(
        "The second sees three outputs of the first. These are two pixels apart, and each sees three.",
        "3 + 2 · 2. Every convolution of level 0 adds 2 · 4 pixels more.",
        lambda n: 7,
    ),
    (5, 6): Question(
        "found.pixels.sum() + sum(found.biases.values()) against found.logit",
        "That is what conservation means. It does not make the map true; it makes its numbers mean something.",
        _missed,
    ),
    (5, 7): Question(
        "np.corrcoef of the two maps, flattened; one of the entries off the diagonal.",
        "Near 1 would mean that the map shows the picture and not the model.",
        lambda n: np.corrcoef(n.maps[0].ravel(), n.maps[1].ravel())[0, 1],
        tolerance=0.02,
    ),
    (6, 1): Question("The rest of row 2 comes first, and then row 3 up to column 5.", "A whole row.", lambda n: 8),
    (6, 2): Question(
        "A row of the window is 4 tokens long.", "The smaller the window, the nearer what lies above.", lambda n: 4
    ),
    (6, 3): Question("One route goes down the columns.", "That is what the second pair of routes is for.", lambda n: 1),
    (6, 4): Question(
        "Rows 0 to 2 whole, and row 3 up to itself. Its convolution is causal and adds none.",
        "3 · 8 + 6.",
        lambda n: int(n.sees(n.VimMixer(n.C, directions="one"), n.TOKENS).sum()),
    ),
    (6, 5): Question(
        "Those read before it in the window: rows 0 to 2, and (3, 4); itself; and one that the convolution lends from ahead.",
        "12 + 1 + 1 + 1. Of its window only (3, 7) is missing.",
        lambda n: int(n.sees(n.MambaVisionMixer(n.C), n.WINDOWS).sum()),
    ),
    (6, 6): Question(
        "Each token comes before (3, 5) either by rows or by rows backwards.",
        "All. Two of the four routes would have done for that; the others make it near.",
        lambda n: int(n.sees(n.SS2D(n.C), n.MAP).sum()),
    ),
    (6, 7): Question(
        "Look at the fourth map: all 16 of the window. An MLP mixes no tokens.",
        "That is why one path is enough there; VMamba has no attention, and needs four.",
        lambda n: "attention",
    ),
    (6, 8): Question(
        "On the way back a token has read those with larger numbers.",
        "Together the two are full: every token takes from every other.",
        _way_back,
    ),
    (6, 9): Question(
        "For each scan u = scan.x[:, np.argsort(scan.order)], and then α u summed over s, plus weight · D · u; add both scans up.",
        "The two scans read different inputs, each by a convolution of its own, so that their matrices alone are not enough.",
        test=_gives_both_scans,
    ),
    (6, 10): Question(
        "Along its row a token is one step from the next in both. How many is it along its column, in each?",
        "In Vim the next of a column is a row away, and much has faded by then. VMamba has routes for both.",
        _mostly_by_row,
    ),
    (6, 11): Question(
        "There are four times as many tokens. Attention has a weight for each pair of them.",
        "MambaVision's attention stays within windows, and so grows by 4, too.",
        lambda n: (4, 16),
    ),
}
