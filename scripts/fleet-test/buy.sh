#!/usr/bin/env bash
# Signs somebody up who buys a mug, and prints the id of the trace of that purchase.
#
#   scripts/fleet-test/buy.sh HOST:PORT
set -euo pipefail

url=http://$1/v1
ask() {
  curl -fsS --max-time 30 "$@"
}

token=$(ask "$url/users" -d "{
  \"email\": \"$RANDOM.$EPOCHREALTIME@example.com\",
  \"password\": \"correct horse battery\",
  \"displayName\": \"Ada\"
}" | sed -n 's/.*"sessionToken": *"\([^"]*\)".*/\1/p')
ask "$url/orders" --dump-header - --output /dev/null \
  -H "authorization: Bearer $token" -H "idempotency-key: $(cat /proc/sys/kernel/random/uuid)" \
  -d '{"paymentToken": "tok_ok", "items": [{"sku": "MUG-350ML-BLUE", "quantity": 1}]}' |
  tr -d '\r' | sed -n 's/^trace-id: //p'
