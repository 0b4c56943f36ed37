"""Protobuf messages as trees of fields, written as bytes or, for people, as text. It knows no message in particular."""

from __future__ import annotations

import struct
from typing import NamedTuple, Union


class Enum(NamedTuple):
    """A value of an enumeration."""

    number: int
    name: str


class Field(NamedTuple):
    """A field that is set. An int is a varint, a float a double, a list a message."""

    number: int
    name: str
    value: Union[int, float, str, Enum, list[Field]]


Message = list[Field]

VARINT, DOUBLE, BYTES = 0, 1, 2


def varint(value: int) -> bytes:
    """An unsigned number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def encode(message: Message) -> bytes:
    """The message as bytes."""
    return b"".join(_encode_field(field) for field in message)


def delimited(message: Message) -> bytes:
    """The message as bytes, after its length."""
    body = encode(message)
    return varint(len(body)) + body


def as_text(message: Message, indent: str = "") -> str:
    """The message in protobuf's text format, a field a line."""
    return "".join(_field_as_text(field, indent) for field in message)


def _encode_field(field: Field) -> bytes:
    value = field.value
    if isinstance(value, Enum):
        return _key(field, VARINT) + varint(value.number)
    if isinstance(value, int):
        return _key(field, VARINT) + varint(value)
    if isinstance(value, float):
        return _key(field, DOUBLE) + struct.pack("<d", value)
    body = value.encode() if isinstance(value, str) else encode(value)
    return _key(field, BYTES) + varint(len(body)) + body


def _key(field: Field, wire_type: int) -> bytes:
    return varint(field.number << 3 | wire_type)


def _field_as_text(field: Field, indent: str) -> str:
    value = field.value
    if isinstance(value, list):
        return f"{indent}{field.name} {{\n{as_text(value, indent + '  ')}{indent}}}\n"
    if isinstance(value, Enum):
        return f"{indent}{field.name}: {value.name}\n"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{indent}{field.name}: "{escaped}"\n'
    return f"{indent}{field.name}: {value}\n"
