"""Modules as child processes: started, asked, restarted and stopped (docs/modules.md; the specification's page on
administration and protocol, section 9).

A module's process speaks packages over its standard input and output; what it says on standard error goes to the
server's. Whatever it does hurts only those who ask it: what it sends is bounded, requests have a time limit, one that
breaks the protocol is ended, and one that ends is started again only a few times. One from a repository is downloaded
first (`server.repositories`); what was downloaded is used until it is to be refreshed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from msgpack import unpackb

from engine.errors import BadDataError, CancelledError, EngineError, OperationError, error_for
from engine.manifest import Manifest
from engine.modules import Answer, Module, Repository, system
from server.native import Decoder, package
from server.repositories import PACKAGES, InstallError, Repositories, installed, is_download

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
    none, the program that runs those in Python, and where repositories are downloaded from. On the loop's thread
    only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: Path | None,
        interpreter: str,
        request_time: float,
        repositories: Repositories,
    ) -> None:
        self.loop = loop
        self.folder = folder
        self.interpreter = interpreter
        self.request_time = request_time
        self.repositories = repositories
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

    def manifest(self, module: Module) -> Manifest | None:
        return self._runner(module).manifest

    def counts(self, module: Module) -> tuple[int, int]:
        runner = self._runner(module)
        return len(runner.open), runner.restarts

    def added(self, module: Module) -> None:
        self._runner(module).start()

    def removed(self, module: Module) -> None:
        runner = self._runners.pop(module, None)
        if runner is not None:
            self._later(runner.remove())

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
        runner = self._runner(module)
        if runner.refused:  # this may be what it wants
            self.restart(module)
        else:
            runner.configure()

    def restart(self, module: Module) -> None:
        runner = self._runner(module)
        runner.restarts = 0
        self._later(runner.again("the module was restarted"))

    def refresh(self, module: Module) -> None:
        runner = self._runner(module)
        if runner.repository is None or self.folder is None:
            self.restart(module)
        else:
            runner.restarts = 0
            runner.install()

    def deploy(self, module: Module, data: bytes) -> None:
        runner = self._runner(module)
        if runner.repository is not None:
            raise OperationError(f"the module {module.name} comes from {runner.repository}: use refresh_module(…)")
        path = runner.path
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

    async def settled(self, longest: float) -> None:
        """Wait until each runs, or can't, but so many seconds at most."""
        waiting = [asyncio.ensure_future(runner.settled.wait()) for runner in self._runners.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=longest)
            for wait in late:
                wait.cancel()

    async def close(self) -> None:
        """Stop all."""
        runners = list(self._runners.values())
        self._runners.clear()
        await asyncio.gather(*(runner.stop("the server stops") for runner in runners))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Runner:
    """One module: its process, when there is one, and the requests that it has not answered."""

    def __init__(self, modules: Modules, module: Module) -> None:
        self.modules = modules
        self.module = module
        self.repository = Repository.parse(module.source)
        self.manifest: Manifest | None = None
        """What its repository says of it, once it is installed."""
        self.status = "module not loaded"
        self.settled = asyncio.Event()
        """Set once it runs, or can't."""
        self.restarts = 0
        self.refused = False
        """Whether it does not run because it refused its configuration."""
        self.open: dict[int, tuple[Done, asyncio.TimerHandle | None]] = {}
        self._last_id = 0
        self._wanted = 0  # counts up whenever the process is to be another one
        self._process: asyncio.subprocess.Process | None = None
        self._installing: asyncio.Task[None] | None = None

    @property
    def path(self) -> Path | None:
        """The module's file; None when there can be none."""
        folder = self.modules.folder
        if folder is None:
            return None
        own = folder / self.module.name
        if self.repository is not None:
            return None if self.manifest is None else own / self.manifest.file(system())
        path = own / self.module.source
        return path if path.resolve().is_relative_to(own.resolve()) else None

    # --- installing -------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Download the module's repository, then run what came; until then, what runs goes on."""
        assert self.repository is not None and self.modules.folder is not None
        if self._installing is not None:
            self._installing.cancel()
        self.settled.clear()
        if self.status != "running":
            self.status = "installing module..."
        self._installing = self.modules._later(self._install(self.repository, self.modules.folder / self.module.name))

    async def _install(self, repository: Repository, folder: Path) -> None:
        try:
            await self.modules.repositories.install(repository, folder)
        except InstallError as error:
            self._not_installed(str(error))
        except Exception:  # such as what a library does not declare
            log.exception("module %s could not be installed", self.module.name)
            self._not_installed("see the server's log")
        else:
            log.info("module %s was installed from %s", self.module.name, repository)
            self._installing = None
            await self.again("the module was installed anew")

    def _not_installed(self, why: str) -> None:
        self._installing = None
        log.warning("module %s could not be installed: %s", self.module.name, why)
        if self.status == "running":
            self.settled.set()
        else:
            self._stay(f"the module could not be installed: {why}")

    async def remove(self) -> None:
        """Stop it, and remove what was downloaded."""
        await self.stop("the module was removed")
        if self.repository is not None and self.modules.folder is not None:
            folder = self.modules.folder / self.module.name
            if is_download(folder):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    # --- the process ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Have a process, if there is a file for it."""
        self._wanted += 1
        self.refused = False
        self.settled.clear()
        folder = self.modules.folder
        if folder is None:
            self._stay("this server runs no modules: start it with --modules-path")
            return
        if self.repository is not None:
            self.manifest = installed(folder / self.module.name, self.repository)
            if self.manifest is None:
                self.install()
                return
        path = self.path
        if path is None or not path.is_file():
            self._stay("module not installed")
        else:
            self.status = "module not loaded"
            self.modules._later(self._run(path, self._wanted))

    def _stay(self, status: str) -> None:
        """It does not run, and will not unless somebody does something."""
        self.status = status
        self.settled.set()

    async def again(self, why: str) -> None:
        """Have another process, unless the module is to be something else when this one has ended."""
        wanted = self._wanted + 1  # `stop` counts it up
        await self.stop(why)
        if self._wanted == wanted and self.module in self.modules._runners:
            self.start()

    async def stop(self, why: str) -> None:
        """End the process; open requests fail. What is being installed is given up."""
        self._wanted += 1
        if self._installing is not None:
            self._installing.cancel()
            self._installing = None
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
        environment = self._environment()
        while self._wanted == wanted:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env=environment,
                    start_new_session=True,  # a Ctrl-C in the server's terminal is not for it
                )
            except OSError as error:
                self._stay(f"the module can't be started: {error.strerror}")
                return
            if self._wanted != wanted:
                _kill(process)
                await process.wait()
                return
            self._process = process
            self.status = "running"
            self.configure()
            self.settled.set()
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

    def _environment(self) -> dict[str, str] | None:
        """The server's environment, and where Python finds the packages that the module's repository requires."""
        if self.manifest is None or not self.manifest.requirements or self.modules.folder is None:
            return None
        paths = [str(self.modules.folder / self.module.name / PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    async def _read(self, process: asyncio.subprocess.Process) -> str:
        """Take what the process says, until it ends (an empty text) or breaks the protocol (how)."""
        assert process.stdout is not None
        decoder = Decoder(MAX_ANSWER)
        while data := await process.stdout.read(1 << 16):
            for package_id, kind, body in decoder.feed(data):
                if kind == REFUSED:
                    self.restarts = MAX_RESTARTS  # it would refuse it again
                    self.refused = True
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
