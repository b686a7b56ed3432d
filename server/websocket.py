"""A WebSocket connection: JSON-RPC in text messages, or native packages in binary ones, one a message.

The protocol itself is `websockets`' sans-I/O state machine; this is its socket side. A request that is no handshake
gets a page (`server.pages`) and the connection is closed. Source: RFC 6455, and the specification's page on
administration and protocol, section 6, which says what bad input gets.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import BINARY, CLOSE, CONT, PING, TEXT, Close, CloseCode, Frame
from websockets.headers import parse_subprotocol, parse_upgrade
from websockets.http11 import Request
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from server import calls, native, packages, rpc
from server.connection import INVALID_TEXT, POLICY, UNSUPPORTED
from server.forms import BINARY_FRAME, JSON_RPC, binary_frame, farewell
from server.session import Session

if TYPE_CHECKING:
    from server.core import Core
    from server.pages import Pages

__all__ = ["SUBPROTOCOL", "Messages", "WebSocketConnection"]

SUBPROTOCOL = Subprotocol("thingsdb-protocol")
"""A client need not offer subprotocols; when it does, this one must be among them."""

_PING_FRAME = Frame(PING, b"").serialize(mask=False)


# --- the protocol ----------------------------------------------------------------------------------------------------


class _Frames(Protocol):
    """The frames of an open connection, with our answer to bad ones.

    Unmasked frames are accepted. One that breaks the protocol ends the connection without a close frame; one that is
    too large, or text that is no UTF-8, with one.
    """

    def parse(self) -> Generator[None]:
        reader = self.reader
        try:
            while True:
                while len(reader.buffer) < 2:
                    if (yield from reader.at_eof()):
                        raise EOFError("the stream ended without a close frame")
                    if len(reader.buffer) < 2:
                        yield
                limit = self.max_message_size
                if limit is not None and self.current_size is not None:
                    limit -= self.current_size
                masked = reader.buffer[1] >= 0x80
                self.recv_frame((yield from Frame.parse(reader.read_exact, mask=masked, max_size=limit)))
        except PayloadTooBig as error:
            self._end(error, CloseCode.MESSAGE_TOO_BIG, f"a message may have at most {self.max_message_size} bytes")
        except (ProtocolError, EOFError, UnicodeDecodeError) as error:
            self._end(error, CloseCode.ABNORMAL_CLOSURE, str(error))
        yield

    def _end(self, error: Exception, code: CloseCode, reason: str) -> None:
        self.parser_exc = error
        self.fail(code, reason)


class Messages(ServerProtocol, _Frames):
    """A handshake by `ServerProtocol`, then frames by `_Frames`: `super().parse()` in the former is the latter's."""

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size=max_size)

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None


def _wants_upgrade(request: Request) -> bool:
    try:
        return any(name.lower() == "websocket" for value in request.headers.get_all("Upgrade")
                   for name in parse_upgrade(value))  # fmt: skip
    except ValueError:
        return False


def _offered(request: Request) -> list[Subprotocol]:
    offered: list[Subprotocol] = []
    for value in request.headers.get_all("Sec-WebSocket-Protocol"):
        offered += parse_subprotocol(value)
    return offered


def _package(package_id: int, kind: int, data: bytes = b"") -> bytes:
    return binary_frame(native.package(package_id, kind, data))


# --- the connection --------------------------------------------------------------------------------------------------


class WebSocketConnection(Session):
    """Bytes to messages, messages to packages or calls."""

    __slots__ = ("_asked", "_opcode", "_pages", "_parts", "_protocol")
    kind = "websocket"

    def __init__(self, core: Core, pages: Pages) -> None:
        super().__init__(core, JSON_RPC, calls.serve, _package)
        self._pages = pages
        self._protocol = Messages(core.config.max_package_before_login)
        self._opcode: Any = None  # of the first message: what this connection speaks
        self._parts: list[Any] = []  # of a message that is not complete yet
        self._asked = False  # whether a sign of life was asked for since the last one

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        self.heard = True
        self.core.received += len(data)
        protocol = self._protocol
        protocol.receive_data(data)
        requests: list[Any] = []
        for event in protocol.events_received():
            if isinstance(event, Frame):
                if not self._take(event, requests):
                    break
            elif isinstance(event, Request) and not self._handshake(event):
                return
        if requests:
            self.receive(requests)
        if protocol.writes:
            self._write(protocol.data_to_send())

    # --- in ---------------------------------------------------------------------------------------------------------

    def _handshake(self, request: Request) -> bool:
        """Answer the HTTP request. False when that was all."""
        protocol = self._protocol
        if not _wants_upgrade(request):
            protocol.send_response(self._pages.respond(request))
            self._write(protocol.data_to_send())
            return False
        try:
            offered = _offered(request)
        except ValueError:
            offered = []  # `accept` says what is wrong with the header
        if offered and SUBPROTOCOL not in offered:
            self.hang_up(f"the client offers no subprotocol but {', '.join(offered)[:200]}")
            return False
        protocol.send_response(protocol.accept(request))
        if protocol.state is not OPEN:
            self._write(protocol.data_to_send())
            return False
        self.core.look_after(self)
        return True

    def _take(self, frame: Frame, requests: list[Any]) -> bool:
        """Put what the frame completes to the requests. False when the connection has ended."""
        opcode = frame.opcode
        if opcode is TEXT or opcode is BINARY:
            if opcode is not self._opcode and not self._decide(opcode):
                return False
            if frame.fin:
                return self._message(frame.data, requests)
            self._parts = [frame.data]
        elif opcode is CONT:
            self._parts.append(frame.data)
            if frame.fin:
                message, self._parts = b"".join(self._parts), []
                return self._message(message, requests)
        return True  # the protocol itself answers pings and closes

    def _decide(self, opcode: Any) -> bool:
        """The first message decides what the connection speaks."""
        if self._opcode is not None:
            self.disconnect("this connection speaks the other kind of message, text or binary", UNSUPPORTED)
            return False
        self._opcode = opcode
        if opcode is BINARY:
            self.form = BINARY_FRAME
            self.speak = packages.serve
        return True

    def _message(self, message: Any, requests: list[Any]) -> bool:
        if self._opcode is BINARY:
            try:
                requests.append(native.alone(message))
            except native.PackageError as error:
                if requests:
                    self.receive(requests)
                    requests.clear()
                self.hang_up(str(error))
                return False
            return True
        try:
            text = str(message, "utf-8")
        except UnicodeDecodeError:
            self.disconnect("a text message is no UTF-8", INVALID_TEXT)
            return False
        requests += rpc.parse(text)
        return True

    def on_login(self) -> None:
        self._protocol.max_message_size = self.core.config.max_package + native.HEADER_SIZE

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # The parser is a generator that holds the protocol that holds it, and nothing collects cycles.
        self._protocol.parser.close()
        self._protocol.parser_exc = self._protocol.handshake_exc = None

    def eof_received(self) -> None:
        """Without a close frame the peer is simply gone."""

    # --- out --------------------------------------------------------------------------------------------------------

    def _write(self, chunks: list[bytes]) -> None:
        """Send what the protocol has to say; an empty chunk is the end."""
        if self.closed:
            return
        frames = b"".join(chunks)
        if b"" not in chunks:
            self.out.append(frames)
            self.core.outbox.touch(self)
            return
        error = self._protocol.parser_exc
        if error is not None and self._protocol.close_sent is None:
            self.hang_up(str(error))
        else:
            self.finish(frames)

    def goodbye(self, reason: str, code: int = POLICY, told: bool = False) -> bytes:
        if self._protocol.state is not OPEN:
            return b""
        # A close frame's reason has at most 123 bytes.
        close = Frame(CLOSE, Close(code, reason.encode()[:120].decode(errors="ignore")).serialize())
        last = farewell(self.form, reason) if self._opcode is BINARY and not told else b""
        return last + close.serialize(mask=False)

    def look(self) -> None:
        if self.blocked:  # nothing is read meanwhile, so there are no signs of life
            return
        if self.heard:
            self.heard = self._asked = False
        elif self._asked:
            self.hang_up("no sign of life")
        else:
            self._asked = True
            self.out.append(_PING_FRAME)
            self.core.outbox.touch(self)
