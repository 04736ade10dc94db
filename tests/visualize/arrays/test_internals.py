"""What is seen of a forward pass: mvnp/visualize/arrays/internals.py."""

import gc
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mvnp.backend import from_numpy
from mvnp.errors import InputError
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.mixer import MambaVisionMixer
from mvnp.visualize.arrays.internals import choose_block, internals, record_attention, record_scan
from support.figures import image
from support.tiny import tiny
from support.tolerance import DEEP, assert_close

recording = sys.modules["mvnp.visualize.arrays.internals"]  # the function of that name hides the module

WORDS = ("path", "windows", "tokens", "route", "weight", "several")  # of a record: what is no array


def of_type(model, kind):
    return {path: layer for path, layer in model.named_layers() if isinstance(layer, kind)}


@pytest.mark.parametrize("padding", ["visible", "masked"])
def test_states_are_those_of_the_plain_recurrence(padding):
    model = tiny(dtype="float64", padding=padding)
    for path, scan in internals(model, image()).scans.items():
        nW, L, D = scan.x.shape
        assert (nW, L) == (scan.windows.count, scan.windows.P**2), path
        for window in range(nW):
            h = np.zeros((D, scan.A.shape[1]))
            for t in range(L):
                for d in range(D):
                    for n in range(len(h[d])):
                        decay = np.exp(scan.delta[window, t, d] * scan.A[d, n])
                        h[d, n] = decay * h[d, n] + scan.delta[window, t, d] * scan.B[window, t, n] * scan.x[window, t, d]
                        assert_close(scan.decay[window, t, d, n], decay)
                assert_close(scan.states[window, t], h, terms=DEEP)


def test_every_mixer_and_attention_is_found_under_its_own_path():
    model = tiny(dtype="float64", depths=(1, 1, 3, 2))
    seen = internals(model, image())
    mixers = of_type(model, MambaVisionMixer)
    assert list(seen.scans) == list(mixers) == [f"levels.{b}.mixer" for b in ("2.blocks.0", "2.blocks.1", "3.blocks.0")]
    assert list(seen.attentions) == list(of_type(model, MultiHeadAttention))
    for path, layer in mixers.items():
        np.testing.assert_array_equal(seen.scans[path].A, -np.exp(layer.A_log.data))
        np.testing.assert_array_equal(seen.scans[path].D, layer.D.data)


def test_windows_are_those_of_the_maps():
    seen = internals(tiny(window_size=(8, 8, 3, 2)), image())
    described = {path: (w.H, w.W, w.P, w.stride, w.count) for path, w in seen.windows.items()}
    assert described == {"levels.2": (5, 5, 3, 16, 4), "levels.3": (3, 3, 2, 32, 4)}
    assert seen.scans["levels.2.blocks.0.mixer"].windows == seen.windows["levels.2"]
    assert seen.attentions["levels.3.blocks.1.mixer"].windows == seen.windows["levels.3"]


def test_attention_rows_add_up_to_one():
    for record in internals(tiny(dtype="float64"), image()).attentions.values():
        assert record.weights.shape == (record.windows.count, 2, 4, 4)
        assert_close(record.weights.sum(axis=-1), 1.0)


def test_masked_padding_gets_no_attention_and_takes_no_step():
    seen = internals(tiny(dtype="float64", padding="masked"), image())
    for record in seen.attentions.values():
        real = record.windows.real
        assert not real.all()
        on_real = np.where(real[:, None, None], record.weights, 0.0).sum(axis=-1)
        assert_close(on_real, 1.0)
    for scan in seen.scans.values():
        real = scan.windows.real
        assert (scan.delta[~real] == 0).all()
        assert (scan.delta[real] > 0).all()


def test_timescale():
    scan = internals(tiny(dtype="float64", padding="masked"), image()).scans["levels.2.blocks.0.mixer"]
    # With the mean Δ of the real tokens at each of them, a state is exp(−1) of itself after τ tokens.
    mean_delta = np.mean([scan.delta[w, t] for w, t in np.argwhere(scan.windows.real)], axis=0)
    decay = np.exp(mean_delta[:, None] * scan.A)
    assert_close(decay**scan.timescale, np.exp(-1), terms=DEEP)


def test_looking_changes_nothing():
    model, x = tiny(dtype="float64"), image()
    before, logits = model.state_dict(), model(x)
    seen = internals(model, x)
    assert_close(seen.logits, logits[0])  # without a tape, norms are folded into convolutions
    np.testing.assert_array_equal(model(x), logits)
    assert all((value == before[key]).all() for key, value in model.state_dict().items())


def test_on_cupy_everything_comes_to_the_host(strict_cupy):
    model = tiny()
    seen = internals(model, from_numpy(image().astype(np.float32)))
    for record in (*seen.scans.values(), *seen.attentions.values()):
        arrays = [value for name, value in vars(record).items() if name not in WORDS]
        assert all(type(array) is np.ndarray for array in arrays)
    assert type(seen.logits) is np.ndarray


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (1, 1, 64, 64), (3, 64, 64)])
def test_anything_but_one_image(shape):
    with pytest.raises(InputError, match=r"internals: image has shape .*, expected \(1, 3, H, W\)"):
        internals(tiny(), np.zeros(shape, np.float32))


def test_a_block_by_its_path_with_and_without_mixer():
    scans = internals(tiny(), image()).scans
    assert choose_block(scans, None) == choose_block(scans, "levels.2.blocks.0") == "levels.2.blocks.0.mixer"
    assert choose_block(scans, "levels.3.blocks.0.mixer") == "levels.3.blocks.0.mixer"
    with pytest.raises(InputError, match=r"unknown block 'levels.2.blocks.1.mixer' .*choose one of levels.2.blocks.0.mixer"):
        choose_block(scans, "levels.2.blocks.1")


def test_a_model_without_attention():
    seen = internals(tiny(depths=(1, 1, 1, 1)), image())
    with pytest.raises(InputError, match="no block with scan or attention"):
        choose_block(seen.attentions, None)


def test_only_the_blocks_asked_for_are_recorded(monkeypatch):
    computed = []
    states = recording.selective_scan_states
    monkeypatch.setattr(recording, "selective_scan_states", lambda cache: computed.append(cache) or states(cache))
    model, x = tiny(dtype="float64", depths=(1, 1, 4, 2)), image()
    whole = internals(model, x)
    assert len(computed) == 3
    some = internals(model, x, ["levels.3.blocks.1", "levels.2.blocks.1.mixer"])
    assert len(computed) == 4
    assert (list(some.scans), list(some.attentions)) == (["levels.2.blocks.1.mixer"], ["levels.3.blocks.1.mixer"])
    assert some.windows == whole.windows
    np.testing.assert_array_equal(some.logits, whole.logits)
    for name in ("x", "delta", "B", "C", "states", "decay"):
        np.testing.assert_array_equal(
            getattr(some.scans["levels.2.blocks.1.mixer"], name), getattr(whole.scans["levels.2.blocks.1.mixer"], name)
        )
    nothing = internals(model, x, [])
    assert not nothing.scans
    assert not nothing.attentions


def test_blocks_that_there_are_not():
    with pytest.raises(InputError, match=r"unknown block 'levels.1.blocks.0.mixer'.*choose one of levels.2.blocks.0.mixer"):
        internals(tiny(), image(), ["levels.1.blocks.0"])
    with pytest.raises(InputError, match=r"blocks is the string 'levels.2.blocks.0', expected a list of paths"):
        internals(tiny(), image(), "levels.2.blocks.0")
    with pytest.raises(InputError, match=r"unknown block 'levels.2.blocks.0.mixer' .*choose one of levels.2.blocks.1.mixer"):
        record_attention(tiny(), image(), "levels.2.blocks.0")


def test_one_record_by_its_kind():
    model, x = tiny(dtype="float64"), image()
    seen = internals(model, x)
    np.testing.assert_array_equal(record_scan(model, x).states, seen.scans["levels.2.blocks.0.mixer"].states)
    weights = record_attention(model, x, "levels.3.blocks.1").weights
    np.testing.assert_array_equal(weights, seen.attentions["levels.3.blocks.1.mixer"].weights)


def calls_of(work):
    """Every Python function that `work` calls, with how often."""
    counted: Counter = Counter()
    before = sys.getprofile()
    gc.disable()  # its moments are its own, and others may have asked to be called then
    sys.setprofile(lambda frame, event, _: counted.update([frame.f_code]) if event == "call" else None)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return counted


def test_ordinary_runs_do_the_same_work_before_and_after():
    # Time is no measure on a busy machine; the functions that run are. Recording must leave no hook and no kept state.
    model, x = tiny(), image().astype(np.float32)
    model(x)  # whatever is set up once

    def work():
        model(x)

    before, classes = calls_of(work), {path: type(layer) for path, layer in model.named_layers()}
    attributes = {path: dict(vars(layer)) for path, layer in model.named_layers()}
    internals(model, x)
    assert calls_of(work) == before
    assert {path: type(layer) for path, layer in model.named_layers()} == classes
    for path, layer in model.named_layers():
        assert vars(layer).keys() == attributes[path].keys()
        assert all(value is attributes[path][name] for name, value in vars(layer).items())
    assert not any("visualize" in Path(code.co_filename).parts for code in before if code is not work.__code__)
