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
