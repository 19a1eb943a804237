# Finds the real orders that are replayed.
#
# Sourced by the other scripts, after processes.sh.
#
#   RETAIL_CSV  the "Online Retail" data set as .csv or .csv.xz; without it a
#               small file of the same form is made
#
# shellcheck shell=bash

# retail_data FILE: puts them there, as CSV.
retail_data() {
  local shared=(../shared/data/*.csv.xz)
  local from=${RETAIL_CSV:-${shared[0]}}
  if [ ! -e "$from" ]; then
    say 'no data set here: a small one is made'
    scripts/made-up-retail.sh >"$1"
    return
  fi
  say "data: $(basename "$from")"
  case $from in
    *.xz) xz -dc "$from" >"$1" ;;
    *) cp "$from" "$1" ;;
  esac
}
