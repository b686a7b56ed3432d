"""Serves native packages: requests in MessagePack, in TCP's stream or in binary WebSocket messages.

Source: the specification's page on administration and protocol, sections 1 to 3, and on watching, sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from msgpack import ExtraData, Timestamp, Unpacker, unpackb

from engine.errors import BadDataError, ChangedError, EngineError, TypeFailed
from engine.login import HashFirst
from server.contracts import Answer, Outcome
from server.forms import pack
from server.native import (
    AUTH,
    DATA,
    EMIT,
    EMIT_PEER,
    ERROR,
    JOIN,
    JOIN_WITH,
    LEAVE,
    OK,
    OPTIONS,
    PING,
    PONG,
    PRESENCE,
    QUERY,
    QUERY_WITH,
    RUN,
    RUN_WITH,
    SUBSCRIBE,
    UNPRESENCE,
    UNSUBSCRIBE,
    UNWATCH,
    WATCH,
    WATCH_WITH,
    Package,
)
from server.session import Session, internal_error, log_in_first, untraced

__all__ = ["items_of", "serve", "value_of"]

# --- bodies ----------------------------------------------------------------------------------------------------------


def _no_ext(code: int, data: bytes) -> Any:
    raise BadDataError(f"extension type {code} is not accepted")


_OPTIONS: dict[str, Any] = {"strict_map_key": False, "unicode_errors": "surrogateescape", "ext_hook": _no_ext}
_unpack = partial(unpackb, **_OPTIONS)


def value_of(data: bytes | bytearray) -> Any:
    """The one value that the data begins with. Raises whatever for what is none."""
    try:
        value = _unpack(data)
    except ExtraData as error:  # bytes after a complete request are ignored
        value = error.unpacked
    # The library makes a timestamp of extension type -1, whatever the hook says; its bytes always have an FF.
    if b"\xff" in data and _has_timestamp(value):
        raise BadDataError("extension type -1 is not accepted")
    return value


def _has_timestamp(value: Any) -> bool:
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, Timestamp):
            return True
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.keys())
            stack.extend(value.values())
    return False


def items_of(data: bytes | bytearray) -> list[Any] | None:
    """The items of the array that the data is; None when it is none.

    An item that can't be decoded stands as an EngineError and is the last one, so that what is wrong with the items
    before it is reported first.
    """
    try:
        value = value_of(data)
    except Exception:
        return _items_one_by_one(data)
    return value if type(value) is list else None


def _items_one_by_one(data: bytes | bytearray) -> list[Any] | None:
    unpacker = Unpacker(max_buffer_size=max(len(data), 1), **_OPTIONS)
    unpacker.feed(data)
    items: list[Any] = []
    try:
        count = unpacker.read_array_header()
    except Exception:
        return None
    for _ in range(count):
        try:
            item = unpacker.unpack()
            if _has_timestamp(item):
                raise BadDataError("extension type -1 is not accepted")
        except BadDataError as error:
            item = error
        except TypeError:
            item = TypeFailed("a map's keys must be str")
        except Exception:
            item = BadDataError("the data is no complete MessagePack")
        items.append(item)
        if isinstance(item, EngineError):
            untraced(item)
            break
    return items


def _credentials(data: bytes | bytearray) -> str | tuple[str, str]:
    try:
        value = value_of(data)
    except Exception:
        value = None
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str):
        return value[0], value[1]
    raise BadDataError("login takes [user, password] or a token")


# --- requests --------------------------------------------------------------------------------------------------------


_EXECUTED = (QUERY, RUN, QUERY_WITH, RUN_WITH)


def serve(session: Session, packages: Iterator[Package]) -> None:
    """Serve packages in order (`Session.speak`). This loop is what a small query costs beside the engine."""
    core = session.core
    query = core.engine.query
    outbox = core.outbox
    append = session.out.append
    frame_of = session.package
    rest = session.rest
    said = False
    for package_id, kind, data in packages:
        if kind in _EXECUTED and session.user is not None:
            try:
                try:
                    items = _unpack(data)
                    if b"\xff" in data and _has_timestamp(items):
                        items = items_of(data)
                except Exception:
                    items = items_of(data)
                if type(items) is not list or not items or type(items[0]) is not str:
                    raise BadDataError("a request is an array that begins with the scope")
                count = len(items)
                if kind <= RUN:
                    outcome = (query if kind == QUERY else core.engine.run)(
                        session, items[0], items[1] if count > 1 else None, items[2] if count > 2 else None
                    )
                else:
                    items += [None] * (4 - count)
                    execute = query if kind == QUERY_WITH else core.engine.run
                    outcome = execute(session, items[0], items[1], items[2], items[3], pack)
                if outcome.pending is not None:
                    session.wait_for(outcome, partial(_reply, session, package_id))
                    if rest():
                        session.keep(packages)
                        break
                    continue
                frame = _reply(session, package_id, outcome)
                if outcome.change is not None or outcome.effects or outcome.deleted or outcome.more:
                    core.publish(outcome, session, frame)
                elif outbox.open:
                    append(frame)
                    said = True
                else:
                    outbox.say(session, frame)
            except EngineError as error:  # before the engine saw it
                core.engine.count_refused()
                outbox.say(session, frame_of(package_id, ERROR, _error(error)))
            except HashFirst as passwords:
                session.hash_first(passwords, ((package_id, kind, data), *packages))
                break
            except Exception:
                outbox.say(session, frame_of(package_id, ERROR, _error(internal_error())))
        else:
            _serve_other(session, package_id, kind, data)
        if rest():
            session.keep(packages)
            break
    if said:
        outbox.touch(session)


def _reply(session: Session, package_id: int, outcome: Outcome) -> bytes:
    """What a query came to, as a package."""
    if outcome.error is None:
        try:
            frame = session.package(package_id, DATA, pack(outcome.value))
        except EngineError as too_large:
            frame = session.package(package_id, ERROR, _error(too_large))
    else:
        frame = session.package(package_id, ERROR, _error(outcome.error))
    session.said += len(frame)
    return frame


def _error(error: EngineError) -> bytes:
    untraced(error)
    told: dict[str, Any] = {"error_code": error.code, "error_msg": error.message}
    if isinstance(error, ChangedError):
        told["things"] = error.things
    return pack(told)


def _serve_other(session: Session, package_id: int, kind: int, data: bytes | bytearray) -> None:
    if session.user is None and not session.early():
        return
    core = session.core
    outbox = core.outbox
    frame_of = session.package
    try:
        if kind == PING:
            outbox.say(session, frame_of(package_id, PONG))
        elif kind == AUTH:

            def answer(error: EngineError | None) -> None:
                frame = frame_of(package_id, OK) if error is None else frame_of(package_id, ERROR, _error(error))
                outbox.say(session, frame)

            session.login(_credentials(data), answer)
        elif QUERY <= kind <= EMIT_PEER or kind in _EXECUTED:
            if session.user is None:
                if kind in _EXECUTED:
                    core.engine.count_refused()
                raise log_in_first()
            items = items_of(data)
            if not items or type(items[0]) is not str:
                raise BadDataError("a request is an array that begins with the scope")
            broken = items[-1]
            if isinstance(broken, EngineError):
                raise broken
            reply = _request(session, kind, items)
            has_data = kind in (JOIN, LEAVE)
            outbox.say(session, frame_of(package_id, DATA, pack(reply.value)) if has_data else frame_of(package_id, OK))
            core.follow_up(reply)
        elif kind == WATCH_WITH:
            _serve_watch(session, package_id, *_scope_and_map(session, data))
        elif kind == JOIN_WITH:
            reply = core.requests.join_with(session, *_scope_and_map(session, data))
            outbox.say(session, frame_of(package_id, DATA, pack(reply.value)))
            core.follow_up(reply)
        elif kind in (SUBSCRIBE, UNSUBSCRIBE):
            if session.user is None:
                raise log_in_first()
            _serve_live(session, package_id, kind, items_of(data))
        elif kind in (PRESENCE, UNPRESENCE):
            scope, asked = _scope_and_map(session, data)
            if kind == PRESENCE:
                present = core.hub.presence.ask(session, scope, asked)
                outbox.say(session, frame_of(package_id, DATA, pack(present)))
            else:
                core.hub.presence.end(session, scope, asked)
                outbox.say(session, frame_of(package_id, OK))
        elif kind == OPTIONS:
            if session.user is None:
                raise log_in_first()
            outbox.say(session, frame_of(package_id, DATA, pack(session.set_options(_value(data)))))
        # Other types are not ours: no reply, the connection stays.
    except EngineError as error:
        outbox.say(session, frame_of(package_id, ERROR, _error(error)))
    except Exception:
        outbox.say(session, frame_of(package_id, ERROR, _error(internal_error())))


def _value(data: bytes | bytearray) -> Any:
    """The body of a request that is one value."""
    try:
        return value_of(data)
    except EngineError:
        raise
    except Exception:
        raise BadDataError("the data is no complete MessagePack") from None


def _scope_and_map(session: Session, data: bytes | bytearray) -> tuple[str, dict[str, Any]]:
    """The body of a request that is `[scope, map]`."""
    if session.user is None:
        raise log_in_first()
    items = items_of(data)
    if items and isinstance(items[-1], EngineError):
        raise items[-1]
    if not items or len(items) != 2 or type(items[0]) is not str or type(items[1]) is not dict:
        raise BadDataError("the request takes a scope and a map")
    return items[0], items[1]


def _serve_watch(session: Session, package_id: int, scope: str, options: Any) -> None:
    core = session.core

    def reply(outcome: Answer | EngineError) -> None:
        if isinstance(outcome, EngineError):
            core.outbox.say(session, session.package(package_id, ERROR, _error(outcome)))
        else:
            core.outbox.say(session, session.package(package_id, DATA, pack(outcome.value)))
            core.follow_up(outcome)

    session.answer(core.requests.watch_with(session, scope, options), reply)


def _serve_live(session: Session, package_id: int, kind: int, items: list[Any] | None) -> None:
    core = session.core
    if core.live is None:
        raise BadDataError("this server has no live queries")
    if items and isinstance(items[-1], EngineError):
        raise items[-1]
    if kind == UNSUBSCRIBE:
        core.live.unsubscribe(session, items)
        core.outbox.say(session, session.package(package_id, OK))
        return
    if not items or len(items) != 2 or type(items[0]) is not str:
        raise BadDataError("subscribe takes a scope and a map")
    reply = core.live.subscribe(session, items[0], items[1])
    core.outbox.say(session, session.package(package_id, DATA, pack(reply)))


def _request(session: Session, kind: int, items: list[Any]) -> Answer:
    requests = session.core.requests
    scope, rest = items[0], items[1:]
    if kind == WATCH:
        return requests.watch(session, scope, rest)
    if kind == UNWATCH:
        return requests.unwatch(session, scope, rest)
    if kind == JOIN:
        return requests.join(session, scope, rest)
    if kind == LEAVE:
        return requests.leave(session, scope, rest)
    assert kind in (EMIT, EMIT_PEER)
    return requests.emit(session, scope, rest, kind == EMIT_PEER)
