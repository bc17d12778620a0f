//! Text that imitates the frame of a conversation with a model: markers of roles, and calls of tools or of programs. The markers of
//! the widely used chat templates are listed; a list of them can't be complete.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::Confidence;

/// In bytes: as much as the longest marker has.
const HEAD: usize = 40;

/// Markers without spaces, in lower case, with double quotes.
const ROLES: &[&str] = &[
    "<|im_start|>",
    "<|im_end|>",
    "<|im_sep|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|endoftext|>",
    "<|end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|begin_of_text|>",
    "<|channel|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[inst]",
    "[/inst]",
    "[system_prompt]",
    "<<sys>>",
    "<</sys>>",
    "<system>",
    "</system>",
    "<system-",
    "</system-",
    "<system_",
    "</system_",
    "<systemmessage",
    "<systemprompt",
    "<sysprompt",
    "<assistant>",
    "</assistant>",
    "<developer>",
    "</developer>",
    "<admin>",
    "</admin>",
    "<instructions>",
    "</instructions>",
    "<instruction>",
    "</instruction>",
    "<prompt>",
    "</prompt>",
    "<tool_result",
    "</tool_result",
    "<tool_response",
    "<tool_output",
    "<function_result",
    "<function_response",
    "</user>",
    "</user_",
    "<user_message>",
    "</context>",
    "</untrusted",
    "{\"role\":\"system\"",
    "{\"role\":\"assistant\"",
    "{\"role\":\"developer\"",
    "{\"role\":\"tool\"",
    "[system](#",
    "[systemmessage]",
    "[systemnote",
    "[systemnotice",
    "[systemprompt",
    "[systemoverride",
    "[systemupdate",
];

/// As `ROLES`; logs have them too.
const LIKELY_ROLES: &[&str] = &[
    "[system]",
    "[system:",
    "(system:",
    "[admin]",
    "[assistant]",
    "[developer]",
];

/// The first word of a line that imitates a message.
const SPEAKERS: &[&str] = &["system", "developer", "assistant", "human", "user", "ai", "tool"];

/// Titles of sections in prompts for models.
const TITLES: &[&str] = &[
    "system",
    "instruction",
    "instructions",
    "human",
    "assistant",
    "user",
    "response",
    "prompt",
    "new instructions",
    "system prompt",
    "system message",
    "systemprompt",
];

/// Words in a line with "System:" that address a model.
const ADDRESSING: &[&str] = &[
    "you",
    "your",
    "must",
    "shall",
    "ignore",
    "user",
    "assistant",
    "model",
    "customer",
    "approve",
    "approved",
    "refund",
    "grant",
    "obey",
    "override",
    "rule",
    "authorized",
];

const TOOL_CALLS: &[&str] = &[
    "\"tool_calls\"",
    "\"function_call\"",
    "\"tools/call\"",
    "\"action_input\"",
    "\"tool_use\"",
    "\"tool_input\"",
    "<tool_call",
    "<function_calls",
    "<invoke name=",
    "<function=",
    "```tool_code",
    "to=functions.",
    "functions.send",
    "action input:",
    "os.system(",
    "__import__(",
    "subprocess.",
    "eval('",
    "eval(\"",
    "exec('",
    "exec(\"",
    "system('",
    "invoke-expression",
    "bash -c",
    "rm -rf ",
    "; drop table ",
    "'; drop",
    "drop table ",
    "| sh",
    "| bash",
    "/etc/passwd",
    "/etc/shadow",
    "process.env",
    "~/.ssh/",
    "os.remove(",
    "$openai_api_key",
    "$api_key",
];

/// Two of them together are the call of a tool in JSON, or a step of an agent.
const CALL_FIELDS: &[(&str, &str)] = &[
    ("\"name\"", "\"arguments\""),
    ("\"name\"", "\"parameters\""),
    ("\"tool\"", "\"args\""),
    ("\"tool\"", "\"input\""),
    ("\"function\"", "\"arguments\""),
    ("thought:", "\naction:"),
];

#[expect(clippy::expect_used, reason = "the texts are constants, and the tests read them")]
static CALLS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let fields = CALL_FIELDS.iter().flat_map(|(first, second)| [*first, *second]);
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(TOOL_CALLS.iter().copied().chain(fields))
        .expect("few texts")
});

/// Finds a marker of a role.
pub(super) fn find_role(plain: &str) -> Option<Confidence> {
    let mut found = None;
    for (at, _) in plain.match_indices(['<', '[', '{', '(']) {
        let head = Head::read(&plain[at..]);
        if ROLES.iter().any(|marker| head.starts_with(marker)) {
            return Some(Confidence::Certain);
        }
        if LIKELY_ROLES.iter().any(|marker| head.starts_with(marker)) {
            found = Some(Confidence::Likely);
        }
    }
    found.max(find_speaker(plain))
}

/// Finds lines that begin as messages of a conversation, or with the title of a section of a prompt.
fn find_speaker(plain: &str) -> Option<Confidence> {
    let (mut has_user, mut has_assistant) = (false, false);
    let mut found = None;
    for line in plain.lines() {
        let text = line.trim_start_matches(|c: char| c.is_whitespace() || "#*->=_".contains(c));
        let is_title = ["##", "===", "---"]
            .iter()
            .any(|sign| line.trim_start().starts_with(sign));
        let Some(end) = text.find([':', '\n']).or(is_title.then_some(text.len())) else {
            continue;
        };
        let name = text[..end].trim_end_matches(['*', ' ', '=', '-']);
        if name.len() > HEAD {
            continue;
        }
        let name = name.to_ascii_lowercase();
        let rest = &text[end..];
        if is_title && TITLES.contains(&name.as_str()) || name == "role" && Head::read(rest).starts_with(":system") {
            return Some(Confidence::Certain);
        }
        let Some(speaker) = SPEAKERS.iter().find(|speaker| name.starts_with(**speaker)) else {
            continue;
        };
        let is_alone = name == **speaker;
        has_user |= is_alone && matches!(*speaker, "human" | "user");
        has_assistant |= is_alone && matches!(*speaker, "assistant" | "ai");
        let is_command = is_alone && matches!(*speaker, "system" | "developer") && is_addressing(rest);
        if is_command || name.starts_with("system message") || name.starts_with("system override") {
            found = Some(Confidence::Likely);
        }
    }
    if has_user && has_assistant {
        found = Some(Confidence::Likely);
    }
    found
}

fn is_addressing(line: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric())
        .any(|word| ADDRESSING.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// Finds the call of a tool or a program in the form that a model or a shell would write it.
pub(super) fn find_tool_call(plain: &str) -> Option<Confidence> {
    let mut has_field = [false; 2 * CALL_FIELDS.len()];
    for found in CALLS.find_overlapping_iter(plain) {
        match found.pattern().as_usize().checked_sub(TOOL_CALLS.len()) {
            Some(field) => has_field[field] = true,
            None => return Some(Confidence::Certain),
        }
    }
    let is_call = has_field.chunks(2).any(|fields| !fields.contains(&false));
    is_call.then_some(Confidence::Certain)
}

/// The first characters without spaces, in lower case, with double quotes.
struct Head {
    bytes: [u8; HEAD],
    length: usize,
}

impl Head {
    fn read(text: &str) -> Self {
        let mut head = Self {
            bytes: [0; HEAD],
            length: 0,
        };
        for byte in text
            .bytes()
            .take(3 * HEAD)
            .filter(|byte| !byte.is_ascii_whitespace())
            .take(HEAD)
        {
            head.bytes[head.length] = if byte == b'\'' { b'"' } else { byte.to_ascii_lowercase() };
            head.length += 1;
        }
        head
    }

    fn starts_with(&self, marker: &str) -> bool {
        self.bytes[..self.length].starts_with(marker.as_bytes())
    }
}
