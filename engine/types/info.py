"""Types described: `type_info`, and what watchers of a root are told (spec/types.md, sections 7 and 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.types.definition import Definition
    from engine.types.relations import Relation
    from engine.types.type import Type

__all__ = ["described", "field_list", "in_order", "info", "written"]


def field_list(type_: Type) -> list[tuple[str, Any]]:
    """`[name, definition]` of each field, the id's name first."""
    fields: list[tuple[str, Any]] = [] if type_.id_name is None else [(type_.id_name, "#")]
    return fields + [(name, written(definition)) for name, definition in type_.fields.items()]


def written(definition: Definition) -> Any:
    """A definition as written: a text, or the structure of nested definitions."""
    if definition.inner is None:
        return definition.text
    inner = definition.inner
    shown: dict[str, Any] = dict(field_list(inner))
    shown |= {name: closure.code.compact for name, closure in inner.methods.items()}
    return [shown] if definition.many else shown


def in_order(type_: Type) -> list[Relation]:
    """The relations of a type, in the order of its fields."""
    return [type_.relations[name] for name in type_.fields if name in type_.relations]


def _relations(type_: Type) -> dict[str, Any]:
    return {
        relation.field: {
            "type": relation.other.name,
            "property": relation.other_field,
            "definition": relation.other.fields[relation.other_field].text,
        }
        for relation in in_order(type_)
    }


def _methods(type_: Type, definitions: bool) -> dict[str, Any]:
    shown = {}
    for name, closure in type_.methods.items():
        code = closure.code
        shown[name] = {"doc": code.doc}
        if definitions:
            shown[name]["definition"] = code.pretty
        shown[name] |= {"with_side_effects": code.has_effects, "arguments": list(code.params)}  # type: ignore[dict-item]
    return shown


def info(type_: Type, definitions: bool) -> dict[str, Any]:
    """What `type_info` shows; the code of methods only with `definitions`."""
    return {
        "type_id": type_.id,
        "name": type_.name,
        "wrap_only": type_.wrap_only,
        "hide_id": type_.hide_id,
        "auto_index": type_.auto_index,
        "created_at": type_.created_at,
        "modified_at": type_.modified_at,
        "fields": field_list(type_),
        "methods": _methods(type_, definitions),
        "relations": _relations(type_),
    }


def described(type_: Type) -> dict[str, Any]:
    """What the first event of a watch of the root tells."""
    return {
        "type_id": type_.id,
        "name": type_.name,
        "wrap_only": type_.wrap_only,
        "created_at": type_.created_at,
        "modified_at": type_.modified_at,
        "fields": field_list(type_),
        "methods": _methods(type_, False),
        "relations": _relations(type_),
    }
