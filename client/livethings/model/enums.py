"""The enums of a collection, as the watcher of its root is told (docs/protocol.md, "Watching")."""

from __future__ import annotations

from typing import Any

from livethings.model.shapes import Member

__all__ = ["Enums"]


class Enums:
    """Members by the id of their enum and their place in it, kept up by jobs."""

    def __init__(self) -> None:
        self._members: dict[int, list[list[Any]]] = {}

    def load(self, enums: list[dict[str, Any]]) -> None:
        """They are as this says."""
        self._members = {one["enum_id"]: [list(member) for member in one["members"]] for one in enums}

    def member(self, enum_id: int, index: int) -> Member | None:
        """The member; None when it is not known."""
        try:
            name, value = self._members[enum_id][index]
        except (KeyError, IndexError):
            return None
        return Member(name, value)

    def apply(self, kind: str, what: Any) -> None:
        """Do a job; those that are not about enums are left alone."""
        if kind == "set_enum":
            self._members[what["enum_id"]] = [list(member) for member in what["members"]]
        elif kind == "del_enum":
            self._members.pop(what, None)
        elif kind.startswith("mod_enum_"):
            members = self._members[what["enum_id"]]
            if kind == "mod_enum_add":
                members.append([what["name"], what["value"]])
            elif kind == "mod_enum_def":
                place = what["index"]
                members[0], members[place] = members[place], members[0]
            elif kind == "mod_enum_del":
                members[what["index"]] = members[-1]
                members.pop()
            elif kind == "mod_enum_mod":
                members[what["index"]][1] = what["value"]
            elif kind == "mod_enum_ren":
                members[what["index"]][0] = what["name"]
