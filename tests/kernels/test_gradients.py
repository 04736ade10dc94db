"""The cases of `mvnp check` on kernels: each twin's backward against finite differences of its own forward, in float64."""

import pytest

from mvnp.check.layer_checks import LAYER_CASES
from mvnp.kernels.cuda.launch import FOLDER
from support.kernel_checks import device

STEMS = {path.stem for path in FOLDER.glob("*.cu")}


@pytest.mark.parametrize("case", [case for case in LAYER_CASES if case.layer in STEMS], ids=lambda case: case.name)
def test_gradients(case):
    with device("in order"):
        case.run().raise_for_error()
