"""The command line: `mvnp COMMAND`, one module for each command."""

from .entry import main

__all__ = ["main"]
