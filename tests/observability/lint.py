"""Checks the alerts, their unit tests, the runbooks and the dashboards, as far as no running system is needed."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

import expressions
from expressions import OBSERVABILITY, ROOT

HERE = pathlib.Path(__file__).parent
RUNBOOKS = ROOT / "docs" / "runbooks"
RUNBOOK_SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Repair"]
SEVERITIES = {"critical", "warning"}
UNITS = {"short", "s", "percentunit", "reqps", "ops", "cpm", "bytes", "currencyUSD"}
# Grafana knows these keys, the schema does not.
OUTSIDE_SCHEMA = {"step", "titleFormat", "textFormat", "definition"}
problems = []


def problem(place, text):
    problems.append(f"{place}: {text}")


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, done.stdout


# --- Rules


def lint_rules():
    names = {}
    for path, rule in expressions.rules():
        place = f"{path.name}: {rule.get('alert') or rule.get('record')}"
        if "record" in rule:
            if not path.name.startswith("recording-"):
                problem(place, "recording rules are in files recording-*.yml")
            continue
        name = rule["alert"]
        names.setdefault(name, set()).add(path.stem)
        if path.stem != name:
            problem(place, "an alert has a file of its own name")
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            problem(place, f"severity is one of {sorted(SEVERITIES)}")
        annotations = rule.get("annotations", {})
        if set(annotations) != {"summary", "description", "runbook_url"}:
            problem(place, "annotations are summary, description and runbook_url")
        if not annotations.get("runbook_url", "").endswith(f"/docs/runbooks/{name}"):
            problem(place, "runbook_url ends with /docs/runbooks/<alert>")
    lint_runbooks(set(names))
    return set(names)


def lint_runbooks(names):
    if not RUNBOOKS.is_dir():
        problem("docs/runbooks", "is missing")
        return
    existing = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    for name in sorted(names - existing):
        problem(f"docs/runbooks/{name}.md", "is missing")
    for name in sorted(existing - names):
        problem(f"docs/runbooks/{name}.md", "there is no such alert")
    for name in sorted(existing & names):
        text = (RUNBOOKS / f"{name}.md").read_text()
        if not text.startswith(f"# {name}\n"):
            problem(f"docs/runbooks/{name}.md", f"does not begin with `# {name}`")
        for section in RUNBOOK_SECTIONS:
            if f"\n{section}\n" not in text:
                problem(f"docs/runbooks/{name}.md", f"has no section `{section}`")
    for page in [*RUNBOOKS.glob("*.md"), ROOT / "docs" / "OPERATIONS.md"]:
        lint_links(page)
    index = RUNBOOKS / "README.md"
    if index.is_file():
        listed = set(re.findall(r"\]\((\w+)\.md\)", index.read_text()))
        for name in sorted(names ^ listed):
            problem("docs/runbooks/README.md", f"{name} is not listed, or no alert")


def lint_links(page):
    """Every link to a file of the repository, and to a heading, has its target."""
    place = page.relative_to(ROOT)
    for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        target = (page.parent / link).resolve() if link else page
        if not target.exists():
            problem(place, f"links to {link}, which does not exist")
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            if anchor not in anchors:
                problem(place, f"links to #{anchor} in {target.name}, which has no such heading")


def lint_prometheus():
    files = [str(path) for path in expressions.rule_files()]
    ok, output = run("promtool", "check", "rules", *files)
    if not ok or "duplicate" in output:
        problem("promtool check rules", output)
    config = OBSERVABILITY / "prometheus.yml"
    ok, output = run("promtool", "check", "config", "--syntax-only", str(config))
    if not ok:
        problem("promtool check config", output)
    jobs = {scrape["job_name"] for scrape in yaml.safe_load(config.read_text())["scrape_configs"]}
    missing = {"gateway", "webhook-ingest", "voice-relay", "dispatcher"} - jobs
    if missing:
        problem("prometheus.yml", f"no job for {sorted(missing)}")
    if shutil.which("amtool"):
        ok, output = run("amtool", "check-config", str(OBSERVABILITY / "alertmanager.yml"))
        if not ok:
            problem("amtool check-config", output)
    else:
        print("  amtool is not installed: alertmanager.yml is only parsed")
    known = {rule["alert"] for _, rule in expressions.rules() if "alert" in rule}
    alertmanager = yaml.safe_load((OBSERVABILITY / "alertmanager.yml").read_text())
    receivers = {receiver["name"] for receiver in alertmanager["receivers"]}
    for route in [alertmanager["route"], *alertmanager["route"]["routes"]]:
        if route["receiver"] not in receivers:
            problem("alertmanager.yml", f"no receiver {route['receiver']}")
    for rule in alertmanager["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            label, pattern = re.fullmatch(r'(\w+)=~?"(.*)"', matcher).groups()
            for name in pattern.split("|") if label == "alertname" else []:
                if not any(re.fullmatch(name, alert) for alert in known):
                    problem("alertmanager.yml", f"{name} is no alert")
    for path in [*OBSERVABILITY.glob("*.yml"), *OBSERVABILITY.rglob("grafana/**/*.yml*")]:
        yaml.safe_load(path.read_text())


# --- Unit tests of alerts


def lint_tests(names):
    files = sorted(HERE.glob("*.test.yml"))
    fires, quiet = set(), set()
    for path in files:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case["promql_expr_test"]:
                expected = set(re.findall(r'alertname="(\w+)"', str(check["exp_samples"])))
                fires |= expected
                quiet |= names - expected
    for name in sorted(names - fires):
        problem("unit tests", f"no case in which {name} fires")
    for name in sorted(names - quiet):
        problem("unit tests", f"no case in which {name} does not fire")
    with ThreadPoolExecutor() as pool:
        for path, (ok, output) in zip(files, pool.map(lambda path: run("promtool", "test", "rules", str(path)), files)):
            if not ok:
                problem(path.name, output)
    return files


def lint_texts(files):
    """Renders the annotations of each alert, and looks for labels that the expression does not return."""
    rendered = set()
    with tempfile.TemporaryDirectory() as directory:
        for path in files:
            document = yaml.safe_load(path.read_text())
            document["rule_files"] = [str(HERE / rule) for rule in document["rule_files"]]
            cases = []
            for case in document["tests"]:
                checks = []
                for check in case.pop("promql_expr_test"):
                    for name in re.findall(r'alertname="(\w+)"', str(check["exp_samples"])):
                        if name not in rendered:
                            rendered.add(name)
                            checks.append({"eval_time": check["eval_time"], "alertname": name, "exp_alerts": []})
                if checks:
                    cases.append({**case, "alert_rule_test": checks})
            if not cases:
                continue
            document["tests"] = cases
            file = pathlib.Path(directory) / path.name
            file.write_text(yaml.safe_dump(document))
            _, output = run("promtool", "test", "rules", str(file))
            if output.count("Annotations:{") < len({c["alertname"] for case in cases for c in case["alert_rule_test"]}):
                problem(path.name, f"the texts of some alerts were not rendered:\n{output}")
            for text in re.findall(r"Annotations:\{(.*)\}", output):
                for pattern in ("<no value>", "error expanding", "<error", "  ", " .", " ,"):
                    if pattern in text:
                        problem(path.name, f"a text lacks a value: {text}")
                        break
    return len(rendered)


# --- Expressions and dashboards


def lint_expressions():
    count = 0
    for place, expr in expressions.all_expressions():
        count += 1
        try:
            expressions.parse(expr)
        except Exception as error:
            problem(place, f"{error}: {expr}")
    return count


def lint_dashboards():
    ok, output = run(sys.executable, str(OBSERVABILITY / "dashboards.py"), "--check")
    if not ok:
        problem("dashboards", output.strip())
    uids = set()
    for name, dashboard in expressions.dashboards().items():
        if dashboard["uid"] in uids:
            problem(name, "the uid is used twice")
        uids.add(dashboard["uid"])
        compare_with_schema(name, dashboard)
        ids, cells, titles = set(), {}, set()
        for panel in dashboard["panels"]:
            place = f"{name}.json, {panel['title']}"
            if panel["id"] in ids:
                problem(place, "the id is used twice")
            ids.add(panel["id"])
            at = panel["gridPos"]
            if at["x"] + at["w"] > 24:
                problem(place, "is wider than the page")
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    if (x, y) in cells:
                        problem(place, f"covers {cells[x, y]}")
                    cells[x, y] = panel["title"]
            if panel["type"] == "row":
                continue
            if panel["title"] in titles:
                problem(place, "the title is used twice")
            titles.add(panel["title"])
            if not panel["description"].endswith("."):
                problem(place, "has no description")
            if panel["fieldConfig"]["defaults"]["unit"] not in UNITS:
                problem(place, f"unknown unit {panel['fieldConfig']['defaults']['unit']}")
            for target in panel["targets"]:
                if "expr" in target and target["expr"].count('namespace=~"$namespace"') == 0:
                    problem(place, "an expression ignores the variable `namespace`")
    return len(uids)


def compare_with_schema(name, dashboard):
    known = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))

    def compare(ours, theirs, path):
        if isinstance(ours, dict):
            for key, value in ours.items():
                if key in OUTSIDE_SCHEMA:
                    continue
                if not isinstance(theirs, dict) or key not in theirs:
                    problem(name, f"the schema of Grafana has no {path}/{key}")
                else:
                    compare(value, theirs[key], f"{path}/{key}")
        elif isinstance(ours, list):
            for index, value in enumerate(ours):
                compare(value, theirs[index] if isinstance(theirs, list) and index < len(theirs) else None, f"{path}[{index}]")

    compare(dashboard, known, "")


def main():
    names = lint_rules()
    lint_prometheus()
    count = lint_expressions()
    print(f"  {len(names)} alerts, {count} expressions parsed")
    print(f"  {lint_dashboards()} dashboards checked against Grafana's schema")
    files = lint_tests(names)
    cases = sum(len(yaml.safe_load(path.read_text())["tests"]) for path in files)
    print(f"  {cases} unit tests of alerts, the texts of {lint_texts(files)} alerts rendered")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
