"""Values of Python as expressions of the language, with variables for what they hold."""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Mapping
from typing import Any

from livethings.model.shapes import New, Ref
from livethings.model.thing import Thing

__all__ = ["Variables", "checked_name"]

_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_]*\Z")


def checked_name(name: str) -> str:
    """A name as code has it. Raises ValueError."""
    if not _NAME.match(name):
        raise ValueError(f"a name has letters, digits and underscores, and begins with no digit, unlike {name!r}")
    return name


class Variables(dict[str, Any]):
    """The variables that expressions refer to."""

    def expression(self, value: Any) -> str:
        """The value as an expression. Raises TypeError for a value that the language does not have."""
        if isinstance(value, Thing | Ref):
            return f"thing({self._variable(value.id)})"
        if isinstance(value, enum.Enum):
            return f"{checked_name(type(value).__name__)}{{{checked_name(value.name)}}}"
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return self._variable(value)
        if isinstance(value, datetime.datetime):
            if value.tzinfo is None:
                raise TypeError(f"a datetime needs a time zone to be written, unlike {value!r}")
            return f"datetime({self._variable(value.strftime('%Y-%m-%dT%H:%M:%S%z'))})"
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.expression, value))}]"
        if isinstance(value, set | frozenset):
            return f"set({', '.join(map(self.expression, value))})"
        if isinstance(value, New):
            return checked_name(value.type) + self.expression(value.properties)
        if isinstance(value, Mapping):
            items = (f"{checked_name(name)}: {self.expression(item)}" for name, item in value.items())
            return f"{{{', '.join(items)}}}"
        raise TypeError(f"values of {type(value).__name__} can't be written")

    def _variable(self, value: Any) -> str:
        name = f"v{len(self)}"
        self[name] = value
        return name
