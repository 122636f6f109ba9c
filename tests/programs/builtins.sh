# What a shell does without a child: loops, functions, patterns, here-documents, files, traps. builtins.sh FILE
set -eu
factorial() { if [ "$1" -le 1 ]; then echo=1; else factorial $(($1 - 1)); echo=$((echo * $1)); fi; }
factorial 15
echo "$echo" $$
i=0 sum=0
while [ $i -lt 20000 ]; do i=$((i + 1)); case $i in *7*) sum=$((sum + i)) ;; esac; done
echo "$sum"
n=0
while IFS=' ' read -r first rest; do
    n=$((n + 1))
    [ $((n % 200)) -ne 0 ] || printf '%5d %-12s|%s\n' $n "$first" "${rest%% *}"
done <"$1"
echo "$n" >count
read -r back <count
echo "${back:-none}" "${#back}" "${HOME##*/}" >>count
while read -r line; do echo "<$line>"; done <count
trap 'echo "signal"' USR1
kill -USR1 $$
trap 'echo "end"' EXIT
set -- c b a
for word in "$@" "$*"; do echo "$word"; done
