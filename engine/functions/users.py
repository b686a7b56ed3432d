"""Users, passwords, tokens, rights and whitelists (spec/admin-and-protocol.md, sections 8 and 9)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.errors import ForbiddenError, LookupFailed, MaxQuotaError, OperationError, TypeFailed, ValueFailed
from engine.functions.registry import early_name, function, lazy, type_name
from engine.limits import MAX_TOKENS
from engine.login import hash_password, token_digest
from engine.names import is_name
from engine.replay import Replay, replays
from engine.scopes import parse_scope
from engine.users import CHANGE, FULL, GRANT, QUERY, Token, User, pack_whitelists, require, unpack_whitelists
from engine.values.list import List
from engine.values.mpdata import Mpdata
from engine.values.regex import Regex

if TYPE_CHECKING:
    from engine.context import Context
    from engine.engine import Engine
    from engine.scopes import Scope
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__: list[str] = []

_user_name = re.compile(r"[\x21-\x7e]{1,127}\Z")
_password = re.compile(r"[\x20-\x7e]{1,127}\Z")
_KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_KEY_LENGTH = 22
WHITELISTS = ("procedures", "rooms")


def find_user(ctx: Context, name: str) -> User:
    """The user of that name; LookupError when there is none."""
    user = ctx.engine.users.get(name)
    if user is None:
        raise LookupFailed(f"there is no user {name[:127]}")
    return user


def own_or_granting(ctx: Context, user: User) -> None:
    """Only the right GRANT lets one touch another's password and tokens."""
    if user is not ctx.caller.user:
        require(ctx.caller.user, ctx.engine.server, GRANT)  # type: ignore[arg-type]


def check_user_name(ctx: Context, name: str) -> None:
    if not _user_name.match(name):
        raise ValueFailed("the name of a user has 1 to 127 graphic ASCII characters")
    if name in ctx.engine.users:
        raise LookupFailed(f"there is a user {name} already")


# --- users -----------------------------------------------------------------------------------------------------------


@function(
    "new_user",
    "name: str",
    scopes="T",
    changes="T",
    right=GRANT,
    doc="Adds a user without password, token or right; gives the name.",
    example="new_user('iris')",
)
def new_user(ctx: Context, name: str) -> str:
    check_user_name(ctx, name)
    user = User(ctx.engine.next_definition_id, name, int(ctx.now))
    ctx.engine.next_definition_id += 1
    ctx.engine.users[name] = user
    ctx.record(0, {"new_user": {"id": user.id, "name": name, "created_at": user.created_at}})
    return name


@function(
    "del_user",
    "name: str",
    scopes="T",
    changes="T",
    right=GRANT,
    doc="Deletes a user with tokens, rights and tasks.",
    example="del_user('iris')",
)
def del_user(ctx: Context, name: str) -> None:
    user = find_user(ctx, name)
    if user is ctx.caller.user:
        raise OperationError("you can't delete yourself")
    ctx.engine.drop_user(user)
    ctx.record(0, {"del_user": user.id})


@function(
    "rename_user",
    "name: str, new_name: str",
    scopes="T",
    changes="T",
    right=GRANT,
    doc="Gives a user another name.",
    example="rename_user('iris', 'ivy')",
)
def rename_user(ctx: Context, name: str, new_name: str) -> None:
    user = find_user(ctx, name)
    check_user_name(ctx, new_name)
    _rename(ctx.engine, user, new_name)
    ctx.record(0, {"rename_user": {"id": user.id, "name": new_name}})


def _rename(engine: Engine, user: User, name: str) -> None:
    del engine.users[user.name]
    user.name = name
    engine.users[name] = user


@function(
    "has_user", "name: str", scopes="T", right=GRANT, doc="Is there a user of that name?", example="has_user('iris')"
)
def has_user(ctx: Context, name: str) -> bool:
    return name in ctx.engine.users


_PRIVILEGES = ((1, "QUERY"), (2, "CHANGE"), (4, "GRANT"), (8, "JOIN"), (16, "RUN"))


def privileges(mask: int) -> str:
    """A mask in words."""
    if mask == FULL:
        return "FULL"
    if mask == FULL & ~GRANT:
        return "USER"
    return "|".join(word for bit, word in _PRIVILEGES if mask & bit) or "NO_ACCESS"


def user_tree(engine: Engine, user: User) -> dict[str, Any]:
    """What `user_info` shows."""
    scopes: list[Scope] = [engine.node, engine.server, *engine.collections_in_order()]
    now = engine.clock()
    tokens = []
    for token in user.tokens:
        expired = token.expires is not None and token.expires <= now
        shown: dict[str, Any] = {
            "key": token.hint,
            "status": "EXPIRED" if expired else "OK",
            "expiration_time": "never" if token.expires is None else _iso(token.expires),
        }
        if token.description:
            shown["description"] = token.description
        shown["created_on"] = _iso(token.created_on)
        tokens.append(shown)
    return {
        "user_id": user.id,
        "name": user.name,
        "created_at": user.created_at,
        "has_password": user.password is not None,
        "access": [
            {"scope": scope.title, "privileges": privileges(scope.access[user.id])}
            for scope in scopes
            if user.id in scope.access
        ],
        "tokens": tokens,
        "whitelists": {name: [str(rule) for rule in rules] for name, rules in user.whitelists.items()},
    }


def _iso(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(seconds)


@function(
    "user_info", "name?: lazy str", doc="What is known of you, or of another user.", example="user_info().load().name"
)
def user_info(ctx: Context, name: Thunk | None = None) -> Mpdata:
    me = ctx.caller.user
    assert me is not None
    if name is None:
        return Mpdata.of(user_tree(ctx.engine, me))
    if ctx.scope is not ctx.engine.server:
        raise ForbiddenError("other users are shown in @thingsdb only")
    require(me, ctx.engine.server, GRANT)
    return Mpdata.of(user_tree(ctx.engine, find_user(ctx, lazy("user_info", 0, name))))


@function("users_info", scopes="T", right=GRANT, doc="What is known of each user.", example="users_info().len()")
def users_info(ctx: Context) -> List:
    return List([Mpdata.of(user_tree(ctx.engine, user)) for user in ctx.engine.users_in_order()])


early_name("user", "user_info", "T")
early_name("users", "users_info")


# --- passwords and tokens --------------------------------------------------------------------------------------------


@function(
    "set_password",
    "user: str, password: lazy str|nil",
    scopes="T",
    changes="T",
    doc="Sets a user's password, or removes it.",
    example="set_password('iris', 'a long sentence')",
)
def set_password(ctx: Context, name: str, password: Thunk) -> None:
    user = find_user(ctx, name)
    own_or_granting(ctx, user)
    text = lazy("set_password", 1, password)
    if text is not None and not _password.match(text):
        raise ValueFailed("a password has 1 to 127 printable ASCII characters")
    user.password = None if text is None else _hashed(ctx, text)
    ctx.record(0, {"set_password": {"id": user.id, "password": user.password}})


def _hashed(ctx: Context, password: str) -> bytes:
    """The hash of a password: one that the caller has prepared (`HashFirst`), for one user only, as it has a salt."""
    prepared: dict[str, bytes] | None = getattr(ctx.caller, "hashes", None)
    return prepared.pop(password) if prepared and password in prepared else hash_password(password)


@function(
    "new_token",
    "user: str, expires?: lazy datetime|timeval|nil, description?: lazy str",
    scopes="T",
    changes="T",
    doc="Makes a token, with which programs log in as a user; gives the secret key, which is shown only now.",
    example="new_token('iris', nil, 'backup script')",
)
def new_token(ctx: Context, name: str, expires: Thunk | None = None, description: Thunk | None = None) -> str:
    user = find_user(ctx, name)
    own_or_granting(ctx, user)
    moment = lazy("new_token", 1, expires)
    if moment is not None and moment.seconds < ctx.now:
        raise ValueFailed("the time at which a token expires lies in the future")
    text = "" if description is None else lazy("new_token", 2, description)
    if len(user.tokens) >= MAX_TOKENS:
        raise MaxQuotaError(f"a user can have at most {MAX_TOKENS} tokens")
    key = "".join(ctx.random.choices(_KEY_ALPHABET, k=_KEY_LENGTH))
    seconds = None if moment is None else moment.seconds
    digest = token_digest(key)
    token = Token(digest, _handle(digest), int(ctx.now), seconds, text)
    _add_token(ctx.engine, user, token)
    fields = [token.digest, token.hint, token.created_on, token.expires, token.description]
    ctx.record(0, {"new_token": {"id": user.id, "token": fields}})
    return key


def _add_token(engine: Engine, user: User, token: Token) -> None:
    user.tokens.append(token)
    engine.tokens[token.digest] = (user, token)


def _drop_token(engine: Engine, digest: bytes) -> None:
    user, token = engine.tokens.pop(digest)
    user.tokens.remove(token)


def check_key(ctx: Context, key: str) -> bytes:
    """The digest of the token that a key, or what `user_info` shows of it, names; ValueError when it can be neither."""
    if len(key) != _KEY_LENGTH or not key.isascii():
        raise ValueFailed(f"the key of a token has {_KEY_LENGTH} ASCII characters")
    for digest, (_, token) in ctx.engine.tokens.items():
        if token.hint == key:
            return digest
    return token_digest(key)


def _handle(digest: bytes) -> str:
    """What lists show in the place of a key, which only its owner has: the beginning of its digest."""
    return base64.b64encode(digest[:16]).decode().rstrip("=")


@function(
    "del_token",
    "key: str",
    scopes="T",
    changes="T",
    doc="Deletes a token; connections that used it stay.",
    example="del_token(key)",
)
def del_token(ctx: Context, key: str) -> None:
    digest = check_key(ctx, key)
    found = ctx.engine.tokens.get(digest)
    me = ctx.caller.user
    assert me is not None
    if found is None or (found[0] is not me and not ctx.engine.server.access.get(me.id, 0) & GRANT):
        raise LookupFailed("there is no such token")
    _drop_token(ctx.engine, digest)
    ctx.record(0, {"del_tokens": [digest]})


@function(
    "has_token", "key: str", scopes="T", right=GRANT, doc="Is there a token with that key?", example="has_token(key)"
)
def has_token(ctx: Context, key: str) -> bool:
    return check_key(ctx, key) in ctx.engine.tokens


@function(
    "del_expired",
    scopes="T",
    changes="T",
    right=GRANT,
    doc="Deletes the tokens of all users that have expired.",
    example="del_expired()",
)
def del_expired(ctx: Context) -> None:
    now = ctx.now
    expired = [
        digest for digest, (_, token) in ctx.engine.tokens.items() if token.expires is not None and token.expires <= now
    ]
    for digest in expired:
        _drop_token(ctx.engine, digest)
    if expired:
        ctx.record(0, {"del_tokens": expired})


# --- rights ----------------------------------------------------------------------------------------------------------


def _target(ctx: Context, text: str) -> Scope:
    kind, _ = parse_scope(text)
    scope = ctx.engine.node if kind == "N" else ctx.engine.scope(text)  # any node stands for all
    require(ctx.caller.user, scope, GRANT)  # type: ignore[arg-type]
    return scope


def _set_access(ctx: Context, scope: Scope, user: User, mask: int | None) -> None:
    _apply_access(ctx.engine, scope, user.id, mask)
    ctx.record(0, {"set_access": {"scope": scope.id, "user": user.id, "mask": mask}})


def _apply_access(engine: Engine, scope: Scope, user_id: int, mask: int | None) -> None:
    if mask is None:
        scope.access.pop(user_id, None)
    else:
        scope.access[user_id] = mask
    engine.rights_version += 1


@function(
    "grant",
    "scope: str, user: lazy str, mask: lazy int",
    scopes="T",
    changes="T",
    doc="Gives a user rights on a scope.",
    example="grant('//stuff', 'iris', QUERY | JOIN)",
)
def grant(ctx: Context, scope: str, user: Thunk, mask: Thunk) -> None:
    where = _target(ctx, scope)
    who = find_user(ctx, lazy("grant", 1, user))
    bits = lazy("grant", 2, mask) & FULL
    if bits & GRANT:
        bits |= CHANGE
    _set_access(ctx, where, who, where.access.get(who.id, 0) | bits)


@function(
    "revoke",
    "scope: str, user: lazy str, mask: lazy int",
    scopes="T",
    changes="T",
    doc="Takes rights on a scope away from a user.",
    example="revoke('//stuff', 'iris', CHANGE)",
)
def revoke(ctx: Context, scope: str, user: Thunk, mask: Thunk) -> None:
    where = _target(ctx, scope)
    who = find_user(ctx, lazy("revoke", 1, user))
    bits = lazy("revoke", 2, mask) & FULL
    if who is ctx.caller.user and bits & (QUERY | CHANGE | GRANT):
        raise OperationError("you can't take QUERY, CHANGE or GRANT away from yourself")
    if bits & CHANGE:
        bits |= GRANT
    if who.id in where.access:
        left = where.access[who.id] & ~bits
        _set_access(ctx, where, who, left or None)


# --- whitelists ------------------------------------------------------------------------------------------------------


def _whitelist(name: str, index: int, thunk: Thunk) -> str:
    which: str = lazy(name, index, thunk)
    if which not in WHITELISTS:
        raise ValueFailed(f"the whitelists are {' and '.join(WHITELISTS)}, not {which[:80]!r}")
    return which


def _rule(name: str, thunk: Thunk) -> str | Regex:
    rule: Value = thunk()
    if type(rule) is Regex:
        return rule
    if type(rule) is not str:
        raise TypeFailed(f"{name}() takes a str or a regex as rule, not {type_name(rule)}")
    if not is_name(rule):
        raise ValueFailed(f"a rule is a regex or follows the name rule, not {rule[:80]!r}")
    return rule


def _tell_whitelists(ctx: Context, user: User) -> None:
    ctx.engine.rights_version += 1
    ctx.record(0, {"set_whitelists": {"id": user.id, "whitelists": pack_whitelists(user)}})


@function(
    "whitelist_add",
    "user: str, whitelist: lazy str, rule?: lazy str|regex",
    scopes="T",
    changes="T",
    right=GRANT,
    doc="Limits the procedures or rooms of a user to those that rules name.",
    example="whitelist_add('iris', 'rooms', /^public_/)",
)
def whitelist_add(ctx: Context, user: str, whitelist: Thunk, rule: Thunk | None = None) -> None:
    who = find_user(ctx, user)
    which = _whitelist("whitelist_add", 1, whitelist)
    if rule is None:
        if which in who.whitelists:
            raise LookupFailed(f"the user {who.name} has a whitelist of {which} already")
        who.whitelists[which] = []
    else:
        added = _rule("whitelist_add", rule)
        rules = who.whitelists.get(which, [])
        if added in rules:
            raise LookupFailed("the whitelist has that rule already")
        who.whitelists[which] = [*rules, added]
    _tell_whitelists(ctx, who)


@function(
    "whitelist_del",
    "user: str, whitelist: lazy str, rule?: lazy str|regex",
    scopes="T",
    changes="T",
    right=GRANT,
    doc="Removes a rule from a whitelist, or the whole whitelist.",
    example="whitelist_del('iris', 'rooms')",
)
def whitelist_del(ctx: Context, user: str, whitelist: Thunk, rule: Thunk | None = None) -> None:
    who = find_user(ctx, user)
    which = _whitelist("whitelist_del", 1, whitelist)
    if rule is None:
        if which not in who.whitelists:
            raise LookupFailed(f"the user {who.name} has no whitelist of {which}")
        del who.whitelists[which]
    else:
        removed = _rule("whitelist_del", rule)
        rules = who.whitelists.get(which, [])
        if removed not in rules:
            raise LookupFailed("the whitelist has no such rule")
        who.whitelists[which] = [each for each in rules if each != removed]
    _tell_whitelists(ctx, who)


# --- replay ----------------------------------------------------------------------------------------------------------


def _user(replay: Replay, user_id: int) -> User:
    return next(user for user in replay.engine.users.values() if user.id == user_id)


@replays("new_user")
def _new_user(replay: Replay, _: None, made: dict[str, Any]) -> None:
    engine = replay.engine
    engine.next_definition_id = max(engine.next_definition_id, made["id"] + 1)
    engine.users[made["name"]] = User(made["id"], made["name"], made["created_at"])


@replays("del_user")
def _del_user(replay: Replay, _: None, user_id: int) -> None:
    replay.engine.drop_user(_user(replay, user_id))


@replays("rename_user")
def _rename_user(replay: Replay, _: None, names: dict[str, Any]) -> None:
    _rename(replay.engine, _user(replay, names["id"]), names["name"])


@replays("set_password")
def _set_password(replay: Replay, _: None, made: dict[str, Any]) -> None:
    _user(replay, made["id"]).password = made["password"]


@replays("new_token")
def _new_token(replay: Replay, _: None, made: dict[str, Any]) -> None:
    _add_token(replay.engine, _user(replay, made["id"]), Token(*made["token"]))


@replays("del_tokens")
def _del_tokens(replay: Replay, _: None, digests: list[bytes]) -> None:
    for digest in digests:
        _drop_token(replay.engine, digest)


@replays("set_access")
def _replay_access(replay: Replay, _: None, made: dict[str, Any]) -> None:
    engine = replay.engine
    _apply_access(engine, engine.scope_by_id(made["scope"]), made["user"], made["mask"])


@replays("set_whitelists")
def _set_whitelists(replay: Replay, _: None, made: dict[str, Any]) -> None:
    _user(replay, made["id"]).whitelists = unpack_whitelists(made["whitelists"])
