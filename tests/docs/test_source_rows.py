"""How a module is cut into prose and code, and where it refers to its equations."""

from __future__ import annotations

from pathlib import Path

import pytest

LAYERS = sorted(path for path in (Path(__file__).parents[2] / "mvnp" / "layers").glob("*.py") if path.stem != "__init__")

SOURCE = '''"""A title.

    y = 2 x    (1)
    z = 3 y    (2)
"""

import math  # (9) is no block of its own


# Above a function, (1).
@decorated
def forward(x):
    """y of (1).

    x    a number
    """
    y = 2 * x

    # Threefold.
    # noqa: X
    return y  # (2), at the end of a line


class Small:
    """Both, (1) to (2)."""

    size = 3
'''


def test_rows():
    from source_rows import cut

    docstring, rows = cut(SOURCE)
    assert docstring.startswith("A title.")
    assert [(row.prose, [number for number, text in row.code if text]) for row in rows] == [
        ([], [7]),
        (["Above a function, (1).", "y of (1).", "x    a number"], [11, 12, 17]),
        (["Threefold."], [20, 21]),
        (["Both, (1) to (2)."], [24, 27]),
    ]


def test_mentions():
    from source_rows import Mention, mentions

    assert mentions(SOURCE) == [
        Mention(9, 7, None),
        Mention(1, 11, None),
        Mention(1, 12, "forward"),
        Mention(2, 21, None),
        Mention(1, 24, "Small"),
        Mention(2, 24, "Small"),
    ]


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.stem)
def test_nothing_is_lost(path):
    """Every line of a layer is shown once: as code with its own number and text, or as prose."""
    from source_rows import cut

    source = path.read_text(encoding="utf-8")
    docstring, rows = cut(source)
    lines = source.splitlines()
    code = [(number, text) for row in rows for number, text in row.code]
    assert len({number for number, _ in code}) == len(code)
    assert all(lines[number - 1] == text for number, text in code)
    prose = " ".join(" ".join([docstring, *(part for row in rows for part in row.prose)]).split())
    shown = {number for number, _ in code}
    for number, line in enumerate(lines, start=1):
        text = " ".join(line.strip().removeprefix("# ").strip('"').split())
        assert number in shown or text in prose, f"{path.name}, line {number} is nowhere: {line}"


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.stem)
def test_every_equation_has_a_line(path):
    """So that each formula of a page leads to the code that computes it."""
    import re

    from source_rows import cut, mentions

    docstring, _ = cut(path.read_text(encoding="utf-8"))
    defined = {int(number) for number in re.findall(r"(?:  |^)\((\d{1,2})\)(?=$|  )", docstring, re.MULTILINE)}
    assert defined <= {mention.equation for mention in mentions(path.read_text(encoding="utf-8"))}
