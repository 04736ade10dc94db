"""Arrays in a page: mvnp/visualize/pages/explorer/packing.py. test_browser.py shows that the script reads them alike."""

import json

import numpy as np
import pytest

from mvnp.visualize.pages.explorer.packing import pack, pack_exactly, unpack
from support.tolerance import assert_close


@pytest.mark.parametrize(("signed", "levels"), [(False, 255), (True, 127)])
def test_within_half_a_level_of_each_rows_own_scale(signed, levels):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 4, 50)) * np.exp(4 * rng.standard_normal((3, 4, 1)))
    values = values if signed else abs(values)
    packed = json.loads(json.dumps(pack(values)))
    assert packed["kind"] == ("int8" if signed else "uint8")
    assert packed["shape"] == [3, 4, 50]
    half = abs(values).max(axis=-1, keepdims=True) / levels / 2
    assert (abs(unpack(packed) - values) <= 1.001 * half).all()
    largest = abs(values).argmax(axis=-1)[..., None]
    largest_of = [np.take_along_axis(array, largest, -1) for array in (unpack(packed), values)]
    assert_close(*largest_of, terms=1, dtype="float32", each=True)  # the scale, which is float32


def test_a_row_of_zeros_and_the_smallest_of_numbers():
    values = np.array([[0.0, 0.0], [1e-300, 0.0], [2.0, 1.0]])
    np.testing.assert_allclose(unpack(pack(values)), [[0, 0], [0, 0], [2, 1]], atol=2 / 255 / 2)  # half a level
    np.testing.assert_array_equal(unpack(pack(values[:1])), values[:1])


def test_few_numbers_are_kept_as_they_are():
    values = np.array([[1.25, np.nan], [-3.5, 1 / 3]])
    np.testing.assert_array_equal(unpack(pack_exactly(values)), values.astype(np.float32))
