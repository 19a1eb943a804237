# Lets customers buy while something breaks, and counts what they saw.
#
# Sourced by faults.sh and fleet-test.sh, after processes.sh. Whoever does has `break_it FAULT`
# and `mend FAULT`, and `confirmed`, which prints the ids of all confirmed orders.
#
# shellcheck shell=bash
# shellcheck disable=SC2154  # `work` and `pids` come from processes.sh

# Every order that a customer was told of, one id a line.
acknowledged=$work/acknowledged

# round ADDRESS SKU FAULT BEGIN LASTS SECONDS: customers buy for so many seconds, and at the
# moment BEGIN it breaks, and is mended LASTS seconds later. Prints a line of a table.
round() {
  local address=$1 sku=$2 fault=$3 begin=$4 lasts=$5 seconds=$6 answer=$work/answer.json
  rm -f "$work/healed"
  python3 scripts/faults_probe.py "http://$address" "$sku" "$seconds" "$work/healed" \
    "$acknowledged" >"$answer" &
  pids[probe]=$!
  sleep "$begin"
  break_it "$fault"
  sleep "$lasts"
  mend "$fault"
  : >"$work/healed"
  wait "${pids[probe]}"
  unset 'pids[probe]'
  jq -e '.bought > 0 and .given_up == 0 and (.refused | length) == 0' "$answer" >/dev/null ||
    fail "$fault: $(cat "$answer")"
  jq -r --arg fault "${fault//-/ }" '"| \($fault) | \(.bought) | \(.later) | \(.longest_gap_seconds) s | \(
    if .back_after_seconds == null then "-" else "\(.back_after_seconds) s" end) |"' "$answer"
}

# The head of the table.
table() {
  echo '| fault | bought | told to repeat | longest gap | back after |'
  echo '|---|---|---|---|---|'
}

# Every order that somebody was told of is there.
none_lost() {
  local lost
  lost=$(comm -23 <(sort "$acknowledged") <(confirmed | sort) | wc -l)
  say "$(wc -l <"$acknowledged") purchases acknowledged, $lost of them lost"
  [ "$lost" = 0 ] || fail 'orders were lost'
}
