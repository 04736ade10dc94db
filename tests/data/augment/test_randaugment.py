"""RandAugment and its operations: mvnp/data/augment/{randaugment,colour,warp}.py."""

import collections

import numpy as np
import pytest

from mvnp.data.augment import OPERATIONS, RandAugment, Use
from mvnp.data.augment.randaugment import parse_policy, use
from mvnp.data.augment.warp import warp, warp_by_formula, warp_by_pillow
from mvnp.errors import InputError
from support.checks import normal
from support.recipe_cases import recipe_case

SETTINGS, ARRAYS = recipe_case("randaugment")


def picture(array):
    return array[..., None] if array.ndim == 2 else array


def argument_of(arguments):
    return arguments[0] if arguments else None


@pytest.mark.parametrize("name", SETTINGS["rows"])
def test_operations_against_the_reference(name):
    image, fill = picture(ARRAYS[f"{name}.in"]), SETTINGS["fill"][name]
    for row, want in zip(SETTINGS["rows"][name], ARRAYS[f"{name}.out"], strict=True):
        operation, magnitude, sign, arguments, interpolation = row
        got = Use(operation, argument_of(arguments), interpolation)(image, fill)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, picture(want), err_msg=f"{name}: {row}")
        if magnitude is not None:
            assert use(operation, magnitude, sign < 0, interpolation) == Use(operation, argument_of(arguments), interpolation)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_pillow_does_what_the_formulas_say(bands, interpolation):
    rng = np.random.default_rng(bands)
    for _ in range(12):
        image = rng.integers(0, 256, (int(rng.integers(2, 20)), int(rng.integers(2, 20)), bands), dtype=np.uint8)
        matrix = tuple(rng.uniform(-1.5, 1.5, 6) * (1, 1, 9, 1, 1, 9))
        fill = rng.integers(0, 256, bands)
        want = warp_by_formula(image, matrix, fill, interpolation)
        np.testing.assert_array_equal(warp_by_pillow(image, matrix, fill, interpolation), want)
        np.testing.assert_array_equal(warp(image, matrix, fill, interpolation), want)


@pytest.mark.parametrize("name", [name for name in SETTINGS["rows"] if SETTINGS["rows"][name]])
def test_moves_by_formula_against_the_reference(name, monkeypatch):
    monkeypatch.setattr("mvnp.data.augment.warp.warp_by_pillow", warp_by_formula)
    test_operations_against_the_reference(name)


@pytest.mark.parametrize("name", SETTINGS["chains"])
def test_chains_against_the_reference(name):
    for chain, want in zip(SETTINGS["chains"][name], ARRAYS[f"{name}.chains"], strict=True):
        image = picture(ARRAYS[f"{name}.in"])
        for step in chain:
            assert step["applied"] == (step["gate_u"] <= 0.5)
            if step["applied"]:
                each = use(step["op"], step["magnitude"], step.get("sign_u", 0) > 0.5, step.get("interpolation"))
                assert each.argument == argument_of(step["args"])
                image = each(image, SETTINGS["fill"][name])
        np.testing.assert_array_equal(image, picture(want), err_msg=f"{name}: {chain}")


@pytest.mark.parametrize("name", [name for name in SETTINGS["arguments"] if name != "magnitudes"])
def test_arguments_of_every_magnitude(name):
    for sign, rows in SETTINGS["arguments"][name].items():
        for magnitude, row in zip(SETTINGS["arguments"]["magnitudes"], rows, strict=True):
            assert use(name, magnitude, sign == "-").argument == argument_of(row)


def test_policies():
    policy = RandAugment("rand-m7-n3-p0.25-mstd2-mmax9-inc1")
    assert (policy.magnitude, policy.count, policy.probability, policy.deviation, policy.most) == (7, 3, 0.25, 2, 9)
    assert len(policy.names) == 15
    assert "PosterizeIncreasing" in policy.names
    assert "Posterize" in RandAugment("rand-m9").names
    assert parse_policy("rand")["n"] == 2


def test_draws():
    """How often each operation, and how strongly: 4,000 pictures."""
    policy, rng = RandAugment("rand-m9-mstd0.5-inc1"), np.random.default_rng(0)
    image = np.zeros((2, 2, 3), np.uint8)
    drawn = [policy.draw(image, rng) for _ in range(4000)]
    lengths = collections.Counter(map(len, drawn))
    for count, share in ((0, 0.25), (1, 0.5), (2, 0.25)):
        assert abs(lengths[count] / 4000 - share) < 0.04  # five deviations of a share of 4,000
    uses = [each for chain in drawn for each in chain]
    for name in policy.names:
        assert abs(sum(each.name == name for each in uses) / len(uses) - 1 / 15) < 0.02
    angles = np.array([each.argument for each in uses if each.name == "Rotate"])
    assert abs(np.mean(angles > 0) - 0.5) < 0.16
    assert abs(np.abs(angles).mean() - 27) < 0.5
    assert 1 < np.abs(angles).std() < 2
    ways = [each.interpolation for each in uses if OPERATIONS[each.name].moves]
    assert 0.4 < np.mean([way == "bicubic" for way in ways]) < 0.6


class Always:
    """A generator that draws the same number every time."""

    def __init__(self, value):
        self.value = value

    def random(self, count=None):
        return self.value if count is None else np.full(count, self.value)

    def standard_normal(self):
        return 1.0

    def integers(self, count, size):
        return np.full(size, 3)


def test_draws_at_the_edge():
    """A probability of 0 is never, and of 1 always; half is the plain sign and way."""
    image = np.zeros((2, 2, 3), np.uint8)
    assert RandAugment("rand-p0").draw(image, Always(0.0)) == []
    assert RandAugment("rand-n1-p1").draw(image, Always(1 - 2.0**-53)) == [Use("Rotate", -30.0, "bicubic")]
    assert RandAugment("rand-n1-p0.75").draw(image, Always(0.5)) == [Use("Rotate", 30.0, "bilinear")]
    assert RandAugment("rand-m5-mstd2-n1-p1").draw(image, Always(0.5)) == [Use("Rotate", 21.0, "bilinear")]


def test_uniform_magnitudes():
    policy, rng = RandAugment("rand-m10-mstd101-n1-p1"), np.random.default_rng(1)
    angles = [
        each.argument for _ in range(3000) for each in policy.draw(np.zeros((2, 2, 3), np.uint8), rng) if each.name == "Rotate"
    ]
    assert np.abs(angles).min() < 3
    assert abs(np.abs(angles).mean() - 15) < 3


@pytest.mark.parametrize("shape", [(9, 7, 1), (9, 7, 3), (9, 7, 5), (1, 1, 3), (1, 6, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pictures_of_every_kind(shape, dtype):
    """What is drawn suits the picture, keeps shape and dtype, and stays in range; the same seed gives the same."""
    rng = np.random.default_rng(3)
    image = (rng.random(shape) * (255 if dtype == np.uint8 else 1)).astype(dtype)
    before = image.copy()
    policy = RandAugment("rand-m9-n4-p1-inc1", fill=[0.25] * shape[2])
    names = {each.name for seed in range(60) for each in policy.draw(image, np.random.default_rng(seed))}
    assert ("PosterizeIncreasing" in names) == (dtype == np.uint8)
    assert ("ColorIncreasing" in names) == (shape[2] in (1, 3))
    for seed in range(20):
        got = policy(image, np.random.default_rng(seed))
        assert (got.shape, got.dtype) == (shape, dtype)
        assert got.min() >= 0
        assert got.max() <= (255 if dtype == np.uint8 else 1)
        np.testing.assert_array_equal(got, policy(image, np.random.default_rng(seed)))
    np.testing.assert_array_equal(image, before)


def test_floats_do_as_bytes_do():
    """Within the rounding of the bytes."""
    image = ARRAYS["cat.in"]
    values = ("AutoContrast", "Invert", "Solarize", "SolarizeAdd", "Color", "Contrast", "Brightness", "Sharpness")
    for name in (*values, "Rotate", "ShearX", "TranslateYRel"):
        each = use(name, 6, interpolation="bilinear")
        bytes_ = each(image, (124, 116, 104)).astype(np.float64)
        floats = each(image.astype(np.float64) / 255, np.array((124, 116, 104)) / 255) * 255
        assert np.abs(bytes_ - floats).max() < 2.5, name


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("rnad-m9", "unknown policy 'rnad-m9'; expected one of RandAugment's"),
        ("rand-m9-x3", "'x3' is no setting; there are m, mstd"),
        ("rand-m", "'m' has no number, expected one as in m1"),
        ("rand-m11", "m is 11, expected a number from 0 to 10"),
        ("rand-n1.5", "n is 1.5, expected a whole number from 0 to 100"),
        ("rand-m9-m1.2.3", "'m1.2.3' has no number"),
    ],
)
def test_policies_that_do_not_exist(policy, message):
    with pytest.raises(InputError, match=message):
        RandAugment(policy)


def test_operations_that_do_not_exist_or_do_not_suit():
    with pytest.raises(InputError, match=r"unknown operation 'Rotat' .did you mean 'Rotate'"):
        Use("Rotat")(np.zeros((2, 2, 3), np.uint8), [0] * 3)
    with pytest.raises(InputError, match="equalize: the picture is float32, expected uint8: it counts grey levels"):
        Use("Equalize")(np.zeros((2, 2, 3), np.float32), [0] * 3)
    with pytest.raises(InputError, match=r"color: the picture has 5 bands, expected 1 .grey. or 3"):
        Use("Color", 0.5)(np.zeros((2, 2, 5), np.uint8), [0] * 5)


def test_a_policy_does_what_it_has_drawn():
    """One use after the other, and what comes in is ImageNet's mean colour."""
    image = np.random.default_rng(0).integers(0, 256, (20, 16, 3), dtype=np.uint8)
    policy, changed = RandAugment(), 0
    for seed in range(20):
        want = image
        for each in policy.draw(image, np.random.default_rng(seed)):
            want = each(want, (124, 116, 104))
        got = policy(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(got, want)
        changed += (got != image).any()
    assert changed > 5


def test_settings_unless_others_are_given():
    assert parse_policy("rand") == {"m": 10.0, "mstd": 0.0, "mmax": 10.0, "n": 2.0, "p": 0.5, "inc": 0.0}
    assert use("Rotate", 5.0).argument == 15.0
    image = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    plain, named = (Use("Rotate", 20.0, way)(image, (0, 0, 0)) for way in (None, "bilinear"))
    np.testing.assert_array_equal(plain, named)


def test_a_deviation_above_100_is_uniform():
    policy = RandAugment("rand-m8-mstd101")
    found = [policy._magnitude(np.random.default_rng(seed)) for seed in range(50)]
    assert 0.0 < min(found) < 1.0
    assert 7.0 < max(found) < 8.0
    policy = RandAugment("rand-m8-mstd100")
    assert max(policy._magnitude(np.random.default_rng(seed)) for seed in range(50)) == 10.0


def test_what_cannot_be():
    for name, most, kind in (("m", 10, "a"), ("mmax", 10, "a"), ("p", 1, "a"), ("n", 100, "a whole"), ("inc", 1, "a whole")):
        assert parse_policy(f"rand-{name}{most}")[name] == most
        with pytest.raises(InputError, match=f"{name} is {most + 1}, expected {kind} number from 0 to {most}$"):
            parse_policy(f"rand-{name}{most + 1}")
    for name in ("n", "inc"):
        with pytest.raises(InputError, match=r"is 0\.5, expected a whole number"):
            parse_policy(f"rand-{name}0.5")
    with pytest.raises(InputError, match=r"unknown operation 'Rotat' .did you mean 'Rotate'"):
        use("Rotat", 5.0)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_comes_in_unless_it_is_given(bands, dtype):
    """The mean colour, in the picture's units; one number stands for all bands."""
    image = np.zeros((8, 8, bands), dtype)
    want = np.array((124, 116, 104) if bands == 3 else (115,), np.float64)
    want = want.astype(np.uint8) if dtype == np.uint8 else (want / 255).astype(dtype)
    policy = RandAugment("rand-m10-n1-p1")
    moved = [seed for seed in range(40) if policy.draw(image, np.random.default_rng(seed))[0].name.startswith("Translate")]
    for seed in moved:
        found = policy(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(found[found.any(axis=2)], np.broadcast_to(want, (found.any(axis=2).sum(), bands)))
        np.testing.assert_array_equal(RandAugment(policy.policy, want[:1])(image, np.random.default_rng(seed)) != 0, found != 0)
    assert len(moved) > 3


@pytest.mark.parametrize(
    ("image", "fill", "message"),
    [
        (np.zeros((4, 4), np.uint8), None, r"shape \(4, 4\), expected \(height, width, bands\).*image\[..., None\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), None, r"shape \(2, 4, 4, 3\), expected"),
        (np.zeros((0, 4, 3), np.uint8), None, r"shape \(0, 4, 3\), expected .*, none of them 0"),
        (np.zeros((4, 4, 3), np.uint16), None, "is uint16, expected uint8, or floating from 0 to 1; convert it first"),
        ([[[1]]], None, r"is a list, expected a NumPy array"),
        (np.zeros((4, 4, 3), np.uint8), (1, 2), "fill has 2 numbers, and the picture 3 bands; expected one for each, or one"),
        (np.zeros((4, 4, 1), np.uint8), (1, 2), "fill has 2 numbers, and the picture 1 band; expected"),
        (np.zeros((4, 4, 3), np.uint8), (1, 2, 300), r"fill is \(1, 2, 300\), expected from 0 to 255"),
        (np.zeros((4, 4, 3), np.float32), (124, 116, 104), r"expected from 0 to 1, as a picture of float32 has values"),
    ],
)
def test_what_is_no_picture_and_no_colour(image, fill, message):
    with pytest.raises(InputError, match=f"RandAugment: .*{message}"):
        RandAugment(fill=fill)(image, np.random.default_rng(0))
    if fill is not None:
        with pytest.raises(InputError, match=message):
            Use("Rotate", 3.0)(image, fill)


def test_uses_with_arguments_that_cannot_be():
    image = np.zeros((4, 4, 3), np.uint8)
    for each, message in (
        (Use("Invert", 3), "Invert takes no argument, and 3 was given; leave it out"),
        (Use("Rotate"), "Rotate: its argument is None, expected a number"),
        (Use("Rotate", "3"), "Rotate: its argument is '3', expected a number"),
        (Use("Contrast", float("nan")), "Contrast: its argument is nan, expected a number"),
        (Use("Posterize", 9), "posterize: bits is 9, expected an integer from 0 to 8"),
        (Use("Posterize", 3.5), "posterize: bits is 3.5, expected an integer from 0 to 8"),
    ):
        with pytest.raises(InputError, match=message):
            each(image, (0,))
    with pytest.raises(InputError, match="Invert: the picture has shape"):
        Use("Invert")(image[0], (0,))
    with pytest.raises(InputError, match=r"draw: rng is 3 \(int\), expected a generator such as numpy.random.default_rng"):
        RandAugment().draw(image, 3)


def test_solarizing_floats_by_hand():
    """Half is no longer dark: nothing is added to it. Sums stop at 1."""
    image = np.array([0.25, 0.5, 0.75]).reshape(1, 3, 1)
    for name, amount, want in (
        ("Solarize", 128, [0.25, 0.5, 0.25]),
        ("SolarizeAdd", 51, [0.45, 0.5, 0.75]),
        ("SolarizeAdd", 204, [1.0, 0.5, 0.75]),
    ):
        np.testing.assert_allclose(Use(name, amount)(image, [0]).ravel(), want, rtol=1e-15)


def test_which_operations_suit_a_picture():
    """Those that count grey levels want uint8, and mixing colours wants one band or three."""
    levels, colours = {"Equalize", "Posterize", "PosterizeIncreasing"}, {"Color", "ColorIncreasing"}
    for bands in (1, 2, 3, 4):
        for dtype in (np.uint8, np.float32):
            image = np.zeros((4, 4, bands), dtype)
            unsuited = {name for name, operation in OPERATIONS.items() if not operation.suits(image)}
            assert unsuited == (levels if dtype == np.float32 else set()) | (colours if bands in (2, 4) else set())


def test_an_interpolation_that_there_is_not():
    with pytest.raises(InputError, match=r"unknown interpolation 'bilinea' .*did you mean 'bilinear'"):
        RandAugment(interpolation="bilinea")


def test_equalizing_by_hand():
    """Of 400 pixels before the largest value, s = 1: each value becomes the number of pixels below it, at most 255."""
    band = np.concatenate([np.arange(400) // 2, [200] * 200]).astype(np.uint8)
    got = Use("Equalize")(band.reshape(1, 600, 1), [0])
    np.testing.assert_array_equal(got.ravel(), np.minimum(2 * band.astype(int), 255))


def test_sharpening_the_smallest_picture_that_has_an_inside():
    """With a factor of 0 it is the smoothed picture, whose pixels at the edge are as they were; smaller ones are all edge."""
    image = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    image[1, 1] = 9
    got = Use("Sharpness", 0.0)(image, [0])[:, :, 0]
    np.testing.assert_array_equal(got, [[0, 1, 2], [3, round((32 + 5 * 9) / 13), 5], [6, 7, 8]])
    for shape in ((1, 1, 3), (1, 5, 1), (2, 2, 3), (5, 2, 1)):
        flat = np.abs(normal(shape, 1)) % 1
        np.testing.assert_array_equal(Use("Sharpness", 0.0)(flat, [0] * 3), flat.astype(np.float32))


def test_what_a_bicubic_move_overshoots_is_cut():
    image = np.zeros((8, 8, 1))
    image[:, 4:] = 1.0
    for dtype in (np.float32, np.float64):
        got = warp(image.astype(dtype), (1, 0, 0.5, 0, 1, 0), [0.0], "bicubic")
        assert (got.min(), got.max()) == (0.0, 1.0)
