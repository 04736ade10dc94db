"""A trained model on picture files: classes, features, accuracy. What `mvnp classify`, `features` and `validate` do."""

from .class_folders import ClassFolders, find_class_folders
from .class_names import class_names, imagenet_names, wordnet_ids
from .classify import Prediction, classify
from .features import ARRAYS, write_features
from .transform import transform_of
from .validate import Validation, ValidationInterrupted, validate

__all__ = [
    "ARRAYS",
    "ClassFolders",
    "Prediction",
    "Validation",
    "ValidationInterrupted",
    "class_names",
    "classify",
    "find_class_folders",
    "imagenet_names",
    "transform_of",
    "validate",
    "wordnet_ids",
    "write_features",
]
