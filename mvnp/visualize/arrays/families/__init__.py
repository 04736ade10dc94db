"""What pictures have to know of each family of networks: one file for each, looked up by the class of the network or mixer."""

from . import mambavision, vim, vmamba
from .family import family_of

__all__ = ["family_of", "mambavision", "vim", "vmamba"]
