"""LRP-γ for convolutions: what a feature owes to pixels that agree with it counts more than what they cancel.

    y_k = Σ_j w_kj x_j + b_k, a convolution written as a matrix    R_k = y_k c_k its relevance, c_k the message from above

    s_k     = c_k y_k / Σ_j (1 + γ [w_kj x_j has the sign of y_k]) w_kj x_j          the sum has the bias in it, too  (1)
    dx_j    = Σ_k (1 + γ [w_kj x_j has the sign of y_k]) w_kj s_k                    R_j = x_j dx_j                   (2)
    db_k    = (1 + γ [b_k has the sign of y_k]) s_k                                                                  (3)

Σ_j R_j + b_k db_k is R_k, as with γ = 0, which is LRP-0, the gradient. But there a feature that is 10 − 9.9 hands its inputs
100 and −99 times its own relevance, and so on down: neighbours of opposite sign, far larger than what they share. With γ the
supporters get more, the denominator of (1) grows with them, so |s_k| ≤ |c_k|, and the maps are calmer.

Signs of w x are products of signs, so each sum in (1) and (2) is made of convolutions with the positive and negative parts of w
and x.

Montavon, Binder, Lapuschkin, Samek, Müller: Layer-Wise Relevance Propagation: An Overview (2019), for LRP-γ with inputs above
0; here inputs and features may have either sign.
"""

from __future__ import annotations

from ....backend import Array, array_module
from ....core import Layer, Pair, Tape
from ....layers.conv2d import Conv2d, conv2d_backward, conv2d_forward


def gamma_relevance(
    dy: Array, x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, gamma: float
) -> tuple[Array, Array | None]:
    """dx and db of (2) and (3), from the message dy = c; db is None where there is no bias."""
    xp = array_module(x)
    w, w_pos, w_neg = weight, xp.maximum(weight, 0), xp.minimum(weight, 0)
    x_pos, x_neg = xp.maximum(x, 0), xp.minimum(x, 0)

    def conv(x: Array, weight: Array) -> Array:
        return conv2d_forward(x, weight, None, stride, padding)[0]

    def back(s: Array, weight: Array) -> Array:
        return conv2d_backward(s, (x, weight, False, stride, padding))[0]

    y, for_positive, for_negative = conv(x, w), conv(x_pos, w_pos) + conv(x_neg, w_neg), conv(x_pos, w_neg) + conv(x_neg, w_pos)
    if bias is not None:
        y, for_positive, for_negative = y + bias, for_positive + xp.maximum(bias, 0), for_negative + xp.minimum(bias, 0)
    total = y + gamma * xp.where(y > 0, for_positive, for_negative)
    s = dy * xp.where(total != 0, y / xp.where(total != 0, total, 1), 1)
    s_pos, s_neg = xp.where(y > 0, s, 0), xp.where(y > 0, 0, s)
    of_positive, of_negative = back(s_pos, w_pos) + back(s_neg, w_neg), back(s_pos, w_neg) + back(s_neg, w_pos)
    dx = back(s, w) + gamma * xp.where(x > 0, of_positive, of_negative)
    if bias is None:
        return dx, None
    agreeing = xp.where(bias > 0, s_pos.sum(axis=(0, 1, 2)), s_neg.sum(axis=(0, 1, 2)))
    return dx, s.sum(axis=(0, 1, 2)) + gamma * agreeing


def gamma_convolution(kind: type[Conv2d], gamma: float) -> type[Layer]:
    """A convolution of this class with these rules in its backward."""

    class GammaConv2d(kind):  # type: ignore[valid-type,misc]
        def backward(self, dy: Array, tape: Tape, inputs: bool = True) -> Array:
            x, *_ = tape.pop(self)
            bias = None if self.bias is None else self.bias.data
            relevance = gamma_relevance(dy, x, self.weight.data, bias, self.stride, self.padding, gamma)
            return self.accumulate(tape, relevance, self.bias)

    return GammaConv2d
