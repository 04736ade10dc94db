"""Formulas as comments write them, in Unicode, and the same in LaTeX: "∂x̂_i/∂x_j = r (δ_ij − 1/C)".

`cut(text)` finds them among words. A formula is a run of letters, numbers and signs that has something which no prose has: a
relation, an index, a sum, a Greek letter, the call of a function. What is between brackets belongs to it where it is no shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "θ": "theta", "λ": "lambda", "μ": "mu",
    "σ": "sigma", "φ": "varphi", "Δ": "Delta", "Φ": "Phi",
}  # fmt: skip
SIGNS = {
    "−": "-", "·": r"\cdot ", "×": r"\times ", "…": r"\dots ", "⟨": r"\langle ", "⟩": r"\rangle ", "±": r"\pm ",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∂": r"\partial ", "Σ": r"\sum",
    "Π": r"\prod", "∈": r"\in ",
}  # fmt: skip
SMALL = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ₀₁₂₃₄₅₆₇₈₉", "0123456789-T0123456789")
FUNCTIONS = ("exp", "log", "tanh", "max", "min")

_NAME = r"d?(?:[αβγδεθλμσφΔΦ]|[A-Za-z]\u0302|[A-Za-z](?![A-Za-z0-9]))"
_INDEX = r"_(?:\([^()]*\)|[A-Za-z0-9]+)"
TOKEN = re.compile(
    rf"(?P<function>(?:{'|'.join(FUNCTIONS)})(?![A-Za-z_]))|(?P<size>K[hw](?![A-Za-z_]))|(?P<name>{_NAME}|[ΣΠ])"
    rf"|(?P<number>\d+(?:\.\d+)?)|(?P<index>{_INDEX})|(?P<power>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ]+|[₀₁₂₃₄₅₆₇₈₉]+|'(?![A-Za-z]))|(?P<root>√)"
    rf"|(?P<open>[(\[⟨])|(?P<close>[)\]⟩])|(?P<relation>[=≤≥≠≈∈])|(?P<sign>[−+·×/±∞…∂])|(?P<comma>,(?= ))"
)
_SHAPE = re.compile(r"(?<=\s)\([^()]*,[^()]*\)|(?<=\s)\(\d{1,2}\)")  # (B, L, C), and (2), the number of an equation
_STRONG = re.compile(rf"[=≤≥≠≈Σ∂⟨√Π]|{_INDEX}|[²³ᵀ₂]|[αβγδεθλμσφΔΦ]|\u0302|(?:{'|'.join(FUNCTIONS)})\(")
_WORDS = rf"^[^=]*_[A-Za-z]{{3,}}|(?:{'|'.join(FUNCTIONS)})$"  # a name of the code, and a function of what is no formula
_BINARY = "=≤≥≠≈∈−+·×/,"


def cut(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text in order, each with whether it is a formula."""
    done = 0
    for start, end in _runs(text):
        piece = text[start:end]
        if _STRONG.search(piece):
            yield text[done:start], False
            yield piece, True
            done = end
    yield text[done:], False


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Where signs and letters of formulas stand in a row, with spaces between them, and brackets are closed."""
    shapes = {match.start() for match in _SHAPE.finditer(f" {text}")}  # one further on, as is the text
    place = 0
    while place < len(text):
        start, depth, last, balanced = place, 0, place, place
        while match := TOKEN.match(text, place):
            kind = match.lastgroup
            if place == start and (
                kind in ("index", "power", "close", "comma") or (place and re.match(r"[\w.']", text[place - 1]))
            ):
                break
            if (kind == "open" and depth == 0 and place + 1 in shapes and place > 0) or (kind == "comma" and depth == 0):
                break
            depth += {"open": 1, "close": -1}.get(kind or "", 0)
            if depth < 0:
                break
            place = last = match.end()
            if depth == 0:
                balanced = last
            place += text[place : place + 1] == " "  # two of them part what stands in columns
        # A word goes on where the run would end: its last letter is none of ours.
        if balanced > start and (run := _trimmed(text, start, balanced)) is not None:
            yield run
        place = max(last, start + 1)
        while place < len(text) and re.match(r"\w", text[place - 1]) and re.match(r"\w", text[place]):
            place += 1


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Without a sign that has nothing on its other side: then what it belongs to is no formula of ours."""
    piece = text[start:end].strip()
    if not piece or piece[-1] in _BINARY + "±∂√ΣΠ" or piece[0] in "=≤≥≠≈∈+·×/,":
        return None
    after = text[end:].lstrip(" ")
    if after[:1] in tuple(_BINARY.replace(",", "")) or re.match(r"[\wˣʸᵃ^]", text[end:]) or re.search(_WORDS, piece):
        return None
    return start, start + len(text[start:end].rstrip())


def latex(formula: str) -> str:
    """In LaTeX."""
    return "".join(_latex(formula)).strip()


def _latex(formula: str) -> Iterator[str]:
    place = 0
    while place < len(formula):
        match = TOKEN.match(formula, place)
        if match is None:
            yield formula[place]
            place += 1
            continue
        kind, text, place = match.lastgroup, match[0], match.end()
        match kind:
            case "function":
                yield rf"\{text} "
            case "size":
                yield f"{text[0]}_{text[1]}"
            case "name":
                yield _name(text)
            case "index":
                yield (
                    f"_{{\\text{{{text[1:]}}}}}" if re.fullmatch("_[a-z]{3,}", text) else f"_{{{latex(text[1:].strip('()'))}}}"
                )
            case "power":
                small = text.translate(SMALL).replace("T", r"\mathsf T")
                yield "'" if text == "'" else f"_{{{small}}}" if text[0] in "₀₁₂₃₄₅₆₇₈₉" else f"^{{{small}}}"
            case "root":
                inner = re.compile(r"\(([^()]*)\)|\w\u0302?|[\d.]+").match(formula, place)
                assert inner is not None, formula
                place = inner.end()
                yield rf"\sqrt{{{latex(inner[1] or inner[0])}}}"
            case _:
                yield SIGNS.get(text, text)
        yield " " if kind in ("name", "size", "number", "sign", "relation") and formula[place : place + 1] == " " else ""


def _name(text: str) -> str:
    if len(text) > 1 and text[0] == "d" and text[1:] not in ("\u0302", "t"):  # dt is one name
        return rf"\mathrm d {_name(text[1:])}"
    if text.endswith("\u0302"):
        return rf"\hat {text[0]}"
    if text in SIGNS:
        return SIGNS[text]
    return rf"\{GREEK[text]} " if text in GREEK else text
