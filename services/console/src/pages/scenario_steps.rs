//! The scenarios of the simulator, as data: what a simulated person and an agent do in turn. A value that begins with `$` is known
//! only then: the person, the last message or call, or the newest code on the person's telephone.

/// The deed of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// An operation of the chosen agent, with the inputs as its arguments.
    Tool(&'static str),
    /// The person writes to the agent on this channel.
    Write(&'static str),
    /// The person calls the agent.
    Dial,
    /// The person speaks in the call.
    Say,
    /// The person speaks as soon as the agent does.
    Interrupt,
    /// The person ends the call.
    HangUp,
    /// The next send of a carrier fails.
    Fault,
}

/// An argument that can be edited before the step runs.
pub struct Input {
    pub name: &'static str,
    pub label: &'static str,
    pub value: &'static str,
}

pub struct Step {
    pub title: &'static str,
    /// The effect to look at.
    pub hint: &'static str,
    pub act: Act,
    pub inputs: &'static [Input],
}

pub struct Scenario {
    pub id: &'static str,
    pub title: &'static str,
    pub text: &'static str,
    pub steps: &'static [Step],
}

const fn input(name: &'static str, label: &'static str, value: &'static str) -> Input {
    Input { name, label, value }
}

const fn step(title: &'static str, hint: &'static str, act: Act, inputs: &'static [Input]) -> Step {
    Step {
        title,
        hint,
        act,
        inputs,
    }
}

const WAITING: Step = step(
    "The agent reads what waits",
    "An agent without a session or callback polls. With one, the event has been delivered already, and none waits.",
    Act::Tool("comms_get_waiting_messages"),
    &[input("limit", "At most", "10")],
);
const STATUS: Step = step(
    "The agent asks for the status",
    "Receipts of the carrier move it from accepted to delivered.",
    Act::Tool("comms_get_message_status"),
    &[input("externalId", "Message", "$message")],
);
const HANG_UP: Step = step(
    "The person hangs up",
    "The call ends, and its page has the transcript.",
    Act::HangUp,
    &[],
);

/// All scenarios, the simplest one first.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "text",
        title: "A person texts, the agent answers",
        text: "The shortest conversation: a message arrives, the agent reads it and answers.",
        steps: &[
            step(
                "The person writes",
                "The carrier's signed webhook brings it to the agent.",
                Act::Write("sms"),
                &[input("text", "Text", "Are you open today?")],
            ),
            WAITING,
            step(
                "The agent answers",
                "The answer appears on the telephone beside.",
                Act::Tool("comms_send_message"),
                &[
                    input("to", "To", "$person"),
                    input("channel", "Channel", "sms"),
                    input("body", "Text", "Yes, until six."),
                ],
            ),
            STATUS,
        ],
    },
    Scenario {
        id: "stop",
        title: "STOP, and what a send then gets",
        text: "A person opts out. No agent of the organization can write to the number any more, until the person writes START.",
        steps: &[
            step(
                "The person writes STOP",
                "It is confirmed once, and recorded with its evidence.",
                Act::Write("sms"),
                &[input("text", "Text", "STOP")],
            ),
            step(
                "The agent writes all the same",
                "It is refused with CONTACT_OPTED_OUT, and the refusal is stored.",
                Act::Tool("comms_send_message"),
                &[
                    input("to", "To", "$person"),
                    input("channel", "Channel", "sms"),
                    input("body", "Text", "Twenty percent off, only today."),
                ],
            ),
            step(
                "The agent asks for the consent",
                "It is revoked, with its source and time.",
                Act::Tool("comms_check_consent"),
                &[input("contact", "Contact", "$person")],
            ),
            step(
                "The person writes START",
                "Only the person can undo it.",
                Act::Write("sms"),
                &[input("text", "Text", "START")],
            ),
            step(
                "The agent writes again",
                "Now it is sent.",
                Act::Tool("comms_send_message"),
                &[
                    input("to", "To", "$person"),
                    input("channel", "Channel", "sms"),
                    input("body", "Text", "Welcome back."),
                ],
            ),
        ],
    },
    Scenario {
        id: "fallback",
        title: "A carrier fails, another channel takes over",
        text: "The person is reachable by WhatsApp and SMS. WhatsApp's carrier refuses, and the same message leaves as a text.",
        steps: &[
            step(
                "The person writes by WhatsApp",
                "It opens the window of 24 hours in which texts without a template pass.",
                Act::Write("whatsapp"),
                &[input("text", "Text", "Please confirm my table.")],
            ),
            step(
                "The carrier refuses the next send",
                "For operators of the installation. The fault applies once.",
                Act::Fault,
                &[
                    input("carrier", "Carrier", "twilio"),
                    input("kind", "Fault", "rate_limit"),
                ],
            ),
            step(
                "The agent writes with a fallback",
                "The result names the channel that was used, and insteadOf the requested one.",
                Act::Tool("comms_send_message"),
                &[
                    input("to", "To", "$person"),
                    input("channel", "Channel", "whatsapp"),
                    input("fallbackChannels", "Fallback channels, as JSON", "[\"sms\"]"),
                    input("body", "Text", "Your table is confirmed."),
                ],
            ),
            STATUS,
        ],
    },
    Scenario {
        id: "voicemail",
        title: "A missed call with voicemail",
        text: "The agent does not answer. The voicemail takes the message, and the agent finds it with its other messages.",
        steps: &[
            step(
                "The person calls",
                "The agent gets the call. Without an answer, the voicemail speaks after some seconds.",
                Act::Dial,
                &[],
            ),
            step(
                "The person leaves a message",
                "Wait until the voicemail has spoken.",
                Act::Say,
                &[input(
                    "text",
                    "Words",
                    "Please call me back about my order, number seven.",
                )],
            ),
            HANG_UP,
            WAITING,
        ],
    },
    Scenario {
        id: "interruption",
        title: "A call with an interruption",
        text: "The person speaks while the agent does. The agent stops, and its page shows what was heard and what was not.",
        steps: &[
            step(
                "The agent calls the person",
                "The person answers. A disclosure that an AI calls comes first.",
                Act::Tool("comms_make_call"),
                &[
                    input("to", "To", "$person"),
                    input("greeting", "Greeting", "Good morning, it is about your table."),
                    input("purpose", "Purpose", "transactional"),
                ],
            ),
            step(
                "The agent speaks",
                "Long enough to be interrupted. The words appear one by one.",
                Act::Tool("comms_say"),
                &[
                    input("callId", "Call", "$call"),
                    input(
                        "text",
                        "Words",
                        "We have a table at six, at seven, at half past seven, at eight, at half past eight, at nine, and at ten.",
                    ),
                ],
            ),
            step(
                "The person interrupts",
                "What was not spoken yet is dropped.",
                Act::Interrupt,
                &[input("text", "Words", "Seven is fine.")],
            ),
            step(
                "The agent looks at the call",
                "The history has what the person heard, and the rest as unheard.",
                Act::Tool("comms_get_call"),
                &[input("callId", "Call", "$call")],
            ),
            HANG_UP,
        ],
    },
    Scenario {
        id: "lost-answer",
        title: "A lost answer, and how it is reconciled",
        text: "The carrier takes the message, and its answer is lost. The message is not sent again: the carrier is asked what it has.",
        steps: &[
            step(
                "The carrier loses its next answer",
                "For operators of the installation. The fault applies once.",
                Act::Fault,
                &[
                    input("carrier", "Carrier", "twilio"),
                    input("kind", "Fault", "reset_after_accept"),
                ],
            ),
            step(
                "The agent writes",
                "The status is pending: it is not known yet whether the carrier has it. The telephone shows it once.",
                Act::Tool("comms_send_message"),
                &[
                    input("to", "To", "$person"),
                    input("channel", "Channel", "sms"),
                    input("body", "Text", "Your parcel arrives at noon."),
                ],
            ),
            STATUS,
            step(
                "Later, the agent asks again",
                "A receipt or a look at the carrier's list has settled it. Run it again until it has.",
                Act::Tool("comms_get_message_status"),
                &[input("externalId", "Message", "$message")],
            ),
        ],
    },
    Scenario {
        id: "code",
        title: "A one-time code",
        text: "The agent proves that the person holds the number. The code exists in its message only.",
        steps: &[
            step(
                "The agent sends a code",
                "It arrives on the telephone beside.",
                Act::Tool("comms_send_otp"),
                &[
                    input("to", "To", "$person"),
                    input("channel", "Channel", "sms"),
                    input("purpose", "Purpose", "login"),
                ],
            ),
            step(
                "A wrong code is refused",
                "Five tries are allowed, over all replicas together.",
                Act::Tool("comms_verify_otp"),
                &[input("code", "Code", "000000"), input("to", "To", "$person")],
            ),
            step(
                "The person reads the code out",
                "The field has the newest code of the telephone. Afterwards the agent trusts the contact for a time.",
                Act::Tool("comms_verify_otp"),
                &[input("code", "Code", "$code"), input("to", "To", "$person")],
            ),
            step(
                "The agent looks at its trust",
                "It ends by itself.",
                Act::Tool("comms_check_trust"),
                &[input("contact", "Contact", "$person")],
            ),
        ],
    },
];

#[cfg(test)]
mod tests {
    use butt_dial_operations as operations;
    use butt_dial_runtime::phones::FAULTS;

    use super::*;

    #[test]
    fn scenarios_name_operations_and_arguments_that_exist() {
        let steps = SCENARIOS.iter().flat_map(|scenario| scenario.steps);
        for step in steps {
            let value = |name: &str| {
                step.inputs
                    .iter()
                    .find(|input| input.name == name)
                    .map(|input| input.value)
            };
            if step.act == Act::Fault {
                assert!(
                    FAULTS.iter().any(|(kind, _)| Some(*kind) == value("kind")),
                    "{}",
                    step.title
                );
            }
            let Act::Tool(name) = step.act else { continue };
            let definition = operations::all().iter().find(|definition| definition.name == name);
            let schema = &definition.unwrap_or_else(|| panic!("{name}")).tool_schema;
            for input in step.inputs {
                assert!(
                    schema["properties"][input.name].is_object(),
                    "{name} has no {}",
                    input.name
                );
            }
            let required = schema.get("required").and_then(|names| names.as_array());
            for name in required.into_iter().flatten() {
                assert!(value(name.as_str().unwrap()).is_some(), "{}: {name}", step.title);
            }
        }
        let ids: std::collections::BTreeSet<&str> = SCENARIOS.iter().map(|scenario| scenario.id).collect();
        assert_eq!(ids.len(), 7);
    }
}
