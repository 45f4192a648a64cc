"""Who may connect follows the registry: only devices that exist and have a secret, with their talk groups."""

from dispatchd.access import access_of
from dispatchd.core.commands import ApplySite, Done, RemoveEntry, SetSecret
from dispatchd.core.effects import SyncAccess
from dispatchd.core.inputs import OperatorAsked
from dispatchd.core.site_commands import ADMIN
from dispatchd.ledger import Ledger
from dispatchd.store import MemoryStore
from protocols.secret import hash_secret
from tests.engine.site import MAKE_SITE, SITE, STARTED

DAEMON, DEVICE = hash_secret("daemon"), hash_secret("device")


def site_with_secrets(*devices: str) -> Ledger:
    ledger = Ledger(MemoryStore())
    ledger.decide([STARTED, MAKE_SITE], 1, 1)
    for device in devices:
        (decision,) = ledger.decide([OperatorAsked(ADMIN, SetSecret(device, DEVICE))], 2, 2).decisions
        assert isinstance(decision.result, Done)
        assert any(isinstance(effect, SyncAccess) for effect in decision.effects)
    return ledger


def test_only_devices_with_a_secret_are_let_in() -> None:
    ledger = site_with_secrets("radio-1", "pillar-1")
    access = access_of(ledger.core.state, "dispatch/v1", DAEMON)
    assert set(access.devices) == {"radio-1", "pillar-1"}
    assert access.daemon.secret_hash == DAEMON
    assert access.devices["radio-1"].secret_hash == DEVICE


def test_a_member_reads_his_talk_groups_until_they_change() -> None:
    ledger = site_with_secrets("radio-1")
    assert access_of(ledger.core.state, "dispatch/v1", DAEMON).devices["radio-1"].groups == ("all", "station")
    batch = ledger.decide([OperatorAsked(ADMIN, RemoveEntry("talk_group", "all"))], 3, 3)
    assert isinstance(batch.decisions[0].result, Done)
    assert any(isinstance(effect, SyncAccess) for effect in batch.decisions[0].effects)
    assert "all" not in access_of(ledger.core.state, "dispatch/v1", DAEMON).devices["radio-1"].groups


def test_a_removed_device_is_not_let_in_and_its_secret_is_gone() -> None:
    ledger = site_with_secrets("radio-1", "radio-2")
    batch = ledger.decide([OperatorAsked(ADMIN, RemoveEntry("device", "radio-1"))], 4, 4)
    assert any(isinstance(effect, SyncAccess) for effect in batch.decisions[0].effects)
    assert set(access_of(ledger.core.state, "dispatch/v1", DAEMON).devices) == {"radio-2"}
    ledger.decide([OperatorAsked(ADMIN, ApplySite(SITE))], 5, 5)
    assert set(access_of(ledger.core.state, "dispatch/v1", DAEMON).devices) == {"radio-2"}, (
        "back without a secret"
    )
