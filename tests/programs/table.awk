# A table for SQLite's shell, in CSV: table.csv.
BEGIN { print "id,word,amount" > "table.csv" }
NR % 3 == 0 { printf "%d,%s,%d\n", NR, NR % 5 ? $1 : "\"" $1 ", \"\"" $2 "\"\"\"", NR * 37 % 1000 > "table.csv" }
