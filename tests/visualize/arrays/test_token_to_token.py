"""Both kinds of mixing as matrices, and their rollout: mvnp/visualize/arrays/token_to_token.py."""

import numpy as np
import pytest

from mvnp import Tape
from mvnp.errors import InputError
from mvnp.layers.attention import AttentionCache
from mvnp.visualize.arrays.attention_entropy import entropy
from mvnp.visualize.arrays.hidden_attention import mean_hidden_attention
from mvnp.visualize.arrays.internals import internals
from mvnp.visualize.arrays.token_to_token import block_diagonal, level_matrices, rollout, row_normalised, token_matrix
from support.figures import image
from support.tiny import tiny
from support.tolerance import DEEP, assert_close
from support.trained import trained_demo


def seen(**options):
    return internals(tiny(dtype="float64", depths=(1, 1, 4, 2), **options), image())


def test_blocks_of_a_level_in_their_order():
    found = seen()
    matrices = level_matrices(found, "levels.2")
    assert list(matrices) == [f"levels.2.blocks.{block}.mixer" for block in range(4)]
    for path in list(matrices)[:2]:
        np.testing.assert_array_equal(matrices[path], mean_hidden_attention(found.scans[path]))
    for path in list(matrices)[2:]:
        assert_close(matrices[path], found.attentions[path].weights.mean(axis=1))
    signed = level_matrices(found, "levels.2", signed=True)
    assert signed["levels.2.blocks.0.mixer"].min() < 0
    np.testing.assert_array_equal(signed["levels.2.blocks.2.mixer"], matrices["levels.2.blocks.2.mixer"])


def test_ten_blocks_are_not_sorted_as_words():
    found = internals(tiny(depths=(1, 1, 22, 2)), image())
    assert list(level_matrices(found, "levels.2")) == [f"levels.2.blocks.{block}.mixer" for block in range(22)]


def test_attention_weights_times_v_is_what_attention_gives():
    model, images = trained_demo()
    tape = Tape(training=False)
    model(images[:1], tape)
    records = internals(model, images[:1]).attentions
    by_path = {layer.path: cache for layer, cache in tape.entries}
    for path, record in records.items():
        cache = by_path[path]
        assert isinstance(cache, AttentionCache)
        merged = (record.weights @ cache.v).transpose(0, 2, 1, 3)
        assert_close(merged.reshape(*merged.shape[:2], -1), by_path[f"{path}.proj"][0], terms=DEEP)


def slow_rollout(matrices):
    """(1), number by number."""
    nW, L, _ = matrices[0].shape
    before = [[[float(t == s) for s in range(L)] for t in range(L)] for _ in range(nW)]
    found = []
    for M in matrices:
        after = np.zeros((nW, L, L))
        for w in range(nW):
            for t in range(L):
                total = sum(M[w, t, s] for s in range(L))
                row = [(M[w, t, s] / total if total else 0.0) + (t == s) for s in range(L)]
                for s in range(L):
                    after[w, t, s] = sum(row[k] / sum(row) * before[w][k][s] for k in range(L))
        found.append(after)
        before = after
    return np.stack(found)


@pytest.mark.parametrize("padding", ["visible", "masked"])
def test_rollout_is_that_of_the_slow_loop(padding):
    matrices = list(level_matrices(seen(padding=padding, window_size=(8, 8, 3, 2)), "levels.2").values())
    rolled = rollout(matrices)
    assert_close(rolled, slow_rollout(matrices))
    assert_close(rolled.sum(axis=-1), 1.0)
    assert (rolled >= 0).all()


def test_rows_of_a_trained_models_rollout_add_up_to_one():
    model, images = trained_demo()
    found = internals(model, images[:1])
    for level in found.windows:
        rolled = rollout(level_matrices(found, level).values())
        assert_close(rolled.sum(axis=-1), 1.0)


def test_rollout_by_hand():
    # Half of each token stays; the other half goes by M: here, both tokens take from the first alone; then each other's.
    first, second = np.array([[[3.0, 0.0], [3.0, 0.0]]]), np.array([[[0.0, 1.0], [1.0, 0.0]]])
    assert_close(rollout([first, second]), [[[[1, 0], [0.5, 0.5]]], [[[0.75, 0.25], [0.75, 0.25]]]])


def test_a_row_of_nothing_stays_itself():
    M = np.array([[[0.0, 0.0], [1.0, 1.0]]])
    assert_close(row_normalised(M), [[[0, 0], [0.5, 0.5]]])
    assert_close(rollout([M])[0], [[[1, 0], [0.25, 0.75]]])


def test_windows_stand_on_the_diagonal():
    M = np.arange(1.0, 9.0).reshape(2, 2, 2)
    np.testing.assert_array_equal(block_diagonal(M), [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]])


def test_entropy():
    p = np.array([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]])
    assert_close(entropy(p), [0, np.log(4), np.log(2)], terms=16)
    assert not np.signbit(entropy(p)[0]) or entropy(p)[0] == 0


def test_what_cannot_be_rolled_out():
    M = np.full((1, 2, 2), 0.5)
    with pytest.raises(InputError, match="rollout: no matrices"):
        rollout([])
    with pytest.raises(InputError, match="negative entries"):
        rollout([M, -M])
    with pytest.raises(InputError, match=r"rollout: M has shape \(1, 3, 3\), expected \(1, 2, 2\)"):
        rollout([M, np.ones((1, 3, 3))])
    with pytest.raises(InputError, match=r"no recorded block in 'levels.1'; levels with windows: levels.2, levels.3"):
        level_matrices(seen(), "levels.1")
    assert token_matrix(seen().attentions["levels.2.blocks.2.mixer"]).dtype == np.float64
