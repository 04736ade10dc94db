"""The average of weights: mvnp/training/ema.py."""

import numpy as np
import pytest

from mvnp.core import Layer
from mvnp.errors import CheckpointError, InputError
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.linear import Linear
from mvnp.training import EMA
from support.checks import normal
from support.recipe_cases import recipe_case
from support.tolerance import assert_close

SETTINGS, ARRAYS = recipe_case("ema")
BUFFERS = {
    "everything, counters too": "average all",
    "floating point averaged, integers copied": "average",
    "parameters averaged, buffers copied": "copy",
}


class Network(Layer):
    def __init__(self):
        self.fc, self.bn = Linear(3, 4), BatchNorm(4)


def network(row):
    """The reference's network after update number `row`."""
    model = Network()
    for key, param in model.named_state():
        param.data = np.array(ARRAYS[f"model.{key}"][row])
    return model


@pytest.mark.parametrize("case", SETTINGS["cases"])
def test_against_the_reference(case):
    options = SETTINGS["cases"][case]
    average = EMA(
        network(0),
        options["decay"],
        warmup=options["warmup"],
        gamma=options["gamma"],
        power=options["power"],
        after=options["update_after_step"] if options["step_given"] else None,
        min_decay=options["min_decay"],
        buffers=BUFFERS[options["rule"]],
    )
    for update in range(1, SETTINGS["updates"] + 1):
        assert_close(average.decay_of(update), options["decay_of_update"][update - 1], terms=16)
        average.update(network(update))
        for key, param in average.model.named_state():
            assert_close(param.data, ARRAYS[f"{case}.{key}"][update - 1], terms=64, message=f"{key} after update {update}")


@pytest.mark.parametrize("row", SETTINGS["decay_table"])
def test_warm_up_of_the_decay(row):
    options = {"gamma": row["gamma"], "power": row["power"], "after": row["update_after_step"], "min_decay": row["min_decay"]}
    average = EMA(Linear(1, 1), row["decay"], warmup=True, **options)
    assert_close([average.decay_of(step) for step in row["step"]], row["value"], terms=16)


def test_warm_up_without_further_words():
    """(2) with γ = 1, p = 2/3, from the first update on: the first takes over, the second has 1 − 2^(−2/3)."""
    average = EMA(Linear(1, 1), warmup=True)
    assert_close([average.decay_of(u) for u in (1, 2, 3)], [0.0, 1 - 2 ** (-2 / 3), 1 - 3 ** (-2 / 3)])
    assert average.decay_of(10**9) == 0.9998


def test_the_whole_range_of_decays():
    """At 1 the average never moves; at 0 it is the weights, whatever it was before."""
    for decay, want in ((1.0, 2.0), (0.0, 5.0)):
        model = Linear(1, 1)
        model.weight.data[:] = 2.0
        average = EMA(model, decay)
        if not decay:
            average.model.weight.data[:] = np.nan
        model.weight.data[:] = 5.0
        average.update(model)
        assert average.model.weight.data == want


def test_a_state_is_a_copy():
    average = EMA(Linear(1, 1))
    state = average.state_dict()
    average.model.weight.data += 1.0
    assert state["weight"] != average.model.weight.data
    assert np.shares_memory(average.state_dict(copy=False)["weight"], average.model.weight.data)


def test_by_hand():
    # θ̄ = 8, d = 3/4; θ = 0, then 4: 6, then 5.5. A counter of 0, then 5 is copied.
    model = BatchNorm(1)
    model.weight.data[:] = 8.0
    average = EMA(model, 0.75)
    for value, counter, want in ((0.0, 3, 6.0), (4.0, 5, 5.5)):
        model.weight.data[:], model.num_batches_tracked.data = value, np.array(counter)
        average.update(model)
        assert (average.model.weight.data, average.model.num_batches_tracked.data) == (want, counter)
    assert model.weight.data == 4.0


def test_state_goes_on_bit_for_bit():
    def draw(seed):
        model = Linear(3, 4)
        model.weight.data[:] = normal((4, 3), seed=seed)
        return model

    whole, first = EMA(draw(0), 0.9, warmup=True), EMA(draw(0), 0.9, warmup=True)
    for seed in (1, 2, 3):
        whole.update(draw(seed))
        first.update(draw(seed))
    second = EMA(draw(9), 0.9, warmup=True)
    second.load_state_dict(first.state_dict())
    for seed in (4, 5):
        whole.update(draw(seed))
        second.update(draw(seed))
    np.testing.assert_array_equal(whole.model.weight.data, second.model.weight.data)
    with pytest.raises(CheckpointError, match="holds no average of weights"):
        second.load_state_dict(draw(0).state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 1.5}, r"EMA: decay is 1.5, expected a number in \[0, 1\]"),
        ({"decay": "0.9"}, r"EMA: decay is '0.9', expected a number in \[0, 1\]"),
        ({"min_decay": -0.1}, "EMA: min_decay is -0.1"),
        ({"gamma": 0.0}, "EMA: gamma is 0.0, expected a number above 0"),
        ({"power": float("nan")}, "EMA: power is nan"),
        ({"after": -1}, "EMA: after is -1, expected at least 0, or None"),
        ({"after": "ten"}, "EMA: after is 'ten', expected at least 0, or None"),
        ({"buffers": "coppy"}, "unknown treatment of buffers 'coppy' .did you mean 'copy'"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        EMA(Linear(1, 1), **options)


def test_of_another_model():
    with pytest.raises(InputError, match="EMA: this Linear has other parameters than the model that is averaged"):
        EMA(Linear(3, 4)).update(Linear(4, 3))


@pytest.mark.parametrize("model", [None, 3, "demo", {}])
def test_of_what_is_no_model(model):
    with pytest.raises(InputError, match=f"EMA: model is {model!r}, expected a model or a layer"):
        EMA(model)
    with pytest.raises(InputError, match=r"update: model is .*, expected a model"):
        EMA(Linear(1, 1)).update(model)


def test_an_average_that_has_had_no_update_goes_on():
    average = EMA(Linear(2, 2))
    average.update(average.model)
    average.load_state_dict(EMA(Linear(2, 2)).state_dict())
    assert average.updates == 0


@pytest.mark.parametrize("updates", [np.array(-1), np.zeros(3, np.int64), np.array(1.5)])
def test_updates_that_cannot_be(updates):
    """Nothing is taken then."""
    average, other = EMA(Linear(2, 2)), EMA(Linear(2, 2))
    before = average.state_dict()
    state = {**{key: array + 1 for key, array in other.state_dict().items()}, "updates": updates}
    with pytest.raises(CheckpointError, match="'updates' is no integer of at least 0"):
        average.load_state_dict(state)
    for key, array in average.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
