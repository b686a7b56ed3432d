"""A server that answers like the part of GitHub's API that modules are downloaded from."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["Hub"]


class Hub:
    """`files` are the contents by `owner/name/file`, with `@tag` at its end where one was asked for. A private
    repository is in `tokens`, by `owner/name`. `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.tokens: dict[str, str] = {}
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                _, _, owner, name, _, file = unquote(url.path).split("/", 5)
                tag = parse_qs(url.query).get("ref", [""])[0]
                hub.asked.append(f"{owner}/{name}/{file}" + (f"@{tag}" if tag else ""))
                token = hub.tokens.get(f"{owner}/{name}")
                data = hub.files.get(hub.asked[-1])
                wanted = None if token is None else f"Bearer {token}"
                if data is None or self.headers["accept"] != "application/vnd.github.raw+json":
                    self.send_error(404)
                elif self.headers["authorization"] != wanted:
                    self.send_error(404 if wanted and not self.headers["authorization"] else 401)
                else:
                    self.send_response(200)
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
