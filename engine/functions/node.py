"""The scope `@node`: what the node is, counts and does (spec/admin-and-protocol.md, section 10).

What only the process around the engine knows or can do comes in as `engine.host`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgpack

from engine.counters import Counters
from engine.errors import LookupFailed, NodeError, OperationError, ValueFailed
from engine.functions.registry import FUNCTIONS, early_name, function
from engine.modules import system
from engine.replay import Replay, replays
from engine.users import CHANGE
from engine.values.list import List
from engine.values.mpdata import Mpdata

if TYPE_CHECKING:
    from engine.context import Context
    from engine.engine import Engine

__all__ = ["VERSION"]

VERSION = "0.1.0"
MAX_ZONE = 255
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def node_tree(engine: Engine) -> dict[str, Any]:
    """What `node_info` shows."""
    host = engine.host
    system_name, _, architecture = system().partition("/")
    return {
        "node_id": 0,
        "version": VERSION,
        "syntax_version": "v1",
        "msgpack_version": ".".join(map(str, msgpack.version)),
        "libcleri_version": "none",
        "libuv_version": "none",
        "libpcre2_version": host.pcre_version,
        "status": host.status,
        "zone": engine.node.zone,
        "log_level": host.log_level,
        "node_name": platform.node(),
        "client_port": host.tcp_port,
        "node_port": 0,
        "ip_support": "ALL",
        "storage_path": host.storage_path,
        "uptime": engine.timer() - engine.started,
        "changes_in_queue": engine.last_change - host.durable_change,
        "archived_in_memory": engine.last_change - host.stored_change,
        "archive_files": 0,
        "local_stored_change_id": host.durable_change,
        "local_committed_change_id": engine.last_change,
        "global_stored_change_id": host.durable_change,
        "global_committed_change_id": engine.last_change,
        "db_stored_change_id": host.stored_change,
        "next_change_id": engine.last_change + 1,
        "cached_names": 0,
        "http_status_port": host.http_port or "disabled",
        "http_api_port": host.http_port or "disabled",
        "scheduled_backups": sum(backup.next_run is not None for backup in engine.backups.by_id.values()),
        "yajl_version": "none",
        "connected_clients": host.connections,
        "result_size_limit": engine.max_result_bytes,
        "cached_queries": len(engine.cache),
        "threshold_query_cache": 0,
        "cache_expiration_time": 0,
        "python_interpreter": host.python_interpreter,
        "modules_path": host.modules_path,
        "platform": system_name,
        "architecture": architecture,
        "next_free_id": engine.next_definition_id,
        "libwebsockets_version": "none",
        "commit_history": "disabled" if engine.server.history is None else len(engine.server.history),
    }


@function("node_info", scopes="N", doc="What is known of this node.", example="node_info().load().status")
def node_info(ctx: Context) -> Mpdata:
    return Mpdata.of(node_tree(ctx.engine))


@function("nodes_info", scopes="N", doc="What is known of each node.", example="nodes_info().len()")
def nodes_info(ctx: Context) -> List:
    engine = ctx.engine
    return List(
        [
            Mpdata.of(
                {
                    "node_id": 0,
                    "syntax_version": "v1",
                    "status": engine.host.status,
                    "zone": engine.node.zone,
                    "committed_change_id": engine.last_change,
                    "stored_change_id": engine.host.durable_change,
                    "node_name": platform.node(),
                    "port": 0,
                    "stream": None,
                }
            )
        ]
    )


@function("counters", scopes="N", doc="What the node counted since it started.", example="counters().load().started_at")
def counters(ctx: Context) -> Mpdata:
    engine = ctx.engine
    cache, (compiled, dropped) = engine.cache, engine.cache_counted
    return Mpdata.of(engine.counters.tree(int(not ctx.by_request), cache.compiled - compiled, cache.dropped - dropped))


@function("reset_counters", scopes="N", right=CHANGE, doc="Begins to count anew.", example="reset_counters()")
def reset_counters(ctx: Context) -> None:
    engine = ctx.engine
    engine.counters = Counters(ctx.now)
    engine.counters.queries_not_run = 1  # this one is counted when it ends, and was looked for before
    engine.cache_counted = engine.cache.compiled, engine.cache.dropped


@function(
    "set_log_level",
    "level: int",
    scopes="N",
    right=CHANGE,
    doc="Sets how much the node logs, until it restarts.",
    example="set_log_level(INFO)",
)
def set_log_level(ctx: Context, level: int) -> None:
    ctx.engine.host.set_log_level(LOG_LEVELS[max(0, min(level, len(LOG_LEVELS) - 1))])


@function("shutdown", scopes="N", right=CHANGE, doc="Stops the node in good order.", example="shutdown()")
def shutdown(ctx: Context) -> None:
    ctx.engine.host.shutdown()


@function("has_node", "id: int", scopes="T", doc="Is there a node with that id?", example="has_node(0)")
def has_node(ctx: Context, node_id: int) -> bool:
    if node_id < 0:
        raise ValueFailed("the id of a node is not negative")
    return node_id == 0


@function(
    "new_node",
    "secret: str, name: str, port?: lazy int",
    scopes="T",
    changes="T",
    doc="Adds a second node; this version runs as a single one and refuses.",
    example="try(new_node('secret', 'host'))",
)
def new_node(ctx: Context, secret: str, name: str, port: Callable[[], Any] | None = None) -> int:
    if not secret or not secret.isascii() or not all(33 <= ord(char) <= 126 for char in secret):
        raise ValueFailed("the secret of a node has graphic ASCII characters")
    number = 9220 if port is None else FUNCTIONS["new_node"].check_lazy(2, port)
    if not 1 <= number <= 65_535:
        raise ValueFailed(f"a port lies between 1 and 65535, not at {number}")
    raise OperationError("this server runs as a single node")


# --- early names (spec/early-api.md, section 3) ----------------------------------------------------------------------


early_name("node", "node_info")
early_name("nodes", "nodes_info")
early_name("set_loglevel", "set_log_level")


@function(
    "set_zone",
    "zone: int",
    scopes="N",
    right=CHANGE,
    alias=True,
    doc="Sets the zone that node_info() shows for this node.",
    example="set_zone(3)",
)
def set_zone(ctx: Context, zone: int) -> None:
    if not 0 <= zone <= MAX_ZONE:
        raise ValueFailed(f"the zone of a node lies between 0 and {MAX_ZONE}, not at {zone}")
    ctx.engine.node.zone = zone
    ctx.record_for_node({"set_zone": zone})


@replays("set_zone")
def _set_zone(replay: Replay, _: None, zone: int) -> None:
    replay.engine.node.zone = zone


@function(
    "pop_node",
    scopes="T",
    changes="T",
    alias=True,
    doc="Removes the node with the highest id.",
    example="try(pop_node())",
)
def pop_node(ctx: Context) -> None:
    raise NodeError("the only node can't be removed")


@function("del_node", "id: int", scopes="T", changes="T", doc="Removes a node.", example="try(del_node(1))")
def del_node(ctx: Context, node_id: int) -> None:
    if node_id != 0:
        raise LookupFailed(f"there is no node {node_id}")
    raise OperationError("a running node can't be removed")
