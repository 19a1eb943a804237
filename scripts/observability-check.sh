#!/usr/bin/env bash
# Checks the rules and dashboards of deploy/observability.
#
#   scripts/observability-check.sh static
#       The files alone: rules with their tests, dashboards, a section of the runbook
#       for each alert.
#
#   scripts/observability-check.sh live JOB=HOST:PORT...
#       Against the admin ports of a shop in which something was bought: a Prometheus of
#       its own scrapes them for some seconds, and then every panel and every recording
#       rule must have a result, and every metric that an alert reads must be there.
#
#   STRICT  if set, a ratio of nothing is no result, as it shows nothing on a panel; for a
#           shop that is bought in while it is looked at
#
# Needs promtool, prometheus (Debian: prometheus), jq and curl.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/processes.sh

root=deploy/observability
# What `$__rate_interval` and `$__range` are in a panel. There is a scrape each second.
window=10s
range=60s
# So many scrapes of each target are waited for, and at most so many seconds.
scrapes=15
patience=90

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null ||
      fail "$tool is missing; Debian has promtool and prometheus in the package prometheus"
  done
}

# Runs a command and shows what it says only if it fails.
quietly() {
  "$@" >"$work/said" 2>&1 || {
    cat "$work/said" >&2
    fail "$* found something wrong"
  }
}

# Every alert has a section of the runbook and is named there and in a test.
alerts() {
  local alert lost=0
  while read -r alert; do
    grep -qx "## $alert" docs/runbook.md || {
      printf 'docs/runbook.md has no section "## %s"\n' "$alert" >&2
      lost=1
    }
    grep -q "runbook_url: docs/runbook.md#${alert,,}\$" $root/prometheus/rules/alerts.yml || {
      printf '%s has no runbook_url docs/runbook.md#%s\n' "$alert" "${alert,,}" >&2
      lost=1
    }
    grep -qw "$alert" $root/prometheus/tests/*.yml || {
      printf 'no test in %s is about %s\n' "$root/prometheus/tests" "$alert" >&2
      lost=1
    }
  done < <(sed -n 's/^ *- alert: //p' $root/prometheus/rules/alerts.yml | sort -u)
  [ $lost = 0 ] || fail 'an alert is not whole'
}

# What Grafana would not complain about, but readers would.
dashboards() {
  local file
  for file in "$root"/grafana/dashboards/*.json; do
    jq -e . "$file" >/dev/null || fail "$file is no JSON"
    jq -r '
      [.panels[] | ., (.panels // [])[] | select(.type != "row")] as $panels
      | (if .schemaVersion < 38 then "schemaVersion is below 38" else empty end),
        (if ($panels | map(.id) | unique | length) < ($panels | length) then "two panels have one id" else empty end),
        ($panels[]
          | .title as $title
          | (if (.description // "") == "" then "\($title): no description" else empty end),
            (if (.fieldConfig.defaults.unit // "") == "" then "\($title): no unit" else empty end),
            (.targets[] | select(.datasource.uid != "${datasource}") | "\($title): its data source is not $datasource"))
    ' "$file" >"$work/said"
    [ ! -s "$work/said" ] || {
      sed "s|^|$file: |" "$work/said" >&2
      fail 'a dashboard is not as it should be'
    }
  done
}

static() {
  need promtool jq
  quietly promtool check config --lint=all --lint-fatal $root/prometheus/prometheus.yml
  quietly promtool check rules --lint=all --lint-fatal $root/prometheus/rules/*.yml
  dashboards
  alerts
  quietly promtool test rules $root/prometheus/tests/*.yml
  echo "$(grep -c '^ *- alert:' $root/prometheus/rules/alerts.yml) alerts," \
    "$(grep -c '^ *- record:' $root/prometheus/rules/recording.yml) recording rules," \
    "$(cat "$root"/prometheus/tests/*.yml | grep -c '^ *- name:') tests," \
    "$(find $root/grafana/dashboards -name '*.json' | wc -l) dashboards: all well"
}

# The settings of a Prometheus that looks at these targets, and soon.
configuration() {
  local pair job
  declare -A targets=()
  for pair in "$@"; do
    job=${pair%%=*}
    targets[$job]=${targets[$job]:-}${targets[$job]:+, }${pair#*=}
  done
  printf 'global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n'
  printf 'rule_files: ["%s"]\n' "$PWD/$root/prometheus/rules/*.yml"
  printf 'scrape_configs:\n'
  for job in "${!targets[@]}"; do
    printf '  - {job_name: %s, static_configs: [{targets: [%s]}]}\n' "$job" "${targets[$job]}"
  done
}

# Starts Prometheus on a free port of its own choice.
start_prometheus() {
  local tries listening='s/.*msg="Listening on" address=\([^ ]*\).*/\1/p'
  : >"$work/prometheus.log"
  prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address=127.0.0.1:0 --enable-feature=exemplar-storage \
    >"$work/prometheus.log" 2>&1 &
  pids[prometheus]=$!
  for tries in {1..300}; do
    address[prometheus]=$(sed -n "$listening" "$work/prometheus.log" | head -n 1)
    if [ -n "${address[prometheus]}" ] &&
      curl -fs --max-time 5 "http://${address[prometheus]}/-/ready" >/dev/null; then
      return
    fi
    kill -0 "${pids[prometheus]}" 2>/dev/null || break
    sleep 0.1
  done
  fail "prometheus is not ready after $((tries / 10)) s"
}

# The answer of Prometheus to an expression.
ask() {
  curl -s --max-time 30 "http://${address[prometheus]}/api/v1/query" --data-urlencode "query=$1" ||
    fail "prometheus does not answer about $1"
}

# Waits until every target was scraped often enough for a rate, and is there.
await_scrapes() {
  local left expression="count(up == 1 and on (job, instance) count_over_time(up[1h]) >= $scrapes)"
  for ((left = patience; 0 < left; left--)); do
    [ "$(ask "$expression" | jq -r '.data.result[0].value[1] // 0')" != $# ] || return 0
    kill -0 "${pids[prometheus]}" 2>/dev/null || fail 'prometheus has ended'
    sleep 1
  done
  curl -s --max-time 5 "http://${address[prometheus]}/api/v1/targets" |
    jq -r '.data.activeTargets[] | select(.health != "up") | "\(.scrapeUrl): \(.lastError)"' >&2
  fail "not every target was scraped $scrapes times in $patience s: are these admin ports, and does /metrics answer?"
}

# Every expression of the dashboards, as lines of where it is, a tab, and the expression.
# What a variable would choose is everything.
panels() {
  local file
  for file in "$root"/grafana/dashboards/*.json; do
    jq -r --arg file "$(basename "$file")" --arg window $window --arg range $range '
      [.templating.list[] | select(.type != "datasource")] as $variables
      | def substitute:
          reduce ($variables | map(.name) | sort_by(-length))[] as $name
            (.; gsub("\\$\\{" + $name + "(:[a-z]+)?\\}|\\$" + $name + "\\b"; ".+"))
          | gsub("\\$__rate_interval|\\$__interval"; $window)
          | gsub("\\$__range"; $range);
        ($variables[] | select(.type == "query")
          | {title: "variable \(.name)",
             expr: (.definition | capture("^label_values\\((?<of>.+), *(?<label>\\w+)\\)$") | "count by (\(.label)) (\(.of))")}),
        (.panels[] | ., (.panels // [])[] | .title as $title | (.targets // [])[] | {title: $title, expr})
      | "\($file), \(.title)\t\(.expr | substitute | gsub("\\s+"; " "))"
    ' "$file"
  done
}

# Every recording rule, alike.
recordings() {
  jq -r '.data.groups[].rules[] | select(.type == "recording")
    | "recording rule \(.name)\(.labels // {} | if . == {} then "" else tostring end)\t\(.query | gsub("\\s+"; " "))"
  ' "$work/rules.json"
}

# Evaluates lines of `panels` or `recordings`; counts, and tells which have no result.
evaluate() {
  local where expr answer
  while IFS=$'\t' read -r where expr; do
    expressions=$((expressions + 1))
    answer=$(ask "$expr")
    case $(jq -r 'if .status != "success" then "error"
                  elif .data.resultType == "vector" and .data.result == [] then "empty"
                  elif .data.resultType == "vector" and all(.data.result[]; .value[1] == "NaN") then "nan"
                  else "result" end' <<<"$answer") in
      result) ;;
      nan)
        undefined=$((undefined + 1))
        [ -z "${STRICT:-}" ] || printf '%s: nothing to divide in\n    %s\n' "$where" "$expr" >&2
        ;;
      empty)
        empty=$((empty + 1))
        printf '%s: no result for\n    %s\n' "$where" "$expr" >&2
        ;;
      *)
        empty=$((empty + 1))
        printf '%s: %s in\n    %s\n' "$where" "$(jq -r '.error // "no answer"' <<<"$answer")" "$expr" >&2
        ;;
    esac
  done
}

# The metrics that alerts read and that are not there. Those of replicas need some.
unknown_metrics() {
  curl -s --max-time 30 "http://${address[prometheus]}/api/v1/label/__name__/values" >"$work/names.json"
  jq -r --slurpfile names "$work/names.json" '
    def metrics:
      gsub("\"[^\"]*\""; "") | gsub("\\{[^}]*\\}"; "") | gsub("\\[[^]]*\\]"; "")
      | gsub("\\b(by|without|on|ignoring|group_left|group_right) *\\([^)]*\\)"; " ")
      | [scan("(?<![\\w:.])[a-zA-Z_:][\\w:]*(?![\\w:]| *\\()")] - ["and", "or", "unless", "bool", "offset", "group_left", "group_right"] | unique;
    .data.groups[].rules[] | select(.type == "alerting") | .name as $alert
    | (.query | metrics)[] | select(test("^trellis_storage_(primary|replica)_") | not)
    | select(. as $metric | $names[0].data | index($metric) | not)
    | "alert \($alert): there is no metric \(.)"
  ' "$work/rules.json" | sort -u
}

live() {
  local pair expressions=0 empty=0 undefined=0 unknown
  need prometheus jq curl
  [ $# -gt 0 ] || fail 'live needs the admin ports of a shop, such as trellis=127.0.0.1:9464'
  for pair in "$@"; do
    [[ $pair =~ ^[a-z]+=[^=,]+:[0-9]+$ ]] || fail "$pair is not JOB=HOST:PORT, such as order=127.0.0.1:9464"
  done
  configuration "$@" >"$work/prometheus.yml"
  start_prometheus
  await_scrapes "$@"
  curl -s --max-time 30 "http://${address[prometheus]}/api/v1/rules" >"$work/rules.json"

  evaluate < <(panels; recordings)
  unknown=$(unknown_metrics)
  [ -z "$unknown" ] || printf '%s\n' "$unknown" >&2
  jq -r '.data.groups[].rules[] | select(.health == "err") | "\(.type) rule \(.name): \(.lastError)"' \
    "$work/rules.json" >"$work/ill"
  cat "$work/ill" >&2
  stop prometheus
  echo "$expressions expressions, $empty empty ($undefined undefined, as is a ratio of nothing)," \
    "$(grep -c . <<<"$unknown" || true) unknown metrics in alerts, $(wc -l <"$work/ill") rules that fail"
  [ "$expressions" -gt 0 ] || fail 'there is no expression: are the dashboards there?'
  [ -z "${STRICT:-}" ] || empty=$((empty + undefined))
  if [ "$empty" != 0 ] || [ -n "$unknown" ] || [ -s "$work/ill" ]; then
    fail 'compare the names with /metrics of the processes. What a healthy shop does not count must yield 0: an expression by "or vector(0)", a counter that an alert reads by being there from the start'
  fi
}

case ${1:-} in
  static | live) "$@" ;;
  *) fail "what is ${1:-nothing}? static, or live JOB=HOST:PORT..." ;;
esac
