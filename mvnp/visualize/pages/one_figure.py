"""One figure of `mvnp visualize`, as a picture file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

from ...atomic import write_bytes
from ...backend import Array
from ...errors import InputError, check_choice, nearest, shown
from ..arrays.internals import internals
from ..figures.style import png
from .explorer.data import start_of
from .explorer.figures import ENTRIES, Shown
from .explorer.page import Subject, check_finite_logits

NAMES = tuple(entry.draw.__name__ for entry in ENTRIES)
MOVING = ("state_animation",)


def check_figure_file(path: Path, name: str) -> Path:
    """The file that the figure goes to: `path`, or NAME.png in it where it is a folder. Raises InputError for another figure,
    for an ending that the figure does not have, and where there is no such folder."""
    check_choice("figure", name, NAMES)
    ending = ".gif" if name in MOVING else ".png"
    if path.is_dir():
        return path / f"{name}{ending}"
    if path.suffix.lower() != ending:
        raise InputError(f"{name} is written to a {ending} file, or into a folder that is there, and --out is {str(path)!r}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write {path.name} to; make it first")
    return path


def write_figure(
    path: Path,
    name: str,
    subject: Subject,
    image: Array,
    *,
    block: str | None = None,
    query: tuple[int, int] | None = None,
    target: int | None = None,
    route: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Draw one figure of an image (1, C, H, W), and write it whole or not at all.

    name      a name of NAMES: the function of mvnp.visualize that draws it
    target    class whose evidence is shown; None: the model's likeliest
    route     one of a block's scans, where there are several

    The others are those of `write_explorer`. Raises InputError as that does, and where the model has nothing of that kind.
    """
    entry = next(entry for entry in ENTRIES if entry.draw.__name__ == name)
    say(f"running {subject.name}")
    seen = check_finite_logits(subject, image, internals)
    paths, first, token = start_of(seen, block, query)
    options = entry.options(
        Shown(
            letter="",
            model=subject.model,
            image=image,
            seen=seen,
            paths=paths,
            block=first,
            query=token,
            target=target,
            classes=subject.classes,
        )
    )
    if options is None:
        raise InputError(f"{name}: {subject.name} has no part that this figure shows")
    if route is not None and "route" not in inspect.signature(entry.draw).parameters:
        raise InputError(f"{name} shows no single scan; leave --route {route!r} out")
    if route is not None:
        options = {**options, "route": route}
    say(f"drawing {entry.title}")
    made = entry.draw(subject.model, image, **options)
    write_bytes(path, made if isinstance(made, bytes) else png(made))


def class_number(target: str, classes: Sequence[str] | None, count: int) -> int:
    """The class that is meant: a name, whatever its capitals, the only one that begins with it or has it as a word, or a
    number. Raises InputError for any other."""
    names = [name.casefold() for name in classes or ()]
    wanted = target.strip().casefold()
    exact = [number for number, name in enumerate(names) if name == wanted]
    if not exact and wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and int(wanted) < count:
        exact = [int(wanted)]
    found = exact or [number for number, name in enumerate(names) if wanted and wanted in name.replace(",", " ").split()]
    if len(found) == 1:
        return found[0]
    if found and classes:
        some = ", ".join(f"{number} {classes[number]}" for number in found[:5])
        raise InputError(f"--target {shown(target)} may be {some}{' …' if len(found) > 5 else ''}; give the number")
    known = f"a name, or a number from 0 to {count - 1}" if classes else f"a number from 0 to {count - 1}: they have no names"
    raise InputError(f"--target is {shown(target)}, which is no class{nearest(target, classes or ())}; expected {known}")
