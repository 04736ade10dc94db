"""Compiled kernels on disk: one file for each kernel and signature, in a folder for each version of the kernel's text.

    <user's cache>/mvnp/kernels/layernorm-3f2a…/_forward-81c0….kernel

The folder's name has a digest of the module and of the modules of this package that it imports, and the versions of Python and
Numba: what is in it is never stale. The file's name has one of the signature, the processor and what a closure holds. A file
is written whole or not at all, so two processes may compile the same at once, and begins with the digest of its content: what
is damaged is compiled again. A folder that cannot be written is no error, only slower.

Numba's own cache has an index for each function, which two processes can leave naming each other's code.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ... import atomic

PACKAGE = Path(__file__).parent
SUFFIX = ".kernel"
UNUSED_SECONDS = 14 * 24 * 3600  # after which the folder of another version is deleted

_used: set[Path] = set()


class KernelCache:
    """What Numba's dispatcher asks of a cache: to load and to save one kernel's machine code for a signature.

    about    what else the machine code depends on
    """

    def __init__(self, function: Any, *about: Any) -> None:
        self.function, self.about = function, about
        self.cache_path = str(folder_of(function.__module__.rpartition(".")[2]))

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled kernel, or None where there is none that is whole."""
        target.refresh()
        path = self._path(signature, target.codegen())
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if _digest(content[32:]) != content[:32]:
            return None
        _mark_used(path.parent)
        return CompileResult._rebuild(target, *pickle.loads(content[32:]))

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Write what has been compiled, where that can be done."""
        path = self._path(signature, compiled.codegen)
        content = dumps(compiled._reduce())
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(path, _digest(content) + content, lasting=False)  # the digest tells
            _delete_unused(path.parent)

    def _path(self, signature: Any, codegen: Any) -> Path:
        cells = tuple(cell.cell_contents for cell in self.function.__closure__ or ())
        options = [getattr(numba.config, name) for name in ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")]
        code = self.function.__code__
        about = dumps((str(signature), codegen.magic_tuple(), options, code.co_code, code.co_consts, cells, self.about))
        name = self.function.__qualname__.replace("<locals>", "").strip("._") or "kernel"
        return Path(self.cache_path) / f"{name}-{_digest(about).hex()[:24]}{SUFFIX}"


def cache_folder() -> Path:
    """Where compiled kernels are kept: in the user's folder for caches, or in NUMBA_CACHE_DIR where that is set."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"]) / "mvnp"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path(os.path.expanduser("~/Library/Caches"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return base / "mvnp" / "kernels"


def folder_of(stem: str) -> Path:
    """The folder of the kernels of one module of this package, as its text is now."""
    about = hashlib.sha256(f"{platform.python_implementation()} {sys.version} Numba {numba.__version__}".encode())
    for source in _sources(stem):
        about.update(source.read_bytes())
    return cache_folder() / f"{stem}-{about.hexdigest()[:16]}"


def kept(stem: str) -> int:
    """How many compiled kernels of a module there are."""
    return len(list(folder_of(stem).glob(f"*{SUFFIX}")))


def writable() -> bool:
    """Whether kernels can be kept."""
    folder = cache_folder()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _sources(stem: str) -> list[Path]:
    """The module's file and those of the modules of this package that it imports, and that those do."""
    found: dict[str, Path] = {}
    waiting = [stem, "jit", "team"]
    while waiting:
        path = PACKAGE / f"{waiting.pop()}.py"
        if path.stem not in found and path.exists():
            found[path.stem] = path
            waiting += re.findall(r"^\s*from \.(\w+) import", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [found[name] for name in sorted(found)]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _mark_used(folder: Path) -> None:
    """A folder's date is when a process last loaded from it."""
    if folder not in _used:
        _used.add(folder)
        with contextlib.suppress(OSError):
            os.utime(folder)


def _delete_unused(current: Path) -> None:
    """Delete the folders of other versions of this module that nobody has used for long, with the kernels in them alone."""
    stem, oldest = current.name.rpartition("-")[0], time.time() - UNUSED_SECONDS
    for folder in current.parent.glob(f"{stem}-*"):
        with contextlib.suppress(OSError):
            if folder != current and re.fullmatch(rf"{stem}-[0-9a-f]{{16}}", folder.name) and folder.stat().st_mtime < oldest:
                for file in folder.iterdir():
                    if file.name.endswith((SUFFIX, atomic.MARK)):
                        file.unlink()
                folder.rmdir()
