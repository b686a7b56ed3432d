"""Modules as child processes: started, asked, restarted and stopped (docs/modules.md; the specification's page on
administration and protocol, section 9).

A module's process speaks packages over its standard input and output; what it says on standard error goes to the
server's. Whatever it does hurts only those who ask it: what it sends is bounded, requests have a time limit, one that
breaks the protocol is ended, and one that ends is started again only a few times.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from msgpack import unpackb

from engine.errors import BadDataError, CancelledError, EngineError, OperationError, error_for
from engine.modules import Answer, Module
from server.native import Decoder, package

__all__ = ["Modules"]

log = logging.getLogger("livethings.modules")

CONFIGURE, ACCEPTED, REFUSED = 64, 65, 66
REQUEST, RESULT, FAILURE = 80, 81, 82

MAX_RESTARTS = 3
BACK_OFF = 0.1
"""Seconds before the first restart; each further one waits twice as long."""

PATIENCE = 5.0
"""Seconds that a process has to end after SIGTERM."""

MAX_ANSWER = 64 << 20
MAX_UNREAD = 64 << 20
"""Bytes of requests that may wait for a process to read them."""

Done = Callable[[Answer], None]


class Modules:
    """Runs the modules of an engine (`engine.modules.ModuleHost`). Made with the folder of all modules, None to run
    none, and the program that runs those in Python. On the loop's thread only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, folder: Path | None, interpreter: str, request_time: float
    ) -> None:
        self.loop = loop
        self.folder = folder
        self.interpreter = interpreter
        self.request_time = request_time
        self._runners: dict[Module, _Runner] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _runner(self, module: Module) -> _Runner:
        runner = self._runners.get(module)
        if runner is None:
            runner = self._runners[module] = _Runner(self, module)
        return runner

    def status(self, module: Module) -> str:
        return self._runner(module).status

    def file(self, module: Module) -> str | None:
        path = self._runner(module).path
        return str(path) if path is not None and path.is_file() else None

    def counts(self, module: Module) -> tuple[int, int]:
        runner = self._runner(module)
        return len(runner.open), runner.restarts

    def added(self, module: Module) -> None:
        self._runner(module).start()

    def removed(self, module: Module) -> None:
        runner = self._runners.pop(module, None)
        if runner is not None:
            self._later(runner.stop("the module was removed"))

    def renamed(self, module: Module, old: str) -> None:
        if self.folder is not None:
            before, after = self.folder / old, self.folder / module.name
            try:
                if before.is_dir() and not after.exists():
                    before.rename(after)
            except OSError as error:
                log.warning("the folder of the module %s could not be renamed: %s", module.name, error.strerror)
        self.restart(module)

    def configure(self, module: Module) -> None:
        self._runner(module).configure()

    def restart(self, module: Module) -> None:
        runner = self._runner(module)
        runner.restarts = 0
        self._later(runner.again("the module was restarted"))

    def deploy(self, module: Module, data: bytes) -> None:
        path = self._runner(module).path
        if path is None:
            raise OperationError(f"the module {module.name} can't be deployed: {self.status(module)}")
        written = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written.write_bytes(data)
            written.chmod(0o755)
            written.replace(path)
        except OSError as error:
            raise OperationError(f"the file of the module {module.name} can't be written: {error.strerror}") from None
        self.restart(module)

    def send(self, module: Module, data: bytes, done: Done) -> None:
        self._runner(module).send(data, done)

    async def close(self) -> None:
        """Stop all."""
        runners = list(self._runners.values())
        self._runners.clear()
        await asyncio.gather(*(runner.stop("the server stops") for runner in runners), *self._tasks)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Runner:
    """One module: its process, when there is one, and the requests that it has not answered."""

    def __init__(self, modules: Modules, module: Module) -> None:
        self.modules = modules
        self.module = module
        self.status = "module not loaded"
        self.restarts = 0
        self.open: dict[int, tuple[Done, asyncio.TimerHandle | None]] = {}
        self._last_id = 0
        self._wanted = 0  # counts up whenever the process is to be another one
        self._process: asyncio.subprocess.Process | None = None

    @property
    def path(self) -> Path | None:
        """The module's file; None when there can be none."""
        folder = self.modules.folder
        if folder is None or self.module.source.startswith("github.com/"):
            return None
        own = folder / self.module.name
        path = own / self.module.source
        return path if path.resolve().is_relative_to(own.resolve()) else None

    # --- the process ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Have a process, if there is a file for it."""
        self._wanted += 1
        path = self.path
        if self.modules.folder is None:
            self.status = "this server runs no modules: start it with --modules-path"
        elif path is None:
            self.status = "this server installs no repositories: put the module's files into its folder"
        elif not path.is_file():
            self.status = "module not installed"
        else:
            self.status = "module not loaded"
            self.modules._later(self._run(path, self._wanted))

    async def again(self, why: str) -> None:
        """Have another process, unless the module is to be something else when this one has ended."""
        wanted = self._wanted + 1  # `stop` counts it up
        await self.stop(why)
        if self._wanted == wanted and self.module in self.modules._runners:
            self.start()

    async def stop(self, why: str) -> None:
        """End the process; open requests fail."""
        self._wanted += 1
        self.status = "stopping module..."
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), PATIENCE)
            except TimeoutError:
                _kill(process)
                await process.wait()
        self._fail_all(why)
        self.status = "module not loaded"

    async def _run(self, path: Path, wanted: int) -> None:
        """Run the process until it ends, and again if it ends by itself."""
        command = [self.modules.interpreter, str(path)] if path.suffix == ".py" else [str(path)]
        while self._wanted == wanted:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    start_new_session=True,  # a Ctrl-C in the server's terminal is not for it
                )
            except OSError as error:
                self.status = f"the module can't be started: {error.strerror}"
                return
            if self._wanted != wanted:
                _kill(process)
                await process.wait()
                return
            self._process = process
            self.status = "running"
            self.configure()
            why = await self._read(process)
            if process.returncode is None:
                _kill(process)
            code = await process.wait()
            if self._wanted != wanted:
                return
            why = why or f"the process ended with status {code}"
            log.warning("module %s: %s", self.module.name, why)
            self._fail_all(why)
            if self.restarts >= MAX_RESTARTS:
                self.status = f"{why}; restart_module(…) starts it again"
                return
            self.status = f"{why}; it is started again"
            await asyncio.sleep(BACK_OFF * 2**self.restarts)
            self.restarts += 1

    async def _read(self, process: asyncio.subprocess.Process) -> str:
        """Take what the process says, until it ends (an empty text) or breaks the protocol (how)."""
        assert process.stdout is not None
        decoder = Decoder(MAX_ANSWER)
        while data := await process.stdout.read(1 << 16):
            for package_id, kind, body in decoder.feed(data):
                if kind == REFUSED:
                    self.restarts = MAX_RESTARTS  # it would refuse it again
                    return "it refused its configuration"
                if kind != ACCEPTED:
                    self._answered(package_id, kind, bytes(body))
            if decoder.error is not None:
                return f"it broke the protocol: {decoder.error}"
        return ""

    # --- requests ---------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Send the configuration, if there is one and somebody to get it."""
        if self.status == "running" and self.module.conf is not None:
            self._write(package(0, CONFIGURE, self.module.conf))

    def send(self, data: bytes, done: Done) -> None:
        if self.status != "running":
            raise OperationError(f"the module {self.module.name} is not running: {self.status}")
        if len(self.open) >= 65_000:
            raise OperationError(f"the module {self.module.name} has too many open requests")
        self._last_id += 1
        while self._last_id in self.open or not 0 < self._last_id < 65_535:
            self._last_id = self._last_id + 1 if self._last_id < 65_534 else 1
        if not self._write(package(self._last_id, REQUEST, data)):
            raise OperationError(f"the module {self.module.name} does not read its requests")
        timer = None
        if self.modules.request_time:
            late = CancelledError(
                f"the module {self.module.name} did not answer within {self.modules.request_time:g} s"
            )
            timer = self.modules.loop.call_later(self.modules.request_time, self._done, self._last_id, late)
        self.open[self._last_id] = (done, timer)

    def _write(self, data: bytes) -> bool:
        """False when too much waits to be read."""
        assert self._process is not None and self._process.stdin is not None
        transport = self._process.stdin.transport
        if transport.is_closing() or transport.get_write_buffer_size() > MAX_UNREAD:
            return False
        transport.write(data)
        return True

    def _answered(self, package_id: int, kind: int, body: bytes) -> None:
        name = self.module.name
        answer: Answer
        if kind == RESULT:
            answer = body if body else BadDataError(f"the module {name} answered with nothing")
        elif kind == FAILURE:
            answer = _failure(name, body)
        else:
            answer = BadDataError(f"the module {name} answered with a package of type {kind}")
        self._done(package_id, answer)

    def _done(self, package_id: int, answer: Answer) -> None:
        """A request has its answer; nothing happens when it had one before."""
        done, timer = self.open.pop(package_id, (None, None))
        if timer is not None:
            timer.cancel()
        if done is not None:
            done(answer)

    def _fail_all(self, why: str) -> None:
        for package_id in list(self.open):
            self._done(package_id, CancelledError(f"the module {self.module.name} did not answer: {why}"))


def _failure(name: str, body: bytes) -> EngineError:
    try:
        code, message = unpackb(body)
        if type(code) is int and type(message) is str and -127 <= code <= -50:
            return error_for(code, message)
    except Exception:  # whatever the library raises for what is no MessagePack
        pass
    return BadDataError(f"the module {name} failed without saying how: an error is [code, text], the code -127 to -50")


def _kill(process: asyncio.subprocess.Process) -> None:
    """End a process with all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
