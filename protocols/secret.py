"""The stored form of a device's broker secret: what mosquitto's password file holds,
`$7$iterations$salt$hash`.

PBKDF2-HMAC-SHA512, 64 bytes, base64. Device secrets are 256-bit random tokens: there is no dictionary to slow
down, so mosquitto's own round count serves, and a hundred log-ins at once cost nothing that counts.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import Final

ITERATIONS: Final = 101
MAX_ITERATIONS: Final = 200_000
"""A stored form that asks for more verifies nothing: a log-in must not stop the broker."""
SALT_BYTES: Final = 12
SECRET_BYTES: Final = 32
STORED_FORM: Final = r"\$7\$[1-9][0-9]{0,5}\$[A-Za-z0-9+/]{8,62}={0,2}\$[A-Za-z0-9+/]{86}=="
_STORED = re.compile(STORED_FORM)


def new_secret() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hash_secret(secret: str, salt: bytes | None = None) -> str:
    """The stored form of `secret`; with a fresh salt unless one is given (6 to 46 bytes)."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    return f"$7${ITERATIONS}${_text(salt)}${_text(_derive(secret, salt, ITERATIONS))}"


def is_stored_form(secret_hash: str) -> bool:
    return _STORED.fullmatch(secret_hash) is not None


def verify_secret(secret: str, secret_hash: str) -> bool:
    """Whether `secret` is the one stored, compared in constant time; what is no stored form verifies
    nothing.
    """
    if not is_stored_form(secret_hash):
        return False
    _, _, rounds, salt, expected = secret_hash.split("$")
    if int(rounds) > MAX_ITERATIONS:
        return False
    try:
        derived = _derive(secret, base64.b64decode(salt, validate=True), int(rounds))
        return hmac.compare_digest(derived, base64.b64decode(expected, validate=True))
    except binascii.Error:
        return False


def _derive(secret: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", secret.encode("utf-8", "surrogatepass"), salt, rounds)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
