"""What of a terminal's own sound closes its microphone: voices do, brief signals and cut-off words do not."""

from devices.voice.duck import Duck
from devices.voice.handset import BREAK_IN_MS
from devices.voice.overlay import Overlay, signal
from devices.voice.sound import SILENCE, level_dbfs
from protocols.voice import FRAME_MS
from tests.devices.voice.voices import frames_of, tone

LOUD = frames_of(tone(440.0, 0.1))[0]


def test_a_brief_signal_is_heard_and_echoes_nothing() -> None:
    overlay = Overlay()
    overlay.lay(signal("granted"), 100, brief=True)
    piece = overlay.read(0.0)
    assert piece is not None
    assert level_dbfs(piece[0]) > -30
    assert overlay.echo == SILENCE


def test_what_the_agent_plays_echoes() -> None:
    overlay = Overlay()
    overlay.lay(signal("granted"), 100)
    piece = overlay.read(0.0)
    assert piece is not None
    assert overlay.echo == piece[0]


def test_a_microphone_that_breaks_in_is_open_at_once_and_closes_for_the_next_voice() -> None:
    duck = Duck()
    duck.played(LOUD)
    closed = [duck.ducked]
    duck.open(BREAK_IN_MS)
    duck.played(LOUD)
    closed.append(duck.ducked)
    for _ in range(BREAK_IN_MS // FRAME_MS):
        duck.hear(LOUD)
    duck.played(LOUD)
    assert [*closed, duck.ducked] == [True, False, True]
