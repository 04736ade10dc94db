"""What the public functions, data sets and switches say to what they cannot take: an error of ours, never another."""

import numpy as np
import pytest

import mvnp
from mvnp import data, kernels, training
from mvnp.data import BatchLoader, Dataset, ImageTransform
from mvnp.errors import MvnpError
from mvnp.execution import parallel
from support.tiny import tiny

NOTHING = {
    "None": None,
    "text": "abc",
    "bytes": b"x",
    "a digit that is none": "²",
    "a fraction": -0.3,
    "NaN": float("nan"),
    "a huge number": 10**400,
    "numbers": [1, 2],
    "a dict": {},
    "an array of text": np.array(["a"]),
    "an object": object(),
}
SET = {
    "name": "mine",
    "part": "train",
    "images": np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8, 1),
    "labels": np.array([0, 1] * 3),
    "classes": ("a", "b"),
    "mean": (0.3,),
    "std": (0.2,),
}

CALLS = {
    "images of a data set": lambda value: Dataset(**{**SET, "images": value}),
    "labels of a data set": lambda value: Dataset(**{**SET, "labels": value}),
    "mean of a data set": lambda value: Dataset(**{**SET, "mean": value}),
    "a loader's data set": lambda value: BatchLoader(value, 2, train=True),
    "a loader's size": lambda value: BatchLoader(Dataset(**SET), value, train=True),
    "a transform's crop": lambda value: ImageTransform(crop_pct=value),
    "a transform's std": lambda value: ImageTransform(std=value),
    "deviations of a data set": lambda value: Dataset(**{**SET, "std": value}),
    "a trainer's model": lambda value: training.Trainer(value, None, None, None),
    "a trainer's batches": lambda value: training.Trainer(tiny(), value, None, None),
    "a trainer's folder": lambda value: training.Trainer(tiny(), BatchLoader(Dataset(**SET), 2, train=True), None, value),
    "a run's learning rate": lambda value: training.TrainingConfig({}, lr=value),
    "an optimiser's parameters": lambda value: training.AdamW([value]),
    "an optimiser's betas": lambda value: training.AdamW(tiny(), betas=value),
    "a picture": lambda value: tiny()(value),
    "a name": mvnp.create_model,
    "weights": mvnp.load_pretrained,
    "a state dict": lambda value: tiny().load_state_dict(value),
    "a folder of data": data.load_dataset,
    "a share": lambda value: data.load_dataset(held_out=value),
    "the backend": mvnp.use_backend,
    "the kernels": kernels.use_kernels,
    "the convolution": kernels.use_convolution,
    "threads": parallel.use_threads,
    "a forward to check": lambda value: mvnp.gradcheck(value, value, {"x": np.ones(2)}),
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("value", NOTHING)
def test_what_it_cannot_take_is_refused_in_our_words(what, value):
    with pytest.raises(MvnpError):
        CALLS[what](NOTHING[value])


def test_a_pattern_and_a_seed():
    with pytest.raises(MvnpError, match=r"list_models: None is no pattern|list_models: the pattern is None"):
        mvnp.list_models(None)
    with pytest.raises(MvnpError, match=r"Tape: seed is 'abc', expected an integer of at least 0, or several"):
        mvnp.Tape(seed="abc")
