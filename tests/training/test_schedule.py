"""The learning rate of each step: mvnp/training/schedule.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvnp.errors import InputError
from mvnp.training import cosine_rate, learning_rate, scaled_rate
from support.recipe_cases import recipe_case
from support.tolerance import assert_close, near

SETTINGS, ARRAYS = recipe_case("schedule")
OPTIONS = {
    "t_initial": "cycle",
    "lr_min": "min_lr",
    "warmup_t": "warmup",
    "warmup_lr_init": "warmup_lr",
    "cycle_limit": "cycles",
}


def test_by_hand():
    # Four steps of warm-up from 0.2 to 1, then half a cosine to 0 over eight.
    rates = [learning_rate(step, 12, 4, lr=1.0, min_lr=0.0, warmup_lr=0.2) for step in range(14)]
    assert rates[:5] == [near(rate, terms=1) for rate in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert rates[8] == near(0.5, terms=1)  # half way down
    assert rates[6] == near((1 + math.sqrt(0.5)) / 2, terms=1)
    assert rates[12:] == [0.0, 0.0]


def test_against_torch():
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    warmup, total = 5, 23
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.02, end_factor=1.0, total_iters=warmup),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=0.001),
        ],
        milestones=[warmup],
    )
    for step in range(total):
        ours = learning_rate(step, total, warmup, lr=0.5, min_lr=0.001, warmup_lr=0.01)
        assert ours == near(optimizer.param_groups[0]["lr"], terms=total, scale=0.5), f"step {step}"
        optimizer.step()
        schedule.step()


@given(st.integers(1, 200), st.data())
def test_rises_then_falls_and_stays_between(total, data):
    warmup = data.draw(st.integers(0, total))
    rates = [learning_rate(step, total, warmup, lr=1.0, min_lr=0.1, warmup_lr=0.01) for step in range(total + 1)]
    assert all(0.01 <= rate <= 1.0 + 1e-12 for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert rates[-1] == 0.1


@pytest.mark.parametrize("case", ["by_epoch", "no_warmup", "warmup_prefix", "cycles", "cycles_mul2", "k_decay"])
def test_against_the_reference(case):
    settings = dict(SETTINGS["cases"][case])
    first, last = settings.pop("t")
    settings.pop("t_in_epochs")
    options = {OPTIONS.get(name, name): value for name, value in settings.items()}
    rates = [cosine_rate(t, **options) for t in range(first, last + 1)]
    assert_close(rates, ARRAYS[case], terms=16, scale=settings["lr"])


@pytest.mark.parametrize("case", ["small", "tiny_1k", "base_1k"])
def test_the_recipe(case):
    """By update, the cosine beside the warm-up, and epochs of cool-down."""
    run = SETTINGS["cases"][case]
    steps = run["steps_an_epoch"]
    updates = range(1, len(ARRAYS["small"]) + 1) if case == "small" else ARRAYS[f"{case}.u"]
    options = {"min_lr": run["min_lr"], "warmup": run["warmup"] * steps, "warmup_lr": run["warmup_lr"]}
    rates = [cosine_rate(int(u), run["epochs"] * steps, run["lr"], **options) for u in updates]
    assert_close(rates, ARRAYS[case if case == "small" else f"{case}.lr"], terms=16, scale=run["lr"])


def test_cycles_by_hand():
    # Cycles of 2 and 4 steps, the second half as high; then the floor.
    rates = [cosine_rate(t, 2, 1.0, cycles=2, cycle_mul=2.0, cycle_decay=0.5) for t in range(8)]
    assert_close(rates, [1, 0.5, 0.5, (1 + math.sqrt(0.5)) / 4, 0.25, (1 - math.sqrt(0.5)) / 4, 0, 0], terms=16)


def test_longer_cycles_by_hand():
    """Cycles of 2 and 6 steps: a factor of 2 hides where the second begins, for the cosine comes to the same again."""
    rates = [cosine_rate(t, 2, 1.0, cycles=2, cycle_mul=3.0, cycle_decay=0.5) for t in (0, 1, 2, 4, 5, 6, 8.5)]
    assert_close(rates, [1, 0.5, 0.5, 0.375, 0.25, 0.125, 0], terms=16)


def test_settings_unless_others_are_given():
    """A warm-up from 0, down to 0; cycles as long, and as high, as the first."""
    assert [learning_rate(step, 4, 2, lr=1.0) for step in (0, 1, 2, 3, 4)] == [0.0, 0.5, 1.0, near(0.5, terms=1), 0.0]
    assert cosine_rate(0, 10, 1.0, warmup=2) == 0.0
    assert [cosine_rate(t, 4, 1.0, cycles=2) for t in (0, 4, 6, 8)] == [1.0, 1.0, near(0.5, terms=1), 0.0]


@pytest.mark.parametrize("row", SETTINGS["batch_scaling_of_current_timm"])
def test_batch_scaling(row):
    assert scaled_rate(row["lr_base"], row["base_batch"], row["global_batch"], row["rule"]) == near(row["lr"])


def test_a_run_of_warm_up_alone():
    assert [learning_rate(step, 3, 3, lr=1.0, min_lr=0.1, warmup_lr=0.25) for step in range(4)] == [0.25, 0.5, 0.75, 0.1]


def test_after_the_last_of_shrinking_cycles():
    """Of 10, 5, 2.5 … steps: all of them together never come to 20."""
    rates = [cosine_rate(t, 10, 1.0, 0.1, cycles=5, cycle_mul=0.5) for t in (10, 15, 19.5, 20, 25)]
    assert_close(rates, [1.0, 1.0, 0.1, 0.1, 0.1], terms=16)


@pytest.mark.parametrize("options", [{"t": -1}, {"warmup": -2}, {"lr": -0.1}, {"cycles": -1}, {"min_lr": "a"}])
def test_what_no_schedule_has(options):
    (name,) = options
    with pytest.raises(InputError, match=f"cosine_rate: {name} is {options[name]!r}, expected a number of at least 0"):
        cosine_rate(**{"t": 1, "cycle": 10, "lr": 1.0, **options})
    with pytest.raises(InputError, match="learning_rate: step is -1, expected a number of at least 0"):
        learning_rate(-1, 10, 2, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosine_rate("3", 10, 1.0), "cosine_rate: t is '3', expected a number"),
        (lambda: cosine_rate(3, 10, 1.0, warmup_lr=math.nan), "cosine_rate: warmup_lr is nan, expected a number"),
        (lambda: cosine_rate(3, 0, 1.0), "cosine_rate: cycle is 0, expected a number above 0"),
        (lambda: cosine_rate(3, 10, 1.0, k_decay=-1.0), r"cosine_rate: k_decay is -1\.0, expected a number above 0"),
        (lambda: learning_rate(3, 10, None, 1.0), "learning_rate: warmup_steps is None, expected a number"),
        (lambda: scaled_rate(1.0, 256, 0), "scaled_rate: batch is 0, expected a number above 0"),
        (lambda: scaled_rate(1.0, 256, 64, "square"), r"unknown rule 'square' .*; choose one of sqrt, linear"),
    ],
)
def test_what_has_no_rate(call, message):
    with pytest.raises(InputError, match=message):
        call()
