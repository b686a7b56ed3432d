"""JSON-RPC 2.0: texts to calls, answers to texts. No sockets, no engine.

Source: the JSON-RPC 2.0 specification (jsonrpc.org). Our methods and their parameters: docs/protocol.md.
"""

from __future__ import annotations

import json
from typing import Any, Final

from engine.errors import ChangedError, EngineError
from server.jsonvalues import decode, encode

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "MAX_BATCH",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "Batch",
    "Call",
    "RpcError",
    "failure",
    "parameters",
    "parse",
    "success",
]

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

MAX_BATCH = 1000
"""The most calls in one batch."""


class RpcError(Exception):
    """A call that is none: one of JSON-RPC's own errors."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Batch:
    """The answers to a batch of calls, gathered until the last one is there."""

    __slots__ = ("_answers", "_left")

    def __init__(self, size: int) -> None:
        self._left = size
        self._answers: list[str] = []

    def add(self, answer: str | None) -> str | None:
        """Take the next call's answer, None for a notification. Returns the batch's answer after the last one."""
        if answer is not None:
            self._answers.append(answer)
        self._left -= 1
        if self._left or not self._answers:
            return None
        return f"[{','.join(self._answers)}]"


class Call:
    """One call. `error` says what is wrong with it, when it can't be made.

    `id` is the JSON text of the call's id, None for a notification; `batch` is None for a call on its own.
    """

    __slots__ = ("batch", "error", "id", "method", "params")

    def __init__(
        self,
        call_id: str | None,
        method: str = "",
        params: list[Any] | dict[str, Any] | None = None,
        error: RpcError | None = None,
    ) -> None:
        self.id = call_id
        self.method = method
        self.params = params
        self.error = error
        self.batch: Batch | None = None


def parse(text: str) -> list[Call]:
    """The calls of one text, in order; what is wrong with a call stands in its `error`."""
    try:
        request = decode(text)
    except ValueError as error:
        return [Call("null", error=RpcError(PARSE_ERROR, f"the text is no JSON: {error}"))]
    if not isinstance(request, list):
        return [_call(request)]
    if not request:
        return [Call("null", error=RpcError(INVALID_REQUEST, "a batch must hold at least one call"))]
    if len(request) > MAX_BATCH:
        return [Call("null", error=RpcError(INVALID_REQUEST, f"a batch may hold at most {MAX_BATCH} calls"))]
    batch = Batch(len(request))
    calls = [_call(item) for item in request]
    for call in calls:
        call.batch = batch
    return calls


def _call(request: Any) -> Call:
    if not isinstance(request, dict):
        return Call("null", error=RpcError(INVALID_REQUEST, "a call must be an object"))
    call_id: str | None = None
    if "id" in request:
        value = request["id"]
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            return Call("null", error=RpcError(INVALID_REQUEST, "id must be text, a number or null"))
        call_id = json.dumps(value)
    method = request.get("method")
    params = request.get("params")
    if request.get("jsonrpc") != "2.0":
        wrong = 'jsonrpc must be "2.0"'
    elif not isinstance(method, str):
        wrong = "method must be text"
    elif params is not None and not isinstance(params, list | dict):
        wrong = "params must be an array or an object"
    else:
        return Call(call_id, method, params)
    return Call(call_id or "null", error=RpcError(INVALID_REQUEST, wrong))


def parameters(params: list[Any] | dict[str, Any] | None, names: tuple[str, ...], required: int) -> list[Any]:
    """The parameters in the order of `names`, None for those left out; the first `required` may not be.

    Raises RpcError.
    """
    if params is None:
        params = []
    if isinstance(params, dict):
        unknown = [name for name in params if name not in names]
        if unknown:
            known = ", ".join(names) or "none"
            raise RpcError(INVALID_PARAMS, f"there is no parameter {unknown[0][:80]!r}; there are: {known}")
        missing = [name for name in names[:required] if name not in params]
        values = [params.get(name) for name in names]
    else:
        if len(params) > len(names):
            raise RpcError(INVALID_PARAMS, f"at most {len(names)} parameters, not {len(params)}")
        missing = list(names[len(params) : required])
        values = params + [None] * (len(names) - len(params))
    if missing:
        raise RpcError(INVALID_PARAMS, f"the parameter {missing[0]!r} is missing")
    return values


def success(call_id: str, result: str) -> str:
    """The answer to a call; `result` is JSON text."""
    return f'{{"jsonrpc":"2.0","id":{call_id},"result":{result}}}'


def failure(call_id: str, error: RpcError | EngineError) -> str:
    """The answer to a call that failed. The engine's errors name their class in `data`."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if isinstance(error, EngineError):
        told["data"] = {"class": error.name}
        if isinstance(error, ChangedError):
            told["data"]["things"] = error.things
    return f'{{"jsonrpc":"2.0","id":{call_id},"error":{encode(told)}}}'
