#!/usr/bin/env bash
# figures.sh FOLDER: the lines `figure: NAME = VALUE UNIT` of the logs below FOLDER, as one table.
set -euo pipefail
shopt -s nullglob
logs=("${1:?folder of the logs}"/*.log)
[ ${#logs[@]} -gt 0 ] || { echo "no logs in $1: run make test first" >&2; exit 1; }
awk '$1 == "figure:" && $3 == "=" {
  file = FILENAME; sub(/.*\//, "", file); sub(/\.log$/, "", file)
  printf "%-40s %14s %-8s %s\n", $2, $4, $5, file
}' "${logs[@]}" | sort
