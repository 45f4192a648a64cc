"""Who is asking: bearer token → SHA-256 → operator of the site. Tokens are never kept, logged or shown again.

A token has 256 random bits, so its plain SHA-256 is stored; comparisons take the same time for every token.
Bad tokens are counted per address and answered 429 above a limit; a good token always passes.
"""

import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from pathlib import Path
from time import monotonic
from typing import Final

from dispatchd.core.state import State
from protocols.site import Operator

from .errors import ApiError

TOKEN_BYTES: Final = 32
MAX_TOKEN_CHARS: Final = 200  # longer ones are bad without a look
BAD_PER_MINUTE: Final = 20  # bad tokens of one address; above it 429 until a minute has passed
BAD_ADDRESSES: Final = 1_000  # remembered; the one that was silent longest goes first


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """The stored form: SHA-256 in hex."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read (0600), whole or not at all, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


class BadTokens:
    """How many bad tokens each address has sent within the current minute."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> None:
        """One more; ApiError 429 above the limit."""
        now_s = monotonic()
        since_s, n = self._of.pop(address, (now_s, 0))
        if now_s - since_s >= 60:
            since_s, n = now_s, 0
        self._of[address] = since_s, n + 1
        if len(self._of) > BAD_ADDRESSES:
            self._of.popitem(last=False)
        if n >= BAD_PER_MINUTE:
            raise ApiError(
                429,
                "too-many-bad-tokens",
                "Too many wrong tokens from this address. Wait a minute, then use the right token file.",
                retry_after_s=60,
            )


def find_operator(state: State, token: str) -> Operator | None:
    """The operator with this token. Compares with every operator, whether one matches early or not."""
    given = token_hash(token[:MAX_TOKEN_CHARS])
    found = None
    for operator in state.site.operator.values():
        if operator.token_hash and hmac.compare_digest(operator.token_hash.encode(), given.encode()):
            found = operator
    return found if len(token) <= MAX_TOKEN_CHARS else None


def bearer(header: str) -> str:
    """The token of an Authorization header, "" if it has none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class SignIn:
    """Checks tokens against the committed state."""

    def __init__(self) -> None:
        self._bad = BadTokens()

    def operator(self, state: State, token: str, address: str) -> Operator:
        """ApiError 401 or 429 unless the token is an operator's."""
        found = find_operator(state, token)
        if found is not None:
            return found
        if token:
            self._bad.count(address)
            raise ApiError(
                401,
                "unknown-token",
                "This token is not known here: it is old, was replaced, or belongs to another site. "
                "An admin makes a new one with: dispatchd operator add ID",
            )
        raise ApiError(
            401,
            "not-signed-in",
            "This needs the token of an operator: send 'Authorization: Bearer TOKEN'. "
            "An admin makes one with: dispatchd operator add ID --unit UNIT --role ROLE",
        )
