"""What was typed before, in a file that only its owner can read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

__all__ = ["history"]

_SECRET = re.compile(r"\bset_password\s*\(|\bpassword\b", re.IGNORECASE)


class _History(FileHistory):
    """Forgets, at the end, what may hold a password, and what begins with a blank."""

    def store_string(self, string: str) -> None:
        if not string.startswith(" ") and not _SECRET.search(string):
            super().store_string(string)


def history(environment: Mapping[str, str]) -> History:
    """The history of earlier sessions; one that is kept nowhere when there is no place for it."""
    state = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    file = Path(state) / "livethings" / "history"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except (OSError, RuntimeError):
        return InMemoryHistory()
    return _History(str(file))
