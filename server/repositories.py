"""Modules from repositories, downloaded from GitHub or a server with the same API into a folder (docs/modules.md).

A repository's `module.json` says which file is run, which others are needed, and which Python packages. All of it comes
into a folder beside the module's own, which takes its place only when everything is there.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine.errors import ValueFailed
from engine.manifest import Manifest, read_manifest
from engine.modules import Repository, system

if TYPE_CHECKING:
    import httpx

__all__ = ["PACKAGES", "InstallError", "Repositories", "installed", "is_download"]

DESCRIPTION = "module.json"
ORIGIN = ".repository"
"""A file in the folder of an installed module that names the repository it came from."""

PACKAGES = ".packages"
"""The folder, in that of a module, of the Python packages that it requires."""

MAX_DESCRIPTION = 1 << 20
MAX_FILE = 128 << 20
MAX_INSTALLED = 256 << 20
"""Bytes of a `module.json`, of a file, and of all files of a module."""

TIMEOUT = 30.0
"""Seconds without a sign of life from the server that is downloaded from."""

PIP_TIME = 600.0
"""Seconds that the installation of Python packages may take."""


class InstallError(Exception):
    """A module can't be installed; the message says why, and names no secret."""


def installed(folder: Path, repository: Repository) -> Manifest | None:
    """What the module in the folder says of itself; None when it is not, or not whole, from this repository. Files
    that somebody put there by hand are taken as they are."""
    try:
        origin = folder / ORIGIN
        if origin.exists() and origin.read_text() != str(repository):
            return None
        manifest = read_manifest((folder / DESCRIPTION).read_bytes())
        return manifest if (folder / manifest.file(system())).is_file() else None
    except (OSError, ValueFailed, UnicodeDecodeError):
        return None


def is_download(folder: Path) -> bool:
    """Did `Repositories.install` make the folder?"""
    return (folder / ORIGIN).is_file()


class Repositories:
    """Where modules are downloaded from: `url` is that of the API. `interpreter` is the Python that modules run with,
    and so the one to install packages for."""

    def __init__(self, url: str, interpreter: str) -> None:
        self.url = url.rstrip("/")
        self.interpreter = interpreter

    async def install(self, repository: Repository, folder: Path) -> None:
        """Have the module in the folder, which is replaced as a whole. InstallError when that can't be: the folder is
        then as it was."""
        beside = folder.with_name(f".{folder.name}.new")
        try:
            await asyncio.to_thread(shutil.rmtree, beside, ignore_errors=True)
            beside.mkdir(parents=True)
            await self._download(repository, beside)
            (beside / ORIGIN).write_text(str(repository))
            await asyncio.to_thread(_take_place, beside, folder)
        except OSError as error:
            raise InstallError(f"the files of the module can't be written: {error.strerror}") from None
        except ValueFailed as error:
            raise InstallError(error.message) from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    async def _download(self, repository: Repository, folder: Path) -> None:
        import httpx  # takes a while, and only those who install need it

        headers = {"accept": "application/vnd.github.raw+json", "user-agent": "livethings"}
        if repository.token is not None:
            headers["authorization"] = f"Bearer {repository.token}"
        async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT, follow_redirects=True) as client:
            description = await self._fetch(client, repository, DESCRIPTION, MAX_DESCRIPTION)
            manifest = read_manifest(description)
            main = manifest.file(system())
            left = MAX_INSTALLED
            for name in dict.fromkeys((main, *manifest.includes)):
                data = await self._fetch(client, repository, name, min(MAX_FILE, left))
                left -= len(data)
                await asyncio.to_thread(_write, folder / name, data, name == main)
        _write(folder / DESCRIPTION, description, False)
        if manifest.requirements:
            await self._require(manifest.requirements, folder / PACKAGES)

    async def _fetch(self, client: httpx.AsyncClient, repository: Repository, name: str, most: int) -> bytes:
        """The bytes of a file of the repository, so many at most."""
        import httpx

        url = f"{self.url}/repos/{repository.owner}/{repository.name}/contents/{quote(name)}"
        parts: list[bytes] = []
        try:
            async with client.stream(
                "GET", url, params=None if repository.tag is None else {"ref": repository.tag}
            ) as reply:
                if reply.status_code != 200:
                    raise InstallError(_refusal(reply.status_code, repository, name))
                async for part in reply.aiter_bytes():
                    most -= len(part)
                    if most < 0:
                        raise InstallError(f"{name} of {repository} is too large")
                    parts.append(part)
        except httpx.HTTPError as error:
            raise InstallError(f"{name} of {repository} can't be downloaded: {error or type(error).__name__}") from None
        return b"".join(parts)

    async def _require(self, requirements: tuple[str, ...], folder: Path) -> None:
        """Install Python packages into a folder of their own."""
        pip = await asyncio.create_subprocess_exec(
            self.interpreter, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
            "--target", str(folder), "--", *requirements,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(pip.communicate(), PIP_TIME)
        except TimeoutError:
            raise InstallError(f"pip took longer than {PIP_TIME:g} s to install {', '.join(requirements)}") from None
        finally:
            if pip.returncode is None:
                pip.kill()
                await pip.wait()
        if pip.returncode:
            lines = [line for line in said.decode(errors="replace").splitlines() if line.startswith("ERROR")]
            why = lines[-1][:300] if lines else f"status {pip.returncode}"
            raise InstallError(f"pip could not install {', '.join(requirements)}: {why}")


def _refusal(status: int, repository: Repository, name: str) -> str:
    if status == 404:
        return f"there is no {name} in {repository}, or the repository is private and needs a token"
    if status in (401, 403, 429):
        return f"{name} of {repository} is refused (status {status}): a token is wrong, or too much was asked"
    return f"{name} of {repository} can't be downloaded: status {status}"


def _write(file: Path, data: bytes, runs: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    if runs:
        file.chmod(0o755)


def _take_place(beside: Path, folder: Path) -> None:
    """Replace the folder by the one beside it."""
    before = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(before, ignore_errors=True)
    if folder.exists():
        folder.rename(before)
    beside.rename(folder)
    shutil.rmtree(before, ignore_errors=True)
