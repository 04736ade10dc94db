"""The learning rate of each step: mvnp/training/schedule.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvnp.training import learning_rate


def test_by_hand():
    # Four steps of warm-up from 0.2 to 1, then half a cosine to 0 over eight.
    rates = [learning_rate(step, 12, 4, lr=1.0, min_lr=0.0, warmup_lr=0.2) for step in range(14)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[8] == pytest.approx(0.5)  # half way down
    assert rates[6] == pytest.approx((1 + math.sqrt(0.5)) / 2)
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
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), f"step {step}"
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
