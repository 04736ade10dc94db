"""The animation of a scan: mvnp/visualize/state_animation.py."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.visualize.internals import record_scan
from mvnp.visualize.state_animation import FRAMES, as_gif, shown_tokens, state_animation, state_frames
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


def test_states_are_those_recorded_from_fast_to_slow():
    scan = record_scan(tiny(dtype="float64"), image())
    frames = state_frames(scan, 3)
    pace = np.log(scan.timescale)
    channels, states = np.argsort(pace.mean(axis=1)), np.argsort(pace.mean(axis=0))
    for t in range(4):
        np.testing.assert_array_equal(frames[t], scan.states[3, t][np.ix_(channels, states)])


@pytest.mark.parametrize("L", [1, 4, FRAMES, FRAMES + 1, 196, 1000])
def test_long_scans_skip_tokens_but_not_the_first_and_the_last(L):
    shown = shown_tokens(L)
    assert len(shown) <= FRAMES + 1
    assert (shown[0], shown[-1]) == (0, L - 1)
    assert len(shown) == L or L > FRAMES


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
