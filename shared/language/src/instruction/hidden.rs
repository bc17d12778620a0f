//! Text that a person does not see: invisible characters that carry text, text in reverse direction, and hidden elements of HTML
//! that address a model. Invisible characters that languages, emoji and mail programs need are no finding.

use super::Confidence;

/// In characters: shorter runs are single marks.
const MIN_RUN: usize = 3;
/// As letters in bits: two characters have sixteen.
const MIN_BITS: usize = 16;
/// In places between Latin letters.
const MIN_WITHIN: usize = 6;
/// In letters.
const MIN_REVERSED: usize = 4;
const MIN_FORCED: usize = 8;
/// In bytes: the rest of a longer element is not read.
const MAX_TAG: usize = 300;
const MAX_ELEMENT: usize = 500;

/// Attributes and styles that hide an element, without spaces.
const HIDING: &[&str] = &[
    "display:none",
    "visibility:hidden",
    "font-size:0",
    "font-size:1px",
    "opacity:0",
    "color:white",
    "color:#fff",
    "color:transparent",
    "color=\"#fff",
    "color=\"white",
    "left:-9",
    "text-indent:-9",
    "max-height:0",
    "mso-hide:all",
    "hidden>",
    "hidden=",
];

/// Words that address a model, in all languages.
const ADDRESSING: &[&str] = &[
    "ai",
    "ki",
    "ia",
    "llm",
    "assistant",
    "asistente",
    "assistente",
    "assistent",
    "asystent",
    "chatbot",
    "model",
    "prompt",
    "instruction",
    "instructions",
    "instrucciones",
    "anweisungen",
    "istruzioni",
    "instructies",
    "instrukcje",
    "system",
    "chatgpt",
    "claude",
    "gpt",
];

/// Finds hidden text; `has_instruction` states whether the words of the text instruct the agent.
pub(super) fn find(text: &str, plain: &str, has_instruction: bool) -> Option<Confidence> {
    find_invisible(text).max(find_element(plain, has_instruction))
}

fn find_invisible(text: &str) -> Option<Confidence> {
    if text.is_ascii() {
        return None;
    }
    let mut found = None;
    let (mut tags, mut selectors, mut within) = (0, 0, 0);
    let mut is_flag = false;
    let mut run: Vec<char> = Vec::new();
    let mut before = ' ';
    // The letters after a mark that changes the direction, and how many are too many.
    let mut forced: Option<(usize, usize)> = None;
    for c in text.chars().chain([' ']) {
        // Flags of regions are a flag and tags.
        is_flag = c == '\u{1f3f4}' || is_flag && is_tag(c);
        tags += usize::from(is_tag(c) && !is_flag);
        let is_selector = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
        selectors = if is_selector { selectors + 1 } else { 0 };
        if tags >= MIN_RUN || selectors >= MIN_RUN {
            return Some(Confidence::Certain);
        }
        match c {
            '\u{202e}' => forced = Some((0, MIN_REVERSED)),
            '\u{202d}' => forced = Some((0, MIN_FORCED)),
            '\u{202c}' | '\n' => forced = None,
            _ => {
                if let Some((letters, limit)) = &mut forced
                    && c.is_alphabetic()
                {
                    *letters += 1;
                    if letters >= limit {
                        found = Some(Confidence::Likely);
                    }
                }
            }
        }
        if is_zero_width(c) {
            run.push(c);
            continue;
        }
        within += usize::from(!run.is_empty() && before.is_ascii_alphabetic() && c.is_ascii_alphabetic());
        if is_message(&run) {
            return Some(Confidence::Certain);
        }
        run.clear();
        before = c;
    }
    if within >= MIN_WITHIN {
        Some(Confidence::Likely)
    } else {
        found
    }
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e007f}')
}

fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}')
}

/// Whether characters without width carry bits. Mail programs pad a preview with the same few again and again.
fn is_message(run: &[char]) -> bool {
    if run.len() < MIN_BITS {
        return false;
    }
    let is_periodic = (1..=4).any(|period| run.iter().zip(&run[period..]).all(|(a, b)| a == b));
    !is_periodic
}

/// Finds an element that is hidden, or a comment, that addresses a model.
fn find_element(plain: &str, has_instruction: bool) -> Option<Confidence> {
    let confidence = if has_instruction {
        Confidence::Certain
    } else {
        Confidence::Likely
    };
    for (at, _) in plain.match_indices(['<', '[']) {
        let rest = &plain[at..plain.floor_char_boundary(at + MAX_TAG + MAX_ELEMENT)];
        let hidden = if let Some(comment) = rest.strip_prefix("<!--") {
            comment.split("-->").next()
        } else if rest.starts_with("[//]: #") || rest.starts_with("[comment]: ") {
            rest.lines().next()
        } else if rest.starts_with('<') {
            hidden_content(rest)
        } else {
            None
        };
        if hidden.is_some_and(|content| is_addressing(content) || has_instruction && !content.trim().is_empty()) {
            return Some(confidence);
        }
    }
    None
}

/// Returns the content of an element that is hidden.
fn hidden_content(element: &str) -> Option<&str> {
    let end = element.bytes().take(MAX_TAG).position(|c| c == b'>')?;
    let tag = &element[..=end];
    let is_styled = ["style", "hidden", "color"].iter().any(|word| tag.contains(word)) || tag.contains("STYLE");
    if !is_styled {
        return None;
    }
    let bare: String = tag
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let content = &element[end + 1..];
    let content = &content[..content.find("</").unwrap_or(content.len())];
    HIDING.iter().any(|style| bare.contains(style)).then_some(content)
}

fn is_addressing(content: &str) -> bool {
    content
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| ADDRESSING.iter().any(|known| known.eq_ignore_ascii_case(word)))
}
