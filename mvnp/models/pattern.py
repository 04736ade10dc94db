"""Which blocks of levels 2 and 3 mix by scan, M, and which by attention, S.

    n blocks of a level    places of S, counted from 0                 n = 8       n = 4    top-1
    random                 ⌊n/2⌋ places, drawn for each level                               81.3
    first_half             0 … ⌊n/2⌋ − 1                               SSSSMMMM    SSMM     81.5
    interleaved_sm         0, 2, 4, …, as many                         SMSMSMSM    SMSM     81.4
    interleaved_ms         1, 3, 5, …                                  MSMSMSMS    MSMS     81.6
    last_quarter           the last ⌊n/4⌋                              MMMMMMSS    MMMS     81.9
    last_half              the last ⌊n/2⌋: the released models         MMMMSSSS    MMSS     82.3
    none, all              not in the paper                            MMMMMMMM    MMMM
                                                                       SSSSSSSS    SSSS

Of an odd number the scan has the one more, as officially. "random" is not specified in the paper;
here `seed` draws it. Any other pattern is written out, a word for each of the two levels:
("MMSMMMSS", "MSMS").

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, table 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import InputError, check_choice, shown

PLACES: dict[str, Callable[[int], Sequence[int]]] = {
    "last_half": lambda n: range(n - n // 2, n),
    "last_quarter": lambda n: range(n - n // 4, n),
    "first_half": lambda n: range(n // 2),
    "interleaved_sm": lambda n: range(0, n - 1, 2),
    "interleaved_ms": lambda n: range(1, n, 2),
    "none": lambda n: (),
    "all": lambda n: range(n),
}
PATTERNS = (*PLACES, "random")


def kinds(pattern: str | Sequence[str], depths: Sequence[int], seed: int = 0) -> list[str]:
    """The kinds of the blocks of levels 2 and 3, a word of M and S for each.

    pattern    a name above, or the two words; depths: blocks of the four levels

    Raises InputError for another name, or words that are not of these depths.
    """
    if isinstance(pattern, str):
        check_choice("pattern", pattern, PATTERNS)
        return [_word(pattern, depth, [seed, level]) for level, depth in enumerate(depths[2:])]
    words = list(pattern) if isinstance(pattern, Sequence) else []
    if len(words) != 2 or any(
        not _fits(word, n) for word, n in zip(words, depths[2:], strict=True)
    ):
        raise InputError(
            f"MambaVision: pattern is {shown(pattern)}, expected one of {', '.join(PATTERNS)}, or"
            f" two words of M and S, of {depths[2]} and {depths[3]} letters, for the blocks of"
            " levels 2 and 3"
        )
    return words


def _word(name: str, n: int, seed: list[int]) -> str:
    places: Sequence[int]
    if name == "random":
        places = np.random.default_rng(seed).choice(n, n // 2, replace=False).tolist()
    else:
        places = PLACES[name](n)
    return "".join("S" if block in places else "M" for block in range(n))


def _fits(word: object, n: int) -> bool:
    return isinstance(word, str) and len(word) == n and set(word) <= {"M", "S"}
