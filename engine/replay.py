"""Changes from the log, applied: at start-up, and where another node's changes arrive.

A record is what `Engine.finish_change` packed. Applying the records in order to the state that they follow gives the
state that their queries left, without running the queries: no check is made, nothing is recorded. What a mutation
entailed elsewhere (the other side of a relation, a migrated instance) was recorded as `Internal` jobs of its own, so
replay derives nothing.

Each job registers how it is applied with `replays`; each marked tree, such as `{"$": …}`, how its value is made with
`unpacks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from engine.encoding import log_unpack, read_leaf
from engine.garbage import empty
from engine.values.closure import Closure
from engine.values.error import Error
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS, own, release
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.engine import Engine
    from engine.snapshot import Tree
    from engine.values.thing import Value

__all__ = ["REPLAY", "UNPACK", "Replay", "replays", "unpacks"]

R = TypeVar("R", bound=Callable[..., None])
U = TypeVar("U", bound=Callable[..., Any])

REPLAY: dict[str, Callable[[Replay, Any, Any], None]] = {}
"""How each job is applied: `(replay, thing, argument)`. The thing is None for jobs of the server's own scope."""

UNPACK: dict[str, Callable[[Replay, dict[str, Any]], Value]] = {}
"""How a marked tree becomes a value, by its mark."""


def replays(*names: str) -> Callable[[R], R]:
    """Register how jobs are applied."""

    def register(apply: R) -> R:
        for name in names:
            assert name not in REPLAY, name
            REPLAY[name] = apply
        return apply

    return register


def unpacks(mark: str) -> Callable[[U], U]:
    """Register how the trees that carry a mark become values."""

    def register(make: U) -> U:
        assert mark not in UNPACK, mark
        UNPACK[mark] = make
        return make

    return register


class Replay:
    """Applies records to an engine; also makes values from trees where state is loaded.

    `home` is the collection of the record being applied, None in the server's own scope. Things that a change
    detaches live until its end, because a later mutation of it may attach them again: `kept` holds them.
    """

    __slots__ = ("awaited_tasks", "engine", "home", "kept", "later", "task_places")

    def __init__(self, engine: Engine, home: Collection | None = None) -> None:
        self.engine = engine
        self.home: Any = home
        self.kept: list[Any] = []
        self.awaited_tasks: dict[int, Any] = {}  # tasks that were mentioned before they were made
        self.task_places: dict[int, int] = {}  # where the tasks that were loaded stand in their scope
        self.later: list[Callable[[], None]] = []  # what loading does once all types and enums are there

    def apply(self, packed: bytes) -> int:
        """Apply one record; its change id."""
        engine = self.engine
        change_id, scope, at, next_id, mutations, gone = log_unpack(packed)
        self.home = engine.collection_by_id(scope) if scope > 0 else None
        for thing_id, jobs in mutations:
            thing = self.thing(thing_id) if thing_id and self.home is not None else None
            for name, argument in jobs.items():
                REPLAY[name](self, thing, argument)
            if thing is not None:
                self.home.dirty.add(thing_id)
        engine.last_change = change_id
        born = next_id > engine.next_id
        engine.next_id = max(engine.next_id, next_id)
        thing = None
        self.kept.clear()
        engine.recent.take(change_id, scope, at, born, next_id, mutations, gone, packed)
        engine.recent.went(set(engine.gone).difference(gone))
        engine.gone.clear()
        return int(change_id)

    # --- values ------------------------------------------------------------------------------------------------------

    def thing(self, thing_id: int) -> Thing:
        """The thing with that id; a new empty one where the id is not known yet."""
        home = self.home
        thing: Thing | None = home.find(thing_id)
        if thing is None:
            thing = Thing({})
            home.admit(thing, thing_id)
        self.kept.append(thing)
        return thing

    def leaf_id(self, number: int) -> int:
        """The id of a room or task that a leaf names."""
        return number

    def value(self, tree: Tree) -> Value:
        """The value of a tree, as an item of an array."""
        if type(tree) in SCALARS:
            return tree
        if type(tree) is list:
            return tuple([item if type(item) in SCALARS else self.value(item) for item in tree])
        if type(tree) is dict:
            return UNPACK[next(iter(tree))](self, tree)
        return read_leaf(tree, self)

    def put(self, thing: Thing, name: str, tree: Tree) -> None:
        """Set a property from a tree."""
        if type(thing) is Instance:
            if name in thing.kind.positions:
                position = thing.kind.positions[name]
                self.drop_value(thing.props[position])
                thing.props[position] = self.property_value(tree, thing, name)
            return
        if name in thing.props:
            self.drop_value(thing.props[name])
        thing.put(name, self.property_value(tree, thing, name))

    def property_value(self, tree: Tree, thing: Thing, name: str) -> Value:
        """The value of a tree as the property of a thing."""
        if type(tree) in SCALARS:
            return tree
        spec = thing.kind.item_restriction(name) if type(thing) is Instance else None
        return own(self.value(tree), thing, name, spec)

    def drop_value(self, value: Value) -> None:
        """A property no longer holds the value; what it held lives until the end of the change."""
        if type(value) not in SCALARS:
            self.kept.append(value)
            release(value)

    def fill(self, thing: Thing, tree: dict[str, Tree]) -> None:
        """Give a thing the contents that a tree shows: `{"#": id, name: value, …}` or the compact form."""
        if "." in tree:
            type_ = self.home.type_by_id(tree["."])
            thing.__class__ = Instance
            thing.kind = type_
            thing.props = [None] * len(type_.positions)
            for name, item in zip(type_.positions, tree[""], strict=True):
                thing.props[type_.positions[name]] = self.property_value(item, thing, name)
            type_.enter(thing)
            return
        for name, item in tree.items():
            if name != "#":
                self.put(thing, name, item)


# --- marked trees ----------------------------------------------------------------------------------------------------


@unpacks("#")
def _unpack_thing(replay: Replay, tree: dict[str, Tree]) -> Thing:
    thing = replay.thing(tree["#"])
    if len(tree) > 1:
        replay.fill(thing, tree)
    return thing


@unpacks(".")
def _unpack_instance(replay: Replay, tree: dict[str, Tree]) -> Thing:
    thing = replay.thing(tree["#"])
    replay.fill(thing, tree)
    return thing


@unpacks("$")
def _unpack_set(replay: Replay, tree: dict[str, Tree]) -> Set:
    return Set(replay.value(item) for item in tree["$"])


@unpacks("/")
def _unpack_closure(replay: Replay, tree: dict[str, Tree]) -> Closure:
    return Closure.from_source(tree["/"])


@unpacks("!")
def _unpack_error(replay: Replay, tree: dict[str, Tree]) -> Error:
    return Error(tree["error_code"], tree["error_msg"])


# --- jobs on any thing -----------------------------------------------------------------------------------------------


@replays("set")
def _set(replay: Replay, thing: Thing, values: dict[str, Tree]) -> None:
    for name, tree in values.items():
        replay.put(thing, name, tree)


@replays("del")
def _del(replay: Replay, thing: Thing, name: str) -> None:
    replay.drop_value(thing.drop(name))


@replays("splice")
def _splice(replay: Replay, thing: Thing, splices: dict[str, list[Tree]]) -> None:
    for name, (index, count, *items) in splices.items():
        array: List = thing.get(name)
        end = index + count
        replay.kept.extend(array[index:end])
        array[index:end] = [replay.value(item) for item in items]


@replays("add")
def _add(replay: Replay, thing: Thing, additions: dict[str, list[Tree]]) -> None:
    for name, things in additions.items():
        members: Set = thing.get(name)
        for tree in things:
            members.items[replay.value(tree)] = None


@replays("remove")
def _remove(replay: Replay, thing: Thing, removals: dict[str, list[int]]) -> None:
    for name, ids in removals.items():
        members: Set = thing.get(name)
        for thing_id in ids:
            members.items.pop(replay.thing(thing_id), None)


@replays("follow")
def _follow(replay: Replay, thing: Thing, job: dict[str, Any]) -> None:
    ((name, argument),) = job.items()
    REPLAY[name](replay, thing, argument)


@replays("instances")
def _instances(replay: Replay, _: Thing, told: list[Any]) -> None:
    """What a change of a type did to its instances, for those who resume their watches: replay derives it."""


@replays("event")
def _event(replay: Replay, thing: Thing, event: list[Tree]) -> None:
    """Emitted events leave nothing behind."""


@replays("sorted")
def _sorted(replay: Replay, thing: Thing, on: bool) -> None:
    if type(thing) is Thing and not thing.is_sorted:
        thing.sort()


@replays("restrict")
def _restrict(replay: Replay, thing: Thing, text: str | None) -> None:
    from engine.types.restriction import unpacked

    if type(thing) is Thing:
        thing.kind = None if text is None else unpacked(text, replay.home)


@replays("sweep")
def _sweep(replay: Replay, root: Thing, ids: list[int]) -> None:
    for thing_id in ids:
        thing = replay.home.find(thing_id)
        if thing is not None:
            replay.kept.append(thing)
            empty(thing)


@replays("fill")
def _fill(replay: Replay, thing: Thing, tree: dict[str, Tree]) -> None:
    replay.fill(thing, tree)


# --- jobs on the server ----------------------------------------------------------------------------------------------


@replays("new_collection")
def _new_collection(replay: Replay, _: None, made: dict[str, Any]) -> None:
    engine = replay.engine
    engine.next_definition_id = max(engine.next_definition_id, made["id"] + 1)
    collection = engine.add_collection(made["id"], made["name"], made["created_at"], made["root"])
    collection.access.update(dict(made["access"]))
    collection.deep = made["deep"]
    collection.time_zone = made["time_zone"]


@replays("del_collection")
def _del_collection(replay: Replay, _: None, collection_id: int) -> None:
    replay.engine.drop_collection(replay.engine.collection_by_id(collection_id))
