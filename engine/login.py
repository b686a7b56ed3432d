"""Who somebody is: passwords and tokens (spec/admin-and-protocol.md, section 2).

Passwords are kept as Argon2id hashes (RFC 9106) of 7 MiB and five passes, the least memory of the parameters that
OWASP's Password Storage Cheat Sheet calls equal: they take some 6 ms of a processor here, half of the others, so that a
thousand users are back within seconds. A check runs off the loop's thread. A password that was verified is remembered
in memory as a digest under a key that this process made up; until the password changes, the same login costs a
microsecond. A hash that was made with other parameters, or as scrypt (RFC 7914), is made anew when its user logs in.
Tokens are secrets of 132 random bits, kept as SHA-256 digests and found by their digest.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from nacl.pwhash import argon2id

from engine.errors import AuthError

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.users import User

__all__ = ["HashFirst", "Logins", "PasswordCheck", "hash_password", "token_digest", "verify_password"]

_PASSES, _MIB = 5, 7
_COST = bytes((0, _PASSES, _MIB))
"""How a stored hash begins: Argon2id, the passes, and the memory in MiB. One of scrypt begins with log2 N, r and p."""

_SALT_BYTES = 16
_REFUSED = "the user or the password is wrong"


def hash_password(password: str) -> bytes:
    """The hash of a password as it is stored: three bytes of cost, salt, then 32 bytes of Argon2id."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return _COST + salt + _digest(password, _COST, salt)


def verify_password(password: str, stored: bytes) -> bool:
    """Is it the password with the stored hash? Slow; touches nothing else."""
    cost, salt, digest = stored[:3], stored[3 : 3 + _SALT_BYTES], stored[3 + _SALT_BYTES :]
    return hmac.compare_digest(_digest(password, cost, salt), digest)


def _digest(password: str, cost: bytes, salt: bytes) -> bytes:
    data = password.encode("utf-8", "surrogateescape")
    if cost[0] == 0:
        digest: bytes = argon2id.kdf(32, data, salt, opslimit=cost[1], memlimit=cost[2] << 20)
        return digest
    n, r, p = 2 ** cost[0], cost[1], cost[2]
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
    """A check of a password that is still to be made: call it, in any thread, then `Logins.done` on the engine's.
    `renewed` is then a hash to store instead, when the password was right and its hash of another cost."""

    __slots__ = ("password", "renewed", "stored", "user")

    def __init__(self, user: User | None, password: str, stored: bytes) -> None:
        self.user = user  # None: there is no such user, or it has no password, which is not to show before the end
        self.password = password
        self.stored = stored
        self.renewed: bytes | None = None

    def __call__(self) -> bool:
        verified = verify_password(self.password, self.stored)
        if verified and self.user is not None and not self.stored.startswith(_COST):
            self.renewed = hash_password(self.password)
        return verified


class Logins:
    """The engine's logins."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._key = secrets.token_bytes(32)
        self._verified: dict[int, tuple[bytes, bytes]] = {}  # user id -> stored hash, digest of the password
        self._under_way: dict[tuple[int, bytes, bytes], PasswordCheck] = {}  # by user id, stored hash, digest
        self._decoy = _COST + secrets.token_bytes(_SALT_BYTES + 32)

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

    def renew(self, check: PasswordCheck) -> User | None:
        """The user whose hash was made anew after a check that was `done`, None when there was no need or no more."""
        user = check.user
        if user is None or check.renewed is None or user.deleted or user.password != check.stored:
            return None
        user.password = check.renewed
        self._verified[user.id] = (check.renewed, self._digest(check.password))
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
