"""The explorer: one page about one image, in which a reader chooses the block and the token."""

from .page import PAGE, Subject, write_explorer

__all__ = ["PAGE", "Subject", "write_explorer"]
