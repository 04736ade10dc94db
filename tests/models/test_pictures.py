"""What a model knows of its classes and of preparing pictures: mvnp/models/pictures.py. Messages are compared word for word."""

import re

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.models.pictures import Pictured


class Model(Pictured):
    pass


def doubled(picture: np.ndarray) -> np.ndarray:
    return 2 * picture


def test_nothing_is_known_at_first():
    model = Model()
    assert (model.classes, model.preparation) == (None, None)
    message = (
        "Model: this model does not know how pictures are prepared for it: its weights do not say."
        " model.know(preparation=mvnp.data.ImageTransform(size=…, mean=…, std=…)) tells it, as it was trained"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        model.transform(np.ones(3))


@pytest.mark.parametrize("classes", [["cat", "dog"], ("cat", "dog")])
def test_what_is_noted(classes):
    model, other = Model(), Model()
    model.know(classes, doubled)
    assert (model.classes, model.preparation) == (("cat", "dog"), doubled)
    np.testing.assert_array_equal(model.transform(np.arange(3)), [0, 2, 4])
    assert other.classes is None, "what one model knows is its own"
    model.know()
    assert (model.classes, model.preparation) == (None, None)


@pytest.mark.parametrize("classes", ["cat", ["cat", 3], [3, 4], {"cat": 1}, 2])
def test_classes_are_a_list_of_names(classes):
    model = Model()
    model.know(["cat"], doubled)
    with pytest.raises(InputError, match=re.escape(f"know: classes is {classes!r}, expected a list of names")):
        model.know(classes)
    assert model.classes == ("cat",), "a refused call changes nothing"


def test_a_preparation_can_be_called():
    with pytest.raises(InputError, match=re.escape("know: preparation is 'resize', expected an mvnp.data.ImageTransform")):
        Model().know(None, "resize")
