-- Full text, R*Tree, JSON, virtual tables.
.headers on
CREATE VIRTUAL TABLE page USING fts5(title, body, tokenize = 'porter unicode61');
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO page SELECT 'page ' || i, CASE i % 4 WHEN 0 THEN 'replicas replaying logs' WHEN 1 THEN 'a log of records' WHEN 2 THEN 'clients connecting' ELSE 'failover, proxies' END || ' ' || hex(i * 7919 % 1009) FROM n;
COMMIT;
SELECT count(*) FROM page WHERE page MATCH 'log';
SELECT title, snippet(page, 1, '[', ']', '...', 4), round(bm25(page), 6) FROM page WHERE page MATCH 'replica* NOT 33' ORDER BY rank, rowid LIMIT 5;
INSERT INTO page(page) VALUES ('optimize');
DELETE FROM page WHERE rowid % 2;
INSERT INTO page(page) VALUES ('integrity-check');
CREATE VIRTUAL TABLE box USING rtree(id, x0, x1, y0, y1);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO box SELECT i, i * 37 % 500, i * 37 % 500 + 3, i * 91 % 700, i * 91 % 700 + 5 FROM n;
SELECT count(*), sum(id) FROM box WHERE x0 > 100 AND x1 < 200 AND y0 > 50 AND y1 < 300;
SELECT rtreecheck('box');
CREATE TABLE document (data TEXT CHECK (json_valid(data)));
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO document SELECT json_object('id', i, 'list', json_array(i, i / 3.0, 'x' || i), 'inner', json('{"a": [true, null]}')) FROM n;
CREATE INDEX document_id ON document (data ->> '$.id');
SELECT data -> '$.list' FROM document WHERE data ->> '$.id' = 77;
SELECT sum(each.value) FROM document, json_each(document.data, '$.list') AS each WHERE each.type = 'integer';
SELECT json_group_array(key) FROM json_tree((SELECT data FROM document LIMIT 1));
SELECT json_patch('{"a": 1, "b": {"c": 2}}', '{"b": {"c": null, "d": 3}}'), json_set('[1, 2]', '$[#]', 3);
SELECT name, sum(payload) FROM dbstat GROUP BY name ORDER BY name;
SELECT value, value % 7 FROM generate_series(5, 50, 15);
SELECT sqrt(2), ln(10), pow(2, 0.5), pi(), soundex('Robert'), unicode('é'), quote(zeroblob(3)), like('A_c', 'abc'), glob('a*', 'abc');
