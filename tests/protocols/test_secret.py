"""The stored form of secrets: made by us, read by mosquitto, and the other way round."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.secret import hash_secret, is_stored_form, new_secret, verify_secret

KNOWN = (
    "$7$101$AAECAwQFBgcICQoL$"
    "oOBTxBpYQW5KKvRXLHuAYp4gcAwqxFmELrwxSMK55NVy/D73PEkxpuloVV4527tuWBE/S5ARo9jHduIax94n1w=="
)


@given(st.text(), st.text())
def test_only_the_secret_itself_verifies(secret: str, other: str) -> None:
    stored = hash_secret(secret)
    assert is_stored_form(stored)
    assert verify_secret(secret, stored)
    assert verify_secret(other, stored) is (other == secret)


def test_a_fresh_salt_every_time_and_the_same_form_for_the_same_salt() -> None:
    assert hash_secret("x") != hash_secret("x")
    assert hash_secret("x", b"123456789012") == hash_secret("x", b"123456789012")
    assert new_secret() != new_secret()


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "x",
        "$6$101$AAAA$BBBB",
        KNOWN[:-3],
        KNOWN + "\n",
        KNOWN.replace("$101$", "$999999$"),
        KNOWN.replace("$101$", "$0$"),
    ],
)
def test_what_is_no_stored_form_verifies_nothing(stored: str) -> None:
    assert not verify_secret("secret", stored)


def test_a_known_form_stays_valid_for_ever() -> None:
    assert hash_secret("a pillar's secret", bytes(range(12))) == KNOWN


@pytest.mark.mosquitto
def test_mosquitto_makes_what_we_verify(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    command = ["mosquitto_passwd", "-b", "-c", str(file), "p-01", "geheim"]
    subprocess.run(command, check=True, capture_output=True)
    stored = file.read_text().strip().removeprefix("p-01:")
    assert verify_secret("geheim", stored)
    assert not verify_secret("Geheim", stored)
