"""JSON-RPC texts to calls, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import CustomError, LookupFailed
from server.rpc import MAX_BATCH, Batch, RpcError, failure, parameters, parse, success


def test_a_call() -> None:
    (call,) = parse('{"jsonrpc": "2.0", "id": 7, "method": "query", "params": {"scope": "//stuff"}}')
    assert (call.id, call.method, call.params, call.error, call.batch) == (
        "7",
        "query",
        {"scope": "//stuff"},
        None,
        None,
    )


@pytest.mark.parametrize("call_id", [0, -1, 2**70, 1.5, 'a"b', "é", None])
def test_an_id_comes_back_as_it_went(call_id: Any) -> None:
    (call,) = parse(json.dumps({"jsonrpc": "2.0", "id": call_id, "method": "ping"}))
    assert call.id is not None
    assert json.loads(success(call.id, "1"))["id"] == call_id


def test_a_notification_has_no_id() -> None:
    (call,) = parse('{"jsonrpc": "2.0", "method": "ping"}')
    assert call.id is None


@pytest.mark.parametrize(
    ("text", "code", "call_id"),
    [
        ("{", -32700, None),
        ("", -32700, None),
        ("1", -32600, None),
        ("[]", -32600, None),
        ("{}", -32600, None),
        ('{"jsonrpc": "2.0", "id": 1}', -32600, 1),
        ('{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600, 1),
        ('{"id": 1, "method": "ping"}', -32600, 1),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600, 1),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": 5}', -32600, 1),
        ('{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600, None),
        ('{"jsonrpc": "2.0", "id": [1], "method": "ping"}', -32600, None),
        ("[" + ",".join(["1"] * (MAX_BATCH + 1)) + "]", -32600, None),
    ],
)
def test_what_is_no_call(text: str, code: int, call_id: Any) -> None:
    (call,) = parse(text)
    assert call.error is not None
    assert call.id is not None
    answer = json.loads(failure(call.id, call.error))
    assert (answer["error"]["code"], answer["id"]) == (code, call_id)
    assert "data" not in answer["error"]


def test_a_batch_is_answered_as_one_array_without_its_notifications() -> None:
    calls = parse('[1, {"jsonrpc": "2.0", "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "ping"}]')
    assert [call.error is None for call in calls] == [False, True, True]
    batch = calls[0].batch
    assert batch is not None
    assert all(call.batch is batch for call in calls)
    assert batch.add("a") is None
    assert batch.add(None) is None
    assert batch.add("c") == "[a,c]"


def test_a_batch_of_notifications_is_not_answered() -> None:
    batch = Batch(2)
    assert batch.add(None) is None
    assert batch.add(None) is None


def test_errors_of_the_engine_name_their_class() -> None:
    assert json.loads(failure("1", LookupFailed("no such thing")))["error"] == {
        "code": -54, "message": "no such thing", "data": {"class": "LookupError"},
    }  # fmt: skip
    assert json.loads(failure("1", CustomError(-100, "mine")))["error"]["code"] == -100


NAMES = ("scope", "code", "vars")


@pytest.mark.parametrize(
    ("params", "values"),
    [
        (["s", "c"], ["s", "c", None]),
        (["s", "c", {}], ["s", "c", {}]),
        ({"code": "c", "scope": "s"}, ["s", "c", None]),
        ({"scope": None, "code": None, "vars": {"a": 1}}, [None, None, {"a": 1}]),
    ],
)
def test_parameters_by_name_or_position(params: Any, values: list[Any]) -> None:
    assert parameters(params, NAMES, 2) == values


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (None, "'scope' is missing"),
        ([], "'scope' is missing"),
        (["s"], "'code' is missing"),
        (["s", "c", {}, 1], "at most 3"),
        ({"scope": "s"}, "'code' is missing"),
        ({"scope": "s", "code": "c", "vras": {}}, "no parameter 'vras'; there are: scope, code, vars"),
    ],
)
def test_parameters_that_are_not_right(params: Any, said: str) -> None:
    with pytest.raises(RpcError) as error:
        parameters(params, NAMES, 2)
    assert error.value.code == -32602
    assert said in error.value.message
