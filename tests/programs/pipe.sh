# A pipeline and a command substitution: what others print goes through the shell, a replay has only its output. pipe.sh FILE
set -eu
echo "$(sort <"$1" | uniq -c | wc -l)"
echo "$(head -n 1 "$1")"
