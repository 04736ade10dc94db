"""Files of weights that are damaged, or made to do harm: more than two hundred, the same ones every time.

What would run, were it run, is `touch CANARY`, so that a test can see that nothing was.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from mvnp.checkpoint import save_arrays
from support.torch_files import Tensor, dumps, legacy_parts, write_torch

WEIGHTS = {"a.weight": np.arange(600, dtype=np.float32).reshape(20, 30), "b": np.arange(4, 6, dtype=np.float32)}
DATA = WEIGHTS["a.weight"].astype("<f4").tobytes()

# What a pickle could name to do harm, and what it would call it with.
CALLS = [
    ("os", "system", "touch CANARY"),
    ("posix", "system", "touch CANARY"),
    ("nt", "system", "touch CANARY"),
    ("os", "popen", "touch CANARY"),
    ("subprocess", "Popen", "touch CANARY"),
    ("subprocess", "check_output", "touch CANARY"),
    ("builtins", "eval", "open('CANARY', 'w')"),
    ("builtins", "exec", "open('CANARY', 'w')"),
    ("builtins", "open", "CANARY"),
    ("builtins", "compile", "1"),
    ("builtins", "__import__", "os"),
    ("__builtin__", "eval", "open('CANARY', 'w')"),
    ("importlib", "import_module", "antigravity"),
    ("runpy", "run_path", "CANARY"),
    ("pickle", "loads", "."),
    ("torch", "load", "CANARY"),
    ("torch.serialization", "load", "CANARY"),
    ("torch.hub", "load", "x"),
    ("numpy", "load", "CANARY"),
    ("numpy.testing._private.utils", "runstring", "x"),
    ("shutil", "rmtree", "CANARY"),
    ("pty", "spawn", "sh"),
    ("webbrowser", "open", "x"),
    ("ctypes", "CDLL", "x"),
    ("operator", "attrgetter", "system"),
    ("argparse", "Namespace.__init__.__globals__", "x"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__", "x"),
    ("torch.jit", "load", "x"),
    ("sys", "setrecursionlimit", "1"),
    ("signal", "alarm", "1"),
]

# What honest files name too: it is passed over, and what it would call is not called.
PASSED_OVER = [
    ("builtins", "getattr", "1"),
    ("functools", "partial", "x"),
    ("collections", "OrderedDict.fromkeys", "x"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy", "x"),
    ("anything", "at.all", "touch CANARY"),
]


def good_files(folder: Path) -> dict[str, bytes]:
    """One of each kind, intact."""
    tensors = {"a.weight": Tensor("0", (20, 30), (30, 1), count=600), "b": Tensor("0", (2,), (1,), offset=4, count=600)}
    write_torch(folder / "t.pth", {"state_dict": tensors}, {"0": DATA})
    save_arrays(folder / "o.safetensors", WEIGHTS, {"kind": "weights"})
    stored, deflated = io.BytesIO(), io.BytesIO()
    np.savez(stored, **WEIGHTS)
    np.savez_compressed(deflated, **WEIGHTS)
    legacy = {"state_dict": {key: _legacy(tensor) for key, tensor in tensors.items()}}
    return {
        "ours.safetensors": (folder / "o.safetensors").read_bytes(),
        "foreign.safetensors": save(WEIGHTS),
        "stored.npz": stored.getvalue(),
        "deflated.npz": deflated.getvalue(),
        "zip.pth": (folder / "t.pth").read_bytes(),
        "legacy.pth": b"".join([*legacy_parts(legacy)[:5], (600).to_bytes(8, "little"), DATA]),
    }


def _legacy(tensor: Tensor) -> Tensor:
    _, offset, shape, strides, *_ = tensor.arguments
    return Tensor("0", shape, strides, offset, count=600, legacy=True)


def hostile_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes): names are different, and their endings say the kind."""
    good = good_files(folder)
    rng = np.random.default_rng(20240607)
    for name, data in good.items():
        stem, ending = name.split(".")
        ends = {0, 1, 4, 7, 8, 9, 30, 64, len(data) // 2, len(data) - 23, len(data) - 2, len(data) - 1}
        ends |= {int(end) for end in rng.integers(len(data), size=6)} | {data.find(DATA[:64]), data.find(DATA[:64]) + 100}
        yield from ((f"{stem}-cut-at-{end}.{ending}", data[:end]) for end in sorted(ends - {-1}))
        begin = data.find(DATA)
        if begin >= 0 and stem not in ("foreign", "legacy"):  # those two have no checksums
            for at in sorted(set(rng.integers(begin, begin + len(DATA), size=8).tolist())):
                yield (
                    f"{stem}-flipped-at-{at}.{ending}",
                    data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :],
                )
        if stem == "deflated":
            for at in sorted(set(rng.integers(200, 600, size=8).tolist())):
                yield f"{stem}-flipped-at-{at}.{ending}", data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
    yield from _safetensors()
    yield from _npz(good["stored.npz"])
    yield from _zips(good["zip.pth"], folder)
    yield from _pickles(folder)
    yield from _tensors(folder)


def _safetensors() -> Iterator[tuple[str, bytes]]:
    def file(header: Any, data: bytes = bytes(8), length: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    def x(**changes: Any) -> dict[str, Any]:
        return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}

    for length in (0, 1, 10**6, 10**9, 2**32, 2**62, 2**63, 2**64 - 1):
        yield f"header-of-{length}.safetensors", file(x(), length=length)
    for index, changes in enumerate(
        [
            {"shape": [3]},
            {"shape": [2**40]},
            {"shape": [2**62, 4]},
            {"shape": [2**64]},
            {"shape": [-1, -2]},
            {"shape": [2.0]},
            {"shape": [True, 2]},
            {"shape": "2"},
            {"shape": None},
            {"shape": [1] * 80 + [2]},
            {"shape": [10**300]},
            {"data_offsets": [0, 2**60]},
            {"data_offsets": [-8, 0]},
            {"data_offsets": [8, 0]},
            {"data_offsets": [4, 12]},
            {"data_offsets": [0]},
            {"data_offsets": [0, 8, 8]},
            {"data_offsets": {"0": 8}},
            {"dtype": "F8_E4M3"},
            {"dtype": "O"},
            {"dtype": ["F32"]},
            {"dtype": None},
            {"dtype": "F64"},
        ]
    ):
        yield f"entry-{index}.safetensors", file(x(**changes))
    empty = {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}
    yield "empty-but-huge.safetensors", file({"e": empty, **x()})
    yield "gap.safetensors", file(x(data_offsets=[8, 16]), bytes(16))
    yield "overlap.safetensors", file({**x(), "y": x()["x"]})
    yield "rest.safetensors", file(x(), bytes(9))
    yield (
        "twice.safetensors",
        file(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
    )
    yield "list.safetensors", file([])
    yield "no-json.safetensors", file(b"\xff\xfe" * 20)
    yield "notes.safetensors", file({"__metadata__": {"a": 1}, **x()})
    yield "notes-list.safetensors", file({"__metadata__": [], **x()})
    yield "deep.safetensors", file(b"[" * 100_000)
    yield "deep-dicts.safetensors", file(b'{"a":' * 100_000)
    yield "digits.safetensors", file(b'{"x":' + b"9" * 100_000 + b"}")
    yield "long-header.safetensors", file(b'{"x":[' + b"0," * (3 * 2**20) + b"0]}")
    yield "bool.safetensors", file({"x": {"dtype": "BOOL", "shape": [8], "data_offsets": [0, 8]}}, b"\1\0\1\0\x77\0\0\0")


def _npy(shape: str, descr: str = "'<f4'", data: bytes = bytes(8)) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def _zip(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _npz(good: bytes) -> Iterator[tuple[str, bytes]]:
    shapes = ["(3,)", f"({2**40},)", f"({2**62}, 4)", f"(0, {2**62})", "(-1, -2)", "2", "(2.0,)", "[2]", "None", "(True, 2)"]
    shapes += [f"({'1,' * 100}2)", "__import__('os').system('touch CANARY')", "(lambda: 2)()", "(" * 2000 + "2" + ")" * 2000]
    for index, shape in enumerate(shapes):
        yield f"shape-{index}.npz", _zip({"x.npy": _npy(shape)})
    for index, descr in enumerate(["'|O'", "'<c8'", "'<U2'", "'V4'", "[('a', '<f4')]", "'f4,f4'", "3", "'<M8[s]'", "'f16'"]):
        yield f"descr-{index}.npz", _zip({"x.npy": _npy("(2,)", descr)})
    objects = io.BytesIO()
    np.savez(objects, x=np.array([_Runs()], dtype=object))
    yield "objects.npz", objects.getvalue()
    yield "no-array.npz", _zip({"x.npy": b"hello"})
    yield "version-9.npz", _zip({"x.npy": b"\x93NUMPY\x09\0" + bytes(20)})
    yield "header-of-4-gigabytes.npz", _zip({"x.npy": b"\x93NUMPY\2\0\xff\xff\xff\xff{}"})
    yield "bomb.npz", _bomb(4 * 2**30)
    yield "bomb-that-lies.npz", _bomb(4 * 2**30, said=8 + 76)
    yield "bombs-that-overlap.npz", _overlapping(400)
    yield "bzip.npz", _zip({"x.npy": _npy("(3,)")}, zipfile.ZIP_BZIP2)
    yield from ((f"{name}.npz", data) for name, data in _path_tricks({"x.npy": _npy("(2,)")}))
    yield "two-of-a-name.npz", good[:0] + _two_of_a_name()


class _Runs:
    def __reduce__(self) -> tuple:
        return eval, ("open('CANARY', 'w')",)


def _bomb(size: int, said: int | None = None) -> bytes:
    """A zip whose only entry unpacks to `size` zeros, and says so or something else. Made without ever having them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(2**20)
    count = min(size, 64 * 2**20) // len(block)  # the rest of it is only claimed: to make it all takes long
    packed = b"".join(packer.compress(block) for _ in range(count)) + packer.flush()
    said = min(size, 2**32 - 2) if said is None else said
    name = b"x.npy"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), said, len(name), 0) + name
    central = (
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), said, len(name), 0, 0, 0, 0, 0, 0) + name
    )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return local + packed + central + end


def _overlapping(count: int) -> bytes:
    """Many entries in the directory, all of them the same compressed megabyte of the file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", _npy(f"({2**18},)", data=bytes(2**20)))
        for key in range(1, count):
            twin = copy.copy(archive.filelist[0])
            twin.filename = f"{key}.npy"
            archive.filelist.append(twin)
    return stream.getvalue()


def _two_of_a_name() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", _npy("(2,)"))
        archive.writestr("y.npy", _npy("(2,)"))
    return stream.getvalue().replace(b"y.npy", b"x.npy")


def _path_tricks(entries: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for index, name in enumerate(
        ["../x.npy", "a/../../x.npy", "/etc/x.npy", "\\x.npy", "..\\x.npy", "C:x.npy", "c:/x.npy", "a/..", "x\0.npy"]
    ):
        placeholder = "p" * len(name)
        data = _zip({**entries, placeholder: b"".join(entries.values())})
        yield f"path-{index}", data.replace(placeholder.encode(), name.encode())


def _zips(good: bytes, folder: Path) -> Iterator[tuple[str, bytes]]:
    def torch(**others: Any) -> bytes:
        tensor = {"w": Tensor("0", (6,), (1,))}
        return write_torch(folder / "t.pth", tensor, **others).read_bytes()

    yield "compressed.pth", torch(compression=zipfile.ZIP_DEFLATED)
    yield "bomb.pth", _bomb(2**30).replace(b"x.npy", b"x/0.p")
    yield "order.pth", torch(byteorder="middle")
    yield "no-pickle.pth", _zip({"x/other": b""})
    yield "two-pickles.pth", _zip({"x/data.pkl": b"\x80\2}.", "y/data.pkl": b"\x80\2}."})
    yield "long-pickle.pth", torch(pickled=b"\x80\2" + b"]0" * (3 * 2**20) + b".")
    yield "many-instructions.pth", torch(pickled=b"\x80\2" + b"]" * 1_500_000 + b".")
    yield "many-tuples.pth", torch(pickled=b"\x80\2)" + b"\x85" * 900_000 + b".")
    yield "grows.pth", torch(pickled=b"\x80\2K\1" + b"q\0h\0\x86" * 100_000 + b".")
    yield "list-in-itself.pth", torch(pickled=b"\x80\2]q\0h\0a.")
    yield "encrypted.pth", good.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0")
    yield from ((f"{name}.pth", data) for name, data in _path_tricks({"x/data.pkl": dumps({"w": Tensor("0", (6,), (1,))})}))
    yield "tar.pth", b"storages" + bytes(257 - 8) + b"ustar\x0000" + bytes(2000)
    yield "text.pth", b"<html><body>404 Not Found</body></html>\n" * 50


def _pickles(folder: Path) -> Iterator[tuple[str, bytes]]:
    for index, (module, name, argument) in enumerate(CALLS):
        for form, instructions in _forms(module, name, argument).items():
            if form in ("global", "stack_global") or index < 4:  # the rarer instructions need not be tried with each name
                yield from _wrapped(f"{module}.{name}-{form}"[:50], instructions, folder)
    text = _text
    nested = (
        b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n("
        + text("os")
        + b"tR"
        + text("system")
        + b"tR("
        + text("touch CANARY")
        + b"tR"
    )
    inner = b"ctorch._utils\n_rebuild_parameter\n(cos\nsystem\n(" + text("touch CANARY") + b"tR\x89}tR"
    attribute = b"cargparse\nNamespace\n)\x81}" + text("__class__") + b"cos\nsystem\nsb"
    reduced = b"ccollections\nOrderedDict\n(](" + text("a") + b"cos\nsystem\ntat" + b"R"
    state = b"ccollections\nOrderedDict\n)R}" + text("__reduce__") + b"cos\nsystem\nsb"
    as_string = b"ctorch._utils\n_rebuild_tensor_v2\n(" + text("os.system") + b"K\0)t\x89}tR"
    tricks = {
        "nested": nested,
        "inner": inner,
        "attribute": attribute,
        "reduced": reduced,
        "state": state,
        "string": as_string,
    }
    for trick, instructions in tricks.items():
        yield from _wrapped(trick, instructions, folder)
    python = pickle.dumps({"state_dict": _Runs()}, protocol=4)
    yield "python-4.pth", write_torch(folder / "t.pth", None, pickled=python).read_bytes()
    yield "python-0.pth", write_torch(folder / "t.pth", None, pickled=pickle.dumps(_Runs(), protocol=0)).read_bytes()
    yield "bare-pickle.pth", python


def harmless_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What does nothing but ride along, beside the weights {"w": 0 … 5}; also what such a call gave, called again."""
    for index, (module, name, argument) in enumerate(PASSED_OVER):
        for form, instructions in _forms(module, name, argument).items():
            if form in ("global", "stack_global", "inst", "obj", "newobj", "newobj_ex", "memo"):
                yield f"{index}-{form}.pth", next(_wrapped(f"{index}", instructions, folder))[1]
    called = b"cargparse\nNamespace\n)R(" + _text("touch CANARY") + b"tR"
    yield "called.pth", next(_wrapped("called", called, folder))[1]


def _forms(module: str, name: str, argument: str) -> dict[str, bytes]:
    """A call, in every way in which a pickle can make one."""
    named = f"c{module}\n{name}\n".encode()
    text = _text(argument)
    return {
        "global": named + b"(" + text + b"tR",
        "stack_global": _text(module) + _text(name) + b"\x93(" + text + b"tR",
        "inst": b"(" + text + f"i{module}\n{name}\n".encode(),
        "obj": b"(" + named + text + b"o",
        "newobj": named + b"(" + text + b"t\x81",
        "newobj_ex": named + b"(" + text + b"t}\x92",
        "memo": named + b"q\5" + b"0h\5(" + text + b"tR",
        "ext": b"\x82\1(" + text + b"tR",
        "persid": b"P" + argument.encode() + b"\n",
        "binpersid": named + b"(" + text + b"tRQ",
    }


def _wrapped(stem: str, instructions: bytes, folder: Path) -> Iterator[tuple[str, bytes]]:
    """The instructions beside the weights, in a zip; and in the older format, in each of its pickles in turn."""
    tensor = dumps({"w": Tensor("0", (6,), (1,))})[2:-1]  # without protocol and end
    beside = b"\x80\2}(" + _text("state_dict") + tensor + _text("args") + instructions + b"u."
    yield f"{stem}-zip.pth", write_torch(folder / "t.pth", None, pickled=beside).read_bytes()
    parts = legacy_parts({})
    at = len(stem) % 4 + 1
    parts[at] = beside if at == 3 else b"\x80\2" + instructions + b"."
    yield f"{stem}-legacy-{at}.pth", b"".join(parts)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _tensors(folder: Path) -> Iterator[tuple[str, bytes]]:
    for index, tensor in enumerate(
        [
            Tensor("0", (7,), (1,)),
            Tensor("0", (2**62,), (1,)),
            Tensor("0", (2**62,), (0,)),
            Tensor("0", (2**31, 2**31), (0, 0)),
            Tensor("0", (10**6,), (0,)),
            Tensor("0", (0, 2**62), (1, 1)),
            Tensor("0", (2,), (-1,)),
            Tensor("0", (2,), (1,), offset=-4),
            Tensor("0", (2,), (1,), offset=2**62),
            Tensor("0", (2,), (2**62,)),
            Tensor("0", (1,) * 40, (1,) * 40),
            Tensor("0", (6,), (1,), count=2**40),
            Tensor("0", (6,), (1,), count=-6),
            Tensor("0", (2.0,), (1,)),
            Tensor("../../etc/passwd", (6,), (1,)),
            Tensor("missing", (6,), (1,)),
        ]
    ):
        yield f"tensor-{index}.pth", write_torch(folder / "t.pth", {"w": tensor}).read_bytes()
