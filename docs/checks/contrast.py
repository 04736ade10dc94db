"""Whether text can be read: the contrast of the theme's colours, computed as WCAG 2.2 says (success criterion 1.4.3).

    L = 0.2126 R + 0.7152 G + 0.0722 B       of linear R, G, B; contrast = (L1 + 0.05) / (L2 + 0.05), the lighter above
                                             at least 4.5 for text, 3 for large text and for lines of a figure (1.4.11)

The colours are those of the built stylesheets: the variables of furo and of site.css, by day and by night, and the classes that
Pygments gives to pieces of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TEXT, LINES = 4.5, 3.0

# Variables of text, the grounds they stand on, and how much contrast they need.
PAIRS = [
    ("--color-foreground-primary", "--color-background-primary", TEXT),
    ("--color-foreground-primary", "--color-background-secondary", TEXT),
    ("--color-foreground-secondary", "--color-background-primary", TEXT),
    ("--color-foreground-secondary", "--color-background-secondary", TEXT),
    ("--color-foreground-muted", "--color-background-primary", TEXT),
    ("--color-foreground-muted", "--color-background-secondary", TEXT),
    ("--color-brand-primary", "--color-background-secondary", TEXT),
    ("--color-brand-content", "--color-background-primary", TEXT),
    ("--color-brand-visited", "--color-background-primary", TEXT),
    ("--fig-ink", "--color-background-primary", TEXT),
    ("--fig-muted", "--color-background-primary", TEXT),
    ("--fig-ink", "--fig-outside", TEXT),
    ("--fig-muted", "--fig-outside", TEXT),
    ("--fig-blue", "--color-background-primary", TEXT),
    ("--fig-orange", "--color-background-primary", TEXT),
    ("--fig-green", "--color-background-primary", LINES),
    ("--fig-green", "--fig-paper", TEXT),
]


def luminance(colour: str) -> float:
    """Of #rgb or #rrggbb."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits[:6]
    linear = []
    for i in (0, 2, 4):
        c = int(digits[i : i + 2], 16) / 255
        linear.append(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Between 1, the same, and 21, black on white."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def problems(root: Path) -> Iterator[str]:
    """Every pair of colours of the built site with too little contrast."""
    for theme in ("light", "dark"):
        found = variables(root, theme)
        for text, ground, least in PAIRS:
            missing = [name for name in (text, ground) if name not in found]
            if missing:
                yield f"contrast, {theme}: no stylesheet gives {missing[0]} a colour"
            elif contrast(found[text], found[ground]) < least:
                ratio = contrast(found[text], found[ground])
                yield f"contrast, {theme}: {text} {found[text]} on {ground} {found[ground]} is {ratio:.2f}, less than {least}"
        yield from code(root, theme, found)


def variables(root: Path, theme: str) -> dict[str, str]:
    """The colours of a theme: what dark rules say wins over the rest, and a variable may name another."""
    sheets = "\n".join((root / "_static" / name).read_text(encoding="utf-8") for name in ("styles/furo.css", "site.css"))
    sheets = re.sub(r"/\*.*?\*/", "", sheets, flags=re.DOTALL)
    given: dict[str, str] = {}
    rules = [(selector.replace('"', ""), body) for selector, body in re.findall(r"([^{}]*)\{([^{}]*)\}", sheets)]
    for dark in (False, True) if theme == "dark" else (False,):
        for selector, body in rules:
            # What follows the system's choice of theme says the same as what follows the reader's.
            if ("data-theme=dark" in selector) == dark and not re.search(r"data-theme=(auto|light)", selector):
                given |= {name: value.strip() for name, value in re.findall(r"(--[\w-]+)\s*:\s*([^;]+)", body)}
    colours = {}
    for name in given:
        value = given[name]
        while match := re.fullmatch(r"var\((--[\w-]+)\)", value):
            value = given.get(match[1], "")
        if value := {"white": "#ffffff", "black": "#000000"}.get(value, value):
            colours[name] = value
    return {name: value for name, value in colours.items() if re.fullmatch(r"#(?:[0-9a-fA-F]{3}){1,2}", value)}


def code(root: Path, theme: str, found: dict[str, str]) -> Iterator[str]:
    """The colours of pieces of code on the ground of code, and the numbers of lines."""
    sheet = (root / "_static" / "pygments.css").read_text(encoding="utf-8")
    prefix = 'body[data-theme="dark"] ' if theme == "dark" else ""
    rules = dict(re.findall(rf"^\s*{re.escape(prefix)}(\.highlight(?: \.\w+)?) \{{([^}}]*)\}}", sheet, re.MULTILINE))
    ground = re.search(r"background(?:-color)?: (#\w+)", rules.get(".highlight", ""))
    if ground is None:
        yield f"contrast, {theme}: pygments.css has no ground for code"
        return
    rules.pop(".highlight .w", None)  # white space: there is nothing to see
    for selector, body in rules.items():
        colour, own = re.search(r"(?<![-\w])color: (#\w+)", body), re.search(r"background(?:-color)?: (#\w+)", body)
        behind = (own or ground)[1]
        if colour and contrast(colour[1], behind) < TEXT:
            yield f"contrast, {theme}: {selector} {colour[1]} on {behind} is {contrast(colour[1], behind):.2f}"
    number = found.get("--color-foreground-secondary", ground[1])
    if contrast(number, ground[1]) < TEXT:
        yield f"contrast, {theme}: numbers of lines {number} on {ground[1]} is {contrast(number, ground[1]):.2f}"
