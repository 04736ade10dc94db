"""The explorer: one page about one image, in which a reader chooses the block and the token."""

from .page import Subject, write_explorer

__all__ = ["Subject", "write_explorer"]
