"""LRP-γ in convolutions: mvnp/visualize/arrays/lrp/gamma.py."""

import itertools

import numpy as np
import pytest

from mvnp import Tape
from mvnp.backend import from_numpy, to_numpy
from mvnp.layers.conv2d import Conv2d, conv2d_backward, conv2d_forward
from mvnp.visualize.arrays.lrp import relevance
from mvnp.visualize.arrays.lrp.gamma import gamma_convolution, gamma_relevance
from mvnp.visualize.arrays.replace_layers import replace_layers
from support.checks import normal
from support.figures import image
from support.randomise import randomised
from support.tiny import tiny
from support.tolerance import DEEP, assert_close, rounding

SHAPES = {"same": ((1, 1), (1, 1)), "strided": ((2, 1), (0, 2))}


def case(stride, padding, bias=True):
    x, w, b = normal((2, 6, 5, 3), 1), normal((4, 3, 3, 3), 2), normal((4,), 3) if bias else None
    y, cache = conv2d_forward(x, w, b, stride, padding)
    return x, w, b, y, normal(y.shape, 4), cache


@pytest.mark.parametrize("shape", SHAPES)
def test_against_the_formula_term_by_term(shape):
    (sh, sw), (ph, pw) = SHAPES[shape]
    x, w, b, y, c, _ = case(*SHAPES[shape])
    gamma = 0.4
    dx, db = gamma_relevance(c, x, w, b, *SHAPES[shape], gamma)
    expected, expected_bias = np.zeros_like(x), np.zeros_like(b)
    for n, h, v, o in itertools.product(*map(range, y.shape)):
        terms = [(b[o], None, 1.0)]
        for i, j, k in itertools.product(range(3), range(3), range(3)):
            at = (n, h * sh + i - ph, v * sw + j - pw, k)
            if 0 <= at[1] < x.shape[1] and 0 <= at[2] < x.shape[2]:
                terms.append((w[o, k, i, j] * x[at], at, w[o, k, i, j]))
        share = [1 + gamma * (np.sign(term) == np.sign(y[n, h, v, o])) for term, _, _ in terms]
        s = c[n, h, v, o] * y[n, h, v, o] / sum(f * term for f, (term, _, _) in zip(share, terms, strict=True))
        for f, (_, at, weight) in zip(share, terms, strict=True):
            if at is None:
                expected_bias[o] += f * s
            else:
                expected[at] += f * weight * s
    assert_close(dx, expected, terms=DEEP)
    assert_close(db, expected_bias, terms=DEEP)


@pytest.mark.parametrize("gamma", [0.1, 0.25, 3.0])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_relevance_is_conserved(shape, bias, gamma):
    x, w, b, y, c, _ = case(*SHAPES[shape], bias)
    dx, db = gamma_relevance(c, x, w, b, *SHAPES[shape], gamma)
    given = 0.0 if b is None else (b * db).sum()
    assert_close((x * dx).sum() + given, (y * c).sum(), terms=DEEP, scale=np.abs(x * dx).sum())


def test_gamma_of_zero_is_the_gradient():
    x, w, b, _, c, cache = case((2, 1), (1, 1))
    dx, db = gamma_relevance(c, x, w, b, (2, 1), (1, 1), 0.0)
    want_dx, _, want_db = conv2d_backward(c, cache)
    assert_close(dx, want_dx, terms=DEEP)
    assert_close(db, want_db, terms=DEEP)


def test_what_cancels_gets_less():
    """10 − 9.9: LRP-0 hands out 100 and −99 of a relevance of 1."""
    x, w = np.array([10.0, 9.9]).reshape(1, 1, 1, 2), np.array([1.0, -1.0]).reshape(1, 2, 1, 1)
    c = np.full((1, 1, 1, 1), 10.0)  # y is 0.1
    plain, calmer = (gamma_relevance(c, x, w, None, (1, 1), (0, 0), gamma)[0] * x for gamma in (0.0, 0.25))
    assert_close(plain.ravel(), [100, -99], terms=DEEP)
    assert_close(calmer.ravel(), [12.5 / 2.6, -9.9 / 2.6], terms=DEEP)


def test_a_feature_of_zero_harms_nothing():
    x, w = np.zeros((1, 4, 4, 2)), normal((3, 2, 3, 3), 1)
    dx, _ = gamma_relevance(normal((1, 2, 2, 3), 2), x, w, None, (1, 1), (0, 0), 0.25)
    assert np.isfinite(dx).all()


def test_the_layer_takes_its_record_off_the_tape(monkeypatch):
    for method in ("im2col", "winograd"):
        monkeypatch.setattr("mvnp.kernels.convolution._chosen", method)
        conv = randomised(Conv2d(3, 4, 3, padding=1)).astype("float64")
        other, tape, x = (
            replace_layers(conv, {Conv2d: gamma_convolution(Conv2d, 0.25)}),
            Tape(training=False),
            normal((2, 6, 5, 3), 1),
        )
        y = other(x, tape)
        dy = normal(y.shape, 5)
        dx = other.backward(dy, tape)
        assert_close(dx, gamma_relevance(dy, x, conv.weight.data, conv.bias.data, (1, 1), (1, 1), 0.25)[0], terms=DEEP)
        assert tape.entries == []


@pytest.mark.parametrize("options", [{}, {"quirks": "corrected", "layer_scale": 0.5, "in_chans": 1}], ids=["official", "other"])
def test_the_whole_model_conserves(options):
    x = image(channels=options.get("in_chans", 3))
    model = tiny(dtype="float64", **options)
    found, plain = relevance(model, x, 1, gamma=0.25), relevance(model, x, 1)
    assert found.error <= rounding("float64", DEEP, np.abs(found.pixels).sum())
    assert not np.allclose(found.pixels, plain.pixels)
    assert np.abs(found.pixels).sum() < np.abs(plain.pixels).sum()


def test_on_cupy(strict_cupy):
    found = relevance(tiny(), from_numpy(image().astype(np.float32)), 0, gamma=0.25)
    assert found.error <= rounding("float32", DEEP, np.abs(found.pixels).sum())
    x = from_numpy(normal((1, 4, 4, 2), 1).astype(np.float32))
    w, dy = from_numpy(normal((3, 2, 3, 3), 2).astype(np.float32)), from_numpy(normal((1, 2, 2, 3), 3).astype(np.float32))
    dx, _ = gamma_relevance(dy, x, w, None, (1, 1), (0, 0), 0.25)
    assert to_numpy(dx).dtype == np.float32
