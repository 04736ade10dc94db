"""What kind of file it is, by what is in it: the ending of a name may be anything.

Of files that are no weights it is said what they are instead, and what to do: most come from a download that went wrong.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from ..errors import CheckpointError
from .damage import AGAIN, DAMAGED_ZIP

SAFETENSORS, NPZ, TORCH, INDEX = "safetensors", "npz", "torch", "index"

_BEGIN = 512

# What a file begins with, what it then is, and what to do.
_PACKED = "unpack it, and give the file inside"
_STRANGERS = (
    (b"version https://git-lfs", "is a pointer of git LFS, and not the file itself: git lfs pull fetches it"),
    (b"\x1f\x8b", f"is compressed with gzip: {_PACKED} (gunzip)"),
    (b"BZh", f"is compressed with bzip2: {_PACKED}"),
    (b"\xfd7zXZ\0", f"is compressed with xz: {_PACKED}"),
    (b"\x28\xb5\x2f\xfd", f"is compressed with zstd: {_PACKED}"),
    (b"7z\xbc\xaf\x27\x1c", f"is a 7-Zip archive: {_PACKED}"),
    (b"Rar!", f"is a RAR archive: {_PACKED}"),
    (b"\x89HDF", "is an HDF5 file, as Keras writes it, and no weights of PyTorch's kind"),
    (b"GGUF", "is a GGUF file, whose numbers are packed: look for the weights as .safetensors or .pth"),
    (b"\x93NUMPY", "is a single array of NumPy: weights are many, with names, as numpy.savez writes them"),
    (b"%PDF", "is a PDF document"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<script")


def kind_of(path: Path) -> str | None:
    """Which reader a file is for; None: its begin is nobody's, and the ending of its name may tell.

    Raises CheckpointError for what is known to be something else, and says what; FileNotFoundError.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected a file of weights")
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
        raise CheckpointError(f"{path} is a pipe or a device, expected a file of weights")
    with open(path, "rb") as file:
        begin = file.read(_BEGIN)
    if not begin:
        raise CheckpointError(f"{path} is empty; {AGAIN}")
    stranger = _stranger(begin, path)
    if stranger is not None:
        raise CheckpointError(f"{path} {stranger}")
    if begin[:4] == b"PK\3\4":
        return _kind_of_zip(path)
    if begin[:1] == b"\x80" and begin[1:2] in b"\1\2\3\4\5":
        return TORCH
    if begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") < 2**40:
        return SAFETENSORS
    if begin.lstrip()[:1] == b"{":
        return INDEX
    return None


def _stranger(begin: bytes, path: Path) -> str | None:
    """What a file is that is no weights, as the rest of a sentence."""
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGES):
        return (
            "is a web page, and no weights: the download gave the page in their place. Open the link in a browser, sign in if"
            " it asks for it, and take the link of the download itself (on the Hugging Face hub it has /resolve/, not /blob/)"
        )
    if begin[:1] == b"\x08" and begin[1:2] < b"\x20" and begin[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a", b"\x42"):
        return "is an ONNX file, a graph with its weights, which is not read: give the weights that it was exported from"
    if begin[257:262] == b"ustar":
        return f"is a tar archive: {_PACKED} (tar xf {path.name})"
    if len(begin) >= 64 and not begin.strip(b"\0"):
        return f"begins with nothing but zeros: the download was broken off; {AGAIN}"
    return next((what for magic, what in _STRANGERS if begin.startswith(magic)), None)


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGED_ZIP:
        return NPZ if path.name.lower().endswith(".npz") else TORCH  # whose reader says what is wrong
    last = [name.rpartition("/")[2] for name in names]
    if "constants.pkl" in last and any("/code/" in f"/{name}" for name in names):
        raise CheckpointError(
            f"{path} is a TorchScript archive: a program with its weights, which is not run here. In PyTorch,"
            ' torch.save(torch.jit.load(path).state_dict(), "weights.pth") writes the weights alone'
        )
    if "archive_format" in last or any("/models/" in f"/{name}" and name.endswith(".json") for name in names):
        raise CheckpointError(
            f"{path} is an archive of torch.export, a program with its weights. In PyTorch,"
            ' torch.save(torch.export.load(path).state_dict, "weights.pth") writes the weights alone'
        )
    if "data.pkl" in last:
        return TORCH
    if any(name.endswith((".h5", ".keras")) for name in last):
        raise CheckpointError(f"{path} is an archive of Keras, whose weights are HDF5, and no weights of PyTorch's kind")
    inside = [name for name in last if name.lower().endswith((".pth", ".pt", ".tar", ".ckpt", ".bin", ".safetensors", ".npz"))]
    if inside:
        raise CheckpointError(f"{path} is a zip archive with {', '.join(map(repr, inside[:3]))} in it: {_PACKED}")
    if path.name.lower().endswith((".pth", ".tar", ".pt", ".bin", ".ckpt")) and not any(n.endswith(".npy") for n in last):
        return TORCH
    return NPZ
