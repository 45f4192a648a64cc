-- The first tables. Rows of the journal are only ever added.

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
CREATE INDEX journal_about ON journal (about) WHERE about <> '';
CREATE INDEX journal_kind ON journal (kind);

CREATE TABLE snapshot (
    seq    INTEGER PRIMARY KEY,     -- the last row that is in it
    now_ms INTEGER NOT NULL,
    v      INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

CREATE TABLE counter (
    name  TEXT    PRIMARY KEY,      -- start, generation
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trail (
    device     TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    lat        REAL    NOT NULL,
    lon        REAL    NOT NULL,
    accuracy_m REAL,
    PRIMARY KEY (device, at_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX trail_age ON trail (at_ms);

CREATE TABLE malformed (
    id      INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    topic   TEXT    NOT NULL,
    payload BLOB    NOT NULL,
    why     TEXT    NOT NULL
) STRICT;
