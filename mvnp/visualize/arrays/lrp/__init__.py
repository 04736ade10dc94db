"""Layer-wise relevance propagation for a network that is part scan and part attention.

rules.py        one rule for each kind of layer: which factor of it counts as a constant
gamma.py        another rule for convolutions, for calmer maps
relevance.py    the model with these rules; the relevance of every pixel; what the biases keep
"""

from .relevance import Relevance, linearised, relevance

__all__ = ["Relevance", "linearised", "relevance"]
