"""A run's log as a file of events that TensorBoard shows, written from its format: TensorBoard itself is not needed for it.

record    length, 8 bytes; checksum of these; data; checksum of the data. Little-endian, checksums masked CRC-32C
data      a protocol buffer, Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }
          Summary { repeated Value { string tag = 1; float simple_value = 2 } value = 1 }
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

TAGS = {
    "step": {"loss": "train/loss", "lr": "train/lr", "grad_norm": "train/grad_norm", "apart": "train/apart"},
    "epoch": {
        "train_loss": "epoch/train_loss",
        "test_loss": "epoch/test_loss",
        "test_accuracy": "epoch/test_accuracy",
        "ema_loss": "epoch/ema_loss",
        "ema_accuracy": "epoch/ema_accuracy",
        "images_per_second": "epoch/images_per_second",
    },
}


def event_file(records: Sequence[dict[str, Any]]) -> bytes:
    """All numbers of a log (`mvnp.training.read_log`) over its steps. The time of each is the second of training."""
    made, seconds = [_record(_double(1, 0.0) + _text(3, "brain.Event:2"))], 0.0
    for line in records:
        seconds = float(line.get("seconds") or seconds)
        tags = TAGS.get(line.get("event", ""), {})
        values = [(tag, line[name]) for name, tag in tags.items() if line.get(name) is not None]
        if values:
            made.append(_record(_double(1, seconds) + _number(2, line["step"]) + _bytes(5, _summary(values))))
    return b"".join(made)


def _summary(values: Iterable[tuple[str, float]]) -> bytes:
    return b"".join(_bytes(1, _text(1, tag) + _key(2, 5) + struct.pack("<f", value)) for tag, value in values)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _double(field: int, value: float) -> bytes:
    return _key(field, 1) + struct.pack("<d", value)


def _number(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value)


def _bytes(field: int, data: bytes) -> bytes:
    return _key(field, 2) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _varint(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def _row(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC = [_row(value) for value in range(256)]  # Castagnoli's polynomial, reflected


def crc32c(data: bytes) -> int:
    """CRC-32C of `data`."""
    found = 0xFFFFFFFF
    for byte in data:
        found = _CRC[(found ^ byte) & 0xFF] ^ found >> 8
    return found ^ 0xFFFFFFFF


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
