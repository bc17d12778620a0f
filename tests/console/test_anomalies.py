"""Anomalies: shown with their numbers, and undone by people."""

import json
import pathlib

from program import Program
from test_console import wait_until
from test_simulator import until

DETECTORS = pathlib.Path(__file__).parents[2] / "deploy" / "anomalies.toml"
PUMPING = 'severity = "critical"\nreaction = "throttle"\nparameters = { min_numbers = 30,'


def test_anomaly_is_shown_and_undone(person, tmp_path):
    text = DETECTORS.read_text()
    assert text.count(PUMPING) == 1
    rules = tmp_path / "anomalies.toml"
    rules.write_text(text.replace(PUMPING, 'severity = "critical"\nreaction = "suspend"\nparameters = { min_numbers = 5,'))
    program = Program(ANOMALIES_FILE=str(rules), ANOMALY_INTERVAL_SECONDS="1")
    try:
        owner = person(program)
        page = owner.page
        owner.claim()
        owner.go("/anomalies")
        assert page.locator("text=Nothing unusual").count() == 1, page.content()[:1500]
        keys = json.loads(program.command("bootstrap", "--json"))
        for number in range(8):
            body = {"to": f"+1415555018{number}", "channel": "sms", "body": "Hi"}
            program.rest("POST", "/api/v1/send-message", keys["agentToken"], body)
        wait_until(page, "Agent suspended", reload=True)
        page.click("summary:has-text('sms_pumping')")
        shown = page.inner_text("section[aria-label=Anomalies]")
        assert "windowMinutes" in shown and "critical" in shown and "open" in shown, shown
        owner.picture("anomalies")
        listed = program.rest("GET", "/api/v1/anomalies?detector=sms_pumping&state=open", keys["teamToken"])["anomalies"]
        assert [one["reaction"] for one in listed] == ["suspend"]

        def status():
            return program.rest("GET", f"/api/v1/agents/{listed[0]['agentId']}", keys["teamToken"])["status"]

        assert status() == "suspended"
        page.click("button:has-text('Dismiss')")
        page.wait_for_load_state()
        page.click("button:has-text('Reactivate')")
        until(lambda: status() == "active")
        page.select_option("#state", "open")
        page.click("main button:has-text('Filter')")
        page.wait_for_load_state()
        assert page.locator("text=Nothing unusual").count() == 1
        page.select_option("#state", "dismissed")
        page.select_option("#kind", "sms_pumping")
        page.click("main button:has-text('Filter')")
        page.wait_for_load_state()
        assert page.locator("section[aria-label=Anomalies] tbody tr").count() == 1
        assert page.locator("button:has-text('Dismiss')").count() == 0
    finally:
        program.stop()
