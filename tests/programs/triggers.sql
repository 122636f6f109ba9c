-- Triggers, foreign keys, generated columns, two databases at once, constraints, recursion.
PRAGMA foreign_keys = ON;
PRAGMA journal_mode = TRUNCATE;
ATTACH 'audit.db' AS audit;
CREATE TABLE audit.entry (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT UNIQUE, balance INTEGER CHECK (balance >= 0), doubled INTEGER GENERATED ALWAYS AS (balance * 2) STORED) STRICT;
CREATE TABLE transfer (source REFERENCES account ON DELETE CASCADE, target REFERENCES account ON DELETE SET NULL, amount INTEGER NOT NULL);
CREATE INDEX by_doubled ON account (doubled) WHERE balance > 100;
CREATE TRIGGER moved AFTER INSERT ON transfer BEGIN
  UPDATE account SET balance = balance - NEW.amount WHERE id = NEW.source;
  UPDATE account SET balance = balance + NEW.amount WHERE id = NEW.target;
END;
CREATE TEMP TRIGGER noted AFTER UPDATE OF balance ON account BEGIN
  INSERT INTO entry (what) VALUES (NEW.id || ': ' || OLD.balance || ' -> ' || NEW.balance);
END;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO account (id, owner, balance) SELECT i, 'owner ' || i, 1000 FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO transfer SELECT i * 7 % 300 + 1, i * 13 % 300 + 1, i % 50 FROM n;
COMMIT;
SELECT sum(balance), max(balance), min(balance), sum(doubled) FROM account;
SELECT count(*), min(what), max(what), count(DISTINCT at) > 0 FROM audit.entry;
INSERT OR IGNORE INTO transfer VALUES (1, 2, -1);
UPDATE OR IGNORE account SET balance = -1 WHERE id = 5;
DELETE FROM account WHERE id % 10 = 0;
SELECT count(*), count(target) FROM transfer;
UPDATE account SET balance = balance + 1 WHERE id < 4 RETURNING id, balance, doubled;
EXPLAIN QUERY PLAN SELECT id FROM account WHERE doubled = 2000 AND balance > 100;
WITH RECURSIVE path(node, depth) AS (SELECT 1, 0 UNION SELECT target, depth + 1 FROM transfer JOIN path ON source = node WHERE depth < 4 AND target IS NOT NULL)
SELECT depth, count(*), min(node), max(node) FROM path GROUP BY depth;
WITH RECURSIVE x(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM x WHERE i < 40), y(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM y WHERE i < 20),
m(n, cx, cy, x, y) AS (SELECT 0, x.i / 13.0 - 2.0, y.i / 10.0 - 1.0, 0.0, 0.0 FROM x, y UNION ALL SELECT n + 1, cx, cy, x * x - y * y + cx, 2 * x * y + cy FROM m WHERE x * x + y * y < 4 AND n < 28),
a(n, cx, cy) AS (SELECT max(n), cx, cy FROM m GROUP BY cx, cy)
SELECT group_concat(substr(' .+*#', 1 + min(n / 7, 4), 1), '') FROM a GROUP BY cy;
SELECT PRINTF('%-10s|%8.3f', owner, balance / 7.0), ntile(4) OVER w, percent_rank() OVER w FROM account WHERE id < 12 WINDOW w AS (ORDER BY balance, id);
PRAGMA foreign_key_check;
PRAGMA audit.integrity_check;
