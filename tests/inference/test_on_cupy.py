"""Pictures through a model on a device, by the stand-in for CuPy: arrays are moved there and back, and never mixed."""

import numpy as np

import mvnp
from mvnp.data import ImageTransform
from mvnp.inference import classify, find_class_folders, validate, write_features
from support.command_line import IMAGES, SMALL, save_picture


def test_on_cupy(strict_cupy, tmp_path):
    model = mvnp.MambaVision(**SMALL, num_classes=3)
    files = [save_picture(tmp_path / "set" / name / "1.png", seed) for seed, name in enumerate("abc")]
    transform = ImageTransform(**IMAGES)
    assert [len(prediction.classes) for prediction in classify(model, files, transform)] == [3, 3, 3]
    assert write_features(model, files, transform, tmp_path / "f.npz")["pooled"] == (3, 32)
    with np.load(tmp_path / "f.npz") as content:
        assert np.isfinite(content["stage3"]).all()
    found = find_class_folders(tmp_path / "set", 3, None)
    assert validate(model, found, transform, state_file=tmp_path / "state").counted == 3
