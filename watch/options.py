"""Maps of options, as clients send them with a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadDataError

__all__ = ["check_names"]


def check_names(options: Mapping[Any, Any], names: Sequence[str], what: str) -> None:
    """BadDataError when a map has another key than these; `what` says whose they are: `watch knows`."""
    for name in options:
        if name not in names:
            known = f"{', '.join(names[:-1])} and {names[-1]}"
            raise BadDataError(f"{what} {known}, not {str(name)[:80]!r}")
