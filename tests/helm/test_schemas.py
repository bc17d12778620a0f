"""The objects against the schemas of Kubernetes and of custom resources, and against checkov."""

import json
import os
import subprocess
from functools import lru_cache
from pathlib import Path

import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml

from conftest import CHART, CI_NAMES, TOOLS, identity, render

# The oldest version of `kubeVersion`, a current one and the newest.
VERSIONS = ["1.30", "1.34", "1.37"]
CUSTOM = {"monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io"}


# It reads the definitions of a version for each object otherwise.
kubernetes_validate.utils.schema_contents = lru_cache(maxsize=None)(kubernetes_validate.utils.schema_contents)


def is_custom(value):
    return value["apiVersion"].split("/")[0] in CUSTOM


def validate(value, version):
    kubernetes_validate.validate(value, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_core_kinds(version):
    seen, problems = set(), []
    for name in CI_NAMES:
        for value in render(name):
            text = json.dumps(value, sort_keys=True)
            if is_custom(value) or text in seen:
                continue
            seen.add(text)
            try:
                validate(value, version)
            except Exception as error:
                problems.append(f"{name}: {identity(value)}: {error}")
    assert not problems, "\n".join(problems)
    assert len(seen) > 100


def test_oldest_version_is_the_chart_s():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"


def test_validation_finds_errors():
    value = json.loads(json.dumps(render("minimal")[0]))
    value["specs"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(value, VERSIONS[0])


def custom_resource_errors(objects):
    result = subprocess.run(
        ["node", TOOLS / "node" / "validate_custom_resources.mjs"], input=json.dumps(objects), capture_output=True, text=True
    )
    assert result.stderr == ""
    assert (result.returncode == 0) == (result.stdout == "")
    return result.stdout.splitlines()


def test_custom_resources():
    objects = [value for name in CI_NAMES for value in render(name) if is_custom(value)]
    assert {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute"} <= {value["kind"] for value in objects}
    # Two broken objects show that the schemas find unknown fields and invalid values.
    broken = json.loads(json.dumps([next(value for value in objects if value["kind"] == kind) for kind in ("ScaledObject", "HTTPRoute")]))
    broken[0]["metadata"]["name"] = broken[1]["metadata"]["name"] = "broken"
    broken[0]["spec"]["maxReplicas"] = 1
    broken[1]["spec"]["rules"][0]["timeouts"]["request"] = "soon"
    found = custom_resource_errors(objects + broken)
    assert [line for line in found if not line.startswith(("ScaledObject broken:", "HTTPRoute broken:"))] == []
    assert any("maxReplicas" in line for line in found) and any("timeouts" in line for line in found)


def test_checkov(tmp_path):
    files = []
    # The pods of the others are the same.
    for name in ("full", "gateway-api", "minimal", "schema-owner", "trial"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.dump_all([value for value in render(name) if not is_custom(value)], Dumper=yaml.CSafeDumper))
        files += ["--file", path]
    result = subprocess.run(
        [TOOLS / "checkov" / "bin" / "checkov", "--config-file", Path(__file__).parent / "checkov.yaml", *files],
        capture_output=True,
        text=True,
        env={**os.environ, "LOG_LEVEL": "ERROR"},
    )
    document = json.loads(result.stdout)
    failed = [f"{check['check_id']} {check['check_name']}: {check['resource']}" for check in document["results"]["failed_checks"]]
    assert failed == []
    assert document["summary"]["passed"] > 1000
