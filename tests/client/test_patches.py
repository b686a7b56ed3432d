"""JSON Patch: the rules of RFC 6902, and that the old value stays as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livethings.patches import PatchError, patched


@pytest.mark.parametrize(
    ("value", "patch", "becomes"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": 1}, [{"op": "add", "path": "/a", "value": 2}], {"a": 2}),
        ([1, 3], [{"op": "add", "path": "/1", "value": 2}], [1, 2, 3]),
        ([1], [{"op": "add", "path": "/1", "value": 2}, {"op": "add", "path": "/-", "value": 3}], [1, 2, 3]),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a": {"b": 1}}, [{"op": "replace", "path": "/a/b", "value": None}], {"a": {"b": None}}),
        ([1, 2, 3], [{"op": "move", "from": "/0", "path": "/2"}], [2, 3, 1]),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a/b": {"m~n": 1}}, [{"op": "replace", "path": "/a~1b/m~0n", "value": 2}], {"a/b": {"m~n": 2}}),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
        (5, [{"op": "replace", "path": "", "value": [1]}], [1]),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
        ({"0": 1}, [{"op": "remove", "path": "/0"}], {}),
    ],
)  # fmt: skip
def test_operations(value: Any, patch: list[dict[str, Any]], becomes: Any) -> None:
    before = copy.deepcopy(value)
    assert patched(value, patch) == becomes
    assert value == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nothing"},
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "remove", "path": "/list/-"},
        {"op": "remove", "path": "/list/-1"},
        {"op": "add", "path": "/number/x", "value": 1},
        {"op": "add", "path": "list", "value": 1},
        {"op": "test", "path": "/number", "value": 2},
        {"op": "other", "path": ""},
        {"path": ""},
    ],
)
def test_what_does_not_fit_changes_nothing(operation: dict[str, Any]) -> None:
    value = {"list": [1, 2], "number": 1}
    with pytest.raises(PatchError):
        patched(value, [{"op": "add", "path": "/x", "value": 1}, operation])
    assert value == {"list": [1, 2], "number": 1}


values = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=2), inner, max_size=4)),
)


@given(values, values)
def test_what_was_shared_is_not_changed_by_later_patches(value: Any, new: Any) -> None:
    document = {"a": value, "b": {"c": value}}
    first = patched(document, [{"op": "add", "path": "/b/d", "value": new}])
    before = copy.deepcopy(first)
    patched(first, [{"op": "replace", "path": "/b/c", "value": new}, {"op": "remove", "path": "/a"}])
    assert first == before
