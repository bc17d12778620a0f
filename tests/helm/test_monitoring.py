"""ServiceMonitor, alerts and dashboards."""

import json
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT, ROLES, find, of_kind, render

OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = sorted((OBSERVABILITY / "rules").glob("*.yml"))
DASHBOARDS = sorted((OBSERVABILITY / "dashboards").glob("*.json"))


def test_service_monitor_finds_the_metrics_of_each_role():
    objects = render("monitoring")
    monitor = find(objects, "ServiceMonitor")
    spec = monitor["spec"]
    services = [
        service
        for service in of_kind(objects, "Service")
        if spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ]
    # The label `job` is the role.
    assert sorted(service["metadata"]["labels"][spec["jobLabel"]] for service in services) == sorted(ROLES.values())
    (endpoint,) = spec["endpoints"]
    for service in services:
        (port,) = service["spec"]["ports"]
        assert port["name"] == endpoint["port"] and port["targetPort"] == "metrics"
        assert service["spec"]["publishNotReadyAddresses"] is True
    assert spec["namespaceSelector"] == {"matchNames": ["ns"]}
    assert endpoint["authorization"]["credentials"] == {"name": "butt-dial", "key": "METRICS_TOKEN"}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert endpoint["relabelings"] and endpoint["metricRelabelings"]
    assert "authorization" not in find(render("autoscaling-keda"), "ServiceMonitor")["spec"]["endpoints"][0]


def all_rules(objects):
    return [rule for value in of_kind(objects, "PrometheusRule") for group in value["spec"]["groups"] for rule in group["rules"]]


def test_each_file_of_rules_is_an_object():
    objects = render("monitoring")
    files = [path for path in RULES if path.stem != "CarriersSimulated"]
    assert len(of_kind(objects, "PrometheusRule")) == len(files) > 0
    expected = [rule for path in files for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    rendered = all_rules(objects)
    assert sorted((rule.get("alert") or rule["record"], rule["expr"]) for rule in rendered) == sorted(
        (rule.get("alert") or rule["record"], rule["expr"]) for rule in expected
    )
    texts = [rule["annotations"]["summary"] for rule in rendered if "alert" in rule]
    assert any("{{ $" in text for text in texts), "templates of Prometheus stay"
    for rule in rendered:
        if "alert" in rule:
            assert rule["labels"]["team"] == "communications" and rule["labels"]["severity"]
            assert rule["annotations"]["runbook_url"] == f"https://runbooks.example/butt-dial/{rule['alert']}"
        else:
            assert "team" not in rule.get("labels", {})


def test_runbooks_are_at_the_installation_by_default():
    for rule in all_rules(render("monitoring", set=('metrics.rules.runbookBaseUrl=""',))):
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"] == f"https://butt-dial.example.com/docs/runbooks/{rule['alert']}"


def test_rendered_rules_are_valid(tmp_path):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is missing")
    for value in of_kind(render("monitoring"), "PrometheusRule"):
        (tmp_path / f"{value['metadata']['name']}.yml").write_text(yaml.safe_dump(value["spec"]))
    result = subprocess.run([promtool, "check", "rules", *tmp_path.glob("*.yml")], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_alerts_can_be_excluded():
    everything = render("monitoring", set=("metrics.rules.exclude=[]",))
    alerts = {rule["alert"] for rule in all_rules(everything) if "alert" in rule}
    excluded = sorted(alerts)[:2]
    assert "CarriersSimulated" not in {rule.get("alert") for rule in all_rules(render("monitoring"))}
    objects = render("monitoring", set=(f"metrics.rules.exclude={json.dumps(excluded)}",))
    assert {rule["alert"] for rule in all_rules(objects) if "alert" in rule} == alerts - set(excluded)


def test_dashboards():
    objects = render("monitoring")
    maps = [value for value in of_kind(objects, "ConfigMap") if value["metadata"]["labels"].get("grafana_dashboard") == "true"]
    if not DASHBOARDS:
        pytest.skip("there are no dashboards yet")
    rendered = {name: text for value in maps for name, text in value["data"].items()}
    assert {name: json.loads(text) for name, text in rendered.items()} == {
        path.name: json.loads(path.read_text()) for path in DASHBOARDS
    }
    for value in maps:
        assert value["metadata"]["annotations"] == {"grafana_folder": "Butt-Dial"}


def test_monitoring_is_off_by_default():
    kinds = {value["kind"] for value in render("minimal")}
    assert not kinds & {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute", "Ingress", "HorizontalPodAutoscaler"}
