"""The engine's state on disk: what a checkpoint writes and start-up reads (docs/storage.md).

A thing is one row: MessagePack of its properties, values as in mutations (`engine.snapshot`). A plain thing in list
form without a restriction is the map of its properties; every other thing is an array
`[form, contents, restriction]`: form `"sorted"` or `"plain"` with a map, or `"typed"` with the contents
`[type id, [values in field order]]`.

Definitions (users, collections, types, …) are rows by kind and key. Each subject registers how its definitions are
saved (`saves`) and loaded (`loads`). At a checkpoint all are packed anew, and those that differ from what was last
written are written: they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from engine.encoding import LEAVES, log_packer, log_unpack, write_leaf
from engine.replay import Replay
from engine.snapshot import PACK
from engine.store.interface import Checkpoint
from engine.users import Token, User, pack_whitelists, unpack_whitelists
from engine.values.storing import SCALARS
from engine.values.thing import Instance, SortedProperties, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.engine import Engine
    from engine.store.interface import DefinitionRow, State, ThingRow

__all__ = ["Saver", "StateWriter", "load", "loads", "saves"]

Saver = Callable[["Engine"], Iterable[tuple[str, "int | str", Any]]]

_SAVERS: list[Saver] = []
_LOADERS: dict[str, Callable[[Replay, Any, Any], None]] = {}
_ORDER = ("engine", "user", "collection", "type_ids", "type", "enum", "procedure", "room", "task")
"""The order in which kinds of definitions are loaded; kinds that are not here come after these."""

S = TypeVar("S", bound=Callable[..., Any])


def saves(saver: S) -> S:
    """Register what gives the definitions of a subject, as `(kind, key, tree)`."""
    _SAVERS.append(saver)
    return saver


def loads(kind: str) -> Callable[[S], S]:
    """Register how a definition of a kind is loaded: `(replay, key, tree)`; values in trees by `replay.value` once
    `replay.home` is set."""

    def register(loader: S) -> S:
        assert kind not in _LOADERS, kind
        _LOADERS[kind] = loader
        return loader

    return register


class _Trees:
    """Gives the packer a tree for each value of a stored thing that MessagePack has no form for. So most things are
    packed without a step in Python for each value."""

    __slots__ = ("home",)

    home: Collection

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind is Thing or kind is Instance:
            return {"#": value.id}
        return write_leaf(value) if kind in LEAVES else PACK[kind](value, self.home, 1)


class StateWriter:
    """Makes checkpoints: remembers which definitions are on disk already."""

    def __init__(self, engine: Engine, written: Iterable[DefinitionRow] = ()) -> None:
        self.engine = engine
        self.packer = log_packer()
        self.trees = _Trees()
        self.thing_packer = log_packer(self.trees)
        self.written: dict[tuple[str, int | str], bytes] = {(kind, key): data for kind, key, data in written}

    def checkpoint(self, *, whole: bool = False) -> Checkpoint:
        """What differs from the state on disk, at the last change. `whole`: everything, for an empty store."""
        engine = self.engine
        things: list[ThingRow] = []
        gone: list[int] = []
        gone += engine.dropped
        engine.dropped = []
        for collection in engine.collections.values():
            collection.saving = True
            ids: Iterable[int] = collection.index if whole else collection.dirty
            found: list[Thing] = []
            for thing_id in ids:
                thing = collection.find(thing_id)
                if thing is None:
                    gone.append(thing_id)
                else:
                    found.append(thing)
            home = collection.id
            things += [(thing_id, home, data) for thing_id, data in self.pack_things(found, collection)]
            collection.dirty = set()
        now = {(kind, key): self.packer.pack(tree) for saver in _SAVERS for kind, key, tree in saver(engine)}
        for collection in engine.collections.values():
            collection.saving = False
        definitions: list[tuple[str, int | str, bytes | None]] = [
            (kind, key, data) for (kind, key), data in now.items() if self.written.get((kind, key)) != data
        ]
        definitions += [(kind, key, None) for kind, key in self.written.keys() - now.keys()]
        self.written = now
        return Checkpoint(engine.last_change, things, gone, definitions)

    def pack_things(self, things: Iterable[Thing], home: Collection) -> Iterator[tuple[int, bytes]]:
        """The ids of things of a collection, and the things as they stand on disk."""
        self.trees.home = home
        pack = self.thing_packer.pack
        for thing in things:
            if type(thing.props) is dict and thing.kind is None:
                yield thing.id, pack(thing.props)
            elif type(thing) is Instance:
                yield thing.id, pack(["typed", [thing.kind.id, thing.props], None])
            else:
                properties = dict(thing.items())
                if thing.kind is None and not thing.is_sorted:
                    yield thing.id, pack(properties)
                else:
                    form = "sorted" if thing.is_sorted else "plain"
                    yield thing.id, pack([form, properties, None if thing.kind is None else thing.kind.packed])


def load(engine: Engine, state: State) -> None:
    """Fill a new engine with the state of a store."""
    replay = Replay(engine)
    rows: dict[str, list[DefinitionRow]] = {}
    for row in state.definitions:
        rows.setdefault(row[0], []).append(row)
    for kind in (*_ORDER, *sorted(rows.keys() - set(_ORDER))):
        for _, key, data in rows.get(kind, ()):
            replay.home = None
            if isinstance(key, str) and ":" in key:
                scope_id = int(key.partition(":")[0])
                replay.home = engine.collection_by_id(scope_id) if scope_id else None
            _LOADERS[kind](replay, key, log_unpack(data))
    for finish in replay.later:
        finish()
    _load_things(engine, replay, state.things)
    engine.last_change = state.change_id
    engine.gone.clear()
    for collection in engine.collections.values():
        collection.dirty.clear()  # what was loaded is on disk


def _load_things(engine: Engine, replay: Replay, rows: Iterator[ThingRow]) -> None:
    from sys import intern

    unpack = log_unpack
    scalars = SCALARS
    homes = {collection.id: collection for collection in engine.collections.values()}
    kept = replay.kept  # holds everything until what refers to it is there
    for thing_id, collection_id, data in rows:
        home = homes[collection_id]
        replay.home = home
        thing = home.find(thing_id)
        if thing is None:
            thing = Thing({})
            home.admit(thing, thing_id)
            kept.append(thing)
        contents = unpack(data)
        if type(contents) is dict:
            props = thing.props
            for name, tree in contents.items():
                props[intern(name)] = tree if type(tree) in scalars else replay.property_value(tree, thing, name)
        else:
            _load_special(replay, thing, contents)
    replay.kept = []


def _load_special(replay: Replay, thing: Thing, contents: list[Any]) -> None:
    form, tree, restriction = contents
    if form == "typed":
        replay.fill(thing, {".": tree[0], "": tree[1]})
        return
    if form == "sorted":
        thing.props = SortedProperties()
    for name, item in tree.items():
        thing.props[name] = replay.property_value(item, thing, name)
    if restriction is not None:
        from engine.types.restriction import unpacked

        thing.kind = unpacked(restriction, replay.home)


# --- one collection --------------------------------------------------------------------------------------------------


def pack_collection(home: Collection) -> dict[str, Any]:
    """Everything in a collection: its things and definitions as they stand on disk, and the id of its root."""
    writer = StateWriter(home.engine)
    home.saving = True
    try:
        prefix = f"{home.id}:"
        return {
            "root": home.root.id,
            "things": [list(row) for row in writer.pack_things(home.things(), home)],
            "definitions": [
                [kind, key.removeprefix(prefix), writer.packer.pack(tree)]
                for saver in _SAVERS
                for kind, key, tree in saver(home.engine)
                if isinstance(key, str) and key.startswith(prefix)
            ],
        }
    finally:
        home.saving = False


def unpack_collection(
    engine: Engine, home: Collection, tree: dict[str, Any], first_id: int, *, tasks: bool, owner: int
) -> None:
    """Fill an empty collection with what `pack_collection` packed. Its things get new ids, from `first_id` on and in
    the same order, since ids are unique on the server; the root keeps its own."""
    ids = {tree["root"]: home.root.id}
    replay = Moving(engine, home, ids, first_id)
    for kind in _ORDER:
        for name, key, data in tree["definitions"]:
            if name == kind and (tasks or kind != "task"):
                _LOADERS[kind](replay, f"{home.id}:{replay.moved_key(kind, key)}", log_unpack(data))
    for finish in replay.later:
        finish()
    root = tree["root"]
    things = sorted(tree["things"])
    _load_things(engine, replay, iter([(replay.moved(number), home.id, data) for number, data in things]))
    found = home.find(home.root.id)
    assert found is home.root, root
    importer = next((user for user in engine.users.values() if user.id == owner), None)
    for task in home.tasks.values():
        task.owner = importer
    engine.next_id = max(engine.next_id, replay.next_id)
    home.dirty.update(home.index)


class Moving(Replay):
    """Makes values whose things and rooms get new ids."""

    __slots__ = ("ids", "next_id")

    def __init__(self, engine: Engine, home: Collection, ids: dict[int, int], next_id: int) -> None:
        super().__init__(engine, home)
        self.ids = ids
        self.next_id = next_id

    def moved(self, number: int) -> int:
        """The new id for an old one."""
        known = self.ids.get(number)
        if known is None:
            known = self.ids[number] = self.next_id
            self.next_id += 1
        return known

    def moved_key(self, kind: str, key: str) -> str:
        """The key of a definition; rooms and tasks are known by their ids."""
        return str(self.moved(int(key))) if kind in ("room", "task") else key

    def thing(self, thing_id: int) -> Thing:
        return super().thing(self.moved(thing_id))

    def leaf_id(self, number: int) -> int:
        return self.moved(number)


# --- the engine itself, users, collections ---------------------------------------------------------------------------


@saves
def _save_engine(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    yield (
        "engine",
        0,
        {
            "next_id": engine.next_id,
            "next_definition_id": engine.next_definition_id,
            "server": _scope_settings(engine.server),
            "node": _scope_settings(engine.node) | {"zone": engine.node.zone},
        },
    )


def _scope_settings(scope: Any) -> dict[str, Any]:
    settings = {"deep": scope.deep, "time_zone": scope.time_zone, "access": list(scope.access.items())}
    if getattr(scope, "history", None) is not None:
        settings["history"] = scope.history
    return settings


def _load_settings(scope: Any, tree: dict[str, Any]) -> None:
    scope.deep = tree["deep"]
    scope.time_zone = tree["time_zone"]
    scope.access = dict(tree["access"])
    if "history" in tree:
        scope.history = tree["history"]


@loads("engine")
def _load_engine(replay: Replay, key: int, tree: dict[str, Any]) -> None:
    engine = replay.engine
    engine.next_id = tree["next_id"]
    engine.next_definition_id = tree["next_definition_id"]
    _load_settings(engine.server, tree["server"])
    _load_settings(engine.node, tree["node"])
    engine.node.zone = tree["node"]["zone"]


@saves
def _save_users(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    for user in engine.users.values():
        yield (
            "user",
            user.id,
            {
                "name": user.name,
                "created_at": user.created_at,
                "password": user.password,
                "tokens": [
                    [token.digest, token.hint, token.created_on, token.expires, token.description]
                    for token in user.tokens
                ],
                "whitelists": pack_whitelists(user),
            },
        )


@loads("user")
def _load_user(replay: Replay, key: int, tree: dict[str, Any]) -> None:
    user = User(key, tree["name"], tree["created_at"], tree["password"])
    user.tokens = [Token(*fields) for fields in tree["tokens"]]
    user.whitelists = unpack_whitelists(tree["whitelists"])
    replay.engine.users[user.name] = user
    for token in user.tokens:
        replay.engine.tokens[token.digest] = (user, token)


@saves
def _save_collections(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    for collection in engine.collections.values():
        settings = _scope_settings(collection)
        settings |= {
            "name": collection.name,
            "created_at": collection.created_at,
            "root": collection.root.id,
            "quotas": collection.quotas,
        }
        yield "collection", collection.id, settings


@loads("collection")
def _load_collection(replay: Replay, key: int, tree: dict[str, Any]) -> None:
    collection = replay.engine.add_collection(key, tree["name"], tree["created_at"], tree["root"])
    _load_settings(collection, tree)
    collection.quotas = tree["quotas"]
