"""The examples in the declarations of this area run, where there is a type Song or where there is none yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.functions import types
from engine.functions.registry import FUNCTIONS, METHODS

SONG = "set_type('Song', {title: 'str', length: 'int'}); .song = Song{}; nil"
NEW = {"new_type", "set_type"}
EXAMPLES = {
    entry.name: entry.example
    for entry in (*FUNCTIONS.values(), *(method for methods in METHODS.values() for method in methods.values()))
    if entry.run.__module__ == types.__name__
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_runs(query: Callable[..., Any], name: str) -> None:
    if name not in NEW:
        query(SONG)
    query(EXAMPLES[name])
