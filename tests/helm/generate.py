"""Generates the parts of the chart that have another source: README.md from README.md.in and the comments of values.yaml, and the
settings in values.schema.json from deploy/butt-dial.toml and the manifests of the vendors.

    generate.py           writes the files
    generate.py --check   fails if a file is stale
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "butt-dial"

# Settings that other values of the chart determine.
OWNED = {
    "allowed_hosts": "allowedHosts",
    "blob_url": "attachments",
    "data_dir": "no value: the roles store no data",
    "database_url": "database",
    "demo_mode": "simulator",
    "host": "listenAddress",
    "metrics_port": "metrics.port",
    "migrate": "migrations.mode",
    "nats_ca_path": "nats.tls",
    "nats_client_certificate_path": "nats.tls",
    "nats_client_key_path": "nats.tls",
    "nats_url": "nats",
    "port": "port",
    "redis_url": "redis",
    "s3_endpoint": "attachments.s3Endpoint",
    "s3_region": "attachments.s3Region",
    "simulator_port": "no value: only a single process has simulators",
    "trusted_proxies": "trustedProxies",
    "webhook_base_url": "publicUrl",
}
# Settings that must be in Secrets.
SECRET = re.compile(r"_token$|_secret$|_key$|_key_id$|_password$|_tokens$|_keys$|_credentials$|_nkey$|_seed$|_read_url$")


def program_settings():
    """Returns the settings of the program with their defaults."""
    return tomllib.loads((ROOT / "deploy" / "butt-dial.toml").read_text())


def vendor_settings():
    """Returns the settings of all vendors, by name, with whether they are secret."""
    settings = {}
    for path in sorted((ROOT / "shared" / "providers" / "src").glob("*/mod.rs")):
        text = path.read_text()
        constants = dict(re.findall(r'const (\w+): &str = "([^"]+)";', text))
        for env, secret in re.findall(r"env: (\w+),\s*required: \w+,\s*secret: (\w+)", text):
            settings[constants[env].lower()] = secret == "true"
        for endpoint in re.findall(r"endpoint_env: (\w+)", text):
            settings[constants[endpoint].lower()] = False
    return settings


def secret_settings():
    """Returns the settings with values that must be in Secrets."""
    # A switch that allows a kind of secret is none.
    own = {name for name in program_settings() if SECRET.search(name) and not name.startswith("allow_")}
    return own | {name for name, secret in vendor_settings().items() if secret}


def accepted_settings():
    """Returns the settings that the value `settings` accepts, with their schemas."""
    properties = {}
    secrets = secret_settings()
    for name, default in program_settings().items():
        if name not in OWNED and name not in secrets:
            properties[name] = schema_of(default)
    for name in vendor_settings():
        if name not in secrets:
            properties[name] = {"type": "string"}
    return dict(sorted(properties.items()))


def schema_of(default):
    # In Python, a boolean is an integer.
    if isinstance(default, int) and not isinstance(default, bool):
        return {"type": "integer"}
    # A number or a word ("none", "auto"), and lists such as "5,15".
    return {"type": ["string", "number", "boolean"]}


def schema():
    path = CHART / "values.schema.json"
    document = json.loads(path.read_text())
    document["definitions"]["settings"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": accepted_settings(),
    }
    return path, json.dumps(document, indent=2) + "\n"


def rows(text):
    """Yields ("section", title), ("text", words) and ("value", path, description) from the comments of values.yaml."""
    stack, comment, described = [], [], False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# === "):
            yield "section", stripped.strip("# =").strip()
            comment, described = [], False
        elif stripped.startswith("#"):
            words = stripped.lstrip("#").strip()
            if words.startswith("-- "):
                comment, described = [words[3:]], True
            else:
                comment.append(words)
        elif not stripped:
            if comment and not described:
                yield "text", " ".join(comment)
            comment, described = [], False
        else:
            match = re.match(r"( *)([A-Za-z0-9_.]+):", line)
            if match:
                depth = len(match[1]) // 2
                stack = stack[:depth] + [match[2]]
                if described:
                    yield "value", tuple(stack), " ".join(comment)
            comment, described = [], False


def readme():
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    lines, in_table = [], False
    for kind, *content in rows(text):
        if kind == "value":
            path, description = content
            if not in_table:
                lines += ["| value | default | meaning |", "|---|---|---|"]
                in_table = True
            default = values
            for part in path:
                default = default[part]
            shown = json.dumps(default, ensure_ascii=False, separators=(", ", ": "))
            shown = "see `values.yaml`" if len(shown) > 60 else f"`{shown}`"
            lines.append(f"| `{'.'.join(path)}` | {shown} | {description.replace('|', chr(92) + '|')} |")
            continue
        if in_table:
            lines.append("")
            in_table = False
        lines += [f"### {content[0]}" if kind == "section" else content[0], ""]
    template = (CHART / "README.md.in").read_text()
    generated = "<!-- Generated by tests/helm/generate.py from README.md.in and values.yaml. Do not edit. -->"
    return CHART / "README.md", template.replace("{{ generated }}", generated).replace(
        "{{ values }}", "\n".join(lines).rstrip("\n")
    )


def stale():
    """Returns the files with other contents than generated ones."""
    return [path for path, text in (schema(), readme()) if not path.is_file() or path.read_text() != text]


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        for path in stale():
            print(f"{path.relative_to(ROOT)} is stale: run tests/helm/run --generate", file=sys.stderr)
        sys.exit(1 if stale() else 0)
    for path, text in (schema(), readme()):
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")
