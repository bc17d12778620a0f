"""Renders the chart with Helm."""

import os
import subprocess
from functools import lru_cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "butt-dial"
TOOLS = Path(os.environ["HELM_TOOLS"])
CI = sorted((CHART / "ci").glob("*-values.yaml"))
CI_NAMES = [path.name.removesuffix("-values.yaml") for path in CI]
# Roles by their keys in the values.
ROLES = {
    "gateway": "gateway",
    "console": "console",
    "webhookIngest": "webhook-ingest",
    "voiceRelay": "voice-relay",
    "dispatcher": "dispatcher",
}


def helm(*arguments, binary="helm", check=True):
    """Runs Helm and returns its output."""
    result = subprocess.run(
        [TOOLS / binary, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    if check and result.returncode != 0:
        raise AssertionError(f"helm {' '.join(map(str, arguments))}\n{result.stderr}")
    return result


@lru_cache(maxsize=None)
def render(*names, set=(), release="r", namespace="ns", chart=CHART, binary="helm"):
    """Renders the chart with files of ci/ and `--set-json` pairs. Returns the objects."""
    arguments = ["template", release, chart, "--namespace", namespace]
    for name in names:
        arguments += ["--values", CHART / "ci" / f"{name}-values.yaml"]
    for pair in set:
        arguments += ["--set-json", pair]
    output = helm(*arguments, binary=binary).stdout
    return [value for value in yaml.load_all(output, Loader=yaml.CSafeLoader) if value]


def errors(*names, set=()):
    """Renders values that are not valid. Returns the message."""
    arguments = ["template", "r", CHART]
    for name in names:
        arguments += ["--values", CHART / "ci" / f"{name}-values.yaml"]
    for pair in set:
        arguments += ["--set-json", pair]
    result = helm(*arguments, check=False)
    assert result.returncode != 0, "the values were accepted"
    return result.stderr


def identity(value):
    return value["kind"], value["metadata"]["name"]


def find(objects, kind, suffix=""):
    """Returns the one object of a kind with a name that ends with the suffix."""
    found = [value for value in objects if value["kind"] == kind and value["metadata"]["name"].endswith(suffix)]
    assert len(found) == 1, f"{kind} *{suffix}: {[identity(value) for value in found]}"
    return found[0]


def of_kind(objects, kind):
    return [value for value in objects if value["kind"] == kind]


def deployments(objects):
    """Returns the Deployments of the roles by the names of the roles."""
    found = {value["metadata"]["labels"]["app.kubernetes.io/component"]: value for value in of_kind(objects, "Deployment")}
    return {role: found[role] for role in ROLES.values()}


def pod_specs(objects):
    """Yields (name, spec) of all pods."""
    for value in objects:
        name = "/".join(identity(value))
        if value["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield name, value["spec"]["template"]["spec"]
        elif value["kind"] == "Pod":
            yield name, value["spec"]


def program(spec):
    """Returns the container of the program."""
    return next(container for container in spec["containers"] if container["name"] == "butt-dial")


def config(objects):
    """Returns the data of the program's ConfigMap."""
    return next(
        value["data"]
        for value in of_kind(objects, "ConfigMap")
        if value["metadata"]["labels"].get("app.kubernetes.io/component") == "config"
    )


def environment(objects, spec):
    """Returns the environment of the program's container, with the ConfigMap. Values from other sources are left out."""
    container = program(spec)
    maps = {value["metadata"]["name"]: value.get("data", {}) for value in of_kind(objects, "ConfigMap")}
    result = {}
    for source in container.get("envFrom", []):
        result.update(maps.get(source["configMapRef"]["name"], {}))
    result.update({entry["name"]: entry["value"] for entry in container["env"] if "value" in entry})
    return result


def secret_files(spec):
    """Returns the files of the secrets' volume: {name: (secret, key)}."""
    volume = next(volume for volume in spec["volumes"] if volume["name"] == "secrets")
    return {
        item["path"]: (source["secret"]["name"], item["key"])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }
