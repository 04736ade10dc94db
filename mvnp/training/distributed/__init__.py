"""Several processes that train one model together, each with its share of every batch.

ranks.py      what a process by itself does, and the interface of those that train together
mpi.py        the same for many, over MPI
buckets.py    gradients of all ranks, added up
"""

from .mpi import join
from .ranks import Ranks

__all__ = ["Ranks", "join"]
