"""The sqlite3 module: a file, transactions, functions and collations in Python, a backup, an interrupted query."""

import os
import random
import sqlite3
import time

database = sqlite3.connect("orders.db", isolation_level=None)
database.execute("PRAGMA journal_mode = DELETE")
database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, at REAL, customer TEXT, amount REAL, note BLOB)")
database.create_function("reversed", 1, lambda text: text[::-1], deterministic=True)
database.create_collation("by_length", lambda a, b: (len(a) > len(b)) - (len(a) < len(b)))


class Spread:
    def __init__(self):
        self.values = []

    def step(self, value):
        self.values.append(value)

    def finalize(self):
        return max(self.values) - min(self.values)


database.create_aggregate("spread", 1, Spread)
names = ["ada", "barbara", "edsger", "grace", "tony", "leslie"]
database.execute("BEGIN")
database.executemany(
    "INSERT INTO orders (at, customer, amount, note) VALUES (?, ?, ?, ?)",
    ((time.time(), random.choice(names), random.uniform(1, 1000), os.urandom(i % 40)) for i in range(10000)),
)
database.execute("COMMIT")
database.execute("CREATE INDEX by_customer ON orders (customer, amount)")
for row in database.execute(
    "SELECT customer, reversed(customer), count(*), round(sum(amount), 2), spread(amount) FROM orders "
    "GROUP BY customer ORDER BY customer COLLATE by_length, customer"
):
    print(row)

database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE orders SET amount = -amount WHERE id % 7 = 0")
other = sqlite3.connect("orders.db", timeout=0.05)
try:
    other.execute("DELETE FROM orders")
except sqlite3.OperationalError as error:
    print("the other connection:", error)
database.execute("ROLLBACK")
print(database.execute("SELECT count(*), min(amount) > 0 FROM orders").fetchone())

copy = sqlite3.connect(":memory:")
database.backup(copy, pages=20, progress=lambda status, remaining, total: None)
print(copy.execute("SELECT count(*), total(length(note)) FROM orders").fetchone())
steps = 0


def tired():
    global steps
    steps += 1
    return steps > 20


copy.set_progress_handler(tired, 1000)
try:
    copy.execute("SELECT count(*) FROM orders a, orders b WHERE a.amount > b.amount").fetchone()
except sqlite3.OperationalError as error:
    print("interrupted:", error)
print(database.execute("PRAGMA integrity_check").fetchone(), os.path.getsize("orders.db"), sqlite3.sqlite_version)
