"""The scikit-learn transformer: mvnp/inference/sklearn.py."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from mvnp.checkpoint import save_pretrained
from mvnp.data import ImageTransform
from mvnp.errors import DataError, InputError
from mvnp.inference.sklearn import MambaVisionFeatures
from support.patience import HANGS
from support.tiny import tiny
from support.tolerance import assert_close

IMAGES = {"size": 32, "crop_pct": 1.0, "crop_mode": "center", "mean": [0.4] * 3, "std": [0.2] * 3, "channels": 3}
PICTURES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
ALL = (0, 1, 2, 3, "pooled")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_pretrained(path, tiny(), images=IMAGES)
    return str(path)


def test_features_are_those_of_the_model(weights):
    found = MambaVisionFeatures(weights, stages=(2, "pooled", 0), batch_size=2).fit(PICTURES).transform(PICTURES)
    x = ((PICTURES / 255.0 - 0.4) / 0.2).transpose(0, 3, 1, 2).astype(np.float32)
    stages = tiny().features(x)
    want = np.concatenate([stages[2].mean(axis=(2, 3)), tiny().pooled(x), stages[0].mean(axis=(2, 3))], axis=1)
    assert found.shape == (5, 16 + 32 + 4)
    assert found.dtype == np.float32
    assert_close(found, want)
    alone = MambaVisionFeatures(weights).fit_transform(PICTURES)
    assert_close(alone, tiny().pooled(x))


def test_rows_do_not_depend_on_the_batch(weights):
    whole = MambaVisionFeatures(weights, stages=ALL, batch_size=5).fit_transform(PICTURES)
    order = [3, 0, 4, 1, 2]
    for batch_size in (1, 3):
        features = MambaVisionFeatures(weights, stages=ALL, batch_size=batch_size).fit(PICTURES)
        assert_close(features.transform(PICTURES[order]), whole[order])
        assert_close(features.transform(PICTURES[1:3]), whole[1:3])


def test_all_that_a_picture_can_be(weights, tmp_path):
    features = MambaVisionFeatures(weights, stages=ALL).fit(PICTURES)
    want = features.transform(PICTURES)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path, picture in zip(paths, PICTURES, strict=True):
        Image.fromarray(picture).save(path)
    for X in (
        paths,
        list(map(str, paths)),
        np.array(list(map(str, paths))),
        np.array([[str(path)] for path in paths], dtype=object),
        [Image.open(path) for path in paths],
        list(PICTURES),
        PICTURES / 255.0,
        (PICTURES / 255.0).astype(np.float32).transpose(0, 3, 1, 2),
        PICTURES.transpose(0, 3, 1, 2),
        [paths[0], PICTURES[1], str(paths[2]), *PICTURES[3:]],
    ):
        assert_close(features.transform(X), want)
    grey = features.transform(PICTURES[..., 0])
    assert_close(features.transform(np.repeat(PICTURES[..., :1], 3, axis=3)), grey)
    larger = [Image.fromarray(PICTURES[0]).resize((50, 40)), PICTURES[1]]  # of different sizes
    assert features.transform(larger).shape == (2, 92)


def test_names_of_the_features(weights):
    features = MambaVisionFeatures(weights, stages=(1, "pooled")).fit(PICTURES)
    names = features.get_feature_names_out()
    assert list(names[:2]) == ["stage1_0", "stage1_1"]
    assert list(names[8:10]) == ["pooled_0", "pooled_1"]
    assert len(names) == features.transform(PICTURES).shape[1] == 40
    assert make_pipeline(features).get_feature_names_out()[0] == "stage1_0"


def test_parameters_and_clones(weights):
    features = MambaVisionFeatures(weights, stages=(3,), images=ImageTransform(16), batch_size=4)
    assert features.get_params() == {"weights": weights, "stages": (3,), "images": ImageTransform(16), "batch_size": 4}
    twin = clone(features).set_params(stages=(0, 1))
    assert (twin.stages, features.stages) == ((0, 1), (3,))
    assert not hasattr(clone(features.fit(PICTURES)), "model_")
    assert "batch_size=4" in repr(features)


def test_pickle(weights):
    features = MambaVisionFeatures(weights).fit(PICTURES)
    again = pickle.loads(pickle.dumps(features))
    np.testing.assert_array_equal(again.transform(PICTURES), features.transform(PICTURES))


def test_a_model_in_place_of_a_file():
    model = tiny()
    images = ImageTransform(**IMAGES)
    found = clone(MambaVisionFeatures(model, images=images)).fit_transform(PICTURES)
    x = np.stack([images(picture) for picture in PICTURES])
    assert_close(found, model.pooled(x))


def test_in_a_pipeline(weights):
    bright = np.random.default_rng(1).integers(0, 2, 24)
    X = (np.random.default_rng(2).integers(0, 60, (24, 32, 32, 3)) + 120 * bright[:, None, None, None]).astype(np.uint8)
    pipeline = make_pipeline(MambaVisionFeatures(weights), LogisticRegression())
    search = GridSearchCV(pipeline, {"mambavisionfeatures__stages": [(0,), ("pooled",)]}, cv=2).fit(X[:16], bright[:16])
    assert search.score(X[16:], bright[16:]) == 1.0


def test_check_estimator(weights):
    # Nearly all of scikit-learn's checks feed tables of numbers; for an estimator of pictures it leaves them out, and says so.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = check_estimator(MambaVisionFeatures(weights), on_fail=None)
    assert [result["status"] for result in results] == ["passed"]
    assert any(issubclass(w.category, SkipTestWarning) and "which requires input" in str(w.message) for w in caught)


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_estimator_repr",
        "check_no_attributes_set_in_init",
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_mixin_order",
        "check_get_params_invariance",
        "check_set_params",
        "check_parameters_default_constructible",
    ],
)
def test_checks_that_need_no_data(check, weights):
    getattr(estimator_checks, check)("MambaVisionFeatures", MambaVisionFeatures(weights))


def test_fit_changes_no_parameter_and_is_idempotent(weights):
    # What check_dict_unchanged, check_fit_idempotent and others ask, with pictures.
    features = MambaVisionFeatures(weights, stages=[2])
    before = features.get_params()
    assert features.fit(PICTURES) is features
    once = features.transform(PICTURES)
    state = dict(vars(features))
    np.testing.assert_array_equal(features.transform(PICTURES), once)
    assert vars(features) == state
    np.testing.assert_array_equal(features.fit(PICTURES).transform(PICTURES), once)
    assert features.get_params() == before


def test_transform_before_fit(weights):
    with pytest.raises(NotFittedError):
        MambaVisionFeatures(weights).transform(PICTURES)
    with pytest.raises(NotFittedError):
        MambaVisionFeatures(weights).get_feature_names_out()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"stages": (4,)}, "stages is .4,., expected some of 0, 1, 2, 3, 'pooled', each once"),
        ({"stages": ()}, "stages is"),
        ({"stages": (1, 1)}, "stages is"),
        ({"stages": (True,)}, "stages is"),
        ({"stages": "pooled"}, "stages is 'pooled', .* as a tuple"),
        ({"stages": 3}, "stages is 3"),
        ({"batch_size": 0}, "batch_size is 0, expected an integer of at least 1"),
        ({"images": 224}, "images is a int, expected an ImageTransform or None"),
        ({"images": ImageTransform(32, mean=(0.5,), std=(0.2,), channels=1)}, "1 channels, but the model takes 3"),
        ({"weights": None}, "weights is a NoneType"),
        ({"weights": tiny()}, "do not say how their images were prepared; give images="),
    ],
)
def test_wrong_parameters(weights, parameters, message):
    with pytest.raises(InputError, match=message):
        MambaVisionFeatures(**{"weights": weights, **parameters}).fit(PICTURES)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("cat.jpg", InputError, "X is one path, 'cat.jpg'; expected a list"),
        ([], InputError, "X is empty"),
        (7, InputError, "X is a int"),
        (np.zeros((4, 64)), InputError, r"shape \(4, 64\), expected .* X.reshape"),
        (["nowhere.png"], DataError, "nowhere.png"),
        ([PICTURES[0], 3.5], InputError, "picture 1 of X: ImageTransform: the image is a float"),
        ([PICTURES[0], 300.0 * np.ones((8, 8))], InputError, "picture 1 of X: .* values from 300 to 300, expected 0 to 1"),
    ],
)
def test_wrong_pictures(weights, X, error, message):
    features = MambaVisionFeatures(weights).fit(PICTURES)
    with pytest.raises(error, match=message):
        features.transform(X)


def test_without_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from mvnp.errors import MvnpError\n"
        "try: import mvnp.inference.sklearn\n"
        "except MvnpError as error: assert isinstance(error, ImportError) and \"'mvnp[sklearn]'\" in str(error)\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANGS)


def test_importing_mvnp_does_not_import_scikit_learn():
    code = "import sys, mvnp, mvnp.training; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=HANGS).returncode == 0
