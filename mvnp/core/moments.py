"""Mean and spread of a batch, of which each share knows its own."""

from __future__ import annotations

from ..backend import Array

# How many values, their mean, and the sum of their squared distances from it, for each channel.
Moments = tuple[int, Array, Array]


def merged(shares: list[Moments]) -> Moments:
    """The moments of all values together.

    Those of share i lie around m_i and not around the common mean m:
    Σ (x − m)² = Σ (x − m_i)² + n_i (m_i − m)². Nothing large is subtracted. Chan, Golub, LeVeque:
    Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979).
    """
    n, m_0 = sum(n_i for n_i, _, _ in shares), shares[0][1]
    m = m_0 + sum(n_i / n * (m_i - m_0) for n_i, m_i, _ in shares)
    return n, m, sum(squares + n_i * (m_i - m) ** 2 for n_i, m_i, squares in shares)
