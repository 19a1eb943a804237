#!/usr/bin/env bash
# A tour of the fleet that `docker compose up` started: somebody buys, the payments break,
# a breaker opens, the order waits, the payments are mended, and the order settles.
#
#   scripts/fleet-demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/processes.sh
. scripts/containers.sh

field() {
  sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# ask COMMAND...: shows what is asked for, and does it. The answer is in `answer`, and how to
# see what became of it in `link`.
ask() {
  printf '\n$ curl %s\n' "${*//$token/TOKEN}"
  curl -sS --max-time 30 --dump-header "$work/head" --output "$work/answer" "$@"
  answer=$(cat "$work/answer")
  link=$jaeger/trace/$(tr -d '\r' <"$work/head" | sed -n 's/^trace-id: //p')
  printf '%s\n' "$answer"
}

buy() {
  ask "http://$shop/v1/orders" -H "authorization: Bearer $token" \
    -H "idempotency-key: $(cat /proc/sys/kernel/random/uuid)" \
    -d '{"paymentToken": "tok_ok", "items": [{"sku": "MUG-350ML-BLUE", "quantity": 1}]}'
  order=$(field orderId <<<"$answer")
}

# breaker: what the order service thinks of the payment service.
breaker() {
  in_service order trellis admin debug/resilience/breakers |
    sed -n '/"order.payment": {/,/}/s/.*"state": "\(.*\)".*/\1/p'
}

token=none
[ -n "$(containers gateway)" ] || fail 'the fleet does not run: docker compose up -d --wait'

say 'Ada signs up, and buys a mug'
ask "http://$shop/v1/users" -d "{\"email\": \"ada.$EPOCHREALTIME@example.com\",
  \"password\": \"correct horse\", \"displayName\": \"Ada\"}" >/dev/null
token=$(field sessionToken <<<"$answer")
buy
well=$link

say 'The payments break: from now on the payment service fails whatever it is asked'
chaos='[{"target": "server", "fault": {"error": "UNAVAILABLE"}, "for_ms": 60000}]'
printf '\n$ docker compose exec payment trellis admin debug/resilience/chaos -X PUT -d %q\n' "$chaos"
in_service payment trellis admin debug/resilience/chaos -X PUT -d "$chaos" >/dev/null

say 'She buys another: after 8 s she is told that the order is kept, and waits for the payment'
buy
waits=$order broken=$link

say 'Others buy, too, until the order service does not ask any more'
for _ in {1..20}; do
  # Open, or half open for a moment, in which one call may try.
  state=$(breaker)
  [ "$state" = closed ] || break
  buy >/dev/null
done
[ "$state" != closed ] || fail 'the breaker has not opened'
printf '\n$ docker compose exec order trellis admin debug/resilience/breakers\n'
echo "order.payment: $state"

say 'The payments are mended'
printf '\n$ docker compose exec payment trellis admin debug/resilience/chaos -X DELETE\n'
in_service payment trellis admin debug/resilience/chaos -X DELETE >/dev/null

say 'The order settles by itself: nobody has to buy again, and nobody pays twice'
settled() {
  ask "http://$shop/v1/orders/$waits" -H "authorization: Bearer $token" >"$work/shown"
  [ "$(field state <<<"$answer")" != STATE_PENDING ]
}
within 60 settled || fail 'the order does not settle'
cat "$work/shown"
echo "order.payment: $(breaker)"

say 'The records of all services agree'
audit

cat <<END

Look at it:

  a purchase that went well      $well
  one whose payment failed       $broken
  who calls whom                 $jaeger/dependencies
  metrics and alerts             $prometheus
END
