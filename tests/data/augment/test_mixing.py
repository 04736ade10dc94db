"""Mixup and cutmix: mvnp/data/augment/mixing.py."""

import numpy as np
import pytest

from mvnp.data.augment import Mixing
from mvnp.data.augment.mixing import Mix, cut_mix, in_float32, mixed, mixed_targets
from mvnp.errors import InputError
from support.recipe_cases import recipe_case
from support.tolerance import assert_close

SETTINGS, ARRAYS = recipe_case("mixup")
IMAGES, LABELS = ARRAYS["x"].transpose(0, 2, 3, 1), ARRAYS["labels"]


def mixes_of(options):
    """A Mix for each picture, from the draws of a case."""
    count = {"batch": 1, "pair": 3, "half": 3, "elem": 6}[options["mode"]]
    shares, cuts = np.broadcast_to(options["lam"], count), np.broadcast_to(options["cutmix"], count)
    centres, boxes = iter(options["centres_cy_cx"]), iter(options["boxes_y0_y1_x0_x1_lam"])
    kept = in_float32 if options["mode"] != "batch" else lambda mix: mix
    mixes = []
    for share, cut in zip(shares, cuts, strict=True):
        if not cut:
            mixes.append(kept(Mix(float(share))))
            continue
        mix = cut_mix(20, 16, float(share), *next(centres), options.get("correct", True))
        *box, corrected = next(boxes)
        assert list(mix.box) == box
        assert_close(mix.share, corrected, terms=16)
        mixes.append(kept(mix))
    return {"batch": mixes * 6, "pair": mixes + mixes[::-1]}.get(options["mode"], mixes)


@pytest.mark.parametrize("case", SETTINGS["cases"])
def test_against_the_reference(case):
    options, want = SETTINGS["cases"][case], ARRAYS[f"{case}.x"].transpose(0, 2, 3, 1)
    mixes = mixes_of(options)
    if options["arithmetic"].startswith("uint8"):
        np.testing.assert_array_equal(mixed(IMAGES, mixes), want)
    else:
        assert_close(mixed(IMAGES.astype(np.float64), mixes), want, terms=4)
    targets = mixed_targets(LABELS, mixes, SETTINGS["classes"], options["smoothing"])
    assert targets.dtype == np.float32
    assert_close(targets, ARRAYS[f"{case}.target"], terms=4)


def test_boxes_against_the_reference():
    for height, width, share, cy, cx, *box, corrected in SETTINGS["boxes"]:
        mix = cut_mix(height, width, share, cy, cx)
        assert list(mix.box) == box
        assert_close(mix.share, corrected, terms=16)


def test_draws():
    mixing, rng = Mixing(mixup=0.8, cutmix=1.0), np.random.default_rng(0)
    drawn = [mixing.draw(2, 32, 32, rng)[0] for _ in range(4000)]
    cut = np.array([mix.box is not None for mix in drawn])
    assert abs(cut.mean() - 0.5) < 0.04
    shares = np.array([mix.share for mix in drawn])[~cut]
    assert abs(shares.mean() - 0.5) < 0.04
    assert abs(shares.var() - 1 / (4 * (2 * 0.8 + 1))) < 0.02  # the variance of Beta(α, α)
    seldom = Mixing(mixup=0, probability=0.25)
    drawn = [seldom.draw(2, 32, 32, rng)[0] for _ in range(2000)]
    assert abs(np.mean([mix.box is not None for mix in drawn]) - 0.25) < 0.05
    assert all(mix.box is None for _ in range(50) for mix in Mixing(cutmix=0).draw(4, 8, 8, rng))


class Zeros:
    """A generator whose every draw is the least there is."""

    def random(self, count):
        return np.zeros(count)

    def beta(self, a, b):
        return 0.25

    def integers(self, count):
        return 0


def test_what_is_never_done_is_not_done_at_the_least_draw_either():
    assert Mixing(probability=0).draw(2, 8, 8, Zeros()) == [Mix(1.0)] * 2
    assert Mixing(switch=0).draw(2, 8, 8, Zeros()) == [Mix(0.25)] * 2
    assert Mixing().draw(2, 8, 8, Zeros())[0].box is not None


def test_settings_unless_others_are_given():
    assert (Mixing().mixup, Mixing().cutmix) == (0.8, 1.0)


def test_boxes_fit_pictures_that_are_not_square():
    """Of 40 rows and 4 columns: some box begins below row 4."""
    images, rng = np.zeros((2, 40, 4, 1), np.uint8), np.random.default_rng(0)
    images[0] = 255
    rows = [Mixing(mixup=0)(images, np.zeros(2, int), 2, 0.0, rng)[0][0, :, :, 0].min(axis=1) for _ in range(20)]
    assert min(np.argmin(each) for each in rows if not each.all()) < 4 < max(np.argmin(each) for each in rows)


def test_nothing_is_taken_of_the_partner_where_the_share_is_whole():
    images = np.array([1.0, np.nan]).reshape(2, 1, 1, 1)
    assert mixed(images, [Mix(1.0)]) == 1.0


def test_smoothing_of_targets():
    assert_close(mixed_targets(np.array([0, 1]), [Mix(1.0)] * 2, 2), np.eye(2), dtype="float32")
    with pytest.raises(InputError, match="Mixing: smoothing is 2"):
        mixed_targets(np.array([0, 1]), [Mix(1.0)] * 2, 2, 2.0)


@pytest.mark.parametrize("mode", ["batch", "pair", "elem", "half"])
def test_who_is_mixed_alike(mode):
    mixes = Mixing(mode=mode).draw(6, 32, 32, np.random.default_rng(1))
    assert len(mixes) == (3 if mode == "half" else 6)
    assert len(set(mixes)) == {"batch": 1, "pair": 3, "elem": 6, "half": 3}[mode]
    if mode == "pair":
        assert mixes == mixes[::-1]


def test_pictures_and_targets_belong_together():
    """Of black and white pictures the mean of each is the share of white, and so is its target."""
    images = np.zeros((8, 40, 40, 5), np.float64)
    images[::2] = 1.0
    labels = np.arange(8) % 2
    for mode in ("batch", "pair", "elem", "half"):
        for seed in range(6):
            got, targets = Mixing(mode=mode)(images, labels, 2, 0.0, np.random.default_rng(seed))
            assert_close(got.mean(axis=(1, 2, 3)), targets[:, 0], dtype="float32")
            assert_close(targets.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": 0, "cutmix": 0}, "mixup and cutmix are both 0: nothing would be mixed; leave it out"),
        ({"cutmix": float("inf")}, "cutmix is inf, expected a number of at least 0"),
        ({"mixup": -1}, "mixup is -1, expected a number of at least 0"),
        ({"probability": 2}, r"probability is 2, expected a number in \[0, 1\]"),
        ({"mode": "pairs"}, "unknown mode of mixing 'pairs' .did you mean 'pair'"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        Mixing(**options)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_batches_that_cannot_be_paired(count):
    with pytest.raises(InputError, match=f"a batch of {count} cannot be paired; expected an even number of pictures"):
        Mixing()(np.zeros((count, 4, 4, 3), np.uint8), np.zeros(count, np.int64), 3, 0.1, np.random.default_rng(0))


def test_what_is_no_count():
    with pytest.raises(InputError, match=r"draw: count is 4.0 \(float\), expected an integer"):
        Mixing().draw(4.0, 8, 8, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"Mixing: images is None, expected a NumPy array"):
        Mixing()(None, np.arange(2), 2, 0.0, np.random.default_rng(0))
