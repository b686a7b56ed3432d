"""Values as JSON for people and for programs, and messages for standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from base64 import b64encode
from math import isfinite
from typing import Any, TextIO

__all__ = ["as_json", "coloured", "is_terminal", "say", "write"]

MAX_COLOURED = 1 << 20
"""Characters beyond which a text is not coloured, which takes a second for a few million of them."""

_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that terminals obey, or that change the order of the others, and that JSON does not escape by itself."""

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def is_terminal(stream: TextIO) -> bool:
    """Somebody looks at it, and has nothing against colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_json(value: Any, *, indent: bool = False) -> str:
    """The value as JSON text, which a terminal can show as it is.

    Bytes become base64 text, and floats that are no numbers become texts; ints stay exact, however long. Raises
    ValueError when it is nested too deep.
    """
    options: dict[str, Any] = {"indent": 2} if indent else {"separators": (",", ":")}
    try:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_other, **options)
        except ValueError:
            text = json.dumps(_finite(value), ensure_ascii=False, default=_other, **options)
    except RecursionError:
        raise ValueError("the value is nested too deep to be written as JSON") from None
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _other(value: Any) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def coloured(text: str) -> str:
    """JSON text with the colours of a terminal."""
    if len(text) > MAX_COLOURED:
        return text
    from pygments import highlight
    from pygments.formatters.terminal import TerminalFormatter
    from pygments.lexers.data import JsonLexer

    shown: str = highlight(text, JsonLexer(stripnl=False, ensurenl=False), TerminalFormatter())
    return shown


def write(value: Any, *, raw: bool = False) -> None:
    """A result on standard output: for a terminal indented and coloured, else in one line.

    With `raw`, text and bytes come as they are.
    """
    if raw and isinstance(value, str | bytes):
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        sys.stdout.buffer.write(data + (b"\n" if isinstance(value, str) else b""))
        sys.stdout.buffer.flush()
        return
    text = as_json(value, indent=sys.stdout.isatty())
    print(coloured(text) if is_terminal(sys.stdout) else text, flush=True)


def printable(text: str) -> str:
    """Text from elsewhere without what a terminal would obey."""
    return _OBEYED.sub("\ufffd", text)


def say(message: str) -> None:
    """A message about the command, on standard error."""
    print(f"livethings: {printable(message)}", file=sys.stderr, flush=True)
