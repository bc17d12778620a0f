"""Draws each dashboard from the data of a running Prometheus, as an approximation of what Grafana shows: for looking at the
panels where no Grafana is installed."""

import json
import math
import pathlib
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import expressions


def legend(target, metric):
    text = target["legendFormat"]
    if text == "__auto":
        return ", ".join(f"{k}={v}" for k, v in metric.items() if k != "__name__")
    for name, value in metric.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def draw(system, directory, seconds, query):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    end = time.time()
    for name, dashboard in expressions.dashboards().items():
        panels = [panel for panel in dashboard["panels"] if any("expr" in t for t in panel.get("targets", []))]
        if not panels:
            continue
        height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
        figure = plt.figure(figsize=(24, height * 0.62))
        for panel in panels:
            at = panel["gridPos"]
            axes = figure.add_axes([(at["x"] + 1.0) / 24, 1 - (at["y"] + at["h"] - 1.4) / height, (at["w"] - 1.5) / 24, (at["h"] - 2.6) / height])
            axes.set_title(f"{panel['title']} [{panel['fieldConfig']['defaults']['unit']}]", fontsize=11, loc="left")
            rows, lines = [], 0
            for target in panel["targets"]:
                expr = expressions.with_variables(target["expr"])
                if panel["type"] == "timeseries":
                    result = query(system, expr, "query_range", start=end - seconds, end=end, step=1)[0] or []
                    for line in result[:12]:
                        points = [(float(t) - end, float(v)) for t, v in line["values"]]
                        axes.plot(*zip(*points), label=legend(target, line["metric"])[:60], linewidth=1.4)
                        lines += any(not math.isnan(v) for _, v in points)
                else:
                    rows += [(legend(target, row["metric"]), row["value"][1]) for row in query(system, expr)[0] or []]
            if panel["type"] == "timeseries":
                axes.set_ylim(bottom=0)
                axes.tick_params(labelsize=8)
                if lines:
                    axes.legend(fontsize=7, loc="upper left", framealpha=0.6)
                else:
                    axes.text(0.5, 0.5, "no data", ha="center", va="center", transform=axes.transAxes, color="gray")
            else:
                axes.axis("off")
                text = "\n".join(f"{label[:70]}  {float(value):.4g}" for label, value in rows[:12]) or "no data"
                axes.text(0.02, 0.95, text, fontsize=14 if panel["type"] == "stat" else 8, va="top", transform=axes.transAxes, family="monospace")
        figure.savefig(directory / f"{name}.png", dpi=60)
        plt.close(figure)
        print(f"  drew {directory / name}.png")
