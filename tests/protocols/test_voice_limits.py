"""What docs/wire.md tells makers of devices is what daemon and our own radio do."""

import pytest

from devices.voice import clips, hearing, joining, keyring, participant, route
from dispatchd.voice import datagram, limits, room
from dispatchd.voice import keyring as daemon
from protocols import voice_limits as v

PAIRS = {
    "T100": (v.T100_MS, participant.T100_MS),
    "C100": (v.RELEASES, participant.RELEASES),
    "T101": (v.T101_MS, participant.T101_MS),
    "C101": (v.REQUESTS, participant.REQUESTS),
    "T104": (v.T104_MS, participant.T104_MS),
    "C104": (v.POSITIONS, participant.POSITIONS),
    "join first": (v.JOIN_FIRST_MS, joining.JOIN_FIRST_MS),
    "join max": (v.JOIN_MAX_MS, joining.JOIN_MAX_MS),
    "joins per s": (v.JOINS_PER_S, room.WORDS_PER_S),
    "reset": (v.RESET_WITHIN_MS, joining.RESET_JITTER_MS),
    "former epoch": (v.FORMER_EPOCH_MS, keyring.FORMER_MS),
    "new epoch": (v.NEW_EPOCH_MS, daemon.SWITCH_MS),
    "ping idle": (v.PING_IDLE_MS, route.IDLE_MS),
    "ping doubt": (v.PING_DOUBT_MS, route.SUSPICIOUS_MS),
    "ping away": (v.PING_AWAY_MS, route.AWAY_MS),
    "dark": (v.DARK_MS, route.DARK_MS),
    "back after": (v.BACK_AFTER, route.BACK_AFTER),
    "first frame": (v.FIRST_FRAME_MS, hearing.FIRST_FRAME_MS),
    "next frame": (v.NEXT_FRAME_MS, hearing.NEXT_FRAME_MS),
    "gap": (v.GAP_FRAMES, hearing.GAP_FRAMES),
    "catch-up asks": (v.CATCH_UP_ASKS, hearing.MAX_ASKS),
    "place": (v.PLACE_FORGOTTEN_MS, datagram.SILENT_MS),
    "frames per s": (v.FRAMES_PER_S, limits.FRAMES_PER_S),
    "frames at once": (v.FRAMES_AT_ONCE, limits.FRAMES_AT_ONCE),
    "bad": (v.BAD_IN_A_ROW, limits.BAD_IN_A_ROW),
    "clip first": (v.CLIP_ASK_FIRST_MS, clips.ASK_FIRST_MS),
    "clip max": (v.CLIP_ASK_MAX_MS, clips.ASK_MAX_MS),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_document_says_what_the_code_does(name: str) -> None:
    said, done = PAIRS[name]
    assert said == done


def test_falling_back_fits_its_time() -> None:
    assert v.DARK_MS + 2 * v.PING_DOUBT_MS <= v.FALL_BACK_MS
