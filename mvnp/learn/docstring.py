"""The docstring of a layer without what tells the answer: the equations of the backward, and the sentences about them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

WIDTH = 110

_GRADIENT = re.compile(
    r"(?<![\w.])d[A-Za-zγβΔ]\w*(?:_\([^)]*\))? = "
)  # `dx = `, `dh_(−1) = `: an equation that tells a gradient
_NUMBER = re.compile(r"\((\d{1,2})\)(?=$|  )")
_SPOILER = re.compile(
    r"backwards?\b|derivative|adjoint|flipped|all leading axes|summed over the batch|memory beyond|Sᵀ|Zᵀ|Cutting"
)


def without_answer(docstring: str) -> str:
    """What an exercise may say of its layer."""
    numbers = {number for line in hidden_equations(docstring) for number in _NUMBER.findall(line)}
    blocks = []
    for block in docstring.split("\n\n"):
        if block.startswith("    "):
            blocks.append("\n".join(line.rstrip() for line, tells in _told(block) if not tells))
        else:
            blocks.append(_without_spoilers(block, numbers))
    return "\n\n".join(block for block in blocks if block.strip())


def hidden_equations(docstring: str) -> list[str]:
    """The lines that tell a gradient."""
    blocks = [block for block in docstring.split("\n\n") if block.startswith("    ")]
    return [line for block in blocks for line, tells in _told(block) if tells]


def _told(block: str) -> Iterator[tuple[str, bool]]:
    """Each line of a block of equations, with whether it tells a gradient: under the label `backward`, or `dx = …`."""
    label = ""
    for line in block.splitlines():
        if match := re.match(r"    (\S+)", line):
            label = match[1]
        yield line, label == "backward" or bool(_GRADIENT.search(line))


def _without_spoilers(paragraph: str, hidden: set[str]) -> str:
    """The sentences that neither speak of the backward nor of an equation that is hidden."""
    sentences = re.split(r"(?<=[.:;])\s+(?=[A-Z(⟨σ])", " ".join(paragraph.split()))
    numbers = re.compile(rf"\((?:{'|'.join(hidden)})\)") if hidden else None
    kept = [text for text in sentences if not _SPOILER.search(text) and not (numbers and numbers.search(text))]
    return paragraph if len(kept) == len(sentences) else textwrap.fill(" ".join(kept), WIDTH)
