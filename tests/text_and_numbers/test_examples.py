"""What the declarations of this area promise to readers: one sentence, and an example that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.functions import base64, conversion, introspection, json, math, random, tests
from engine.functions.registry import FUNCTIONS, METHODS, Declaration
from engine.values import mpdata, numbers, regex, replace, split
from engine.values import str as text

PAGES = {
    page.__name__
    for page in (
        base64, conversion, introspection, json, math, random, tests, mpdata, numbers, regex, replace, split, text,
    )
}  # fmt: skip

DECLARED = {
    entry.name: entry
    for entry in (*FUNCTIONS.values(), *(method for methods in METHODS.values() for method in methods.values()))
    if entry.run.__module__ in PAGES
}


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_doc_is_one_sentence_and_example_runs(
    name: str, engine: Any, outcome: Callable[..., Any], query: Callable[..., Any]
) -> None:
    entry: Declaration = DECLARED[name]
    assert entry.doc[0].isupper()
    assert entry.doc[-1] in ".?"
    assert ". " not in entry.doc
    if "user_info" in entry.example:
        pytest.importorskip("engine.functions.users")
        query(entry.example, scope="@thingsdb")
    else:
        query(entry.example)
