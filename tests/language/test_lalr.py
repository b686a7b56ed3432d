"""Our loop over Lark's tables does what Lark's own does."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput

from engine.errors import SyntaxFailed
from engine.language import nodes
from engine.language.parser import _machinery
from tests.language.trees import sources


def whole(node: object) -> Any:
    """A node with everything in it, offsets too."""
    if isinstance(node, nodes.Node):
        return (type(node), *((field.name, whole(getattr(node, field.name))) for field in dataclasses.fields(node)))
    if isinstance(node, list):
        return [whole(item) for item in node]
    return repr(node)


def both(text: str) -> tuple[Any, Any]:
    """What our loop and Lark's make of a text: a tree, the text of an error, or None when it does not fit."""
    lark, tables, builder = _machinery()
    builder.text = text
    made = []
    for parse in (tables.parse, lark.parse):
        try:
            made.append(whole(tree) if (tree := parse(text)) is not None else None)
        except UnexpectedInput:
            made.append(None)
        except SyntaxFailed as error:
            made.append(str(error))
    return made[0], made[1]


@given(sources())
def test_programs(text: str) -> None:
    ours, larks = both(text)
    assert ours == larks


@given(sources(), st.data())
def test_programs_with_a_piece_cut_out(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 5)))
    ours, larks = both(text[:start] + text[end:])
    assert ours == larks


@given(st.text("ab1 .;:,=+-*/|&!~(){}[]`'\"\n?<>nilforetuif", max_size=30))
@example("")
@example(" ")
@example("// only a comment")
@example("/* open")
@example("{1}.x()")
@example("~return 1")
@example("for(1 in 2) 3")
@example("else = for; in{if: else}; nil{nil}")
@example("a" * 256)
def test_any_text(text: str) -> None:
    ours, larks = both(text)
    assert ours == larks
