"""Buys one thing after the other, and says how long nobody could.

Each buyer repeats a purchase under its own request id until it is answered for good, as
a careful client does. At the end it is counted: purchases that were made, answers that
said "later", the longest time between two answers, and the time from the end of the
fault to the first purchase after it.

  faults_probe.py ADDRESS SKU SECONDS HEALED_FILE ACKNOWLEDGED_FILE

HEALED_FILE comes to be when the fault is over; it is looked for now and then. The
confirmed orders are written to ACKNOWLEDGED_FILE, one id a line.
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

BUYERS = 4
PATIENCE = 90


def call(method, url, body, headers, timeout):
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    for name, value in {"content-type": "application/json", **headers}.items():
        request.add_header(name, value)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


class Buyer(threading.Thread):
    def __init__(self, address, sku, end):
        super().__init__()
        self.address, self.sku, self.end = address, sku, end
        self.bought, self.later, self.refused, self.given_up = [], 0, [], 0
        self.orders = []

    def run(self):
        token = self.sign_up()
        while time.monotonic() < self.end:
            self.buy(token)

    def sign_up(self):
        body = {
            "email": f"{uuid.uuid4().hex}@example.com",
            "password": "correct horse battery",
            "displayName": "Ada",
        }
        return call("POST", f"{self.address}/v1/users", body, {}, 30)["sessionToken"]

    def buy(self, token):
        key = str(uuid.uuid4())
        headers = {"authorization": f"Bearer {token}", "idempotency-key": key}
        body = {"paymentToken": "tok_ok", "items": [{"sku": self.sku, "quantity": 1}]}
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            try:
                order = call("POST", f"{self.address}/v1/orders", body, headers, 10)["order"]
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                if error.code in (408, 409, 429, 499, 500, 502, 503, 504):
                    self.later += 1
                    time.sleep(0.05)
                    continue
                self.refused.append(f"{error.code} {text[:200]}")
                return
            except (OSError, ValueError):
                self.later += 1
                time.sleep(0.05)
                continue
            if order.get("state") == "STATE_CONFIRMED":
                self.bought.append(time.monotonic())
                self.orders.append(order["orderId"])
                return
            # Pending: its saga goes on. The same request tells of its end.
            self.later += 1
            time.sleep(0.1)
        self.given_up += 1


def main():
    address, sku, seconds, healed, acknowledged = sys.argv[1:]
    began = time.monotonic()
    buyers = [Buyer(address, sku, began + float(seconds)) for _ in range(BUYERS)]
    for buyer in buyers:
        buyer.start()
    healed_at = None
    while any(buyer.is_alive() for buyer in buyers):
        if healed_at is None and os.path.exists(healed):
            healed_at = time.monotonic()
        time.sleep(0.02)
    times = sorted(moment for buyer in buyers for moment in buyer.bought)
    gaps = [after - before for before, after in zip([began, *times], times)]
    since = [moment for moment in times if healed_at is not None and healed_at < moment]
    with open(acknowledged, "a") as file:
        for buyer in buyers:
            file.writelines(f"{order}\n" for order in buyer.orders)
    print(
        json.dumps(
            {
                "bought": len(times),
                "later": sum(buyer.later for buyer in buyers),
                "refused": [text for buyer in buyers for text in buyer.refused],
                "given_up": sum(buyer.given_up for buyer in buyers),
                "longest_gap_seconds": round(max(gaps, default=0.0), 2),
                "back_after_seconds": round(since[0] - healed_at, 2) if since else None,
            }
        )
    )


main()
