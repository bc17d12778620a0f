#!/usr/bin/env python3
"""Writes the Grafana dashboards, `dashboards/*.json`, from the tables below. With --check it changes no file, and fails when
a dashboard is stale.

`$F` in an expression stands for the label filter of the dashboard's variables. A panel with `rare=True` may have no data:
its series exist only after the event. tests/observability runs every expression of the others, and expects data."""

import json
import pathlib
import sys

DIRECTORY = pathlib.Path(__file__).parent / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SQL_DATASOURCE = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
FILTER = 'namespace=~"$namespace"'
R = "$__rate_interval"
GREEN, YELLOW, RED = "green", "yellow", "red"
OURS = "SERVICE_UNAVAILABLE|INTERNAL_ERROR|PROVIDER_MISCONFIGURED|PROVIDER_RATE_LIMITED"


def expand(expr):
    return " ".join(expr.replace("$F", FILTER).replace("$R", R).split())


def quantile(q, metric, by="", more=""):
    """The quantile of a histogram over all replicas."""
    labels = ", ".join(filter(None, ["$F", more]))
    group = ", ".join(filter(None, ["le", by]))
    return f"histogram_quantile({q}, sum by ({group}) (rate({metric}_bucket{{{labels}}}[$R])))"


class Panel:
    def __init__(self, kind, title, description, targets, unit="short", w=8, h=8, rare=False, **options):
        self.kind, self.title, self.description, self.unit = kind, title, description, unit
        self.targets = [t if isinstance(t, tuple) else (t, "") for t in ([targets] if isinstance(targets, (str, tuple)) else targets)]
        self.w, self.h, self.rare, self.options = w, h, rare, options

    def json(self, number, x, y):
        options = self.options
        defaults = {"unit": self.unit, "mappings": options.get("mappings", [])}
        steps = [{"color": GREEN, "value": None}] + [{"color": c, "value": v} for v, c in options.get("thresholds", [])]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        panel = {
            "id": number, "type": self.kind, "title": self.title, "description": self.description,
            "datasource": SQL_DATASOURCE if options.get("sql") else DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.w, "h": self.h},
            "fieldConfig": {"defaults": defaults, "overrides": []},
        }
        if self.kind == "timeseries":
            defaults["min"] = 0
            defaults["custom"] = {
                "lineWidth": 1, "fillOpacity": 30 if options.get("stack") else 10, "showPoints": "never",
                "spanNulls": False, "stacking": {"mode": "normal" if options.get("stack") else "none", "group": "A"},
                "drawStyle": "line", "thresholdsStyle": {"mode": "dashed" if options.get("thresholds") else "off"},
            }
            if options.get("thresholds"):
                defaults["thresholds"]["steps"][0]["color"] = "transparent"
            panel["options"] = {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        elif self.kind == "stat":
            panel["options"] = {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "orientation": "auto",
                "textMode": "auto", "colorMode": options.get("color", "background"), "graphMode": "none", "justifyMode": "auto",
            }
        elif self.kind == "bargauge":
            panel["options"] = {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "orientation": "horizontal",
                "displayMode": "basic", "showUnfilled": True, "valueMode": "color", "minVizWidth": 0, "minVizHeight": 10,
            }
            defaults["min"] = 0
        elif self.kind == "table":
            panel["options"] = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}}
            hidden = options.get("hide", ["Time", "__name__"])
            panel["transformations"] = [] if options.get("sql") else [
                {"id": "organize", "options": {"excludeByName": {name: True for name in hidden}, "renameByName": options.get("rename", {})}}
            ]
        panel["targets"] = []
        for index, (expr, legend) in enumerate(self.targets):
            target = {"refId": chr(65 + index), "datasource": panel["datasource"]}
            if options.get("sql"):
                target |= {"rawSql": " ".join(expr.split()), "rawQuery": True, "editorMode": "code",
                           "format": "time_series" if self.kind == "timeseries" else "table"}
            else:
                is_instant = self.kind in ("stat", "table", "bargauge")
                target |= {"expr": expand(expr), "legendFormat": legend or "__auto", "editorMode": "code",
                           "range": not is_instant, "instant": is_instant}
                if self.kind == "table":
                    target["format"] = "table"
            panel["targets"].append(target)
        return panel


def series(title, description, targets, unit="short", **options):
    return Panel("timeseries", title, description, targets, unit, **options)


def stat(title, description, targets, unit="short", w=4, h=4, **options):
    return Panel("stat", title, description, targets, unit, w, h, **options)


def values(**texts):
    """Shows values as texts: values(v0=("real", GREEN), v1=("simulated", RED))."""
    return [{"type": "value", "options": {key[1:]: {"text": text, "color": color, "index": i}}}
            for i, (key, (text, color)) in enumerate(texts.items())]


OVERVIEW = [
    "What happens now",
    stat("Carriers", "Whether messages reach people. Simulated carriers accept everything and deliver nothing.",
         "max(bd_simulated{$F})", mappings=values(v0=("real", GREEN), v1=("SIMULATED", RED)), thresholds=[(1, RED)]),
    stat("Alerts", "Firing alerts that justify waking a person.",
         'count(ALERTS{$F, alertstate="firing", severity="critical"}) or vector(0)', thresholds=[(1, RED)]),
    stat("Backends", "The number of backends that at least one replica does not reach.",
         "count(min by (backend) (bd_backend_up{$F}) < 1) or vector(0)", thresholds=[(1, RED)]),
    stat("Releases", "The number of releases that run side by side: more than one during an upgrade.",
         "count(count by (version, revision) (bd_build_info{$F}))", thresholds=[(2, YELLOW)]),
    stat("Calls now", "Calls with a person on the line.", "sum(bd_calls_active{$F})", color="value"),
    stat("Dead letters", "Webhook events that wait for an operator's decision.", 'max(bd_backlog{$F, kind="dead_letters"})',
         thresholds=[(1, YELLOW)]),
    Panel("bargauge", "Replicas", "Replicas that Prometheus can read, by role.",
          ('sum by (job) (up{$F, job=~"gateway|console|webhook-ingest|voice-relay|dispatcher"})', "{{job}}"), w=8, h=6,
          thresholds=[]),
    Panel("table", "Objectives", "The share of bad events of each objective in the last hour. docs/OPERATIONS.md lists what each allows.",
          "bd:slo_errors:ratio_rate1h{$F}", "percentunit", w=8, h=6, hide=["Time", "__name__", "namespace"],
          rename={"slo": "objective", "Value": "bad, 1 hour"}),
    Panel("table", "Firing alerts", "All firing alerts of this installation.", 'ALERTS{$F, alertstate="firing"}', w=8, h=6, rare=True,
          hide=["Time", "__name__", "Value", "alertstate", "namespace"]),
    "Traffic",
    series("Sends", "Sends per second by result. Results in capitals are error codes.",
           ("sum by (result) (rate(bd_sends_total{$F}[$R]))", "{{result}}"), "reqps", stack=True),
    series("Webhooks", "Webhooks of carriers per second by status.",
           ('sum by (status) (rate(bd_http_request_seconds_count{$F, route=~"/webhooks/.*"}[$R]))', "{{status}}"), "reqps", stack=True),
    series("Deliveries", "Events that agents received per second, by step: a listener (live) or a callback.",
           ("sum by (rung, result) (rate(bd_event_deliveries_total{$F}[$R]))", "{{rung}} {{result}}"), "ops", stack=True),
    series("Send latency", "From the request to its answer, with the request to the carrier.",
           [(quantile(q, "bd_operation_seconds", more='operation="comms_send_message", result="ok"'), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)],
           "s", thresholds=[(1, RED)]),
    series("Turn latency", "From the caller's last word to the first sound of the reply.",
           [(quantile(q, "bd_call_turn_seconds"), f"p{int(q * 100)}") for q in (0.5, 0.95)], "s", thresholds=[(2, RED)]),
    series("Oldest of each backlog", "The age of the oldest entry that is due.",
           ("max by (kind) (bd_backlog_oldest_seconds{$F})", "{{kind}}"), "s"),
    "Error budgets",
    series("Budget burn, 1 hour", "The share of bad events divided by the share that the objective allows. 1 uses up the budget in a month, 14.4 in two days.",
           [(f'bd:slo_errors:ratio_rate1h{{$F, slo="{slo}"}} / {budget}', slo) for slo, budget in (
               ("send-success", 0.001), ("send-latency", 0.05), ("webhook-acceptance", 0.0005), ("delivery-latency", 0.01),
               ("turn-latency", 0.05), ("call-survival", 0.005))], w=12, thresholds=[(14.4, RED)]),
    series("Budget burn, 3 days", "The same over three days. A value above 1 for long needs a ticket.",
           [(f'bd:slo_errors:ratio_rate3d{{$F, slo="{slo}"}} / {budget}', slo) for slo, budget in (
               ("send-success", 0.001), ("send-latency", 0.05), ("webhook-acceptance", 0.0005), ("delivery-latency", 0.01),
               ("turn-latency", 0.05), ("call-survival", 0.005))], w=12, thresholds=[(1, RED)]),
]

SENDS = [
    "Results",
    series("Sends by channel", "Sends per second.", ("sum by (channel) (rate(bd_sends_total{$F}[$R]))", "{{channel}}"), "reqps", stack=True),
    series("Sends by result", "Sends per second. Results in capitals are error codes.",
           ("sum by (result) (rate(bd_sends_total{$F}[$R]))", "{{result}}"), "reqps", stack=True),
    series("Failures of this installation", "The share of sends that failed because of this installation or its accounts at the carriers, by error code.",
           (f'sum by (result) (rate(bd_sends_total{{$F, result=~"{OURS}"}}[$R])) / ignoring (result) group_left sum(rate(bd_sends_total{{$F}}[$R]))', "{{result}}"),
           "percentunit", rare=True, stack=True),
    series("Pending", "The share of sends with an unknown outcome. The reconciler settles them later.",
           ('sum(rate(bd_sends_total{$F, result="pending"}[$R])) / sum(rate(bd_sends_total{$F}[$R]))', "pending"), "percentunit"),
    series("Reconciled sends", "Unknown outcomes that were settled per minute, by the result. For `unconfirmed` the outcome stays unknown.",
           ("60 * sum by (carrier, result) (rate(bd_sends_reconciled_total{$F}[$R]))", "{{carrier}} {{result}}"), "cpm"),
    series("Late sends", "The number of scheduled messages that are due, and of unknown outcomes that are due for a check: at most 10,000.",
           ('max by (kind) (bd_backlog{$F, kind=~"scheduled|unknown"})', "{{kind}}")),
    "Time",
    series("Send latency by interface", "From the request to its answer.",
           [(quantile(0.5, "bd_operation_seconds", "interface", 'operation="comms_send_message", result="ok"'), "p50 {{interface}}"),
            (quantile(0.95, "bd_operation_seconds", "interface", 'operation="comms_send_message", result="ok"'), "p95 {{interface}}"),
            (quantile(0.99, "bd_operation_seconds", "interface", 'operation="comms_send_message", result="ok"'), "p99 {{interface}}")], "s"),
    series("Stages, p95", "Each stage of the pipeline. `dispatch` is the request to the carrier, `reserve` and `record` are the database.",
           (quantile(0.95, "bd_send_stage_seconds", "stage"), "{{stage}}"), "s"),
    series("Carrier requests, p95", "The carrier's part.", (quantile(0.95, "bd_carrier_request_seconds", "carrier"), "{{carrier}}"), "s"),
    "Carriers",
    series("Carrier requests by outcome", "`unknown`: no answer in time, a broken connection or a server error.",
           ("sum by (carrier, outcome) (rate(bd_carrier_request_seconds_count{$F}[$R]))", "{{carrier}} {{outcome}}"), "reqps", stack=True),
    series("Carrier errors by code", "The carrier's own error codes, per minute. The carrier documents them.",
           ("60 * topk(10, sum by (carrier, code) (rate(bd_carrier_errors_total{$F}[$R])))", "{{carrier}} {{code}}"), "cpm", rare=True),
    series("Money", "US dollars per hour that were reserved for sends, settled, and released because a send failed or cost less.",
           ("3600 * sum by (kind) (rate(bd_money_micros_total{$F}[$R])) / 1e6", "{{kind}}"), "currencyUSD"),
    "Requests and refusals",
    series("Operations", "Tools and routes per second, the ten most frequent.",
           ("topk(10, sum by (operation, interface) (rate(bd_operation_seconds_count{$F}[$R])))", "{{operation}} {{interface}}"), "reqps", stack=True),
    series("Operations with errors", "Per second, by error code.",
           ('sum by (result) (rate(bd_operation_seconds_count{$F, result!="ok"}[$R]))', "{{result}}"), "reqps", rare=True, stack=True),
    series("Refusals by rules and limits", "Per second: compliance rules that block, and limits that are reached.",
           [('sum by (rule) (rate(bd_compliance_verdicts_total{$F, verdict="block"}[$R]))', "rule {{rule}}"),
            ("sum by (scope, limit) (rate(bd_limit_refusals_total{$F}[$R]))", "limit {{scope}} {{limit}}")], "reqps", rare=True),
]

INBOUND = [
    "Webhooks",
    series("Webhooks by status", "Requests of carriers per second.",
           ('sum by (status) (rate(bd_http_request_seconds_count{$F, route=~"/webhooks/.*"}[$R]))', "{{status}}"), "reqps", stack=True),
    series("Webhook events by result", "Messages, receipts and reports of calls per second. `unavailable`: the stream did not take the event, and the carrier repeats it.",
           ("sum by (carrier, result) (rate(bd_webhook_notices_total{$F}[$R]))", "{{carrier}} {{result}}"), "ops", stack=True),
    series("Time to accept a webhook", "From the request to the answer, with the append to the stream.",
           [(quantile(q, "bd_http_request_seconds", more='route=~"/webhooks/.*"'), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)], "s"),
    "The inbound stream",
    series("Unread entries", "Stored webhook events that are not applied yet, by partition.",
           ("max by (partition) (bd_inbound_unread{$F})", "partition {{partition}}"), stack=True),
    series("Partitions held", "Partitions of the stream that each dispatcher applies. The sum is constant.",
           ('sum by (instance) (bd_inbound_partitions_held{$F, job!~"gateway|console|webhook-ingest|voice-relay"})', "{{instance}}"), stack=True),
    series("Applied events", "Per second.", ("sum(rate(bd_inbound_notices_total{$F}[$R]))", "applied"), "ops"),
    series("Time to apply a batch", "One transaction in the database.",
           [(quantile(q, "bd_inbound_batch_seconds"), f"p{int(q * 100)}") for q in (0.5, 0.95)], "s"),
    series("Blocked batch", "How long a batch has failed. 0 when batches are applied.", ("max(bd_inbound_blocked_seconds{$F})", "blocked"), "s"),
    series("Copies of streams", "Servers that store each stream, and the wanted number (NATS_REPLICAS).",
           [("min by (stream) (bd_stream_replicas{$F})", "{{stream}}"), ("max by (stream) (bd_stream_replicas_wanted{$F})", "{{stream}} wanted")]),
    stat("Lost entries, 24 hours", "Times that NATS had lost its last entries, and the stream was read again from an earlier one.",
         "sum(increase(bd_inbound_step_backs_total{$F}[24h]))", w=8, thresholds=[(0.5, RED)]),
    stat("Dead letters", "Webhook events that wait for an operator: `butt-dial dead-letters list`.", 'max(bd_backlog{$F, kind="dead_letters"})', w=8,
         thresholds=[(1, YELLOW)]),
    stat("Oldest dead letter", "Its age.", 'max(bd_backlog_oldest_seconds{$F, kind="dead_letters"})', "s", w=8),
    "Delivery to agents",
    series("Deliveries by step and result", "Events per second. `live`: to a connected session. `callback`: to the agent's host.",
           ("sum by (rung, result) (rate(bd_event_deliveries_total{$F}[$R]))", "{{rung}} {{result}}"), "ops", stack=True),
    series("Agents with due deliveries, and waiting events", "`deliveries` are due now. `waiting` events wait until their agent reads them: at most 10,000.",
           ('max by (kind) (bd_backlog{$F, kind=~"deliveries|waiting"})', "{{kind}}")),
    series("Oldest due delivery", "How late the oldest due delivery is.", ('max(bd_backlog_oldest_seconds{$F, kind="deliveries"})', "late by"), "s",
           thresholds=[(30, RED)]),
]

CALLS = [
    "Calls",
    series("Active calls", "Calls with an open socket, by relay.", ('sum by (instance) (bd_calls_active{$F, job!~"gateway|console|webhook-ingest|dispatcher"})', "{{instance}}"), stack=True),
    series("Ended calls", "Per minute, by direction and outcome.",
           ("60 * sum by (direction, outcome) (rate(bd_calls_total{$F}[$R]))", "{{direction}} {{outcome}}"), "cpm", stack=True),
    series("Failed calls", "The share of the answered calls that broke off.",
           ('sum(rate(bd_calls_total{$F, outcome="failed"}[$R])) / sum(rate(bd_calls_total{$F, outcome=~"completed|voicemail|failed"}[$R]))', "failed"),
           "percentunit", thresholds=[(0.05, RED)]),
    "Turns",
    series("Turn latency", "From the caller's last word to the first sound of the reply.",
           [(quantile(q, "bd_call_turn_seconds"), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)], "s", thresholds=[(2, RED)]),
    series("Turns", "Per minute.", ("60 * sum(rate(bd_call_turn_seconds_count{$F}[$R]))", "turns"), "cpm"),
    series("The relay's part of a turn, p95", "Before the request to the agent, and from its reply to the caller. The rest is the agent's.",
           (quantile(0.95, "bd_call_relay_seconds", "part"), "{{part}}"), "s"),
    "Interruptions",
    series("Barge-ins", "The caller spoke while speech was played, per minute.", ("60 * sum(rate(bd_call_barge_ins_total{$F}[$R]))", "barge-ins"), "cpm"),
    series("Takeovers", "Calls of vanished relays that another relay took over, per minute.",
           ("60 * sum(rate(bd_call_takeovers_total{$F}[$R]))", "takeovers"), "cpm"),
    series("Ignored frames", "Malformed frames of carriers per minute. The calls go on without them.",
           ("60 * sum(rate(bd_call_frames_ignored_total{$F}[$R]))", "frames"), "cpm"),
    series("Call webhooks by status", "Requests of carriers about calls and messages per second. A server error ends a call.",
           ('sum by (status) (rate(bd_http_request_seconds_count{$F, route=~"/webhooks/.*"}[$R]))', "{{status}}"), "reqps", stack=True),
]

BACKENDS = [
    "Backends",
    series("Reachable backends", "1: the replica reaches the backend. The lowest value of all replicas.",
           ("min by (backend) (bd_backend_up{$F})", "{{backend}}")),
    series("Database connections in use", "The share of each replica's pool (DATABASE_MAX_CONNECTIONS).",
           ("(bd_database_connections{$F} - bd_database_connections_idle{$F}) / bd_database_connections_max{$F}", "{{instance}}"), "percentunit",
           thresholds=[(0.9, RED)]),
    series("Database connections, all replicas", "Open connections to Postgres and their possible number. Compare it with max_connections.",
           [("sum(bd_database_connections{$F})", "open"), ("sum(bd_database_connections_max{$F})", "possible")]),
    series("Wait for a database connection", "The mean wait of statements and transactions. Free connections take microseconds.",
           ("sum by (instance) (rate(bd_database_wait_seconds_total{$F}[$R])) / sum by (instance) (rate(bd_database_acquires_total{$F}[$R]))", "{{instance}}"), "s",
           thresholds=[(0.1, RED)]),
    series("Statements that wait for the database", "More than zero for long: the pool is too small, or statements are slow.",
           ("sum by (instance) (bd_database_waiting{$F})", "{{instance}}")),
    series("Age of the replica for lists", "DATABASE_READ_URL. The primary answers while the data is older than DATABASE_READ_MAX_LAG_SECONDS.",
           ("max by (instance) (bd_replica_lag_seconds{$F})", "{{instance}}"), "s", rare=True),
    series("Replicas that read lists from the primary", "Processes that do not use the replica of the database.",
           ("count by (job) (bd_replica_used{$F} == 0)", "{{job}}"), rare=True),
    series("Commands that wait for Redis", "More than zero for long: Redis is slow or away.", ("sum by (instance) (bd_redis_pool_waiting{$F})", "{{instance}}")),
    series("Redis connections", "Open connections, and those that a command can use at once.",
           [("sum(bd_redis_pool_connections{$F})", "open"), ("sum(bd_redis_pool_available{$F})", "available")]),
    series("Database part of a send, p95", "`reserve` and `record` are one transaction each, `deduplicate` is one read.",
           (quantile(0.95, "bd_send_stage_seconds", "stage", 'stage=~"reserve|record|deduplicate"'), "{{stage}}"), "s"),
    "Replicas",
    series("CPU", "Cores in use, by replica.", ('rate(process_cpu_seconds_total{$F, job=~"gateway|console|webhook-ingest|voice-relay|dispatcher"}[$R])', "{{job}} {{instance}}"), "short"),
    series("Memory", "Resident memory, by replica.", ('process_resident_memory_bytes{$F, job=~"gateway|console|webhook-ingest|voice-relay|dispatcher"}', "{{job}} {{instance}}"), "bytes"),
    series("File descriptors", "The share of the limit.", ('process_open_fds{$F, job=~"gateway|console|webhook-ingest|voice-relay|dispatcher"} / process_max_fds', "{{job}} {{instance}}"),
           "percentunit", thresholds=[(0.8, RED)]),
    series("Uptime", "Time since the start of each replica.", ('time() - process_start_time_seconds{$F, job=~"gateway|console|webhook-ingest|voice-relay|dispatcher"}', "{{job}} {{instance}}"), "s"),
    Panel("table", "Releases", "The release of each replica.", "bd_build_info{$F}", hide=["Time", "__name__", "Value", "namespace", "job"]),
    series("Trace exports that failed", "Per minute. Spans are lost meanwhile.", ("60 * sum by (job) (rate(bd_trace_export_failures_total{$F}[$R]))", "{{job}}"), "cpm"),
    "Governance",
    series("Open anomalies", "By detector, over all organizations. Dismissed ones do not count.",
           ("max by (detector) (bd_anomalies_open{$F})", "{{detector}}"), stack=True),
    series("Audit log behind", "Age of the oldest entry without a place in an audit log.",
           ("max(bd_audit_sealer_lag_seconds{$F})", "behind"), "s", thresholds=[(300, RED)]),
    "HTTP",
    series("Requests by role", "Per second, without probes.", ("sum by (job) (rate(bd_http_request_seconds_count{$F}[$R]))", "{{job}}"), "reqps", stack=True),
    series("Server errors by route", "Per second.", ('sum by (route, status) (rate(bd_http_request_seconds_count{$F, status=~"5.."}[$R]))', "{{route}} {{status}}"),
           "reqps", rare=True),
    series("Requests in progress", "By replica.", ("sum by (job, instance) (bd_http_in_flight{$F})", "{{job}} {{instance}}")),
    series("Slow routes, p95", "The ten slowest. Routes that wait for events or calls are slow by design.",
           (f"topk(10, {quantile(0.95, 'bd_http_request_seconds', 'route')})", "{{route}}"), "s"),
    series("Refused tokens", "Per minute, by error code.", ("60 * sum by (code) (rate(bd_auth_failures_total{$F}[$R]))", "{{code}}"), "cpm"),
    series("Scrapes that failed", "Targets that Prometheus cannot read, by role.",
           ('count by (job) (up{$F, job=~"gateway|console|webhook-ingest|voice-relay|dispatcher"}) - sum by (job) (up{$F})', "{{job}}")),
]

# Metrics have no label for the agent, because labels must be bounded. This dashboard reads the database instead, as a role that
# sees no address and no content: grafana/reader.sql.
MINE = "agent_id = '$agent'"
AGENT = [
    "Messages",
    series("Sent messages by status", "Messages per interval.",
           f"SELECT $__timeGroupAlias(created_at, $__interval), status AS metric, count(*) AS value FROM messages WHERE {MINE} AND $__timeFilter(created_at) GROUP BY 1, 2 ORDER BY 1",
           sql=True, w=12),
    series("Received events by type", "Events per interval: messages of people, status of sent messages, calls.",
           f"SELECT $__timeGroupAlias(created_at, $__interval), type AS metric, count(*) AS value FROM events WHERE {MINE} AND $__timeFilter(created_at) GROUP BY 1, 2 ORDER BY 1",
           sql=True, w=12),
    Panel("table", "Messages by channel", "In the selected time.",
          f"SELECT channel, status, count(*) AS messages, round(sum(coalesce(cost, 0)) / 1e6, 4) AS usd FROM messages WHERE {MINE} AND $__timeFilter(created_at) GROUP BY 1, 2 ORDER BY 1, 2",
          sql=True, w=8),
    Panel("table", "Last failures", "Messages that failed or have no certain outcome. The id finds the message in logs and traces.",
          f"SELECT created_at, id, channel, carrier, status, coalesce(failure, stage_error) AS error FROM messages WHERE {MINE} AND $__timeFilter(created_at) AND (status IN ('failed', 'unconfirmed', 'unknown') OR stage_error IS NOT NULL) ORDER BY created_at DESC LIMIT 50",
          sql=True, w=16, rare=True),
    "Delivery",
    Panel("table", "Waiting events", "Events that the agent has not received, by the reason.",
          f"SELECT reason, count(*) AS events, min(created_at) AS oldest FROM events WHERE {MINE} AND state = 'waiting' GROUP BY 1 ORDER BY 2 DESC",
          sql=True, w=8, rare=True),
    Panel("table", "Agent", "Its name and status.",
          "SELECT id, display_name, status, created_at FROM agents WHERE id = '$agent'", sql=True, w=8),
    Panel("table", "Scheduled messages", "Messages that wait for their time.",
          f"SELECT state, count(*) AS messages, min(due_at) AS next FROM scheduled_sends WHERE {MINE} GROUP BY 1", sql=True, w=8, rare=True),
    "Calls and cost",
    Panel("table", "Calls", "The last calls.",
          f"SELECT created_at, id, direction, status, handled_by, answered_by, duration_seconds, turns, end_reason, error_code FROM calls WHERE {MINE} AND $__timeFilter(created_at) ORDER BY created_at DESC LIMIT 50",
          sql=True, w=16),
    Panel("table", "Usage", "Messages and cost by day and channel.",
          f"SELECT day, channel, messages, round(cost / 1e6, 4) AS usd FROM usage WHERE {MINE} ORDER BY day DESC, channel LIMIT 50", sql=True, w=8),
]

DASHBOARDS = {
    "overview": ("Butt-Dial: overview", OVERVIEW),
    "sends": ("Butt-Dial: sends", SENDS),
    "inbound": ("Butt-Dial: inbound and delivery", INBOUND),
    "calls": ("Butt-Dial: calls", CALLS),
    "backends": ("Butt-Dial: backends and replicas", BACKENDS),
    "agent": ("Butt-Dial: one agent", AGENT),
}


def variables(name):
    kind = "grafana-postgresql-datasource" if name == "agent" else "prometheus"
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": kind, "refresh": 1, "hide": 0, "regex": "",
              "multi": False, "includeAll": False, "options": [], "current": {}}
    if name == "agent":
        query = "SELECT id AS __value, display_name || ' (' || id || ')' AS __text FROM agents ORDER BY created_at DESC LIMIT 1000"
        agent = {"name": "agent", "label": "Agent", "type": "query", "datasource": SQL_DATASOURCE, "query": query, "refresh": 1, "sort": 0,
                 "hide": 0, "regex": "", "multi": False, "includeAll": False, "options": [], "current": {}}
        return [source, agent]
    query = "label_values(bd_build_info, namespace)"
    namespace = {"name": "namespace", "label": "Namespace", "type": "query", "datasource": DATASOURCE, "definition": query,
                 "query": {"query": query, "refId": "namespace"}, "refresh": 2, "sort": 1, "hide": 0, "regex": "", "multi": True,
                 # Also matches an installation outside of Kubernetes, which has no such label.
                 "includeAll": True, "allValue": ".*", "options": [], "current": {"text": "All", "value": "$__all"}}
    return [source, namespace]


def dashboard(name, title, items):
    panels, x, y, row_height, number = [], 0, 0, 0, 0
    for item in items:
        number += 1
        if isinstance(item, str):
            y, x, row_height = y + row_height, 0, 0
            panels.append({"id": number, "type": "row", "title": item, "collapsed": False, "panels": [],
                           "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
            y += 1
            continue
        if x + item.w > 24:
            y, x, row_height = y + row_height, 0, 0
        panels.append(item.json(number, x, y))
        x, row_height = x + item.w, max(row_height, item.h)
    links = [{"title": "Dashboards", "type": "dashboards", "tags": ["butt-dial"], "asDropdown": True, "keepTime": True,
              "includeVars": name != "agent", "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}]
    annotations = [] if name == "agent" else [
        {"name": "Restarts", "datasource": DATASOURCE, "enable": True, "hide": False, "iconColor": "purple",
         "expr": f"changes(process_start_time_seconds{{{FILTER}}}[2m]) > 0", "step": "60s", "titleFormat": "Restart", "textFormat": "{{job}} {{instance}}"}
    ]
    return {
        "uid": f"butt-dial-{name}", "title": title, "tags": ["butt-dial"], "schemaVersion": 39, "version": 1, "editable": False,
        "graphTooltip": 1, "timezone": "", "refresh": "30s", "time": {"from": "now-3h", "to": "now"},
        "timepicker": {}, "weekStart": "", "fiscalYearStartMonth": 0, "liveNow": False, "style": "dark",
        "annotations": {"list": annotations}, "templating": {"list": variables(name)}, "links": links, "panels": panels,
    }


def render():
    return {name: json.dumps(dashboard(name, title, items), indent=1) + "\n" for name, (title, items) in DASHBOARDS.items()}


def main():
    check = "--check" in sys.argv[1:]
    DIRECTORY.mkdir(exist_ok=True)
    wanted = render()
    stale = [name for name, text in wanted.items()
             if not (DIRECTORY / f"{name}.json").is_file() or (DIRECTORY / f"{name}.json").read_text() != text]
    stale += [path.stem for path in DIRECTORY.glob("*.json") if path.stem not in wanted]
    if check:
        if stale:
            sys.exit(f"stale dashboards: {', '.join(sorted(stale))}. Run deploy/observability/dashboards.py")
        print(f"{len(wanted)} dashboards are up to date")
        return
    for name, text in wanted.items():
        (DIRECTORY / f"{name}.json").write_text(text)
    print(f"wrote {', '.join(f'{name}.json' for name in wanted)}")


if __name__ == "__main__":
    main()
