"""The rules of single layers; a number in brackets is an equation of cost.py."""

from __future__ import annotations

import math

from ..core import Layer
from ..layers.conv1d import Conv1d
from ..layers.conv2d import Conv2d
from ..layers.linear import Linear
from ..layers.pool import AveragePool
from .walk import Shape, Walk, rule


@rule(Conv2d)
def conv2d(walk: Walk, layer: Conv2d, shape: Shape) -> Shape:
    """(1)"""
    O, I, *kernel = layer.weight.shape
    sides = zip(shape, layer.padding, kernel, layer.stride, strict=False)
    shape = (*((side + 2 * p - k) // s + 1 for side, p, k, s in sides), O)
    return walk.note(layer, "Conv2d", shape, math.prod(shape) * I * math.prod(kernel))


@rule(Conv1d)
def conv1d(walk: Walk, layer: Conv1d, shape: Shape) -> Shape:
    """(2)"""
    return walk.note(layer, "Conv1d", shape, math.prod(shape) * layer.weight.shape[2])


@rule(Linear)
def linear(walk: Walk, layer: Linear, shape: Shape) -> Shape:
    """(3)"""
    shape = (*shape[:-1], layer.weight.shape[0])
    return walk.note(layer, "Linear", shape, math.prod(shape) * layer.weight.shape[1])


@rule(AveragePool)
def average_pool(walk: Walk, layer: AveragePool, shape: Shape) -> Shape:
    """One vector."""
    return walk.note(layer, "AveragePool", shape[-1:])


def scan(walk: Walk, layer: Layer, shape: Shape, states: int, flops: int = 9, macs: int = 0) -> Shape:
    """(5), of x (..., L, D) with so many states for each channel; `macs`: of what else is in this row."""
    return walk.note(layer, "scan", shape, macs=macs, scan_flops=flops * math.prod(shape) * states)
