"""The whole server: opens the store, loads the engine, opens the doors; and closes all of it in good order."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.emitted import emitted
from engine.engine import Engine
from engine.language.compiler import GENERATED
from engine.outcome import Outcome
from engine.store import Checkpoint, Committer, Retention, SqliteStore, Store, StoreError
from server.backups import BackupRunner
from server.config import Config, ConfigError
from server.connection import GOING_AWAY, LOGIN, MODULES
from server.core import Core
from server.http.app import Http
from server.listeners import ListenError, Listeners
from server.live import LiveRounds
from server.modules import Modules
from server.outbox import Outbox, on_loop
from server.quiet import search_for_garbage
from server.repositories import Repositories
from server.restorer import Restorer
from server.session import Session
from server.watchdog import Watchdog
from watch import Hub, Live, Requests, RoomHistory, SlowReaders

if TYPE_CHECKING:
    from engine.change import Job
    from engine.modules import ModuleHost
    from engine.users import User

__all__ = ["App", "serve"]

log = logging.getLogger("livethings.server")

SHUTTING_DOWN_TIME = 0.25
"""Seconds between the news that the server goes down and its going down, in which clients are still served."""

STOP_TIME = 5.0
"""Seconds that requests in flight, and then clients that should read what is left, are waited for."""

CLOSE_TIME = 0.25
"""Seconds that clients then have to close their side."""

MODULES_TIME = 60.0
"""Seconds that a start waits for modules, if it is to wait for them."""

CHECKPOINT_CHANGES = 100_000
CHECKPOINT_THINGS = 20_000
CHECKPOINT_TIME = 300.0
"""A checkpoint is made after so many changes, when so many things differ from the last one, or so many seconds after
it if anything changed. Packing 20,000 things holds the loop up for some 10 ms."""

CHECKPOINT_ROUND = 1.0
"""Seconds between two looks at whether a checkpoint is due."""

OTHER_FILES = 320
"""Open files that are no clients: the store, listening sockets, HTTP connections that are no streams."""

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that waits for the interpreter gets it; the committer needs it a few times a batch."""


class _Host:
    """What queries in the scope `@node` ask of the process (`engine.host.Host`)."""

    def __init__(self, app: App, config: Config) -> None:
        self._app = app
        self.tcp_port = config.tcp_port
        self.http_port = config.http_port
        self.storage_path = f"{config.data_dir}/"
        self.pcre_version = "10"
        self.modules_path = "" if config.modules_path is None else f"{config.modules_path}/"
        self.python_interpreter = config.python_interpreter
        self.modules: ModuleHost = app.modules

    @property
    def status(self) -> str:
        return self._app.status

    @property
    def log_level(self) -> str:
        return logging.getLevelName(logging.getLogger("livethings").getEffectiveLevel())

    @property
    def durable_change(self) -> int:
        return self._app.durable_change

    @property
    def stored_change(self) -> int:
        return self._app.checkpoint_change

    @property
    def connections(self) -> int:
        return self._app.connections

    def set_log_level(self, level: str) -> None:
        logging.getLogger("livethings").setLevel(level)

    def shutdown(self) -> None:
        self._app.stop()

    def check_backup(self, file: str) -> None:
        self._app.restorer.check(file)

    def restore(self, file: str, keeping: User | None, tasks: bool) -> None:
        self._app.restorer.begin(file, keeping, tasks)


class App:
    """One server, from start to end. `run` does it all."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._loop = loop
        self._stop = asyncio.Event()
        self._failure: Exception | None = None
        self._store: Store | None = None
        repositories = Repositories(config.github_url, config.python_interpreter)
        self.modules = Modules(loop, config.modules_path, config.python_interpreter, config.module_time, repositories)
        self._engine = Engine()
        self._engine.host = _Host(self, config)
        self._engine.max_result_bytes = config.max_result
        self._engine.log_slow(config.slow_query_warning, config.slow_query_error)
        self._core: Core | None = None
        self._http: Http | None = None
        self._committer: Committer | None = None
        self._restorer: Restorer | None = None
        self._checkpoint_change = 0
        self._checkpoint_at = 0.0

    @property
    def status(self) -> str:
        """The node's status word."""
        return "SYNCHRONIZING" if self._core is None else self._core.status

    @property
    def durable_change(self) -> int:
        """The id of the last durable change."""
        return self._committer.durable if self._committer is not None else 0

    @property
    def checkpoint_change(self) -> int:
        """The id of the change that the last checkpoint contains."""
        return self._checkpoint_change

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._core.connections) if self._core is not None else 0

    @property
    def restorer(self) -> Restorer:
        """What restores backups, once the store is open."""
        assert self._restorer is not None
        return self._restorer

    def stop(self) -> None:
        """Have `run` come to its end."""
        self._stop.set()

    async def run(self, ready: Callable[[str], None]) -> None:
        """Serve until told to stop. `ready` is called with a line for people once everything is open.

        Raises ConfigError, ListenError or StoreError when the server can't start, or can't go on.
        """
        loop = self._loop
        listeners = Listeners(self._config, loop)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        watchdog = None
        try:
            http = self._http = await listeners.open_http(lambda: self.status)
            core = await self._open()
            engine = self._engine
            watchdog = Watchdog(
                lambda: engine.executing,
                self._config.query_time,
                GENERATED,
                lambda: engine.live,
                self._config.live_query_time,
            )
            watchdog.start()
            for module in self._engine.modules.values():
                self.modules.added(module)
            if self._config.wait_for_modules:
                await self._unless_stopped(self.modules.settled(MODULES_TIME))
            await listeners.open(core)
            core.start()
            http.core = core
            page = f"; open {listeners.page} in a browser" if listeners.page else ""
            ready(f"livethings is ready: {listeners}{page}")
            if self._engine.default_password:
                log.warning("the user admin has the password that everybody knows; change it: set_password('admin', …)")
            rounds = loop.create_task(self._rounds(core))
            quiet = loop.create_task(search_for_garbage(core, self._engine, lambda: self.restorer.busy))
            await self._stop.wait()
            rounds.cancel()
            quiet.cancel()
            await self._shut(core, listeners, http)
        finally:
            listeners.close()
            if self._http is not None:
                self._http.abort()
            if watchdog is not None:
                watchdog.stop()
            self._close()
        if self._failure is not None:
            raise self._failure

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for some work, but give it up when the server is to stop."""
        tasks = {self._loop.create_task(work), self._loop.create_task(self._stop.wait())}
        _, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()

    # --- start ------------------------------------------------------------------------------------------------------

    async def _open(self) -> Core:
        """Open the store, load it, and bring the rooms of the house together."""
        loop = self._loop
        store = self._store = SqliteStore.open(self._config.data_dir, create=True)
        began = time.monotonic()
        # Off the loop, so that the status can be asked for while a large store is loaded.
        await loop.run_in_executor(None, self._engine.open, store)
        log.info("loaded change %d in %.2f s", self._engine.last_change, time.monotonic() - began)
        self._checkpoint_change, self._checkpoint_at = store.checkpoint_change, time.monotonic()
        outbox = Outbox(loop.call_soon, self._engine.last_change)

        def on_failure(error: Exception) -> None:
            loop.call_soon_threadsafe(self._fail, error)

        self._committer = Committer(store, on_loop(loop, outbox), on_failure, retention=_retention(self._config))
        config = self._config
        history = RoomHistory(
            outbox.say,
            count=config.room_history,
            seconds=config.room_history_time,
            size=config.room_history_bytes,
            keep=lambda job: core.note(job),
        )
        titles = {room_id: where.title for where in self._engine.collections.values() for room_id in where.rooms}
        taken_up: Job | None = None
        if titles:
            now = self._engine.clock()
            taken_up = await loop.run_in_executor(None, history.take_up, *emitted(store), titles, now)
        hub = Hub(self._engine, outbox.say, config.max_deep_things, history)
        requests = Requests(self._engine, hub, store)
        core = Core(self._engine, self._committer, hub, requests, outbox, self._config, loop)
        live = Live(
            self._engine,
            outbox.say,
            per_connection=config.max_live_queries,
            result_bytes=config.max_live_result,
            seconds=config.live_query_time,
        )
        core.live = LiveRounds(live, outbox, loop)
        core.slow = SlowReaders(hub, live)
        if taken_up is not None:
            core.note(taken_up)
        self._core = core
        self._restorer = Restorer(self._engine, self._config.data_dir, loop, self._replace_state, self._committer.flush)
        return core

    # --- while it runs ----------------------------------------------------------------------------------------------

    async def _rounds(self, core: Core) -> None:
        assert self._store is not None
        backups = BackupRunner(self._engine, self._store, self._loop, lambda outcome: core.publish(outcome, None, None))
        while True:
            await asyncio.sleep(CHECKPOINT_ROUND)
            await self._run_tasks(core)
            backups.look()
            behind = self._engine.last_change - self._checkpoint_change
            waited = time.monotonic() - self._checkpoint_at
            if (
                behind >= CHECKPOINT_CHANGES
                or self._engine.dirty_things >= CHECKPOINT_THINGS
                or (behind and waited > CHECKPOINT_TIME)
            ):
                self._checkpoint()

    async def _run_tasks(self, core: Core) -> None:
        """Run the tasks that are due, requests being served between them."""
        for scope, task in self._engine.due_tasks():
            if core.congested:
                break  # the others are still due in the next round
            outcome = self._engine.run_task(scope, task)
            if outcome is not None:
                if outcome.pending is None:
                    core.publish(outcome, None, None)
                else:
                    core.follow(outcome, lambda last: core.publish(last, None, None))
                await asyncio.sleep(0)

    def _checkpoint(self) -> None:
        assert self._committer is not None
        if self._committer.checkpointing:
            return
        checkpoint = self._engine.checkpoint()
        self._committer.checkpoint(checkpoint)
        self._checkpoint_change, self._checkpoint_at = checkpoint.change_id, time.monotonic()

    def _replace_state(self, outcome: Outcome, checkpoint: Checkpoint) -> None:
        """The engine has taken over a backup: have that written and told."""
        assert self._core is not None and self._committer is not None
        self._core.outbox.executed(checkpoint.change_id)
        self._committer.replace(checkpoint)
        self._checkpoint_change, self._checkpoint_at = checkpoint.change_id, time.monotonic()
        self._core.tell((outcome,))
        for module in self._engine.modules.values():
            self.modules.added(module)

    def _fail(self, error: Exception) -> None:
        """The store has failed. What it has not confirmed must not be told to anybody, so nobody is told anything."""
        log.critical("%s", error)
        self._failure = error
        if self._core is not None:
            for connection in self._core.connections:
                connection.abort()
        if self._http is not None:
            self._http.abort()
        self._stop.set()

    # --- stop -------------------------------------------------------------------------------------------------------

    async def _shut(self, core: Core, listeners: Listeners, http: Http) -> None:
        """Tell everybody, answer what was asked, have everything on disk, close."""
        log.info("shutting down")
        core.announce("SHUTTING_DOWN")
        listeners.close_clients()
        if self._failure is None:
            await asyncio.sleep(SHUTTING_DOWN_TIME)
            for connection in core.connections:
                connection.stop_reading()
            await self._until(
                lambda: not http.under_way and not any(_under_way(connection) for connection in core.connections)
            )
            await self.restorer.close()
            await self.modules.close()
            await self._flush()
            core.announce("OFFLINE")
            core.outbox.flush()
        core.hub.presence.close()
        for connection in core.connections:
            connection.finish(connection.goodbye("the server shuts down", GOING_AWAY, told=True))
        await self._until(lambda: not any(connection.unsent for connection in core.connections))
        await self._until(lambda: not core.connections, CLOSE_TIME)
        for connection in core.connections:
            connection.abort()
        core.authenticator.close()
        core.readers.shutdown(wait=False, cancel_futures=True)
        if self._failure is None and self._engine.last_change != self._checkpoint_change:
            await self._flush()
            if self._failure is None:
                self._checkpoint()
                await self._flush()
        listeners.close()
        http.finish()
        await self._until(lambda: not http.connections, CLOSE_TIME)

    async def _flush(self) -> None:
        """Wait until all changes, and a checkpoint under way, are on disk, and the outbox knows."""
        assert self._committer is not None
        try:
            await self._loop.run_in_executor(None, self._committer.flush)
        except StoreError as error:
            self._failure = self._failure or error

    async def _until(self, done: Callable[[], bool], longest: float = STOP_TIME) -> None:
        """Wait for it, but not for ever."""
        end = self._loop.time() + longest
        while not done() and self._loop.time() < end and self._failure is None:
            await asyncio.sleep(0.01)

    def _close(self) -> None:
        if self._committer is not None:
            self._committer.close()
        if self._store is not None:
            self._store.close()


def _retention(config: Config) -> Retention:
    """What the log keeps beside what the state lacks."""
    return Retention(config.keep_changes or None, config.keep_time or None, config.keep_bytes or None)


def _under_way(connection: Any) -> bool:
    return isinstance(connection, Session) and (connection.waiting or bool(connection.blocked & (LOGIN | MODULES)))


# --- the process -----------------------------------------------------------------------------------------------------


def serve(config: Config) -> int:
    """Run a server in this process until a signal stops it; the exit status."""
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("websockets").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_INTERVAL)
    config = replace(config, max_connections=min(config.max_connections, _files_for(config.max_connections)))

    async def main() -> None:
        await App(config, asyncio.get_running_loop()).run(lambda line: print(line, flush=True))

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main())
    except (ConfigError, ListenError, StoreError) as error:
        print(f"livethings: {error}", file=sys.stderr)
        return 1
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _files_for(connections: int) -> int:
    """How many connections there are open files for, after having raised the limit as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            log.warning("the system allows %d open files, so at most %d connections", soft, soft - OTHER_FILES)
            return max(1, soft - OTHER_FILES)
    return connections
