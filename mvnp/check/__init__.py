"""Backwards against finite differences: `gradcheck` for functions and layers of one's own, and the cases of `mvnp check`."""

from .gradcheck import gradcheck, gradcheck_layer

__all__ = ["gradcheck", "gradcheck_layer"]
