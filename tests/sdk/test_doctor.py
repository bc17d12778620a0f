"""Section 6: the client's own diagnosis, as a library and as a command."""

import asyncio
import os
import subprocess
import sys

from buttdial import run_diagnostic
from conftest import new_contact

STAGES = [
    "Config loaded",
    "Server reachable",
    "SSE handshake",
    "Tool list",
    "send_message accepted",
    "Delivery receipt",
    "Human ack loopback",
]


async def test_doctor_passes_all_seven_stages(program, simulator, agent, host, want):
    person = await new_contact(program)
    await want.answer("the callback", agent.set_callback_url(host.callback))

    answered = asyncio.Event()

    @host.handler.on_delivery_receipt()
    async def answer_once(_):
        # The person answers after the receipt: stage 7 listens only after stage 6.
        if not answered.is_set():
            answered.set()
            asyncio.get_running_loop().call_later(1, lambda: replies.append(asyncio.create_task(reply())))

    async def reply():
        await simulator.person_writes("whatsapp", person, program.account["whatsappNumber"], "I am here")

    replies = []
    report = await run_diagnostic(
        agent, to=person, inbound_handler=host.handler, expect_ack=True, receipt_timeout=10, ack_timeout=10
    )
    await asyncio.gather(*replies)
    want.same("the stages", [stage.name for stage in report.stages], STAGES)
    for number, stage in enumerate(report.stages, start=1):
        want.that(f"stage {number}: {stage.name}", stage.ok, stage.detail, "ok")
    want.that(
        "stage 7 reads the reply",
        "I am here" in (report.stages[-1].detail or ""),
        report.stages[-1].detail,
        "the reply",
    )
    want.same("the report is ok", report.ok, True)


def test_doctor_command_passes_and_explains_401(program, want):
    def doctor(token, *arguments):
        """Runs `buttdial doctor` as a person does."""
        command = os.path.join(os.path.dirname(sys.executable), "buttdial")
        env = {"PATH": os.environ["PATH"], "BUTT_DIAL_BASE_URL": program.url, "BUTT_DIAL_AGENT_TOKEN": token}
        return subprocess.run(
            [command, "doctor", "--ascii", *arguments], env=env, capture_output=True, text=True, timeout=40
        )

    person = asyncio.run(new_contact(program))
    done = doctor(program.account["agentToken"], "--to", person)
    want.that("the exit code with a valid token", done.returncode == 0, (done.returncode, done.stdout), 0)
    for stage in STAGES[:5]:
        want.that(f"{stage} passes", f"[OK] {stage}" in done.stdout, done.stdout, f"[OK] {stage}")
    for stage in STAGES[5:]:
        want.that(f"{stage} is skipped", f"[SKIP] {stage}" in done.stdout, done.stdout, f"[SKIP] {stage}")

    done = doctor("bda_unknown")
    want.that("the exit code with an unknown token", done.returncode == 1, (done.returncode, done.stdout), 1)
    want.that("the handshake names 401", "401" in done.stdout, done.stdout, "401 in the text")
    want.that("the client's hint", "Token is invalid, revoked" in done.stdout, done.stdout, "the hint for 401")
