"""What training makes of pictures, as a page: mvnp/cli/augment.py, mvnp/visualize/{arrays,figures,pages}/augmented.py."""

import numpy as np
import pytest

from mvnp.cli import main
from mvnp.data import BatchLoader, Dataset, load_parts
from mvnp.data.augment import Augmentation
from mvnp.errors import InputError
from mvnp.visualize import Augmented, augmented, augmented_pictures
from mvnp.visualize.figures.style import png
from support.photos import two_classes
from support.tolerance import assert_close


def dataset(count=9, channels=1):
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (count, 12, 12, channels), dtype=np.uint8)
    return Dataset("noise", "train", images, np.arange(count) % 3, ("a", "b", "c"), (0.4,) * channels, (0.2,) * channels)


def test_pictures_as_the_network_sees_them():
    """Standardised, and taken back: without augmentation the stored pictures themselves, of each class in turn."""
    shown = augmented(dataset(), Augmentation(), 12, pictures=4, times=2, flip=False, crop_padding=0)
    assert shown.labels == [[name] * 2 for name in ("a", "b", "c", "a")]
    for stored, seen in zip(shown.stored, shown.seen, strict=True):
        assert stored.shape == (12, 12, 3)
        assert_close(seen[0], stored, dtype=np.float32, terms=8)
        assert_close(seen[1], stored, dtype=np.float32, terms=8)


def test_each_picture_keeps_its_row_though_epochs_are_shuffled():
    data = dataset(4)
    shown = augmented(
        data, Augmentation(erasing=1.0, erasing_mode="const"), 12, pictures=4, times=3, flip=False, crop_padding=0
    )
    for stored, seen in zip(shown.stored, shown.seen, strict=True):
        for each in seen:
            same = np.isclose(each, stored, atol=1e-5).all(axis=2)
            assert 0.3 < same.mean() < 1  # the rest is the box


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_number_of_bands(channels):
    shown = augmented(dataset(6, channels), Augmentation(mixup=0.8), 12, pictures=4, times=1, crop_padding=0)
    assert shown.seen[0][0].shape == (12, 12, 3)
    assert all(", " in label or label in "abc" for labels in shown.labels for label in labels)


def test_what_a_picture_shows_is_no_wider_than_the_picture():
    """Of two classes a line each; a long name is broken."""
    names = ["stored", "an astronaut with a very long title 0.53, coffee 0.47", "a, b"]
    shown = Augmented([np.zeros((4, 4, 3))] * 2, [[np.zeros((4, 4, 3))] * 2] * 2, [names[1:]] * 2)
    for narrow in (False, True):
        labels = [axes.get_xlabel() for axes in augmented_pictures(shown, narrow=narrow).get_axes()]
        assert labels[0] == "stored"
        assert labels[1].replace("\n", " ") == names[1].replace(", ", " ")
        assert labels[1].endswith("\ncoffee 0.47")
        assert labels[2] == "a, b"
    assert max(map(len, labels[1].splitlines())) < 20


def test_shares_are_those_of_the_targets():
    shown = augmented(dataset(4), Augmentation(mixup=0.8), 12, pictures=4, times=1, crop_padding=0)
    shares = [float(each.split()[-1]) for each in shown.labels[0][0].split(", ")]
    assert sum(shares) == pytest.approx(1, abs=0.011)
    assert shares[0] >= shares[1]


@pytest.mark.parametrize("pictures", [3, 0, 10])
def test_pictures_that_cannot_be_paired(pictures):
    with pytest.raises(InputError, match=f"pictures is {pictures}, expected an even number from 2 to 9"):
        augmented(dataset(), Augmentation(), 12, pictures=pictures)


@pytest.fixture
def photos(tmp_path):
    return two_classes(tmp_path / "photos", 5, (20, 30), ".jpg")


def test_the_command(photos, tmp_path, capsys):
    out = tmp_path / "seen"
    assert main(["augment", str(photos), "--out", str(out), "--image-size", "16", "--pictures", "4", "--erasing", "0.5"]) == 0
    assert f"open {out / 'index.html'} in a browser" in capsys.readouterr().out
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "by the recipe official" in page
    assert "randaugment = rand-m9-mstd0.5-inc1" in page
    assert "erasing = 0.5" in page
    assert sorted(path.name for path in (out / "pictures").iterdir()) == ["augmented-narrow.png", "augmented.png"]


def test_it_shows_whole_pictures_where_parts_are_cut_out(photos):
    data = load_parts(photos, image_size=16, whole=True).train
    shown = augmented(data, Augmentation(crop_scale=(0.5, 1)), 16, pictures=2, times=1, crop_padding=0)
    assert shown.stored[0].shape == (20, 30, 3)
    assert BatchLoader(data, 2, train=True, augmentation={"crop_scale": (0.5, 1)}, crop_padding=0).picture(0).shape == (
        20,
        30,
        3,
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--recipe", "lihgt"], "unknown recipe 'lihgt'"),
        (["--randaugment", "m9"], "unknown policy 'm9'"),
        (["--pictures", "3"], "pictures is 3, expected an even number"),
        (["--colour-jitter", "0.4"], "RandAugment changes colours too"),
        (["--mixpu", "1"], "unexpected argument '--mixpu'"),
    ],
)
def test_mistakes(photos, tmp_path, capsys, options, told):
    assert main(["augment", str(photos), "--out", str(tmp_path / "seen"), "--image-size", "16", *options]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "seen").exists()


def test_names_of_classes_are_no_formulas(tmp_path):
    data = dataset(4)
    data = Dataset("noise", "train", data.images, data.labels, ("$\\frac{$", "b\nc", "c"), data.mean, data.std)
    shown = augmented(data, Augmentation(), 12, pictures=2, times=1, flip=False, crop_padding=0)
    labels = [panel.get_xlabel() for panel in augmented_pictures(shown).axes]
    assert r"\$\frac{\$" in labels
    assert "b\\nc" in labels
    assert png(augmented_pictures(shown)).startswith(b"\x89PNG")


def test_a_page_of_others_stays(tmp_path, capsys):
    (tmp_path / "index.html").write_text("<html>mine", encoding="utf-8")
    assert main(["augment", "fashion-mnist-small", "--image-size", "32", "--out", str(tmp_path)]) == 2
    assert "index.html is there already, and is not a page of mvnp; choose another name" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "<html>mine"


@pytest.mark.parametrize("inner", ["", "seen", "cat", "cat/seen"])
@pytest.mark.parametrize("part", ["", "train"])
def test_no_page_among_the_pictures(photos, tmp_path, capsys, inner, part):
    """Its pictures would be a class of the data set from then on."""
    if part:
        photos.rename(tmp_path / "train")
        photos.mkdir()
        (tmp_path / "train").rename(photos / "train")
    out = photos / part / inner
    before = sorted(photos.rglob("*"))
    assert main(["augment", str(photos), "--out", str(out), "--image-size", "16", "--pictures", "2"]) == 2
    told = capsys.readouterr().err
    assert f"--out {out} lies among the pictures of {photos}, where it would be taken for one of their classes" in told
    assert sorted(photos.rglob("*")) == before


def test_rows_are_as_long_where_pictures_come_several_times():
    shown = augmented(dataset(6), Augmentation(repeats=2.0, mixup=0.8), 12, pictures=6, times=3, crop_padding=0)
    assert [len(seen) for seen in shown.seen] == [len(labels) for labels in shown.labels] == [3] * 6
    assert all(panel.images for panel in augmented_pictures(shown).axes)
