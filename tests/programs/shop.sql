-- A database in a file: tables, indices, one large transaction, queries, a rollback, vacuum.
PRAGMA page_size = 4096;
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born REAL);
CREATE TABLE item (id INTEGER PRIMARY KEY, customer REFERENCES customer, price REAL, note TEXT, data BLOB);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO customer SELECT i, printf('customer %05d', i * 7919 % 2000), julianday('2000-01-01') + i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO item SELECT i, i * 31 % 2000 + 1, i % 1000 / 7.0, hex(randomblob(8)), randomblob(i % 50) FROM n;
COMMIT;
CREATE INDEX item_customer ON item (customer);
CREATE UNIQUE INDEX customer_name ON customer (name);
CREATE VIEW spent AS SELECT customer.name AS name, sum(price) AS total, count(*) AS items FROM item JOIN customer ON item.customer = customer.id GROUP BY customer.id;
EXPLAIN QUERY PLAN SELECT * FROM spent WHERE name = 'customer 00042';
SELECT * FROM spent ORDER BY total DESC, name LIMIT 10;
SELECT note, length(data), customer FROM item WHERE note LIKE 'A%9' ORDER BY note LIMIT 10;
SELECT datetime('now'), random(), total_changes(), sqlite_version();
BEGIN;
DELETE FROM item WHERE id % 3 = 0;
SAVEPOINT half;
UPDATE item SET price = price * 2 WHERE id % 5 = 0;
ROLLBACK TO half;
SELECT count(*), sum(price) FROM item;
ROLLBACK;
SELECT count(*), sum(price), group_concat(customer, '') LIKE '%12%' FROM item;
DELETE FROM item WHERE id > 20000;
INSERT INTO customer VALUES (1, 'again', 0) ON CONFLICT (id) DO UPDATE SET name = 'first';
SELECT name, row_number() OVER (ORDER BY born), lag(name) OVER (ORDER BY id) FROM customer LIMIT 5;
SELECT json_extract('{"a": [1, 2, {"b": 3}]}', '$.a[2].b'), printf('%.15g', 1.0 / 3);
VACUUM;
ANALYZE;
PRAGMA integrity_check;
PRAGMA page_count;
