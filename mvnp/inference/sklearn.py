"""Features of images as a scikit-learn transformer: pictures in, vectors out.

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    probe = make_pipeline(MambaVisionFeatures("mamba_vision_T"), LogisticRegression())
    probe.fit(paths, labels)

A stage (B, C, H, W) becomes a vector (B, C) by its mean over height and width. The transformer learns nothing from its data:
`fit` loads the weights. (`pip install 'mvnp[sklearn]'`)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..backend import from_numpy, to_numpy
from ..checkpoint import read_pretrained
from ..data.images import ImageTransform
from ..errors import InputError, MissingPackageError
from ..models.backbone import Backbone
from ..models.classifier import Classifier

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingPackageError(
        "mvnp.inference.sklearn needs scikit-learn, 1.6 or newer: pip install 'mvnp[sklearn]'; without it, model.features and"
        " model.pooled give the same"
    ) from error

POOLED = "pooled"
STAGES = (0, 1, 2, 3, POOLED)


class MambaVisionFeatures(TransformerMixin, BaseEstimator):
    """Vectors of what a model with given weights sees in pictures.

    weights       what `mvnp.load_pretrained` takes: a file, a repository on the hub, a variant; or a model of any family
    stages        what is put side by side: 0 to 3, the means of a stage, of MambaVision dim·2^i numbers; "pooled", what the
                  classifier's head sees: of MambaVision the normalised last stage, 8·dim numbers, of Vim its class token
    images        ImageTransform, how pictures are prepared; None: as the weights say
    batch_size    pictures that go through the model together

    After `fit`, model_ and images_ are the model and the ImageTransform.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | Classifier = "mamba_vision_T",
        *,
        stages: Sequence[int | str] = (POOLED,),
        images: ImageTransform | None = None,
        batch_size: int = 16,
    ) -> None:
        self.weights = weights
        self.stages = stages
        self.images = images
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> MambaVisionFeatures:
        """Load the weights. Of X only the first picture is looked at, to see that it is one; y is ignored.

        Raises InputError for a wrong parameter or X, and what `mvnp.load_pretrained` raises.
        """
        self._check_parameters()
        model, images = self._loaded()
        _prepared(next(_pictures(X)), images)
        self.model_, self.images_ = model, images
        return self

    def transform(self, X: Any) -> np.ndarray:
        """float32 (n, features) of n pictures.

        X    a sequence of paths, Pillow images or arrays, or one array of them all, (n, ...). An image is an array (H, W),
             (H, W, C) or (C, H, W), uint8, or floating from 0 to 1.

        Raises InputError that names the picture, DataError for a file that is none.
        """
        check_is_fitted(self)
        rows, batch = [], []
        for number, picture in enumerate(_pictures(X)):
            try:
                batch.append(_prepared(picture, self.images_))
            except InputError as error:
                raise InputError(f"picture {number} of X: {error}") from error
            if len(batch) == self.batch_size:
                rows.append(self._features(batch))
                batch = []
        if batch:
            rows.append(self._features(batch))
        return np.concatenate(rows)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """stage2_0, stage2_1, …, pooled_0, …: the columns of `transform`. `input_features` is ignored."""
        check_is_fitted(self)
        names = []
        for stage in self.stages:
            prefix, width = (
                (POOLED, self.model_.width) if stage == POOLED else (f"stage{stage}", self.model_.channels[int(stage)])
            )
            names += [f"{prefix}_{channel}" for channel in range(width)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # a table of numbers is no picture
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        tags.no_validation = True
        return tags

    def _check_parameters(self) -> None:
        stages = self.stages
        known = [(type(stage), stage) for stage in STAGES]  # True is no stage
        valid = isinstance(stages, list | tuple) and all((type(stage), stage) in known for stage in stages)
        if not valid or not stages or len(set(stages)) < len(stages):
            raise InputError(
                f"MambaVisionFeatures: stages is {stages!r}, expected some of {', '.join(map(repr, STAGES))}, each once,"
                " as a tuple"
            )
        if not isinstance(self.batch_size, int | np.integer) or isinstance(self.batch_size, bool) or self.batch_size < 1:
            raise InputError(f"MambaVisionFeatures: batch_size is {self.batch_size!r}, expected an integer of at least 1")
        if not isinstance(self.weights, str | os.PathLike | Classifier):
            raise InputError(
                f"MambaVisionFeatures: weights is a {type(self.weights).__name__}, expected a file, a name or a model"
            )
        if self.images is not None and not isinstance(self.images, ImageTransform):
            raise InputError(
                f"MambaVisionFeatures: images is a {type(self.images).__name__}, expected an ImageTransform or None"
            )

    def _loaded(self) -> tuple[Classifier, ImageTransform]:
        if isinstance(self.weights, Classifier):
            model, known = self.weights, None
        else:
            pretrained = read_pretrained(self.weights)
            if isinstance(pretrained.model, Backbone):
                raise InputError(
                    f"{self.weights} is of a Backbone, which gives maps and no vectors; give a classifier's weights"
                )
            model, known = pretrained.model, pretrained.images
        images = self.images or (ImageTransform(**known) if known else None)
        if images is None:
            raise InputError(
                "MambaVisionFeatures: the weights do not say how their images were prepared; give"
                f" images=mvnp.data.ImageTransform(size=…, mean=…, std=…, channels={model.in_chans})"
            )
        if images.channels != model.in_chans:
            raise InputError(
                f"MambaVisionFeatures: images has {images.channels} channels, but the model takes {model.in_chans}"
            )
        missing = [stage for stage in self.stages if stage != POOLED and int(stage) >= len(model.channels)]
        if missing:
            raise InputError(f"MambaVisionFeatures: the model has {len(model.channels)} stages, and no stage {missing[0]}")
        return model, images

    def _features(self, batch: list[np.ndarray]) -> np.ndarray:
        """float32 (B, features) of prepared images."""
        x, model = from_numpy(np.stack(batch)), self.model_
        if tuple(self.stages) == (POOLED,):
            return to_numpy(model.pooled(x))
        maps, pooled = model.features_and_pooled(x) if POOLED in self.stages else (model.features(x), None)
        means: dict[int | str, Any] = {index: stage.mean(axis=(2, 3)) for index, stage in enumerate(maps)} | {POOLED: pooled}
        return np.concatenate([to_numpy(means[stage]) for stage in self.stages], axis=1)


def _pictures(X: Any) -> Iterator[Any]:
    """The pictures of X, one by one. Raises InputError where X is no collection of them."""
    if isinstance(X, str | os.PathLike):
        raise InputError(
            f"X is one path, {os.fspath(X)!r}; expected a list of them: mvnp.data.image_files gives those of a folder"
        )
    if hasattr(X, "iloc"):  # a column of a table, or a table of one column, as pandas has them
        X = X.to_numpy()
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1 and X.dtype.kind in "OUST":
        X = X[:, 0]
    if not hasattr(X, "__len__"):
        raise InputError(f"X is a {type(X).__name__}, expected a list of paths or pictures, or an array of them")
    if len(X) == 0:
        raise InputError("X is empty, expected at least one picture")
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUST" and X.ndim not in (3, 4):
        raise InputError(
            f"X is an array of shape {X.shape}, expected (n, H, W), (n, H, W, C) or (n, C, H, W);"
            " pictures that were made flat are restored by X.reshape(len(X), H, W)"
        )
    yield from X


def _prepared(picture: Any, images: ImageTransform) -> np.ndarray:
    """A picture of any kind as the model takes it."""
    if isinstance(picture, str | os.PathLike):
        return images.read(picture)
    if (
        isinstance(picture, np.ndarray)
        and picture.ndim == 3
        and picture.shape[2] not in (1, 3, 4, images.channels)
        and picture.shape[0] in (1, 3, images.channels)
    ):
        return images(picture.transpose(1, 2, 0))
    return images(picture)
