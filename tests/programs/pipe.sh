# A pipeline and a command substitution. pipe.sh FILE
set -eu
sort <"$1" | uniq -c | wc -l
echo "$(head -n 1 "$1")"
