"""Every SQL statement of the store, by name. Nothing else builds SQL; the tables are in migrations/.

Parameters are positional. A statement that may give much ends in a LIMIT.
"""

# journal
INSERT_ROW = """
INSERT INTO journal (now_ms, wall_ms, kind, v, about, body, now_peak_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM journal"
LAST_PEAK = "SELECT now_peak_ms FROM journal ORDER BY seq DESC LIMIT 1"
LAST_NOW = """
SELECT max(coalesce((SELECT now_peak_ms FROM journal ORDER BY seq DESC LIMIT 1), 0),
           coalesce((SELECT max(now_ms) FROM snapshot), 0))
"""
ROWS = """
SELECT seq, now_ms, wall_ms, kind, v, about, body FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?
"""
ROWS_ABOUT = """
SELECT seq, now_ms, wall_ms, kind, v, about, body FROM journal
WHERE about = ? AND about <> '' AND seq > ? ORDER BY seq LIMIT ?
"""
ROWS_OF_KIND = """
SELECT seq, now_ms, wall_ms, kind, v, about, body FROM journal WHERE kind = ? ORDER BY seq DESC LIMIT ?
"""

# snapshots
SAVE_SNAPSHOT = "INSERT OR REPLACE INTO snapshot (seq, now_ms, v, body) VALUES (?, ?, ?, ?)"
DROP_SNAPSHOTS = "DELETE FROM snapshot WHERE seq NOT IN (SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?)"
LATEST_SNAPSHOT = "SELECT seq, now_ms, v, body FROM snapshot ORDER BY seq DESC LIMIT 1"

# counters
COUNTER = "SELECT value FROM counter WHERE name = ?"
SET_COUNTER = "INSERT OR REPLACE INTO counter (name, value) VALUES (?, ?)"

# trails
ADD_TRAIL = "INSERT OR REPLACE INTO trail (device, at_ms, lat, lon, accuracy_m) VALUES (?, ?, ?, ?, ?)"
TRAIL = """
SELECT device, at_ms, lat, lon, accuracy_m FROM trail
WHERE device = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms LIMIT ?
"""
DROP_TRAIL = """
DELETE FROM trail WHERE (device, at_ms) IN
    (SELECT device, at_ms FROM trail WHERE at_ms < ? ORDER BY at_ms LIMIT ?)
"""

# malformed messages
KEEP_MALFORMED = "INSERT INTO malformed (at_ms, topic, payload, why) VALUES (?, ?, ?, ?)"
DROP_MALFORMED = "DELETE FROM malformed WHERE id <= (SELECT max(id) FROM malformed) - ?"
MALFORMED = "SELECT at_ms, topic, payload, why FROM malformed ORDER BY id DESC LIMIT ?"

# recordings; the columns are the fields of base.Recording, in their order
ADD_RECORDING = """
INSERT OR REPLACE INTO recording VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
RECORDING = "SELECT * FROM recording WHERE recording = ?"
_SOUGHT = """
SELECT * FROM recording
WHERE LEAD wall_ms >= :from_ms AND wall_ms < :to_ms
    AND :talk_group IN ('', talk_group) AND :talker IN ('', talker)
    AND :incident IN ('', incident) AND :unit IN ('', unit)
    AND (:units IS NULL OR unit IN (SELECT value FROM json_each(:units))
         OR (incident <> '' AND incident IN (SELECT value FROM json_each(:incidents))))
ORDER BY wall_ms DESC, recording DESC LIMIT :limit
"""
RECORDINGS = {
    "": _SOUGHT.replace("LEAD", ""),
    "incident": _SOUGHT.replace("LEAD", "incident <> '' AND incident = :incident AND"),
    "talk_group": _SOUGHT.replace("LEAD", "talk_group = :talk_group AND"),
    "talker": _SOUGHT.replace("LEAD", "talker = :talker AND"),
    "unit": _SOUGHT.replace("LEAD", "unit = :unit AND"),
}
"""By the column that narrows most: each has its index."""
RECORDINGS_DUE = """
SELECT * FROM recording
WHERE removed_ms = 0 AND (incident <> '') = ? AND wall_ms < ? AND (wall_ms, recording) > (?, ?)
ORDER BY wall_ms, recording LIMIT ?
"""
RECORDINGS_BYTES = "SELECT coalesce(sum(bytes), 0) FROM recording WHERE removed_ms = 0"
REMOVE_RECORDING = """
UPDATE recording SET removed_ms = ?, removed_why = ? WHERE recording = ? AND removed_ms = 0
"""

# schema
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
RECORD_VERSION = (
    "INSERT INTO schema_version VALUES ({version}, '{title}');"  # number and title of a file of ours
)
SCHEMA_TABLE = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, title TEXT) STRICT"
SCHEMA_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"

# transactions
BEGIN = "BEGIN IMMEDIATE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

# connections: a WAL that is on disk before COMMIT returns; only the writer moves the WAL into the database
WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA wal_autocheckpoint = 1000",  # pages of 4 KiB
    "PRAGMA journal_size_limit = 67108864",  # bytes; a WAL grown larger is cut back at the next checkpoint
)
READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA wal_autocheckpoint = 0")
