"""Random numbers and texts (spec/text-and-numbers.md, section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import OverflowFailed, ValueFailed
from engine.functions.registry import function

if TYPE_CHECKING:
    from engine.context import Context

__all__: list[str] = []

MAX_RANDSTR = 1024
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"


@function("rand", doc="A random float from 0.0 to 1.0.", example="rand()")
def rand(ctx: Context) -> float:
    return ctx.random.random()


@function(
    "randint", "start: int, stop: int", doc="A random int from a start up to but not including a stop.",
    example="randint(1, 7)",
)  # fmt: skip
def randint(ctx: Context, start: int, stop: int) -> int:
    if stop <= start:
        raise ValueFailed(f"randint() takes a stop greater than the start: {stop} is not greater than {start}")
    if stop - start > 2**63:
        raise OverflowFailed("randint() chooses from at most 9223372036854775808 ints")
    return ctx.random.randrange(start, stop)


@function(
    "randstr",
    "length: int, characters?: str",
    doc="A text of random characters from a set, which is 0-9A-Za-z_- unless given.",
    example="randstr(8)",
)
def randstr(ctx: Context, length: int, characters: str = CHARACTERS) -> str:
    if not 0 <= length <= MAX_RANDSTR:
        raise ValueFailed(f"randstr() takes a length between 0 and {MAX_RANDSTR}, not {length}")
    if not characters or not characters.isascii():
        raise ValueFailed("randstr() takes at least one character, and only ASCII ones")
    return "".join(ctx.random.choices(characters, k=length))
