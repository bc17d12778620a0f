"""Runs every expression of rules and dashboards against a Prometheus that scrapes a running system with traffic.

usage: live.py BINARY [--seconds N] [--pictures DIRECTORY]"""

import argparse
import math
import os
import re
import subprocess
import sys
import time
import urllib.parse

import yaml

import expressions
from expressions import OBSERVABILITY
from system import System, http
from traffic import Traffic

# The issue allows this number for a replica without traffic.
MAX_SERIES_AT_REST = 400
# Values that every request has a new one of. They must not be in labels.
UNBOUNDED = re.compile(r'="[^"]*(\b(agt|org|msg|call|tok)_(\w+_)?[0-9a-f]{16}|\bbd[at]_|\+1415|@)')
problems = []


def problem(text):
    problems.append(text)
    print(f"  FAILED {text}")


def prometheus_config(system):
    """The delivered settings, with the addresses of this system, and fast enough for a short test."""
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    rules = os.path.join(system.directory, "rules")
    os.makedirs(rules, exist_ok=True)
    for path in expressions.rule_files():
        with open(os.path.join(rules, path.name), "w") as file:
            file.write(path.read_text().replace("interval: 30s", "interval: 1s"))
    config["rule_files"] = [f"{rules}/*.yml"]
    config.pop("alerting")
    jobs = []
    for job in config["scrape_configs"]:
        targets = [f"127.0.0.1:{metrics}" for name, (_, metrics) in system.ports.items() if name.rsplit("-", 1)[0] == job["job_name"]]
        if targets:
            assert job.pop("dns_sd_configs")
            jobs.append({**job, "static_configs": [{"targets": targets}]})
    config["scrape_configs"] = jobs
    return yaml.safe_dump(config)


class Exposition:
    """The metrics of all replicas: families, and the label names of each."""

    def __init__(self, texts):
        self.families, self.labels = set(), {}
        for text in texts:
            for line in text.splitlines():
                if line.startswith("# TYPE "):
                    self.families.add(line.split()[2])
                elif line and not line.startswith("#"):
                    name, _, rest = line.partition("{")
                    labels = re.findall(r'(\w+)="', rest) if rest else []
                    self.labels.setdefault(name.split()[0], set()).update(labels)


def check_exposition(system):
    texts = {name: system.metrics(name) for name in system.ports}
    for name, text in texts.items():
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        ours = [line for line in done.stdout.splitlines() if line.startswith("bd_")]
        if ours:
            problem(f"{name}: promtool check metrics: {ours}")
        for line in text.splitlines():
            if not line.startswith("#") and UNBOUNDED.search(line):
                problem(f"{name}: a label is unbounded: {line}")
    return Exposition(texts.values())


def check_names(exposition):
    """Every used metric exists, with every used label."""
    pending = expressions.pending_metrics()
    used = expressions.used_metrics()
    for name, places in sorted(used.items()):
        family = expressions.family(name)
        exists = name in exposition.families or family in exposition.families
        if exists and (name in pending or family in pending):
            problem(f"{name} exists: remove it from pending-metrics.txt")
        if not exists and family not in pending and name not in pending:
            problem(f"{name} is no metric of the program, used in {places[0]}")
    outside = {"namespace", "job", "instance", "le"}
    for place, expr in expressions.all_expressions():
        tree = expressions.parse(expr)
        for selector in expressions.selectors(tree):
            known = exposition.labels.get(selector.name)
            for matcher in selector.matchers.matchers if known else []:
                if matcher.name not in known | outside:
                    problem(f"{place}: {selector.name} has no label {matcher.name}")
        for labels, selectors in expressions.groupings(tree):
            known = set().union(*(exposition.labels.get(selector.name, set(labels)) for selector in selectors))
            for label in labels:
                if label not in known | outside:
                    problem(f"{place}: no label {label} in {expr}")


def pending_objectives():
    return {rule["labels"]["slo"] for _, rule in expressions.rules() if "slo" in rule.get("labels", {}) and "record" in rule and is_pending(rule["expr"])}


def is_pending(expr):
    pending = expressions.pending_metrics()
    for selector in expressions.selectors(expressions.parse(expr)):
        if (selector.name or "").startswith("bd:") and any(
                matcher.name == "slo" and matcher.value in pending_objectives() for matcher in selector.matchers.matchers):
            return True
    names = {selector.name or "" for selector in expressions.selectors(expressions.parse(expr))}
    return any(name in pending or expressions.family(name) in pending for name in names)


def query(system, expr, path="query", **parameters):
    url = f"{system.prometheus}/api/v1/{path}?" + urllib.parse.urlencode({"query": expr, **parameters})
    status, answer = http("GET", url)
    if status != 200:
        return None, answer
    return answer["data"]["result"], None


def check_panels(system):
    checked = skipped = empty = 0
    for name, title, rare, expr in [*expressions.panel_expressions(), *expressions.annotation_expressions()]:
        if is_pending(expr):
            skipped += 1
            continue
        result, error = query(system, expr)
        if error:
            problem(f"{name}.json, {title}: {error}: {expr}")
            continue
        checked += 1
        values = [float(sample["value"][1]) for sample in result]
        if any(not math.isnan(value) for value in values):
            continue
        empty += 1
        if not rare:
            problem(f"{name}.json, {title}: no data: {expr}")
    print(f"  {checked} expressions of dashboards return data, {empty} of them may have none and have none, {skipped} wait for metrics")


def check_rules(system):
    status, answer = http("GET", f"{system.prometheus}/api/v1/rules")
    assert status == 200, answer
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule.get("lastError") or rule["health"] != "ok":
            problem(f"rule {rule['name']}: {rule['health']} {rule.get('lastError')}")
    for metric in ("bd:slo_total:rate5m", "bd:slo_bad:rate5m", "bd:slo_errors:ratio_rate1h"):
        found = {sample["metric"].get("slo") for sample in query(system, metric)[0]}
        wanted = {rule["labels"]["slo"] for _, rule in expressions.rules()
                  if rule.get("record") == "bd:slo_total:rate5m" and not is_pending(rule["expr"])}
        if wanted - found:
            problem(f"{metric} has no data for {sorted(wanted - found)}")
    firing = sorted({sample["metric"]["alertname"] for sample in query(system, 'ALERTS{alertstate="firing"}')[0]})
    print(f"  {len(rules)} rules evaluated without errors, firing: {', '.join(firing) or 'none'}")


def check_sql(system):
    """Runs the queries of the dashboard of one agent as the role of grafana/reader.sql."""
    url = ["-h", "127.0.0.1", "-p", str(system.postgres_port), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "butt_dial"]
    subprocess.run(["psql", "-U", "postgres", "-v", "password='reader'", "-f", str(OBSERVABILITY / "grafana" / "reader.sql"), *url],
                   check=True, stdout=subprocess.DEVNULL)

    def read(sql):
        return subprocess.run(["psql", "-U", "butt_dial_reader", *url, "-c", sql], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    for forbidden in ("SELECT recipient FROM messages", "SELECT data FROM events", "SELECT hash FROM tokens", "SELECT callback_url FROM agents",
                      "DELETE FROM usage"):
        if read(forbidden).returncode == 0:
            problem(f"the role of reader.sql may: {forbidden}")
    count = 0
    for name, title, rare, sql in expressions.panel_queries():
        sql = re.sub(r"\$__timeGroupAlias\((\w+), ?[^)]*\)", r"""date_trunc('second', \1) AS "time\"""", sql)
        sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '1 hour' AND now()", sql)
        done = read(sql.replace("$agent", system.account["agentId"]))
        count += 1
        if done.returncode != 0:
            problem(f"{name}.json, {title}: {done.stdout.strip()}")
        elif not done.stdout.strip() and not rare:
            problem(f"{name}.json, {title}: no rows")
    print(f"  {count} queries of the dashboard of one agent ran as its reading role")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--seconds", type=int, default=30)
    arguments.add_argument("--pictures")
    options = arguments.parse_args()
    started = time.monotonic()
    with System(options.binary) as system:
        print(f"  the system runs after {time.monotonic() - started:.1f} s: {', '.join(system.ports)}")
        for name in system.ports:
            samples = sum(1 for line in system.metrics(name).splitlines() if line and not line.startswith("#"))
            if samples > MAX_SERIES_AT_REST:
                problem(f"{name} has {samples} series at rest, more than {MAX_SERIES_AT_REST}")
            elif name.endswith("-1"):
                print(f"  {name}: {samples} series at rest")
        system.start_prometheus(prometheus_config(system))
        counts = Traffic(system).run(options.seconds)
        problems.extend(f"traffic: {what}" for what in counts if what.startswith("error"))
        print("  traffic:", ", ".join(f"{what}: {count}" for what, count in sorted(counts.items())))
        check_names(check_exposition(system))
        check_panels(system)
        check_rules(system)
        check_sql(system)
        if options.pictures:
            import pictures
            pictures.draw(system, options.pictures, options.seconds, query)
    if problems:
        sys.exit(f"{len(problems)} problems")


if __name__ == "__main__":
    main()
