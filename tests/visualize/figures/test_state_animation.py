"""The animation of a scan: mvnp/visualize/figures/state_animation.py."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.figures.state_animation import as_gif, state_animation
from support.figures import image
from support.tiny import tiny


def frames_of(data):
    gif = Image.open(io.BytesIO(data))
    assert gif.info["loop"] == 0
    found = []
    for number in range(gif.n_frames):
        gif.seek(number)
        found.append(np.asarray(gif.convert("RGB")).astype(int))
    return found


def test_a_frame_for_every_token_and_no_two_alike():
    frames = frames_of(state_animation(tiny(dtype="float64", window_size=(8, 8, 3, 2)), image()))
    assert len(frames) == 9
    assert all(np.abs(after - before).max() > 60 for before, after in itertools.pairwise(frames))


def test_squares_stay_once_they_are_read():
    # On the image's side, a frame differs from the one before by the token just read and the one read then.
    frames = frames_of(state_animation(tiny(dtype="float64", window_size=(8, 8, 5, 2)), image()))
    left = [frame[:, : frame.shape[1] // 2 - 60] for frame in frames]
    everything = (np.abs(left[-1] - left[0]).max(axis=-1) > 60).sum()  # 24 squares, where a step has one
    assert everything > 6 * (np.abs(left[1] - left[0]).max(axis=-1) > 60).sum()
    changed = [np.abs(after - before).max(axis=-1) > 60 for before, after in itertools.pairwise(left)]
    for step in (5, 12, 20):
        rows = np.flatnonzero(changed[step].any(axis=1))
        assert rows[-1] - rows[0] < 0.55 * np.flatnonzero(np.any(changed, axis=(0, 2))).size, "more than two rows of tokens"


@pytest.mark.parametrize("narrow", [False, True])
def test_the_file_is_written_whole_or_not_at_all(tmp_path, narrow):
    data = state_animation(tiny(), image(), query=(4, 4), narrow=narrow, out=tmp_path / "state.gif")
    assert (tmp_path / "state.gif").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["state.gif"]
    with pytest.raises(OSError, match=r"nothing was written.*missing"):
        state_animation(tiny(), image(), out=tmp_path / "missing" / "state.gif")


def test_masked_padding_and_devices(strict_cupy):
    state_animation(tiny(padding="masked"), from_numpy(image().astype(np.float32)))


def test_wrong_input():
    with pytest.raises(InputError, match=r"token \(5, 0\) is not on the map"):
        state_animation(tiny(), image(), query=(5, 0))
    with pytest.raises(InputError, match="no frames"):
        as_gif([], 100)
