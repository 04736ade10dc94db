"""A random order that no version of a library changes.

Which images are held out, and which went into the shipped subset, must be found again years from now, on any machine.
NumPy does not promise that for its generators, so here the order is that of a hash: SHA-256 of the seed and the name.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence


def drawn_order(names: Sequence[str], seed: int | str) -> list[int]:
    """The positions of `names`, shuffled: fixed by the seed and the names, not by the order in which they come.

    Names count in Unicode's composed form, since file systems differ in the form that they give back.
    """
    return sorted(range(len(names)), key=lambda i: (_hash(f"{seed}/{names[i]}"), names[i]))


def _hash(text: str) -> bytes:
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape")).digest()
