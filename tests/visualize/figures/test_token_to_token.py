"""Scan and attention in one view: mvnp/visualize/figures/token_to_token.py."""

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.arrays.internals import internals
from mvnp.visualize.arrays.token_to_token import block_diagonal, level_matrices, rollout, row_normalised
from mvnp.visualize.figures.style import png
from mvnp.visualize.figures.token_to_token import attention_rollout, token_to_token
from support.figures import image, marks
from support.tiny import tiny
from support.tolerance import DEEP, assert_close

NAMES = ["0: scan", "1: scan", "2: attention", "3: attention"]


@pytest.fixture(scope="module")
def model():
    return tiny(dtype="float64", depths=(1, 1, 4, 2), window_size=(8, 8, 3, 2))


@pytest.fixture(scope="module")
def matrices(model):
    return level_matrices(internals(model, image()), "levels.2")


@pytest.mark.parametrize(("narrow", "signed"), [(False, False), (True, False), (False, True)])
def test_every_block_and_the_rollout(model, matrices, narrow, signed):
    figure = token_to_token(model, image(), query=(4, 1), signed=signed, narrow=narrow)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    shown = level_matrices(internals(model, image()), "levels.2", signed=True) if signed else matrices
    for name, M in zip(NAMES, shown.values(), strict=True):
        expected = block_diagonal(M if signed else row_normalised(M))
        drawn = np.ma.filled(panels[name].images[0].get_array().astype(float), np.nan)
        seen = np.isfinite(drawn)
        assert_close(drawn[seen], expected[seen])
        possible = block_diagonal(np.tril(np.ones_like(M)) if name.endswith("scan") else np.ones_like(M)) > 0
        np.testing.assert_array_equal(seen, possible)
        assert panels[name].lines[-1].get_ydata()[0] == 2 * 9 + 4  # token 4 of window 2
    last = np.ma.filled(panels["Rollout of 4 blocks"].images[0].get_array().astype(float), 0.0)
    assert_close(last, block_diagonal(rollout(matrices.values())[-1]))
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("narrow", [False, True])
def test_rollout_on_the_image(model, matrices, narrow):
    figure = attention_rollout(model, image(), query=(4, 1), narrow=narrow)
    rolled = rollout(matrices.values())[:, 2]
    for axes, name, shares in zip(figure.axes, NAMES, rolled[:, 4], strict=False):
        centres, drawn = marks(axes)
        tokens = [token for token in range(9) if token != 4]
        assert_close(drawn, shares[tokens])
        assert_close(centres / 16, [(token % 3, 3 + token // 3) for token in tokens], terms=DEEP)
        assert axes.get_title(loc="left") == f"{name}\nitself {shares[4]:.0%}"
    real = internals(model, image()).windows["levels.2"].real[2]
    _, everyone = marks(figure.axes[4])
    assert_close(everyone, rolled[-1][real].mean(axis=0))
    assert_close(everyone.sum(), 1.0)
    assert png(figure).startswith(b"\x89PNG")


def test_stopping_at_a_block_and_other_levels(model, strict_cupy):
    x = from_numpy(image().astype(np.float32))
    figure = attention_rollout(tiny(depths=(1, 1, 4, 2)), x, block="levels.2.blocks.1")
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes[:3]] == ["0: scan", "1: scan", "All queries"]
    assert token_to_token(tiny(), x, block="levels.3.blocks.0").get_suptitle().endswith("levels.3")
    for draw in (token_to_token, attention_rollout):
        with pytest.raises(InputError, match=r"unknown level 'levels.0' .*choose one of levels.2, levels.3"):
            draw(tiny(), x, block="levels.0.blocks.0")
    with pytest.raises(InputError, match=r"unknown block 'levels.2.blocks.7.mixer'"):
        attention_rollout(tiny(), x, block="levels.2.blocks.7")


def test_windows_of_one_token():
    model = tiny(window_size=(8, 8, 1, 1))
    png(attention_rollout(model, image()))
    png(token_to_token(model, image()))
