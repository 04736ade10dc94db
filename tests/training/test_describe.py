"""What a Trainer notes of a model and data of one's own: mvnp/training/describe.py."""

import numpy as np

import mvnp
from mvnp.checkpoint import load_checkpoint, read_pretrained
from mvnp.data import BatchLoader, Dataset, ImageTransform
from mvnp.training import Trainer, TrainingConfig, open_run
from support.toy_training import toy_run

CUT = {"num_heads": (1, 1, 2, 4), "window_size": (2, 2, 2, 2)}


def loaders(channels):
    rng = np.random.default_rng(0)
    parts = [
        Dataset(
            name="mine",
            part=part,
            images=rng.integers(0, 256, (6, 32, 32, channels), dtype=np.uint8),
            labels=np.arange(6) % 2,
            classes=("cat", "dog"),
            mean=tuple(np.float32(0.5) for _ in range(channels)),
            std=tuple(np.float32(0.25) for _ in range(channels)),
        )
        for part in ("train", "test")
    ]
    return [BatchLoader(part, 3, train=part.part == "train", image_size=32) for part in parts]


def trained(folder, channels):
    config = TrainingConfig(model={}, epochs=1, batch_size=3, warmup_epochs=0)
    model = mvnp.MambaVision(dim=4, in_dim=2, depths=(1, 1, 2, 1), num_classes=2, in_chans=channels, **CUT)
    return model, Trainer(model, *loaders(channels), open_run(folder, config), quiet=True).run()


def test_what_is_saved_needs_no_more_words(tmp_path):
    model, result = trained(tmp_path / "run", 3)
    for source in (tmp_path / "run", result.checkpoint, result.best):
        got = read_pretrained(source)
        assert got.model.config == model.config
        assert got.classes == ("cat", "dog")
        assert ImageTransform(**got.images).mean == (0.5,) * 3
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(read_pretrained(result.checkpoint).model.state_dict()[key], array)


def test_pictures_of_other_bands(tmp_path):
    _, result = trained(tmp_path / "run", 5)
    got = read_pretrained(result.checkpoint)
    assert (got.model.in_chans, got.classes) == (5, ("cat", "dog"))
    assert len(got.images["mean"]) == 5


def test_a_model_without_a_config_is_saved_too(tmp_path):
    result = toy_run(tmp_path)
    assert load_checkpoint(result.checkpoint)
