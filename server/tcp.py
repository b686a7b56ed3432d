"""A connection that carries native packages over TCP, or over TLS on TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server import native, packages
from server.forms import PACKAGE, farewell
from server.session import Session

if TYPE_CHECKING:
    from server.core import Core

__all__ = ["TcpConnection"]


class TcpConnection(Session):
    """Bytes to packages, packages to `packages.serve`."""

    __slots__ = ("_decoder",)
    kind = "tcp"

    def __init__(self, core: Core) -> None:
        super().__init__(core, PACKAGE, packages.serve, native.package)
        self._decoder = native.Decoder(core.config.max_package, core.config.max_package_before_login)

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        self.heard = True
        self.core.received += len(data)
        decoder = self._decoder
        requests = decoder.feed(data)
        if requests:
            self.receive(requests)
        if decoder.error is not None:
            self.hang_up(str(decoder.error))

    def on_login(self) -> None:
        self._decoder.max_waiting = self.core.config.max_package + native.HEADER_SIZE

    def goodbye(self, reason: str, code: int, told: bool = False) -> bytes:
        return b"" if told else farewell(self.form, reason)
