"""Who somebody is: passwords and tokens (spec/admin-and-protocol.md, section 2).

Passwords are kept as scrypt hashes (RFC 7914), which cost 16 MiB and some 50 ms to check, so a check runs off the
loop's thread. A password that was verified is remembered in memory as a digest under a key that this process made up;
until the password changes, the same login costs a microsecond. Tokens are secrets of 132 random bits, kept as SHA-256
digests and found by their digest.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import AuthError

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.users import User

__all__ = ["HashFirst", "Logins", "PasswordCheck", "hash_password", "token_digest", "verify_password"]

_N, _R, _P = 2**14, 8, 1
_SALT_BYTES = 16
_REFUSED = "the user or the password is wrong"


def hash_password(password: str) -> bytes:
    """The hash of a password as it is stored: cost (log2 N, r, p: a byte each), salt, then 32 bytes of scrypt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return bytes((_N.bit_length() - 1, _R, _P)) + salt + _scrypt(password, salt, _N, _R, _P)


def verify_password(password: str, stored: bytes) -> bool:
    """Is it the password with the stored hash? Slow; touches nothing else."""
    n, r, p = 2 ** stored[0], stored[1], stored[2]
    salt, digest = stored[3 : 3 + _SALT_BYTES], stored[3 + _SALT_BYTES :]
    return hmac.compare_digest(_scrypt(password, salt, n, r, p), digest)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    data = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def token_digest(key: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class HashFirst(Exception):
    """A request has not begun: it is going to set these passwords, and its caller can have them hashed in another
    thread. It may be made again once `caller.hashes` has them."""

    def __init__(self, passwords: set[str]) -> None:
        super().__init__()
        self.passwords = passwords

    def __call__(self) -> dict[str, bytes]:
        """Hash them. Slow; touches nothing else."""
        return {password: hash_password(password) for password in self.passwords}


class PasswordCheck:
    """A check of a password that is still to be made: call it, in any thread, then `Logins.done` on the engine's."""

    __slots__ = ("password", "stored", "user")

    def __init__(self, user: User | None, password: str, stored: bytes) -> None:
        self.user = user  # None: there is no such user, or it has no password, which is not to show before the end
        self.password = password
        self.stored = stored

    def __call__(self) -> bool:
        return verify_password(self.password, self.stored)


class Logins:
    """The engine's logins."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._key = secrets.token_bytes(32)
        self._verified: dict[int, tuple[bytes, bytes]] = {}  # user id -> stored hash, digest of the password
        self._under_way: dict[tuple[int, bytes, bytes], PasswordCheck] = {}  # by user id, stored hash, digest
        self._decoy = bytes((_N.bit_length() - 1, _R, _P)) + secrets.token_bytes(_SALT_BYTES + 32)

    def _digest(self, password: str) -> bytes:
        return hashlib.blake2b(password.encode("utf-8", "surrogateescape"), key=self._key, digest_size=32).digest()

    def password(self, name: str, password: str) -> User | Callable[[], bool]:
        """The user, when this login was verified before; else the check to make. Those who come with the same password
        while it is under way get the same one, so that many clients of a user cost one hash."""
        user = self.engine.users.get(name)
        if user is None or user.password is None:
            return PasswordCheck(None, password, self._decoy)
        digest = self._digest(password)
        known = self._verified.get(user.id)
        if known is not None and known[0] == user.password and hmac.compare_digest(known[1], digest):
            return user
        key = user.id, user.password, digest
        check = self._under_way.get(key)
        if check is None:
            check = self._under_way[key] = PasswordCheck(user, password, user.password)
        return check

    def done(self, check: PasswordCheck, verified: bool) -> User:
        """The user of a check that was made; AuthError when the password was wrong, or was changed meanwhile."""
        user, digest = check.user, self._digest(check.password)
        if user is not None:
            self._under_way.pop((user.id, check.stored, digest), None)
        if user is None or not verified or user.deleted or user.password != check.stored:
            raise AuthError(_REFUSED)
        self._verified[user.id] = (check.stored, digest)
        return user

    def token(self, key: str) -> User:
        """The user of a token; AuthError when it is unknown or expired."""
        digest = token_digest(key)
        found = self.engine.tokens.get(digest)
        if found is None:
            raise AuthError("the token is unknown")
        user, token = found
        if token.expires is not None and token.expires <= self.engine.clock():
            raise AuthError("the token has expired")
        return user
