# What CI runs, by the same names. `just` alone lists them.

_list:
    @just --list --unsorted

# Everything that is quick; the tests and the end-to-end run are apart.
check: fmt proto deny clippy doc

# Says what `cargo fmt --all` would change.
fmt:
    cargo fmt --all --check

# The protos: style, comments, format.
proto:
    buf lint proto
    buf format proto --diff --exit-code

# Licences, banned crates, sources. Needs no network once the crates are fetched.
deny:
    cargo deny --offline check bans licenses sources

# Rules and dashboards of Prometheus and Grafana, with their tests. Takes a minute.
observability:
    scripts/observability-check.sh static

# Every lint, over every target.
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation, private items too: developers read it, so a link to one is sound.
doc:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items

# Every test.
test *arguments:
    cargo test --workspace {{arguments}}

# The tests of services, of events and of the whole shop again, with their records in a real
# Postgres, and those of customers and orders in two databases. The last two packages have no
# records: with them, all is compiled just as for `just test`, and not once more.
test-postgres *arguments:
    TRELLIS_TEST_DATABASE=shards TRELLIS_TEST_SERVERS=require cargo test \
        -p trellis-events -p trellis-inventory -p trellis-order -p trellis-payment \
        -p trellis-recommendation -p trellis-trellis -p trellis-user \
        -p trellis-resilience -p trellis-telemetry {{arguments}}

# Counts reads of replicas that miss what their caller has just written: there are none.
own-reads reads="100000":
    cargo run --release -p trellis-storage --example own_reads -- {{reads}}

# Real orders, the dashboards and an audit, as one process and as a fleet, then the README's session.
e2e:
    scripts/replay-check.sh
    scripts/readme-session.sh

# Starts the fleet of docker-compose.yml, and waits until it is healthy.
up *arguments:
    docker compose up --detach --build --wait {{arguments}}

# Ends it, with all that it has kept.
down:
    docker compose --profile '*' down --volumes

# What the six services log, as it comes.
logs *services:
    docker compose logs --follow --tail 50 {{ if services == "" { "gateway user inventory payment order recommendation" } else { services } }}

# A tour of the running fleet: buy, break the payments, see the order settle.
demo:
    scripts/fleet-demo.sh

# Starts the fleet from nothing, measures, breaks and scales it. Needs hadolint and grpcurl.
fleet-test *stages:
    scripts/fleet-test.sh {{stages}}

# A million events while relays, consumers and the broker are killed.
soak-events events="1000000":
    TRELLIS_TEST_SERVERS=require cargo test --release -p trellis-events --test soak -- campaign {{events}}

# Breaks one engine of a fleet after the other while customers buy, and audits.
faults:
    scripts/faults.sh

# Measures, and prints the tables of BENCHMARKS.md. Takes about half an hour.
bench: bench-shop bench-telemetry bench-postgres bench-events bench-cache bench-resilience

# The shop against bare inserts, on one disk.
bench-shop:
    scripts/bench.sh

# A shop with telemetry against one without.
bench-telemetry:
    scripts/bench-telemetry.sh

# What needs a Postgres server.
bench-postgres:
    scripts/bench-postgres.sh

# A shop with caches against one without, on Postgres and Redis.
bench-cache:
    scripts/bench-cache.sh

# The resilience crate against others, in one run.
bench-resilience:
    scripts/bench-resilience.sh

# The road of events: outbox, relay, JetStream, consumer. Needs Postgres and NATS.
bench-events:
    scripts/bench-events.sh

# The whole shop in one process, in ./trellis-data.
run *arguments:
    cargo run --release -- {{arguments}}
