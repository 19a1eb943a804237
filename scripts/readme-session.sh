#!/usr/bin/env bash
# Runs the sessions that the README tells people to paste, line by line and in
# order, against a fresh shop: the README cannot promise what does not work.
#
#   scripts/readme-session.sh [ADDRESS]
#
#   ADDRESS  of a shop that runs already, as HOST:PORT; without it, one is started
#
# A session is every block of the README that begins with ```bash session
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/processes.sh

session=$work/session.sh
seen=$work/session.out

# extract ADDRESS: the README names the default port, where something else may answer.
extract() {
  cat <<'BASH'
set -euo pipefail
shopt -s inherit_errexit
# An answer that says no ends the session, as it does with grpcurl.
curl() { command curl --fail-with-body --max-time 30 "$@"; }
grpcurl() { command grpcurl -max-time 30 "$@"; }
set -v
BASH
  awk '/^```bash session$/ { on = 1; next } /^```$/ { on = 0 } on' README.md |
    sed "s/127\.0\.0\.1:8080/$1/g"
}

if [ $# = 0 ]; then
  build
  start shop
fi
extract "${1:-${address[shop]}}" >"$session"
grep -q WatchOrder "$session" || fail 'the README has lost its session with grpcurl'
grep -q Idempotency-Key "$session" || fail 'the README has lost its session with curl'
say 'the sessions of the README'
timeout 120 bash "$session" 2>&1 | tee "$seen"

# Both sessions bought something and watched it, and one gave it back.
[ "$(grep -c STATE_CONFIRMED "$seen")" -ge 3 ] || fail 'an order was not confirmed'
grep -q STATE_REFUNDED "$seen" || fail 'an order was not refunded'
[ $# != 0 ] || stop shop
say 'the sessions of the README work'
