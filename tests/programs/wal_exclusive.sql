-- A write-ahead log of one process alone: its index is in the process.
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
CREATE TABLE pair (key TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO pair SELECT hex(i * 37), i FROM n;
COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
SELECT count(*), sum(value), min(key), max(key) FROM pair;
