"""What the features say and hear, in no wire's words; each wire puts it into its own SDK's."""

import struct
import zlib
from dataclasses import dataclass, field


@dataclass
class Tool:
    name: str
    description: str
    schema: dict


@dataclass
class Call:
    id: str | None
    name: str
    arguments: dict


@dataclass
class Usage:
    """`input` holds what was read from the cache, and `output` the reasoning."""

    input: int
    cached: int
    output: int


@dataclass
class Said:
    """A model's turn."""

    text: str
    thoughts: str
    calls: list[Call]
    # end, length, stop_sequence, tools, refusal, or the wire's own word for what else there is.
    stop: str
    usage: Usage | None
    # The turn as the SDK gave it, to be sent back.
    turn: object
    # As the answer names it.
    model: str


@dataclass
class User:
    text: str
    images: list[bytes] = field(default_factory=list)
    image_urls: list[str] = field(default_factory=list)
    pdfs: list[bytes] = field(default_factory=list)


@dataclass
class Results:
    """Of calls, in the order they are sent in."""

    of: list[tuple[Call, str]]


@dataclass
class System:
    """A system prompt in mid-conversation."""

    text: str


@dataclass
class Ask:
    model: str
    turns: list[User | Said | Results | System]
    system: str | None = None
    tools: list[Tool] | None = None
    # The tool that must be called.
    force: str | None = None
    # False: one call at a time.
    parallel: bool = True
    max_tokens: int | None = None
    stop: str | None = None
    schema: dict | None = None
    think: bool = False
    stream: bool = False


def ask(model, text, **more):
    return Ask(model, [User(text)], **more)


def tokens(text):
    """As the emulator counts them."""
    return -(-len(text.encode()) // 4)


TOKENS_PER_MESSAGE = 3

# Words that the emulator answers in a way of its own.
SAY_SYSTEM = "Say the system prompt."
REFUSE = "Refuse this."
# What it says when it thinks.
THOUGHT = "The request is clear; the answer repeats it."

WEATHER = Tool(
    "get_weather",
    "The weather of a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Its name"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
TIME = Tool(
    "get_time",
    "The time in a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "hours": {"type": "integer", "enum": [12, 24]}},
        "required": ["city", "hours"],
        "additionalProperties": False,
    },
)
# What the emulator fills in.
WEATHER_ARGUMENTS = {"city": "city"}
TIME_ARGUMENTS = {"city": "city", "hours": 12}

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "degrees": {"type": "integer"},
        "wind": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city", "degrees", "wind"],
    "additionalProperties": False,
}
FILLED = {"city": "city", "degrees": 1, "wind": ["wind"]}

IMAGE_URL = "https://images.example.com/oslo.png"


def png(width=8, height=8):
    """A grey image."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    rows = b"".join(b"\0" + bytes(range(width)) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
