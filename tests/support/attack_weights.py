"""An attack on the readers of weights: thousands of damaged and hostile files, the same ones for the same seed.

    python -m support.attack_weights 10000 --seed 1        from the folder tests

Each file is opened by `load_pretrained` or `load_checkpoint`. What may come of it is one of the project's errors, or a right
result: as far as a file has checksums, what was written. Python's audit events tell whether anything was run or written; time
and memory are those of the slowest and the largest.
"""

from __future__ import annotations

import argparse
import codecs
import io
import json
import os
import pickle
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

import mvnp
from mvnp.checkpoint import convert_checkpoint, load_checkpoint, load_pretrained, save_pretrained
from mvnp.checkpoint.arrays import _digest
from mvnp.errors import MvnpError
from support.hostile_files import CALLS, PASSED_OVER, _npy, _text
from support.torch_files import Tensor, dumps, legacy_parts, write_torch

CUT = {"num_heads": (1, 1, 2, 4), "window_size": (2, 2, 2, 2)}
MODEL = mvnp.MambaVision(dim=4, in_dim=2, depths=(1, 1, 2, 1), num_classes=3, seed=5, **CUT)
WEIGHTS = {key: np.array(array) for key, array in MODEL.state_dict().items()}

EXTREMES = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 10**19, 10**400, 1.5, 1e308, -0.0)
# Instructions in one of the pieces of `extreme_files`; in the others there is one.
OPCODES = {"memo": 2, "object": 3, "ordered": 3, "attributes": 5}

STRANGE = (*EXTREMES, None, True, "", "x", "../x", "\0", "\ud800", "(2,3", [], [1], [[]], {}, {"a": 1}, "é" * 300)

# What nothing that belongs to reading a file does.
RUNS = {"pickle.find_class", "exec", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "os.remove"}
RUNS |= {"os.rename", "os.mkdir", "shutil.rmtree", "socket.connect", "ctypes.dlopen"}


def good_files(folder: Path) -> dict[str, bytes]:
    """One of each kind, of the same small model, with all that mvnp notes."""
    images = {"size": 32, "crop_pct": 0.9, "crop_mode": "center", "mean": (0.5,) * 3, "std": (0.25,) * 3, "channels": 3}
    save_pretrained(folder / "ours.safetensors", MODEL, classes=("a", "b", "c"), images=images)
    for kind in ("npz", "pth"):
        convert_checkpoint(folder / "ours.safetensors", folder / f"ours.{kind}")
    deflated = io.BytesIO()
    np.savez_compressed(deflated, **WEIGHTS)
    content, storages = tensors()
    write_torch(folder / "zip.pth", {"epoch": 3, "state_dict": content, "args": argparse.Namespace(lr=0.1)}, storages)
    legacy = {"model": {key: legacy_of(key, array) for key, array in WEIGHTS.items()}}
    parts = legacy_parts(legacy, keys=dumps(list(WEIGHTS)))[:5]
    floats = {key: array.astype("<f4") for key, array in WEIGHTS.items()}
    numbers = [array.size.to_bytes(8, "little") + array.tobytes() for array in floats.values()]
    return {
        **{path.name: path.read_bytes() for path in sorted(folder.iterdir())},
        "foreign.safetensors": save(WEIGHTS),
        "deflated.npz": deflated.getvalue(),
        "legacy.pth": b"".join([*parts, *numbers]),
        "plain.pkl": pickle.dumps({"model": WEIGHTS}, 2),
    }


def legacy_of(key: str, array: np.ndarray) -> Tensor:
    return Tensor(key, array.shape, strides_of(array.shape), count=array.size, legacy=True)


def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))


def tensors() -> tuple[dict[str, Tensor], dict[str, bytes]]:
    """The weights as references, and their storages."""
    refs = {
        key: Tensor(str(i), array.shape, strides_of(array.shape), count=array.size)
        for i, (key, array) in enumerate(WEIGHTS.items())
    }
    return refs, {str(i): array.astype("<f4").tobytes() for i, array in enumerate(WEIGHTS.values())}


class Attack:
    """Draws files, one after the other, from one generator."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = np.random.default_rng(seed)
        (folder / "good").mkdir()
        self.good = good_files(folder / "good")
        self.scratch = folder / "scratch.pth"

    def file(self) -> tuple[str, bytes]:
        """(name, bytes); the name's stem says what was done, and of a file with checksums ends in "checked"."""
        kinds: list[Callable[[], tuple[str, bytes]]] = [self.bytes, self.bytes, self.header, self.notes, self.directory]
        kinds += [self.npy, self.references, self.opcodes, self.opcodes, self.changed_pickle, self.calls, self.noise]
        return kinds[self.rng.integers(len(kinds))]()

    def one(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    # Bytes

    def bytes(self) -> tuple[str, bytes]:
        name = self.one(sorted(self.good))
        data = bytearray(self.good[name])
        for _ in range(self.rng.integers(1, 5)):
            if not data:
                break
            # Where the structure is: at the begin and the end, or anywhere.
            at = int(self.rng.integers(len(data)))
            at = self.one((at, at % min(len(data), 4000), len(data) - 1 - at % min(len(data), 4000)))
            match self.rng.integers(8):
                case 0:
                    data[at] ^= 1 << self.rng.integers(8)
                case 1:
                    data[at] = self.rng.integers(256)
                case 2:
                    data[at : at + 8] = self.one((b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f\0\0\0\0", b"99999999"))
                case 3:
                    del data[at : at + int(self.rng.integers(1, 40))]
                case 4:
                    data[at:at] = data[at : at + int(self.rng.integers(1, 60))]
                case 5:
                    del data[at:]
                case 6:
                    other = self.good[self.one(sorted(self.good))]
                    begin = int(self.rng.integers(len(other)))
                    data[at : at + 200] = other[begin : begin + 200]
                case _:
                    data[at : at + 4] = struct.pack("<I", self.one((0, 1, 2**16, 2**24, 2**31 - 1, 2**32 - 1)))
        stem, _, ending = name.rpartition(".")
        checked = "-checked" * (name in ("ours.safetensors",))
        return f"bytes-{stem}{checked}.{ending}", bytes(data)

    def noise(self) -> tuple[str, bytes]:
        begin = self.one((b"", b"PK\3\4", b"\x80\2", b"\x80\4", struct.pack("<Q", 40) + b"{", b"{", b"\x80\2\x8a\x0a"))
        return f"noise.{self.one(('pth', 'npz', 'safetensors', 'ckpt'))}", begin + self.rng.bytes(int(self.rng.integers(300)))

    # Structure

    def header(self) -> tuple[str, bytes]:
        data = self.good["foreign.safetensors"]
        length = int.from_bytes(data[:8], "little")
        lines = json.loads(data[8 : 8 + length])
        for _ in range(self.rng.integers(1, 4)):
            key = self.one(sorted(lines))
            match self.rng.integers(6):
                case 0:
                    lines[key] = self.one(STRANGE)
                case 1:
                    lines[self.one((key + "x", "../" + key, key * 40, "\0", ""))] = lines.pop(key)
                case 2:
                    lines[key] = {"dtype": self.one(("F64", "BF16", "BOOL", "F8_E5M2", None, [])), **self._without(lines[key])}
                case 3:
                    lines[key] = {**self._without(lines[key], "shape"), "shape": [self.one(EXTREMES) for _ in range(3)]}
                case 4:
                    begin = self.one(EXTREMES)
                    lines[key] = {**self._without(lines[key], "data_offsets"), "data_offsets": [begin, self.one(EXTREMES)]}
                case _:
                    lines["__metadata__"] = self.one(STRANGE)
        text = json.dumps(lines).encode()
        return "header.safetensors", struct.pack("<Q", len(text)) + text + data[8 + length :]

    @staticmethod
    def _without(line: Any, name: str = "dtype") -> dict[str, Any]:
        return {key: value for key, value in line.items() if key != name} if isinstance(line, dict) else {}

    def notes(self) -> tuple[str, bytes]:
        """What mvnp notes, changed, with the digest that belongs to it: as a careless or ill-meaning program could write it."""
        data = self.good["ours.safetensors"]
        length = int.from_bytes(data[:8], "little")
        lines = json.loads(data[8 : 8 + length])
        note = json.loads(lines["__metadata__"]["mvnp"])
        content = json.loads(note["metadata"])
        for _ in range(self.rng.integers(1, 3)):
            match self.rng.integers(4):
                case 0:
                    content[self.one(sorted(content))] = self.one(STRANGE)
                case 1 if isinstance(content.get("config"), dict) and content["config"]:
                    content["config"][self.one(sorted(content["config"]))] = self.one(STRANGE)
                case 2 if isinstance(content.get("images"), dict) and content["images"]:
                    content["images"][self.one(sorted(content["images"]))] = self.one(STRANGE)
                case _:
                    content["kind"] = self.one(("training", "pretrained", None, "x"))
                    content["about"] = self.one((None, {"model": content.get("config"), "classes": self.one(STRANGE)}, [], "x"))
        note["metadata"] = text = json.dumps(content)
        # The digest is of checksums that are not in the file: those of the arrays as they are.
        import zlib

        checksums = sorted(
            [key, line["dtype"], line["shape"], zlib.crc32(data[8 + length + line["data_offsets"][0] :][: self._size(line)])]
            for key, line in lines.items()
            if key != "__metadata__"
        )
        note["digest"] = _digest(checksums, text)
        lines["__metadata__"]["mvnp"] = json.dumps(note)
        header = json.dumps(lines).encode()
        return "notes.safetensors", struct.pack("<Q", len(header)) + header + data[8 + length :]

    @staticmethod
    def _size(line: dict[str, Any]) -> int:
        return line["data_offsets"][1] - line["data_offsets"][0]

    def directory(self) -> tuple[str, bytes]:
        """Fields of a zip's records: methods, flags, sizes, lengths of names, of extra fields and of comments, counts."""
        name = self.one(("ours.npz", "deflated.npz", "ours.pth", "zip.pth"))
        data = bytearray(self.good[name])
        for _ in range(self.rng.integers(1, 4)):
            signature, fields = self.one(
                (
                    (b"PK\1\2", (4, 6, 8, 10, 16, 20, 24, 28, 30, 32, 34, 36, 38, 42, 46)),
                    (b"PK\3\4", (4, 6, 8, 14, 18, 22, 26, 28, 30)),
                    (b"PK\5\6", (4, 6, 8, 10, 12, 16, 20)),
                )
            )
            places = [at for at in range(len(data)) if data[at : at + 4] == signature] if signature != b"PK\5\6" else []
            at = (self.one(places) if places else data.rfind(signature)) + self.one(fields)
            data[at : at + 2] = struct.pack("<H", self.one((0, 1, 8, 12, 14, 20, 46, 93, 255, 4096, 0xFFFF)))
        return f"directory-{name}", bytes(data)

    def npy(self) -> tuple[str, bytes]:
        shape = self.one((f"({self.one(EXTREMES)},)", f"({self.one(EXTREMES)}, {self.one(EXTREMES)})", repr(self.one(STRANGE))))
        descr = self.one(("'<f4'", "'|O'", "'<f8'", "'>i2'", "'|b1'", "'<M8[s]'", "[('a', '<f4')]", repr(self.one(STRANGE))))
        entries = {"x.npy": _npy(shape, descr), self.one(("y.npy", "x.npy/", "é.npy", "y" * 300)): _npy("(2,)")}
        stream = io.BytesIO()
        method = self.one((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        data = bytearray(stream.getvalue())
        if self.rng.integers(2):
            data[int(self.rng.integers(len(data)))] ^= 1 << self.rng.integers(8)
        return "npy.npz", bytes(data)

    def references(self) -> tuple[str, bytes]:
        """Tensors whose shapes, strides, offsets and counts are not those of their storages."""
        content, storages = tensors()
        for _ in range(self.rng.integers(1, 4)):
            key = self.one(sorted(content))
            _, _, shape, strides, *_ = content[key].arguments
            numbers = [self.one((*EXTREMES[:12], *shape, *strides, 0, 1, 10**6)) for _ in range(4)]
            place = self.one((*storages, "absent", "../data.pkl", ""))
            content[key] = self.one(
                (
                    Tensor(place, shape, strides, count=numbers[0]),
                    Tensor(place, tuple(numbers[: len(shape)]), strides),
                    Tensor(place, shape, tuple(numbers[: len(shape)])),
                    Tensor(place, shape, strides, offset=numbers[1]),
                    Tensor(place, tuple(numbers), (0,) * 4, count=2**20),
                )
            )
        if self.rng.integers(2):
            return "references.pth", write_torch(self.scratch, {"state_dict": content}, storages).read_bytes()
        return "references-legacy.pth", b"".join(legacy_parts({"state_dict": content}))

    # Opcodes

    def instruction(self) -> bytes:
        """One instruction with its argument, as a rule one that can be."""
        texts = ("state_dict", "w", "head.weight", "storage", "0", "cpu", "torch", "FloatStorage", "a" * 200)
        number = int(self.rng.integers(256))
        module, name, _ = self.one(
            (*CALLS, *PASSED_OVER, ("torch", "FloatStorage", ""), ("numpy", "dtype", ""), ("torch", "Size", ""))
        )
        return self.one(
            (
                *(
                    code.to_bytes(1, "little")
                    for code in b"N}])(tdlaesuRbo0123Q\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x81."
                ),
                *(_text(self.one(texts)) for _ in range(4)),
                b"K" + bytes([number]),
                b"J" + self.rng.bytes(4),
                b"\x8a" + bytes([number % 12]) + self.rng.bytes(number % 12),
                b"\x8b" + struct.pack("<i", self.one((0, 5, 300, -1, 2**31 - 1))) + self.rng.bytes(300),
                b"G" + self.rng.bytes(8),
                b"q" + bytes([number % 8]),
                b"h" + bytes([number % 8]),
                b"r" + struct.pack("<I", self.one((1, 2**20, 2**32 - 1))),
                b"C" + bytes([number]) + self.rng.bytes(number),
                b"B" + struct.pack("<I", self.one((3, 2**31))) + b"abc",
                b"I" + self.one((b"7", b"00", b"9" * 900, b"x")) + b"\n",
                b"L" + self.one((b"7L", b"9" * 2000)) + b"\n",
                b"S'abc\\n'\n",
                b"V\\u00e9\n",
                b"F1e400\n",
                b"P1\n",
                b"\x82\1",
                b"\x96" + struct.pack("<Q", self.one((2, 2**40))) + b"ab",
                f"c{module}\n{name}\n".encode(),
                f"i{module}\n{name}\n".encode(),
                bytes([number]),
            )
        )

    def opcodes(self) -> tuple[str, bytes]:
        body = b"".join(self.instruction() for _ in range(int(self.rng.integers(1, 60))))
        if self.rng.integers(3) == 0:  # well-formed on the whole, so that more of it is reached
            body = b"}(" + _text("state_dict") + b"}" + _text("x") + body + b"u"
        return self._in_a_file("opcodes", b"\x80\2" + body + b".")

    def changed_pickle(self) -> tuple[str, bytes]:
        """The pickle of a good file, with instructions put in, taken out, and repeated."""
        content, storages = tensors()
        data = bytearray(dumps({"epoch": 3, "state_dict": content, "args": argparse.Namespace(lr=0.1)}))
        for _ in range(self.rng.integers(1, 6)):
            at = int(self.rng.integers(2, len(data)))
            match self.rng.integers(3):
                case 0:
                    data[at:at] = self.instruction()
                case 1:
                    del data[at : at + int(self.rng.integers(1, 9))]
                case _:
                    data[at] = self.rng.integers(256)
        return "changed.pth", write_torch(self.scratch, None, storages, pickled=bytes(data)).read_bytes()

    def calls(self) -> tuple[str, bytes]:
        """A call of what could do harm, or of anything, somewhere in an honest pickle."""
        module, name, argument = self.one((*CALLS, *PASSED_OVER))
        content, storages = tensors()
        honest = dumps({key: content[key] for key in content})[2:-1]
        call = f"c{module}\n{name}\n".encode() + b"(" + _text(argument) + b"tR"
        beside = b"\x80\2}(" + _text("state_dict") + honest + _text(self.one(("args", "x", "optimizer"))) + call + b"u."
        return "calls.pth", write_torch(self.scratch, None, storages, pickled=beside).read_bytes()

    def _in_a_file(self, stem: str, pickled: bytes) -> tuple[str, bytes]:
        match self.rng.integers(3):
            case 0:
                return f"{stem}.pth", write_torch(self.scratch, None, pickled=pickled).read_bytes()
            case 1:
                parts = legacy_parts({})
                parts[int(self.rng.integers(1, 5))] = pickled
                return f"{stem}-legacy.pth", b"".join(parts)
        return f"{stem}.pkl", pickled


def extreme_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The worst of each kind that we know: what would take long, or much memory, were it not bounded."""

    def safetensors(lines: Any, data: bytes = b"") -> bytes:
        text = lines if isinstance(lines, bytes) else json.dumps(lines).encode()
        return struct.pack("<Q", len(text)) + text + data

    def line(shape: str) -> bytes:
        return b'{"x":{"dtype":"F32","shape":[' + shape.encode() + b'],"data_offsets":[0,8]}}'

    def pth(pickled: bytes, storages: dict[str, bytes] | None = None) -> bytes:
        return write_torch(folder / "extreme.pth", None, storages, pickled=b"\x80\2" + pickled + b".").read_bytes()

    nines = "9" * 4299
    yield "product-of-many-digits.safetensors", safetensors(line(",".join([nines] * 2)), bytes(8))
    yield "900-factors.safetensors", safetensors(line(",".join([nines] * 900)), bytes(8))
    blocks = {
        f"levels.0.blocks.{i}.conv1.bias": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(19_000)
    }
    first = {"dtype": "U8", "shape": [1, 1, 1, 1], "data_offsets": [19_000, 19_001]}
    yield "19000-blocks.safetensors", safetensors({**blocks, "patch_embed.conv_down.0.weight": first}, bytes(19_001))
    many = ",".join(f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(19_990))
    yield "19990-keys.safetensors", safetensors(f"{{{many}}}".encode())
    yield "empty-entries.safetensors", safetensors(("{" + ",".join(f'"{i}":{{}}' for i in range(350_000)) + "}").encode())
    dots = ".".join("a" * 2000)
    yield (
        "dots.safetensors",
        safetensors({f"{dots}.{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(900)}),
    )
    colliding = b"".join(b"\x8a\x0b" + (i * (2**61 - 1)).to_bytes(11, "little", signed=True) + b"N" for i in range(199_000))
    yield "colliding.pth", pth(b"}(" + colliding + b"u")
    for code, one in {
        "list": b"]",
        "dict": b"}",
        "set": b"\x8f",
        "mark": b"(",
        "tuples": b"\x85",
        "text": b"U\0",
        "bytes": b"C\1a",
        "float": b"G" + bytes(8),
        "integer": b"\x8a\x08" + b"\x7f" * 8,
        "name": b"cab\ncd\n",
        "memo": b"]\x94",
        "object": b"cab\ncd\n)\x81",
        "ordered": b"ccollections\nOrderedDict\n)R",
        "attributes": b"cab\ncd\n)\x81}b",
    }.items():
        yield f"many-of-{code}.pth", pth(b")" + one * (590_000 // OPCODES.get(code, 1)))
    items = b"".join(b"U\7" + b"%07d" % i + b"N" for i in range(290_000))
    yield "a-dict-of-290000.pth", pth(b"}(" + items + b"u")
    long_name = b"X" + struct.pack("<I", 2**20) + b"n" * 2**20 + b"q\0"
    nested = b"}(" + long_name + b"}(" + b"".join(b"U\7" + b"%07d" % i + b"}" for i in range(200_000)) + b"uu"
    yield "long-names-of-many.pth", pth(nested)
    yield (
        "modules-in-each-other.pth",
        pth(b"cm\nM\n)\x81q\1}(" + _text("_modules") + b"}(" + _text("a") + b"h\1" + _text("b") + b"h\1uub"),
    )
    big = Tensor("0", (281 * 10**6,), (0,))
    yield "stride-0.pth", write_torch(folder / "extreme.pth", {"w": big}).read_bytes()
    spread = {f"w{i}": Tensor("0", (16_000,), (0,)) for i in range(9000)}
    yield "stride-0-in-many.pth", write_torch(folder / "extreme.pth", spread).read_bytes()
    wide = {"w": Tensor("0", (70 * 2**20,), (0,), count=2**24)}
    yield "stride-0-of-a-large-file.pth", write_torch(folder / "extreme.pth", wide, {"0": bytes(2**26)}).read_bytes()
    pieces = b"".join(b"\x8b" + struct.pack("<i", 2**20) + b"\x7f" * 2**20 for _ in range(40))
    yield "integers-of-a-megabyte.pth", pth(pieces)
    yield "digits.npz", _zipped({"x.npy": _npy(f"({nines}, {nines})")})
    yield "parentheses.npz", _zipped({"x.npy": _npy("(" * 4000 + ")" * 4000)})
    zeros = io.BytesIO()
    np.savez_compressed(zeros, x=np.zeros(2**28, np.uint8))
    yield "zeros.npz", zeros.getvalue()


def _zipped(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


@dataclass
class Outcome:
    """What came of an attack. `slowest` and `largest` are (seconds or bytes, name)."""

    count: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    largest: list[tuple[float, str]] = field(default_factory=list)


class Watch:
    """Notes what Python itself sees run or written while a file is read. A hook cannot be taken away: it is switched off."""

    def __init__(self) -> None:
        self.on, self.seen = False, [""] * 0
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and (
            event in RUNS or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"))
        ):
            self.seen.append(f"{event} {str(arguments[0])[:80]}")


def attack(files: Iterator[tuple[str, bytes]], folder: Path, watch: Watch, measure: bool = True) -> Outcome:
    """Read every file, in two ways. Times are the processor's: others may be at work."""
    outcome = Outcome()
    for codec in ("cp437", "raw_unicode_escape", "unicode_escape", "latin-1", "utf-8"):  # modules of Python, made when needed
        codecs.lookup(codec)
    for good in folder.iterdir():
        load_checkpoint(good)
    for name, data in files:
        path = folder / name
        path.write_bytes(data)
        outcome.count += 1
        for read in (_pretrained, load_checkpoint):
            before = _memory(reset=True) if measure else 0
            begin, watch.on = time.process_time(), True
            try:
                got = read(path)
                outcome.read[name.partition("-")[0]] += 1
                if not _right(name, got):
                    outcome.wrong.append(f"{outcome.count} {name}: read otherwise than it was written")
            except MvnpError as error:
                outcome.refused[type(error).__name__] += 1
                if len(str(error)) > 20_000 or not isinstance(error, mvnp.errors.CheckpointError):
                    outcome.wrong.append(f"{outcome.count} {name}: {type(error).__name__} {str(error)[:300]}")
            except BaseException as error:
                outcome.wrong.append(f"{outcome.count} {name}: {error!r}"[:300])
                if isinstance(error, KeyboardInterrupt):
                    raise
            finally:
                watch.on = False
            seconds = time.process_time() - begin
            outcome.slowest = sorted([*outcome.slowest, (seconds, f"{name} {read.__name__}")])[-8:]
            if measure:
                outcome.largest = sorted([*outcome.largest, (_memory() - before, f"{name} {read.__name__}")])[-8:]
            got = None
        path.unlink()
    outcome.seen = watch.seen
    return outcome


def _pretrained(path: Path) -> dict[str, np.ndarray]:
    return load_pretrained(path, **CUT).state_dict(copy=False)


def _right(name: str, got: dict[str, np.ndarray]) -> bool:
    """What was written, as far as the format has checksums: all with a digest, the numbers with CRCs, nothing in others."""
    if "checked" in name:
        return set(got) == set(WEIGHTS) and all(np.array_equal(got[key], array) for key, array in WEIGHTS.items())
    if name.startswith("directory-") or name in ("bytes-ours.npz", "bytes-deflated.npz", "bytes-ours.pth", "bytes-zip.pth"):
        return all(np.array_equal(array, WEIGHTS[key]) for key, array in got.items() if key in WEIGHTS)
    return True


def _memory(reset: bool = False) -> float:
    """Bytes: the most that the process has had since the last reset; with `reset`, what it has now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    name = "VmRSS" if reset else "VmHWM"
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024.0 * next(int(line.split()[1]) for line in file if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = Attack(arguments.seed, folder)
        os.chdir(folder)
        watch = Watch()
        before = sorted(path.name for path in folder.iterdir())
        for what, files in (
            ("extremes", extreme_files(folder)),
            ("drawn", (drawn.file() for _ in range(arguments.count))),
        ):
            outcome = attack(files, folder / "good", watch)
            print(f"{what}: {outcome.count} files; refused {dict(outcome.refused)}; read {dict(outcome.read)}")
            print(f"wrong: {len(outcome.wrong)}", *outcome.wrong[:40], sep="\n  ")
            print(f"run or written: {outcome.seen[:10]}")
            print("slowest, s:", *(f"{seconds:.2f} {name}" for seconds, name in outcome.slowest[::-1]), sep="\n  ")
            print("largest, MB:", *(f"{size / 1e6:.0f} {name}" for size, name in outcome.largest[::-1]), sep="\n  ")
        left = sorted(path.name for path in folder.iterdir())
        print("new files:", [name for name in left if name not in (*before, "scratch.pth", "extreme.pth")])


if __name__ == "__main__":
    main()
