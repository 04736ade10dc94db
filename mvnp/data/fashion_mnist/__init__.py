"""Fashion-MNIST: 28x28 grey pictures of clothing in ten classes, and the small part of it that ships with mvnp.

Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv:1708.07747. MIT licence, Zalando SE: see LICENSE beside the files.
"""

from pathlib import Path

CLASSES: tuple[str, ...] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Of all pixels of the 60,000 training images, as fractions of 255. The subset is standardised with the same two numbers,
# so that a model trained on one can be tried on the other.
MEAN: tuple[float, ...] = (0.28604,)
STD: tuple[float, ...] = (0.35302,)

# CRC-32 of the 60,000 training labels: tells Fashion-MNIST from other data sets whose files have the same names.
LABELS_CRC = 0x2ED6E46A

SUBSET = Path(__file__).parent
FULL = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package dataset-fashion-mnist puts it
