-- The index of recordings. A row stays when its file is removed, and says why and when.

CREATE TABLE recording (
    recording   TEXT    PRIMARY KEY,
    talk_group  TEXT    NOT NULL,    -- or another channel: @up/PILLAR, @back/PILLAR
    talker      TEXT    NOT NULL,    -- device, or @ and an operator
    name        TEXT    NOT NULL,    -- of the talker then
    incident    TEXT    NOT NULL,    -- '' = of none
    unit        TEXT    NOT NULL,    -- whose it is: decides who may hear it
    burst       INTEGER NOT NULL,
    wall_ms     INTEGER NOT NULL,    -- of the first frame, UTC
    ms          INTEGER NOT NULL,
    frames      INTEGER NOT NULL,
    lost        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    path        TEXT    NOT NULL,    -- below the folder of recordings
    sha256      TEXT    NOT NULL,
    drill       INTEGER NOT NULL,
    why         TEXT    NOT NULL,    -- '' = whole
    removed_ms  INTEGER NOT NULL,    -- wall time, 0 = the file is there
    removed_why TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX recording_time ON recording (wall_ms, recording);
CREATE INDEX recording_group ON recording (talk_group, wall_ms);
CREATE INDEX recording_talker ON recording (talker, wall_ms);
CREATE INDEX recording_incident ON recording (incident, wall_ms) WHERE incident <> '';
CREATE INDEX recording_unit ON recording (unit, wall_ms);
