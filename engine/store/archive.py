"""Archives: a gzipped tar with the copy of a store in it, as backups are. Unpacked, it is a data directory."""

from __future__ import annotations

import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.store.interface import Store, StoreError
from engine.store.sqlite_file import FILE_NAME, sync_directory, sync_file

__all__ = ["check_archive", "unpack_archive", "write_archive"]

_CHUNK = 1 << 20
_DAMAGE = (tarfile.TarError, EOFError, zlib.error)
_REMEDY = "choose a backup that livethings made"


def write_archive(store: Store, path: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Write an archive of a store that may be in use; its last change id.

    Folders that are missing are made. An unfinished archive never has the name, and a finished one is on disk.
    Progress is that of `Store.backup`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup-") as folder:
        copy = Path(folder, FILE_NAME)
        change_id = store.backup(copy, progress)
        packed = Path(folder, "packed")
        with tarfile.open(packed, "w:gz", compresslevel=6) as archive:
            archive.add(copy, arcname=FILE_NAME)
        sync_file(packed)
        packed.replace(path)
        sync_directory(path.parent)
    return change_id


def check_archive(path: Path) -> None:
    """StoreError unless the file is there and begins as an archive of a store does. Quick."""
    with _member(path):
        pass


def unpack_archive(path: Path, folder: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Unpack the store of an archive into a folder. StoreError when the archive is no such thing, or damaged.

    `progress(done, total)` is in bytes of the store.
    """
    with _member(path) as (archive, member):
        source = archive.extractfile(member)
        assert source is not None
        done = 0
        with (folder / FILE_NAME).open("xb") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, member.size)
        if done != member.size:
            raise StoreError(path, "the archive is cut off", _REMEDY)


@contextmanager
def _member(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    try:
        if not path.is_file():  # a pipe would keep us waiting
            raise StoreError(path, "there is no such file", "name the file of a backup")
        with tarfile.open(path, "r:gz") as archive:
            member = archive.next()
            while member is not None and member.isdir():
                member = archive.next()
            if member is None or member.name.removeprefix("./") != FILE_NAME or not member.isfile():
                raise StoreError(path, "the archive holds no store", _REMEDY)
            yield archive, member
    except _DAMAGE as error:
        raise StoreError(path, f"it is no archive, or damaged ({error})", _REMEDY) from None
    except (OSError, ValueError) as error:
        raise StoreError(path, f"it can't be unpacked ({error})", "check the file and its folder") from None
