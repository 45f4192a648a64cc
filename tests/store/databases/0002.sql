BEGIN TRANSACTION;
CREATE TABLE counter (
    name  TEXT    PRIMARY KEY,      -- start, generation
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "counter" VALUES('generation',3);
INSERT INTO "counter" VALUES('start',5);
CREATE TABLE journal (
    seq         INTEGER PRIMARY KEY,
    now_ms      INTEGER NOT NULL,
    wall_ms     INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    v           INTEGER NOT NULL,
    about       TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    now_peak_ms INTEGER NOT NULL    -- highest now_ms of this and all earlier rows
) STRICT;
INSERT INTO "journal" VALUES(1,1000,1790000001000,'device_enrolled',1,'pillar-03',X'81A26964A970696C6C61722D3033',1000);
INSERT INTO "journal" VALUES(2,61000,1790000061000,'alarm_raised',1,'i-1',X'80',61000);
INSERT INTO "journal" VALUES(3,60500,1790000060500,'owner_named',2,'i-1',X'E580BCE78FAD204F2748617261',61000);
CREATE TABLE malformed (
    id      INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    topic   TEXT    NOT NULL,
    payload BLOB    NOT NULL,
    why     TEXT    NOT NULL
) STRICT;
INSERT INTO "malformed" VALUES(1,1790000000001,'d/x/up/alarm',X'C1','no map');
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
INSERT INTO "recording" VALUES('r5-1','tg-1','t-007','巡逻一组','i-1','north',1,1790000000000,1500,75,2,4321,'2026-09-21/r5-1.opus','abababababababababababababababababababababababababababababababab',1,'disk full',0,'');
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, title TEXT) STRICT;
INSERT INTO "schema_version" VALUES(1,'journal');
INSERT INTO "schema_version" VALUES(2,'recordings');
CREATE TABLE snapshot (
    seq    INTEGER PRIMARY KEY,     -- the last row that is in it
    now_ms INTEGER NOT NULL,
    v      INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;
INSERT INTO "snapshot" VALUES(1,1000,1,X'6F6C64');
INSERT INTO "snapshot" VALUES(2,61000,1,X'00FF');
CREATE TABLE trail (
    device     TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    lat        REAL    NOT NULL,
    lon        REAL    NOT NULL,
    accuracy_m REAL,
    PRIMARY KEY (device, at_ms)
) STRICT, WITHOUT ROWID;
INSERT INTO "trail" VALUES('t-007',1790000000000,26.9,112.61,4.5);
INSERT INTO "trail" VALUES('t-007',1790000005000,26.95,112.6,NULL);
CREATE INDEX journal_about ON journal (about) WHERE about <> '';
CREATE INDEX journal_kind ON journal (kind);
CREATE INDEX trail_age ON trail (at_ms);
CREATE INDEX recording_time ON recording (wall_ms, recording);
CREATE INDEX recording_group ON recording (talk_group, wall_ms);
CREATE INDEX recording_talker ON recording (talker, wall_ms);
CREATE INDEX recording_incident ON recording (incident, wall_ms) WHERE incident <> '';
CREATE INDEX recording_unit ON recording (unit, wall_ms);
COMMIT;
