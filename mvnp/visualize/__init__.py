"""Looking inside: what scans and attention layers do with an image.

arrays     what is computed, without matplotlib
figures    what is drawn of it, each figure a function that returns a matplotlib Figure and says how to read it
pages      what is written of it: the explorer, the demo, pages of pictures

A subject has one name in all three: figures/hidden_attention.py draws what arrays/hidden_attention.py computes. Public names of
the three rooms are all names of this one; figures and pages are imported when one of theirs is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import arrays
from .arrays import *  # noqa: F403

if TYPE_CHECKING:
    from .figures import *  # noqa: F403
    from .pages import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name in ("figures", "pages"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__all__":
        return sorted(name for room in _rooms() for name in room.__all__)
    for room in _rooms() if not name.startswith("__") else ():
        if name in room.__all__:
            return getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["arrays", "figures", "pages", *__getattr__("__all__")]


def _rooms() -> list[Any]:
    return [arrays, *(importlib.import_module(f"{__name__}.{name}") for name in ("figures", "pages"))]
