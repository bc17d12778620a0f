"""Reads the rules and dashboards, and finds the metrics and labels that their expressions use."""

import importlib.util
import json
import pathlib
import re

import promql_parser
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = OBSERVABILITY / "rules"
DASHBOARDS = OBSERVABILITY / "dashboards"
# Grafana's variables, as a scrape interval of one second needs them.
VARIABLES = {"$__rate_interval": "30s", "$__interval": "5s", "$namespace": ".*"}


def with_variables(text):
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return text


def generator():
    """The module that writes the dashboards: it knows which panels may have no data."""
    spec = importlib.util.spec_from_file_location("dashboards", OBSERVABILITY / "dashboards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rule_files():
    return sorted(RULES.glob("*.yml"))


def rules():
    """Yields the file and the rule."""
    for path in rule_files():
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield path, rule


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def may_be_empty():
    """The titles of panels that may have no data, by dashboard."""
    return {name: {item.title for item in items if not isinstance(item, str) and item.rare}
            for name, (_, items) in generator().DASHBOARDS.items()}


def panel_expressions():
    """Yields the dashboard, the panel's title, whether it may be empty, and the expression."""
    rare = may_be_empty()
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                if "expr" in target:
                    yield name, panel["title"], panel["title"] in rare[name], with_variables(target["expr"])


def panel_queries():
    """Yields the dashboard, the panel's title, whether it may be empty, and the SQL."""
    rare = may_be_empty()
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                if "rawSql" in target:
                    yield name, panel["title"], panel["title"] in rare[name], target["rawSql"]


def annotation_expressions():
    for name, dashboard in dashboards().items():
        for annotation in dashboard["annotations"]["list"]:
            yield name, annotation["name"], True, with_variables(annotation["expr"])


def all_expressions():
    """Yields a description and the expression, of rules and dashboards."""
    for path, rule in rules():
        yield f"{path.name}", rule["expr"]
    for name, title, _, expr in [*panel_expressions(), *annotation_expressions()]:
        yield f"{name}.json, {title}", expr


def selectors(node):
    """Yields all selectors of a parsed expression."""
    if node is None or isinstance(node, (str, int, float)):
        return
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for attribute in ("lhs", "rhs", "expr", "param", "vector_selector"):
        yield from selectors(getattr(node, attribute, None))
    for argument in getattr(node, "args", None) or []:
        yield from selectors(argument)


def groupings(node):
    """Yields each aggregation by labels, as the labels and its selectors."""
    if node is None or isinstance(node, (str, int, float)):
        return
    if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None and "By" in str(node.modifier.type):
        yield node.modifier.labels, list(selectors(node.expr))
    for attribute in ("lhs", "rhs", "expr"):
        yield from groupings(getattr(node, attribute, None))
    for argument in getattr(node, "args", None) or []:
        yield from groupings(argument)


def parse(expr):
    return promql_parser.parse(expr)


def family(name):
    """The name of the metric without the suffixes of a histogram."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def used_metrics():
    """Returns the places of each used metric of the program."""
    used = {}
    for place, expr in all_expressions():
        for selector in selectors(parse(expr)):
            if selector.name and selector.name.startswith(("bd_", "process_")):
                used.setdefault(selector.name, []).append(place)
    return used


def pending_metrics():
    """Metrics that the program does not have yet."""
    path = pathlib.Path(__file__).parent / "pending-metrics.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}
