"""What the declarations of this area promise to readers: one sentence, and an example that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.functions import lists
from engine.functions.registry import FUNCTIONS, METHODS, Declaration
from engine.values import closure, list_mutators, list_readers, list_sort, list_walks

PAGES = {page.__name__ for page in (closure, list_mutators, list_readers, list_sort, list_walks, lists)}

DECLARED = {
    entry.name: entry
    for entry in (*FUNCTIONS.values(), *(method for methods in METHODS.values() for method in methods.values()))
    if entry.run.__module__ in PAGES
}


@pytest.mark.parametrize("entry", DECLARED.values(), ids=DECLARED.keys())
def test_doc_is_one_sentence_and_example_runs(query: Callable[..., Any], entry: Declaration) -> None:
    assert entry.doc[0].isupper()
    assert entry.doc[-1] in ".?"
    assert ". " not in entry.doc
    query(entry.example)
