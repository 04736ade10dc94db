"""Writes cupy_names.json: what the real CuPy has, for support/strict_cupy.py. CuPy imports without a GPU.

In a virtual environment of its own, and from a folder that holds no other `cupy`:

    pip install cupy-cuda13x
    python tests/support/make_cupy_names.py

Parameters are written as `a axis= out= * dtype=`: `=` marks an optional one, `*` alone begins the keyword-only ones.
"""

import importlib
import inspect
import json
import pathlib
import re
from unittest.mock import MagicMock

import cupy
from cupy._core.flags import Flags

MODULES = (
    "cupy",
    "cupy.cuda",
    "cupy.cuda.runtime",
    "cupy.fft",
    "cupy.lib",
    "cupy.lib.stride_tricks",
    "cupy.linalg",
    "cupy.random",
    "cupyx",
    "cupyx.scipy.special",
)
UFUNC_METHODS = {"reduce": (), "accumulate": (), "reduceat": ([0],), "at": ([0], 1)}


def parameters(function) -> str:
    """The parameters of a function, `...` where it does not tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return from_docstring(function)
    words = []
    for p in found:
        if p.kind is p.KEYWORD_ONLY and "*" not in words and not any(word[0] == "*" for word in words):
            words.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        words.append(star + p.name + ("" if p.default is p.empty else "="))
    return " ".join(words)


def from_docstring(function) -> str:
    """Compiled functions have no signature, but their docstring begins with one: `f(self, int axis=-1) -> type`."""
    first = (function.__doc__ or "").split("\n")[0]
    match = re.fullmatch(r"[\w.]+\((.*?)\)(?: -> .*)?", first)
    if not match:
        return "..."
    words = []
    for part in filter(None, match[1].split(", ")):
        name, equals, _ = part.partition("=")
        words.append(name.split()[-1] + ("=" if equals else ""))
    return " ".join(words)


def kind(thing) -> str:
    """How a name is entered: its parameters where it is a function."""
    if isinstance(thing, cupy.ufunc):
        return "(ufunc)"
    if isinstance(thing, type):
        return "(type)"
    if inspect.ismodule(thing):
        return "(module)"
    return parameters(thing) if callable(thing) else "(value)"


def members(owner) -> dict[str, str]:
    """Every public name with its kind, less what a module has only because it imported it for itself."""
    found = {name: getattr(owner, name) for name in sorted(dir(owner)) if not name.startswith("_")}
    foreign = {"annotations", "contextlib", "np", "warnings"}
    if owner is cupy.cuda.runtime:  # its hundreds of constants interest nobody here
        foreign |= {name for name, thing in found.items() if not callable(thing)}
    return {name: kind(thing) for name, thing in found.items() if name not in foreign}


def supporting(method: str) -> list[str]:
    """The ufuncs that have `method`, found by calling it on something that takes any call."""
    found = []
    for name in sorted(dir(cupy)):
        ufunc = getattr(cupy, name)
        if isinstance(ufunc, cupy.ufunc):
            try:
                getattr(ufunc, method)(MagicMock(), *UFUNC_METHODS[method])
            except NotImplementedError:
                continue
            found.append(name)
    return found


def synchronising(owner) -> list[str]:
    """The functions whose documentation warns of a wait for the GPU."""
    return [name for name in sorted(dir(owner)) if "may synchronize" in (getattr(getattr(owner, name), "__doc__", "") or "")]


def main() -> None:
    modules = {name: importlib.import_module(name) for name in MODULES}
    names = {
        "version": cupy.__version__,
        "modules": {name: members(module) for name, module in modules.items()},
        "ndarray": members(cupy.ndarray),
        "ndarray_special": sorted(name for name in dir(cupy.ndarray) if re.fullmatch("__.*__", name)),
        "flags": sorted(name for name in dir(Flags) if not name.startswith("_")),
        "Generator": members(cupy.random.Generator),
        "ufunc_methods": {method: supporting(method) for method in UFUNC_METHODS},
        "may_synchronise": synchronising(cupy),
    }
    path = pathlib.Path(__file__).with_name("cupy_names.json")
    path.write_text(json.dumps(names, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"CuPy {cupy.__version__}: {sum(map(len, names['modules'].values()))} names in {path}")


if __name__ == "__main__":
    main()
