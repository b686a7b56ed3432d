"""The pages that the WebSocket's port serves to browsers: the files of one folder, and nothing else."""

from __future__ import annotations

import email.utils
import logging
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

__all__ = ["Pages", "pages_folder"]

log = logging.getLogger("livethings.server")

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",  # declarations, for whoever has only the server
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""The MIME types of the files that are served. Others are not."""

MAX_FILE = 8 << 20


def pages_folder() -> Path:
    """Where the pages are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "js-demo"
    return inside if inside.is_dir() else package.parent / "js-demo"


class Pages:
    """The files of `folder`. They are read anew for each request, so that editing one needs no restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def respond(self, request: Request) -> Response:
        """The answer to a plain HTTP request."""
        if request.method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n", {"Allow": "GET, HEAD"})
        file = self._file(request.path)
        content = None if file is None else _read(file)
        if file is None or content is None:
            return _response(HTTPStatus.NOT_FOUND, b"there is no such page\n")
        tag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
        # The browser may keep a file, and asks each time whether it is still the same.
        headers = {"Cache-Control": "no-cache", "ETag": tag, "Content-Type": TYPES[file.suffix]}
        asked = ",".join(request.headers.get_all("If-None-Match"))
        if tag in (part.strip().removeprefix("W/") for part in asked.split(",")):
            return _response(HTTPStatus.NOT_MODIFIED, b"", headers)
        response = _response(HTTPStatus.OK, content, headers)
        if request.method == "HEAD":
            response.body = b""
        return response

    def _file(self, target: str) -> Path | None:
        """The file that a request target names, None when it is none of ours."""
        try:
            path = unquote(urlsplit(target).path, errors="strict")
        except ValueError:
            return None
        parts = path.split("/")[1:]
        # Neither up, nor hidden, nor to anything that another system might take for a separator or a drive.
        if not path.startswith("/") or any(part.startswith(".") or set(part) & {"\\", ":", "\0"} for part in parts):
            return None
        if parts[-1] == "":
            parts[-1] = "index.html"
        file = self._folder.joinpath(*parts)
        if file.suffix not in TYPES:
            return None
        try:
            file = file.resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return file if file.is_relative_to(self._folder) and file.is_file() else None


def _read(file: Path) -> bytes | None:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
    except OSError as error:
        log.warning("%s can't be read: %s", file, error.strerror)
        return None
    if len(content) > MAX_FILE:
        log.warning("%s is larger than %d bytes and not served", file, MAX_FILE)
        return None
    return content


def _response(status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> Response:
    fields = {
        "Date": email.utils.formatdate(usegmt=True),
        "Connection": "close",
        "Content-Type": "text/plain; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    }
    if status is not HTTPStatus.NOT_MODIFIED:
        fields["Content-Length"] = str(len(body))
    return Response(status.value, status.phrase, Headers(fields | (headers or {})), body)
