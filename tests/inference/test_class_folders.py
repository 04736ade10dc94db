"""Which class a folder is: mvnp/inference/class_folders.py."""

import re

import pytest

from mvnp.errors import DataError
from mvnp.inference import find_class_folders, imagenet_names


def folders(root, *names, pictures=1):
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(pictures):
            (root / name / f"{number}.jpg").touch()
    return root


def classes(root, count, names=None, imagenet=False):
    found = find_class_folders(root, count, names, imagenet)
    assert len(found.files) == len(found.labels)
    assert [found.classes[found.folders.index(file.parent.name)] for file in found.files] == found.labels.tolist()
    return dict(zip(found.folders, found.classes, strict=True))


def refused(root, count, names=None, imagenet=False):
    with pytest.raises(DataError) as caught:
        find_class_folders(root, count, names, imagenet)
    assert str(caught.value).startswith(str(root))
    return str(caught.value)


def test_by_name(tmp_path):
    folders(tmp_path, "dog", "CAT", "hot_dog", "T-shirt_top", pictures=2)
    want = {"CAT": 0, "dog": 1, "hot_dog": 3, "T-shirt_top": 4}
    assert classes(tmp_path, 5, ["cat", "Dog", "house", "hot dog", "T-shirt/top"]) == want


def test_by_wordnet_id(tmp_path):
    folders(tmp_path, "n02123045", "n01440764")
    assert classes(tmp_path, 1000, imagenet_names(), imagenet=True) == {"n01440764": 0, "n02123045": 281}
    # Only where the thousand classes are ImageNet's.
    assert "'n01440764'" in refused(tmp_path, 1000, [f"class {n}" for n in range(1000)])


def test_by_imagenets_names(tmp_path):
    folders(tmp_path, "tabby_cat", "espresso")
    assert classes(tmp_path, 1000, imagenet_names(), imagenet=True) == {"tabby_cat": 281, "espresso": 967}


def test_a_name_of_two_classes(tmp_path):
    folders(tmp_path, "missile", "espresso")
    message = refused(tmp_path, 1000, imagenet_names(), imagenet=True)
    assert "'missile' is the name of the classes 657 and 744; name the folders by number, or by WordNet id" in message


def test_two_folders_of_one_class(tmp_path):
    folders(tmp_path, "hot dog", "hot_dog")
    assert "the folders 'hot dog', 'hot_dog' are of the same class; merge them" in refused(tmp_path, 2, ["cat", "hot dog"])


def test_by_number(tmp_path):
    folders(tmp_path, "9", "0", "3")
    for names in (None, list("abcdefghij")):
        assert classes(tmp_path, 10, names) == {"0": 0, "3": 3, "9": 9}
    assert "'9'" in refused(tmp_path, 9, list("abcdefghi"))


def test_in_order_where_there_are_no_names(tmp_path):
    folders(tmp_path, "dog", "apple", "cat")
    assert classes(tmp_path, 3) == {"apple": 0, "cat": 1, "dog": 2}
    message = refused(tmp_path, 4)
    assert re.search("has 3 class folders .*, but the model has 4 classes and no names for them", message)
    assert (
        "expected 4 folders in the classes' order, or folders named 0 to 3, or the names in a file (--classes FILE)" in message
    )
    # With names nothing is taken by its place.
    assert "3 of 3 folders are of no class of the model" in refused(tmp_path, 3, ["x", "y", "z"])


@pytest.mark.parametrize(("names", "first"), [(["class10", "class2"], "class2"), (["a", "B"], "a")])
def test_an_order_that_is_not_certain(tmp_path, names, first):
    folders(tmp_path, *names)
    message = refused(tmp_path, 2)
    assert f"the order of the folders is not certain: letter by letter, as torchvision sorts, {first!r} has another" in message


def test_names_that_nearly_fit(tmp_path):
    folders(tmp_path, "dogs", "cat")
    message = refused(tmp_path, 3, ["cat", "dog", "house"])
    assert "1 of 2 folders are of no class of the model: 'dogs' (did you mean 'dog'?); expected cat, dog, house" in message
    assert message.endswith("or numbers from 0 to 2")


@pytest.mark.parametrize(("parts", "named"), [(["train", "val"], "val"), (["train"], "train"), (["test", "train"], "test")])
def test_parts_in_place_of_classes(tmp_path, parts, named):
    folders(tmp_path, *(f"{part}/cat" for part in parts))
    message = refused(tmp_path, 2, ["cat", "dog"])
    assert message.endswith(f"and no classes; give one of them: {tmp_path / named}")


def test_a_class_without_pictures(tmp_path):
    folders(tmp_path, "cat")
    (tmp_path / "dog").mkdir()
    assert classes(tmp_path, 2, ["cat", "dog"]) == {"cat": 0, "dog": 1}
    (tmp_path / "cat" / "0.jpg").unlink()
    assert "no pictures in its 2 folders; expected files such as cat/1.jpg" in refused(tmp_path, 2, ["cat", "dog"])
