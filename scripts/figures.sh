# What a benchmark has measured. Sourced by the others, after processes.sh, whose folder
# it keeps its file in.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` comes from processes.sh

# Figures are lines `name value` of a file; what is printed is their median.
note() {
  printf '%s %s\n' "$1" "$2" >>"$work/figures"
  printf '%s %s\n' "$1" "$2" >&2
}

median() {
  awk -v name="$1" '$1 == name { print $2 }' "$work/figures" | sort -g |
    awk -v digits="${2:-0}" '
      { value[NR] = $1 }
      END {
        if (NR == 0) exit 1
        middle = NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2
        printf "%.*f", digits, middle
      }'
}

# The number of a key in a line of JSON.
number() {
  sed -n "s/.*\"$1\":\([0-9.eE+-]*\).*/\1/p"
}
