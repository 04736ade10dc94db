"""The attention inside a scan: mvnp/visualize/arrays/hidden_attention.py."""

import itertools

import numpy as np
import pytest

from mvnp import Tape
from mvnp.errors import InputError
from mvnp.models.mixer import MambaVisionMixer
from mvnp.visualize.arrays.hidden_attention import channel_groups, hidden_attention, hidden_attention_of, mean_hidden_attention
from mvnp.visualize.arrays.internals import internals
from support.figures import image
from support.tiny import tiny
from support.tolerance import DEEP, assert_close
from support.trained import trained_demo

BLOCK = "levels.2.blocks.0.mixer"


def random_scan(nW=2, L=5, D=3, N=4, seed=0):
    rng = np.random.default_rng(seed)
    delta = rng.uniform(0.05, 1.0, (nW, L, D))
    return delta, -rng.uniform(0.2, 3.0, (D, N)), rng.standard_normal((nW, L, N)), rng.standard_normal((nW, L, N))


def test_two_tokens_by_hand():
    # One channel, one state: A = −1, Δ = (ln 2, ln 4), B = (1, 3), C = (5, 7). ā_1 = 1/4.
    delta = np.log([[[2.0], [4.0]]])
    alpha = hidden_attention(delta, np.array([[-1.0]]), np.array([[[1.0], [3.0]]]), np.array([[[5.0], [7.0]]]))
    expected = [[5 * np.log(2), 0], [7 / 4 * np.log(2), 7 * 3 * np.log(4)]]
    assert_close(alpha[0, 0], expected, terms=16)


def test_it_is_the_product_of_the_decays():
    delta, A, B, C = random_scan()
    alpha = hidden_attention(delta, A, B, C)
    decay = np.exp(delta[..., None] * A)  # (nW, L, D, N)
    for w, d, t, s in np.ndindex(alpha.shape):
        product = decay[w, s + 1 : t + 1, d].prod(axis=0)
        expected = (C[w, t] * product * delta[w, s, d] * B[w, s]).sum() if s <= t else 0.0
        assert_close(alpha[w, d, t, s], expected, terms=DEEP)


def scanned(model, x):
    """{path: (record, y)}: y is what the scan gave, read off the input of the projection behind it."""
    tape = Tape(training=False)
    model(x, tape)
    behind = {layer.path: cache for layer, cache in tape.entries}
    return {
        path: (scan, behind[f"{path.removesuffix('.mixer')}.mixer.out_proj"][0][..., : scan.D.size])
        for path, scan in internals(model, x).scans.items()
    }


def assert_reconstructs(model, x):
    found = scanned(model, x)
    assert list(found) == [path for path, layer in model.named_layers() if isinstance(layer, MambaVisionMixer)]
    for path, (scan, y) in found.items():
        rebuilt = np.einsum("wdts,wsd->wtd", hidden_attention_of(scan), scan.x) + scan.D * scan.x
        assert rebuilt.dtype == np.float64
        # Measured by what passes through the states: a young model's y is D x for the most part, and that is no proof.
        through_states = np.abs(y - scan.D * scan.x).max()
        assert through_states > 1e-6
        assert_close(rebuilt, y, message=path)


def test_alpha_x_plus_D_x_is_y_in_every_block_of_a_trained_model():
    model, images = trained_demo()
    assert not any(windows.real.all() for windows in internals(model, images[:1]).windows.values()), "no padding"
    for index in range(3):
        assert_reconstructs(model, images[index : index + 1])


@pytest.mark.parametrize("quirks", [{}, {"padding": "masked"}, {"quirks": "paper"}, {"quirks": "corrected"}])
def test_alpha_x_plus_D_x_is_y_whatever_the_quirks(quirks):
    assert_reconstructs(tiny(dtype="float64", window_size=(8, 8, 3, 2), **quirks), image())


def test_float32_records_are_worked_on_in_float64():
    for scan, y in scanned(tiny(), image().astype(np.float32)).values():
        alpha = hidden_attention_of(scan)
        assert alpha.dtype == np.float64
        rebuilt = np.einsum("wdts,wsd->wtd", alpha, scan.x) + scan.D * scan.x
        assert_close(rebuilt, y)


def test_long_windows_and_large_steps_neither_overflow_nor_lose_the_near_past():
    delta, A, B, C = random_scan(nW=1, L=300, D=2, N=2)
    delta, A = 40 * delta, 20 * A  # exponents down to −10⁵; the reciprocal of a product would be infinite
    alpha = hidden_attention(delta, A, B, C)
    assert np.isfinite(alpha).all()
    assert_close(alpha[0, :, 299, 299], (C[0, 299] * B[0, 299]).sum() * delta[0, 299])
    slow = hidden_attention(1e-3 * delta, A / 20, B, C)
    decay = np.exp(1e-3 * delta[0, 1:, :, None] * A / 20).prod(axis=0)  # of all tokens after the first
    expected = (C[0, 299] * decay * B[0, 0]).sum(axis=1) * 1e-3 * delta[0, 0]
    assert_close(slow[0, :, 299, 0], expected, terms=DEEP)


def test_masked_padding_gives_nothing():
    scan = internals(tiny(dtype="float64", padding="masked"), image()).scans[BLOCK]
    alpha = hidden_attention_of(scan)
    assert not alpha.transpose(0, 3, 1, 2)[~scan.windows.real].any()
    assert alpha.transpose(0, 3, 1, 2)[scan.windows.real].any()


def test_means_are_of_the_whole():
    scan = internals(tiny(dtype="float64"), image()).scans[BLOCK]
    alpha = hidden_attention_of(scan)
    np.testing.assert_array_equal(hidden_attention_of(scan, slice(1, 3)), alpha[1:3])
    assert_close(mean_hidden_attention(scan), np.abs(alpha).mean(axis=1))
    assert_close(mean_hidden_attention(scan, signed=True), alpha.mean(axis=1))
    assert_close(mean_hidden_attention(scan, channels=[5, 2]), np.abs(alpha[:, [2, 5]]).mean(axis=1))


def test_groups_are_sorted_by_timescale_and_hold_every_channel_once():
    scan = internals(tiny(dtype="float64"), image()).scans[BLOCK]
    groups = channel_groups(scan, 3)
    assert [len(group) for group in groups] == [3, 3, 2]
    assert sorted(np.concatenate(groups)) == list(range(8))
    pace = np.log(scan.timescale).mean(axis=1)
    for fast, slow in itertools.pairwise(groups):
        assert pace[fast].max() <= pace[slow].min()
    assert len(channel_groups(scan, 100)) == 8


def test_what_does_not_fit():
    delta, A, B, C = random_scan()
    with pytest.raises(InputError, match=r"hidden_attention: C has shape \(2, 5, 3\), expected \(2, 5, 4\)"):
        hidden_attention(delta, A, B, C[..., :3])
    with pytest.raises(InputError, match=r"hidden_attention: delta has shape \(5, 3\)"):
        hidden_attention(delta[0], A, B, C)
    scan = internals(tiny(), image()).scans[BLOCK]
    for channels in ([], [8], [-1], [0.5]):
        with pytest.raises(InputError, match=r"channels is .*, expected one or more numbers from 0 to 7"):
            mean_hidden_attention(scan, channels=channels)
    with pytest.raises(InputError, match="count is 0, expected at least 1"):
        channel_groups(scan, 0)
