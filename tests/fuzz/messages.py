"""Made-up protobuf messages: right ones, strange ones, and bytes that are none."""

import random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

STRANGE_TEXTS = (
    "",
    " ",
    "\x00",
    "../../etc/passwd",
    "*",
    "default",
    "local",
    "calculator",
    "echo",
    "a" * 5_000,
    "\U0001f600" * 50,
    "\u202e\u0000\u200b",
    "';--",
    "{}",
    "-1",
    "9" * 40,
    "task_00000000000000000000000000",
    "sha256:" + "0" * 64,
)
INTEGERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 1000, 1001)
FLOATS = (0.0, -1.0, 1e308, float("inf"), float("nan"), 5e-324, 0.5)
DEEPEST = 4


def made_up(kind: Descriptor, dice: random.Random, known: list[str], depth: int = 0) -> Message:
    """A message with fields of its types and values of any sort. `known` are ids that exist."""
    message = GetMessageClass(kind)()
    for field in kind.fields:
        if dice.random() < 0.4 or depth > DEEPEST:
            continue
        _fill(message, field, dice, known, depth)
    return message


def mangled(raw: bytes, dice: random.Random) -> bytes:
    """The bytes with some of them cut, flipped, doubled or added: most are no message any more."""
    data = bytearray(raw or b"\x0a\x03abc")
    for _ in range(dice.randrange(1, 6)):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(4):
            case 0:
                del data[place : place + dice.randrange(1, 8)]
            case 1:
                data[place:place] = dice.randbytes(dice.randrange(1, 8))
            case 2:
                data[place : place + 1] = dice.randbytes(1)
            case _:
                data += data[place:]
        data = data[:20_000] or bytearray(b"\x08")
    return bytes(data)


def nested(levels: int) -> bytes:
    """A Struct in field 1, nested as deep as that: parsers stop at 100."""
    raw = b""
    for _ in range(levels):
        entry = b"\x0a\x01a\x12" + _length(len(raw) + 0) + raw
        raw = (
            b"\x2a"
            + _length(len(entry) + 1 + len(_length(len(entry))))
            + b"\x0a"
            + _length(len(entry))
            + entry
        )
    return b"\x0a" + _length(len(raw)) + raw


def _length(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fill(message: Any, field: FieldDescriptor, dice: random.Random, known: list[str], depth: int) -> None:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        target = getattr(message, field.name)
        value = entry.fields_by_name["value"]
        for _ in range(dice.randrange(3)):
            key = _scalar(entry.fields_by_name["key"], dice, known)
            if value.message_type is not None:
                target[key].CopyFrom(made_up(value.message_type, dice, known, depth + 1))
            else:
                target[key] = _scalar(value, dice, known)
    elif field.is_repeated:
        target = getattr(message, field.name)
        for _ in range(dice.randrange(4)):
            if entry is not None:
                target.add().CopyFrom(made_up(entry, dice, known, depth + 1))
            else:
                target.append(_scalar(field, dice, known))
    elif entry is not None:
        getattr(message, field.name).CopyFrom(made_up(entry, dice, known, depth + 1))
    else:
        setattr(message, field.name, _scalar(field, dice, known))


def _scalar(field: FieldDescriptor, dice: random.Random, known: list[str]) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return dice.choice((*STRANGE_TEXTS, *known[-20:]))
        case FieldDescriptor.CPPTYPE_BOOL:
            return dice.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return dice.choice(FLOATS)
        case FieldDescriptor.CPPTYPE_INT32:
            return dice.choice([value for value in INTEGERS if -(2**31) <= value < 2**31])
        case FieldDescriptor.CPPTYPE_UINT32:
            return dice.choice([value for value in INTEGERS if 0 <= value < 2**31])
        case FieldDescriptor.CPPTYPE_UINT64:
            return dice.choice([value for value in INTEGERS if value >= 0])
        case FieldDescriptor.CPPTYPE_ENUM:
            return dice.choice((0, 1, 2, 3, 77))
        case _ if field.type == FieldDescriptor.TYPE_BYTES:
            return dice.randbytes(10)
        case _:
            return dice.choice(INTEGERS)
