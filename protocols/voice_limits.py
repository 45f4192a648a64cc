"""The numbers of sound that both ends of the wire must agree on; protocols/limits.py prints them.

What a site may change is a rule (protocols/rules.py); how each end keeps to these is its own affair.
"""

from typing import Final

# --- floor: the participant's timers of TS 24.380 -------------------------------------------------------------
T100_MS: Final = 1_000
"""A `floor-release` without an answer is repeated after that, RELEASES times in all."""
RELEASES: Final = 3
T101_MS: Final = 1_000
"""A `floor-request` without an answer is repeated after that, REQUESTS times in all; then the user presses again."""
REQUESTS: Final = 3
T104_MS: Final = 10_000
"""Who waits in the queue asks for his place after that; POSITIONS unanswered in a row, and he requests anew."""
POSITIONS: Final = 3

# --- keys -----------------------------------------------------------------------------------------------------
JOIN_FIRST_MS: Final = 1_000
JOIN_MAX_MS: Final = 15_000
"""A `voice-join` without keys is repeated at a distance that doubles from the first to the last of these."""
JOINS_PER_S: Final = 2
"""Of one device; the daemon ignores more, and the device asks again."""
RESET_WITHIN_MS: Final = 500
"""After `voice-reset` a device joins at a random moment within this, so that not all ask at once."""
FORMER_EPOCH_MS: Final = 2_000
"""A former key of a talk group opens no longer than this after the new one came."""
NEW_EPOCH_MS: Final = 1_000
"""A new key is used from the next burst on, or after this."""

# --- carriage -------------------------------------------------------------------------------------------------
PING_IDLE_MS: Final = 10_000
"""Keeps a NAT open."""
PING_DOUBT_MS: Final = 250
"""While the device talks, or sound that should be there is missing."""
PING_AWAY_MS: Final = 2_000
"""While it is on MQTT."""
FIRST_FRAME_MS: Final = 300
"""A burst was announced and nothing has come for so long: doubt."""
NEXT_FRAME_MS: Final = 500
"""Frames have stopped for so long: doubt."""
DARK_MS: Final = 1_500
"""No pong for so long while in doubt: the datagram carriage is dark, MQTT takes over."""
FALL_BACK_MS: Final = 2_000
"""From the last datagram to the first frame by MQTT, at most."""
BACK_AFTER: Final = 3
"""Pongs in a row: the datagram carriage is good again."""
PLACE_FORGOTTEN_MS: Final = 30_000
"""The daemon forgets the address of a device it has heard nothing from by datagram for so long."""

# --- sound ----------------------------------------------------------------------------------------------------
FRAMES_PER_S: Final = 60
FRAMES_AT_ONCE: Final = 50
"""Of one talker, sustained and at once; more is dropped and counted."""
BAD_IN_A_ROW: Final = 3
"""Packets without Opus in them; then the floor is revoked, `unreadable`."""
GAP_FRAMES: Final = 15
"""Fewer missing frames are concealed and not asked for."""
CATCH_UP_ASKS: Final = 4
"""Of one burst."""
CLIP_ASK_FIRST_MS: Final = 2_000
CLIP_ASK_MAX_MS: Final = 15_000
"""Missing parts of a clip are asked for again after the first of these, doubling up to the second."""
