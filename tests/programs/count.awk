# Fields, associative arrays, regular expressions, printf, getline.
{ for (i = 1; i <= NF; i++) { gsub(/[^a-z]/, "", $i); if ($i != "") count[$i]++ } bytes += length($0) + 1 }
NR % 211 == 0 { print NR ": " toupper(substr($0, 1, 50)) }
/q[a-z]*z/ { matched++ }
END {
    for (word in count) { n++; total += count[word]; if (count[word] > best) { best = count[word]; which = word } }
    printf "%d lines %d bytes %d words %d different %s %d, matched %d\n", NR, bytes, total, n, which, best, matched
    for (i = 0; i < 20000; i++) x += sin(i) * exp(-i / 1000) + int(sqrt(i)) % 7
    printf "%.17g %s\n", x, sprintf("%c%5.2e|%-8s|", 65, x, "left")
    while ((getline line < ARGV[1]) > 0) again++
    close(ARGV[1])
    print again, split("a:b:c", parts, ":"), parts[3], index("ftrun", "run"), match("xyzzy", /z+/), RSTART, RLENGTH
    srand(); print rand() < 1, (n in count)
}
