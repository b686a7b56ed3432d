"""A server as a process, for tests of what it is to those outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.server.fakes import free_ports

__all__ = ["ROOT", "Server"]

ROOT = Path(__file__).parents[1]


class Server:
    """A server process that can be started again where it was: on the same ports, with the same data. As a context
    manager it runs within the block.

    `folder` is for its data and its log; `program` is what Python runs, by default the server's command line; `more`
    are further options of `serve`.
    """

    def __init__(
        self,
        folder: Path,
        program: tuple[str | Path, ...] = ("-m", "server.cli"),
        more: tuple[str | Path, ...] = (),
    ) -> None:
        self.tcp, self.ws, self.http = free_ports(3)
        self.data = folder / "data"
        self._log = folder / "log"
        self._program = program
        self._more = more
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def said(self) -> str:
        """Its log, since it was first started."""
        return self._log.read_text()

    def start(self, **options: Any) -> None:
        """Start it and wait until it is ready; options as those of `Popen`."""
        self.launch(**options)
        assert self.process is not None and self.process.stdout is not None
        assert self.process.stdout.readline(), self.said

    def launch(self, **options: Any) -> None:
        """Start it."""
        assert self.process is None
        with self._log.open("ab") as log:
            arguments: list[str | Path] = [
                sys.executable, *self._program, "serve", "--data-dir", self.data,
                "--tcp-port", str(self.tcp), "--ws-port", str(self.ws), "--http-port", str(self.http), *self._more,
            ]  # fmt: skip
            self.process = subprocess.Popen[bytes](
                arguments,
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if not name.startswith("LIVETHINGS_")},
                stdout=subprocess.PIPE,
                stderr=log,
                **options,
            )

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int | None:
        """End it by a signal, if it is running; its exit status."""
        process, self.process = self.process, None
        if process is None:
            return None
        assert process.stdout is not None
        if process.poll() is None:
            process.send_signal(number)
        status = process.wait()
        process.stdout.close()
        return status
