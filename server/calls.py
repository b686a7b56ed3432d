"""Serves JSON-RPC calls: the same powers as native packages, in text WebSocket messages (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from engine.conditions import CONDITIONS
from engine.errors import BadDataError, EngineError
from engine.login import HashFirst
from server.contracts import Answer, Outcome
from server.forms import text_frame
from server.jsonvalues import encode
from server.live import LiveRounds
from server.rpc import INVALID_PARAMS, METHOD_NOT_FOUND, Call, RpcError, failure, parameters, success
from server.session import Session, internal_error, log_in_first, untraced

__all__ = ["METHODS", "serve"]


def serve(session: Session, calls: Iterator[Call]) -> None:
    """Serve calls in order (`Session.speak`)."""
    for call in calls:
        try:
            _serve(session, call)
        except HashFirst as passwords:
            session.hash_first(passwords, (call, *calls))
            return
        if session.rest():
            session.keep(calls)
            return


def _serve(session: Session, call: Call) -> None:
    if session.user is None and not session.early():
        return
    error: RpcError | EngineError | None = call.error
    if error is None:
        method = METHODS.get(call.method)
        if method is not None:
            try:
                method(session, call)
                return
            except (EngineError, RpcError) as refused:
                error = refused
            except HashFirst:
                raise
            except Exception:
                error = internal_error()
        else:
            error = RpcError(METHOD_NOT_FOUND, f"there is no method {call.method[:80]!r}; there are: {_NAMES}")
    _answer(session, call, error)


def _frame(session: Session, call: Call, outcome: EngineError | RpcError | str) -> bytes | None:
    """What there is to say now that a call has come to an error or, as JSON text, a result."""
    if not isinstance(outcome, str):
        untraced(outcome)
    answer: str | None = None
    if call.id is not None:
        answer = success(call.id, outcome) if isinstance(outcome, str) else failure(call.id, outcome)
    if call.batch is not None:
        answer = call.batch.add(answer)
    if answer is None:
        return None
    frame = text_frame(answer)
    session.said += len(frame)
    return frame


def _answer(session: Session, call: Call, outcome: EngineError | RpcError | str) -> None:
    frame = _frame(session, call, outcome)
    if frame is not None:
        session.core.outbox.say(session, frame)


# --- methods ---------------------------------------------------------------------------------------------------------


def _bind(session: Session, call: Call, names: tuple[str, ...], required: int) -> list[Any]:
    """The parameters of a method that needs a user and whose first parameter is a scope."""
    if session.user is None:
        if call.method in ("query", "run"):
            session.core.engine.count_refused()
        raise log_in_first()
    values = parameters(call.params, names, required)
    if not isinstance(values[0], str):
        raise RpcError(INVALID_PARAMS, "scope must be text")
    return values


def _ping(session: Session, call: Call) -> None:
    parameters(call.params, (), 0)
    _answer(session, call, '"pong"')


def _auth(session: Session, call: Call) -> None:
    params = call.params
    # By position: [user, password] or [token], as the native protocol has them.
    by_token = "token" in params if isinstance(params, dict) else params is not None and len(params) == 1
    values = parameters(params, ("token",), 1) if by_token else parameters(params, ("user", "password"), 2)
    if not all(isinstance(value, str) for value in values):
        raise BadDataError("auth takes a user and a password, or a token, each as text")

    def answer(error: EngineError | None) -> None:
        _answer(session, call, "null" if error is None else error)

    session.login(values[0] if by_token else (values[0], values[1]), answer)


def _query(session: Session, call: Call) -> None:
    scope, code, variables, *conditions = _bind(session, call, ("scope", "code", "vars", *CONDITIONS), 2)
    if variables is not None and not isinstance(variables, dict):
        raise RpcError(INVALID_PARAMS, "vars must be an object")
    query = session.core.engine.query
    _tell(session, call, query(session, scope, code, variables, _asked(conditions), fits=encode))


def _run(session: Session, call: Call) -> None:
    scope, procedure, arguments, *conditions = _bind(session, call, ("scope", "procedure", "args", *CONDITIONS), 2)
    run = session.core.engine.run
    _tell(session, call, run(session, scope, procedure, arguments, _asked(conditions), fits=encode))


def _asked(values: list[Any]) -> dict[str, Any] | None:
    """The conditions of a request (`engine.conditions`), None where it has none."""
    if values == _NO_CONDITIONS:
        return None
    return dict(zip(CONDITIONS, values, strict=True))


_NO_CONDITIONS = [None] * len(CONDITIONS)


def _tell(session: Session, call: Call, outcome: Outcome) -> None:
    if outcome.pending is not None:
        session.wait_for(outcome, lambda last: _result(session, call, last))
        return
    frame = _result(session, call, outcome)
    if outcome.change is not None or outcome.effects or outcome.deleted or outcome.more:
        session.core.publish(outcome, session, frame)
    elif frame is not None:
        session.core.outbox.say(session, frame)


def _result(session: Session, call: Call, outcome: Outcome) -> bytes | None:
    """What a query came to, as a frame."""
    error = outcome.error
    result: EngineError | str
    if error is None:
        try:
            result = encode(outcome.value)
        except EngineError as too_large:
            result = too_large
    else:
        result = error
    return _frame(session, call, result)


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise RpcError(INVALID_PARAMS, f"{name} must be an array")
    return value


def _watch(session: Session, call: Call) -> None:
    scope, ids, since, deep, known = _bind(session, call, ("scope", "ids", "since", "deep", "known"), 1)
    given = _list(ids, "ids")
    options = {name: value for name, value in (("since", since), ("deep", deep), ("known", known)) if value is not None}
    if options:

        def reply(outcome: Answer | EngineError) -> None:
            if isinstance(outcome, EngineError):
                _answer(session, call, outcome)
            else:
                _done(session, call, outcome, True)

        session.answer(session.core.requests.watch_with(session, scope, {"ids": given, **options}), reply)
    else:
        _done(session, call, session.core.requests.watch(session, scope, given), False)


def _unwatch(session: Session, call: Call) -> None:
    scope, ids = _bind(session, call, ("scope", "ids"), 1)
    _done(session, call, session.core.requests.unwatch(session, scope, _list(ids, "ids")), False)


def _join(session: Session, call: Call) -> None:
    scope, rooms, since, history = _bind(session, call, ("scope", "rooms", "since", "history"), 1)
    requests, asked = session.core.requests, _list(rooms, "rooms")
    if history is not None and not isinstance(history, bool):
        raise RpcError(INVALID_PARAMS, "history must be true or false")
    if since is None and not history:
        answer = requests.join(session, scope, asked)
    else:
        answer = requests.join_with(session, scope, {"rooms": asked} | ({} if since is None else {"since": since}))
    _done(session, call, answer, True)


def _leave(session: Session, call: Call) -> None:
    scope, rooms = _bind(session, call, ("scope", "rooms"), 1)
    _done(session, call, session.core.requests.leave(session, scope, _list(rooms, "rooms")), True)


def _emit(session: Session, call: Call) -> None:
    scope, room, event, args, peers = _bind(session, call, ("scope", "room", "event", "args", "peers"), 3)
    if peers is not None and not isinstance(peers, bool):
        raise RpcError(INVALID_PARAMS, "peers must be true or false")
    items = [room, event, *_list(args, "args")]
    _done(session, call, session.core.requests.emit(session, scope, items, bool(peers)), False)


def _done(session: Session, call: Call, answer: Answer, with_value: bool) -> None:
    _answer(session, call, encode(answer.value) if with_value else "null")
    session.core.follow_up(answer)


def _subscribe(session: Session, call: Call) -> None:
    names = ("scope", "code", "vars", "interval", "since", "procedure", "args")
    scope, *values = _bind(session, call, names, 1)
    asked = {name: value for name, value in zip(names[1:], values, strict=True) if value is not None}
    _answer(session, call, encode(_live(session).subscribe(session, scope, asked)))


def _unsubscribe(session: Session, call: Call) -> None:
    if session.user is None:
        raise log_in_first()
    (numbers,) = parameters(call.params, ("subscriptions",), 1)
    _live(session).unsubscribe(session, _list(numbers, "subscriptions"))
    _answer(session, call, "null")


def _presence(session: Session, call: Call) -> None:
    scope, asked = _subject(session, call)
    _answer(session, call, encode(session.core.hub.presence.ask(session, scope, asked)))


def _unpresence(session: Session, call: Call) -> None:
    scope, asked = _subject(session, call)
    session.core.hub.presence.end(session, scope, asked)
    _answer(session, call, "null")


def _options(session: Session, call: Call) -> None:
    if session.user is None:
        raise log_in_first()
    policy, size = parameters(call.params, ("slow", "bytes"), 0)
    asked = {name: value for name, value in (("slow", policy), ("bytes", size)) if value is not None}
    _answer(session, call, encode(session.set_options(asked)))


def _subject(session: Session, call: Call) -> tuple[str, dict[str, Any]]:
    """The scope, and the room or thing that presence is about."""
    scope, room, thing = _bind(session, call, ("scope", "room", "thing"), 1)
    return scope, {name: value for name, value in (("room", room), ("thing", thing)) if value is not None}


def _live(session: Session) -> LiveRounds:
    live = session.core.live
    if live is None:
        raise BadDataError("this server has no live queries")
    return live


Method: TypeAlias = Callable[[Session, Call], None]

METHODS: dict[str, Method] = {
    "auth": _auth,
    "query": _query,
    "run": _run,
    "watch": _watch,
    "unwatch": _unwatch,
    "join": _join,
    "leave": _leave,
    "emit": _emit,
    "ping": _ping,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "presence": _presence,
    "unpresence": _unpresence,
    "options": _options,
}

_NAMES = ", ".join(METHODS)
