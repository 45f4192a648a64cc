"""Golden vectors of sealed sound: our sealing and opening against the file, the file against its source."""

import json
import os

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from protocols import sframe, voice, voice_keys
from protocols.errors import ProtocolError
from protocols.sframe import Opener, Sealer
from protocols.voice_keys import KeyPair
from tests.protocols.frames import sealed

if os.environ.get("REWRITE_VECTORS"):
    sealed.FILE.write_text(sealed.text(), encoding="utf-8")
VECTORS = sealed.read()
FRAMES = [one for one in VECTORS if one["kind"] == "frame"]
REFUSED = [one for one in VECTORS if one["kind"] == "refused"]
SEAL_UP_TO = 1_000


def raw(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def opener(vector: dict[str, str]) -> Opener:
    return Opener(int(vector["kid"]), raw(vector["base"]))


def test_the_file_is_what_its_source_makes() -> None:
    assert sealed.FILE.read_text(encoding="utf-8") == sealed.text(), "rewrite it and review the difference"
    assert len(FRAMES) == len(sealed.FRAMES)
    assert {one["kind"] for one in VECTORS} == {"frame", "keys", "refused"}


@pytest.mark.parametrize("vector", FRAMES, ids=lambda vector: vector["name"])
def test_a_frame_opens_to_what_the_file_says(vector: dict[str, str]) -> None:
    plain = opener(vector).open(raw(vector["sealed"]))
    assert plain == raw(vector["plain"])
    gives = json.loads(vector["gives"])
    sound = msgspec.to_builtins(voice.decode(plain), builtin_types=(bytes,))
    flagged = [*gives, 0] if gives[0] == 0 and len(gives) == 5 else gives[:6]
    assert json.loads(sealed._json(sound)) == flagged


@pytest.mark.parametrize("vector", FRAMES, ids=lambda vector: vector["name"])
def test_a_frame_is_derived_and_sealed_as_the_file_says(vector: dict[str, str]) -> None:
    kid, counter, base = int(vector["kid"]), int(vector["ctr"]), raw(vector["base"])
    assert sframe.derive(kid, base) == (raw(vector["key"]), raw(vector["salt"]))
    assert sframe.Headers(kid).of(counter) == raw(vector["header"])
    sealer = Sealer(kid, base)
    for _ in range(counter if counter < SEAL_UP_TO else 0):
        sealer.seal(b"")
    assert (sealer.seal(raw(vector["plain"])) == raw(vector["sealed"])) == (counter < SEAL_UP_TO)


def test_one_window_opens_them_all_once() -> None:
    one_key = [one for one in FRAMES if int(one["kid"]) == sealed.KID and int(one["ctr"]) < SEAL_UP_TO]
    ear = opener(one_key[0])
    for vector in one_key:
        ear.open(raw(vector["sealed"]))
    for vector in one_key:
        with pytest.raises(ProtocolError) as error:
            ear.open(raw(vector["sealed"]))
        assert error.value.code == "sframe-replayed"


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_what_must_not_open(vector: dict[str, str]) -> None:
    with pytest.raises(ProtocolError) as error:
        voice.decode(opener(vector).open(raw(vector["sealed"])))
    assert error.value.code == vector["error"]


def test_voice_keys_open_to_what_the_file_says() -> None:
    (vector,) = (one for one in VECTORS if one["kind"] == "keys")
    pair = KeyPair(ec.derive_private_key(int(vector["private"], 16), ec.SECP256R1()))
    assert pair.public == raw(vector["public"])
    assert pair.agree(raw(vector["daemon-public"])) == raw(vector["shared"])
    bound = voice_keys.context(vector["device"], raw(vector["join-nonce"]))
    assert raw(vector["info"]).endswith(bound)
    plain = voice_keys.open_sealed(pair, raw(vector["daemon-public"]), raw(vector["sealed"]), bound)
    assert plain == raw(vector["plain"])
    inside = msgspec.to_builtins(voice_keys.decode(plain), builtin_types=(bytes,))
    assert json.loads(sealed._json(inside)) == json.loads(vector["gives"])
    for wrong in (b"t-018/" + raw(vector["join-nonce"]), b"t-017/" + bytes(16)):
        with pytest.raises(ProtocolError, match="not sealed"):
            voice_keys.open_sealed(pair, raw(vector["daemon-public"]), raw(vector["sealed"]), wrong)
