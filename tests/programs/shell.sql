-- What the shell itself does: files in and out, formats, copies of a database.
.bail on
.import --csv --skip 0 table.csv imported
SELECT count(*), sum(amount), max(word) FROM imported;
.mode csv
.headers on
.output out.csv
SELECT * FROM imported ORDER BY word, id LIMIT 400;
.output stdout
.mode column
SELECT id, word, amount FROM imported LIMIT 5;
.mode box
SELECT word, count(*) AS count FROM imported GROUP BY word ORDER BY count DESC, word LIMIT 4;
.mode json
SELECT id, word FROM imported LIMIT 2;
.mode markdown
SELECT id, amount FROM imported LIMIT 2;
.mode insert copied
SELECT id, word FROM imported LIMIT 2;
.mode quote
SELECT 'it''s', x'00ff', 1.5, NULL;
.mode list
.separator ;
.parameter init
.parameter set :least 900
SELECT count(*) FROM imported WHERE CAST(amount AS INTEGER) > :least;
.tables
.indexes
.schema --indent
CREATE INDEX by_word ON imported (word);
.backup saved.db
DELETE FROM imported;
.restore saved.db
SELECT count(*) FROM imported;
.save again.db
.clone cloned.db
.once dump.sql
.dump
.open :memory:
.read dump.sql
SELECT count(*) FROM imported;
SELECT writefile('blob', randomblob(100000)), length(readfile('blob'));
SELECT lsmode(mode), length(data) FROM fsdir('blob');
.sha3sum
.open saved.db
.stats on
SELECT count(*) FROM imported WHERE word > 'm';
.stats off
.eqp full
SELECT id FROM imported WHERE word = 'zen';
.eqp off
.lint fkey-indexes
.databases
.timer on
SELECT 1;
.timer off
.cd .
.print done
