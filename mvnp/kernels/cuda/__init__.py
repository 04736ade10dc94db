"""Twins in CUDA C++, compiled by CuPy when first used; launch.py says how."""
