//! Tags of HTML, SSML and language models: recognizes them in a text that also contains `5 < 6`, and decides what each
//! becomes.

/// The state of a text that begins with `<`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// May become a tag with more characters.
    Open,
    /// Is a tag up to its last character.
    Complete,
    /// Is no tag, whatever follows.
    Broken,
}

/// The effect of a complete tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Is replaced by this text.
    Replace(&'static str),
    /// Is replaced by the text in it: an address, the description of an image.
    Text(String),
    /// Hides the text up to the end tag with this name.
    Hide(String),
    /// Ends reasoning.
    EndOfReasoning,
    /// A marker between the parts of a model's output, such as `<|channel|>`.
    Marker(String),
    /// Is text.
    Literal,
}

const MAX_TAG: usize = 240;

/// The model's notes to itself.
const REASONING: &[&str] = &[
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reason",
    "rationale",
    "reflection",
    "analysis",
    "scratchpad",
    "scratch_pad",
    "monologue",
    "inner_monologue",
    "inner_thoughts",
    "inner_voice",
    "internal",
    "planning",
    "seed:think",
];

/// Elements with a content that is not text.
const MACHINE: &[&str] = &[
    "script",
    "style",
    "head",
    "svg",
    "template",
    "noscript",
    "tool",
    "tools",
    "tool_call",
    "tool_calls",
    "tool_code",
    "tool_use",
    "tool_response",
    "tool_result",
    "tool_results",
    "tool_output",
    "function",
    "function_call",
    "function_calls",
    "function_result",
    "function_results",
    "invoke",
    "tool-call",
    "tool-use",
    "function-call",
];

const SHORT_NAMES: &[&str] = &["a", "b", "i", "p", "q", "s", "u", "w"];

/// Elements that are tags even if they have an attribute without a value.
const KNOWN: &[&str] = &[
    "a",
    "audio",
    "b",
    "blockquote",
    "body",
    "br",
    "break",
    "button",
    "center",
    "code",
    "details",
    "div",
    "em",
    "emphasis",
    "font",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "footer",
    "hr",
    "html",
    "img",
    "input",
    "li",
    "mark",
    "ol",
    "option",
    "p",
    "phoneme",
    "pre",
    "prosody",
    "say-as",
    "section",
    "select",
    "small",
    "span",
    "speak",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
    "video",
    "voice",
];

/// The elements that are blocks of text, written as the markup that the next stage reads.
const BLOCKS: &[(&str, &str, &str)] = &[
    ("br", "\n", "\n"),
    ("hr", "\n\n", ""),
    ("p", "\n\n", "\n\n"),
    ("div", "\n\n", "\n\n"),
    ("section", "\n\n", "\n\n"),
    ("article", "\n\n", "\n\n"),
    ("header", "\n\n", "\n\n"),
    ("footer", "\n\n", "\n\n"),
    ("blockquote", "\n\n", "\n\n"),
    ("pre", "\n\n", "\n\n"),
    ("ul", "\n\n", "\n\n"),
    ("ol", "\n\n", "\n\n"),
    ("li", "\n- ", "\n\n"),
    ("dt", "\n\n", "\n\n"),
    ("dd", "\n\n", "\n\n"),
    ("table", "\n\n", "\n\n"),
    ("tr", "\n\n", "\n\n"),
    ("td", " | ", ""),
    ("th", " | ", ""),
    ("title", "\n\n", "\n\n"),
    ("summary", "\n\n", "\n\n"),
    ("h1", "\n\n", "\n\n"),
    ("h2", "\n\n", "\n\n"),
    ("h3", "\n\n", "\n\n"),
    ("h4", "\n\n", "\n\n"),
    ("h5", "\n\n", "\n\n"),
    ("h6", "\n\n", "\n\n"),
];

/// Two bars of full width and a low line of its kind are what some models write instead of `|` and `_`.
fn plain(c: char) -> char {
    match c {
        '\u{ff5c}' => '|',
        '\u{2581}' => '_',
        c => c,
    }
}

/// Reads a text that begins with `<`.
pub(super) fn scan(text: &str) -> Scan {
    let chars: Vec<char> = text.chars().map(plain).collect();
    if chars.len() > MAX_TAG {
        return Scan::Broken;
    }
    let Some(&second) = chars.get(1) else { return Scan::Open };
    match second {
        '|' => return scan_marker(&chars),
        '!' | '?' => return scan_declaration(&chars),
        '/' if chars.len() == 2 => return Scan::Open,
        '/' if chars[2].is_alphabetic() => {}
        c if c.is_ascii_alphabetic() => {}
        _ => return Scan::Broken,
    }
    let start = if second == '/' { 2 } else { 1 };
    let is_name = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '+' | '@');
    let mut length = chars[start..].iter().take_while(|c| is_name(c)).count();
    let name: String = chars[start..start + length].iter().collect();
    // `<function=end_call>`
    if chars.get(start + length) == Some(&'=') && matches!(name.as_str(), "function" | "parameter" | "tool") {
        length += 1 + chars[start + length + 1..].iter().take_while(|c| is_name(c)).count();
    }
    let rest = &chars[start + length..];
    match rest.first() {
        None => Scan::Open,
        Some('>') if rest.len() == 1 => Scan::Complete,
        // An address in angle brackets.
        Some(c) if (name.contains('@') || name.ends_with(':')) && !c.is_whitespace() && *c != '<' => {
            match rest.iter().position(|c| *c == '>') {
                _ if rest.contains(&'<') => Scan::Broken,
                Some(at) if at + 1 == rest.len() => Scan::Complete,
                None if !rest.iter().any(|c| c.is_whitespace()) => Scan::Open,
                _ => Scan::Broken,
            }
        }
        Some(c) if c.is_whitespace() || *c == '/' => scan_attributes(rest),
        Some(_) => Scan::Broken,
    }
}

fn scan_marker(chars: &[char]) -> Scan {
    let is_inside = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.');
    let length = chars[2..].iter().take_while(|c| is_inside(c)).count();
    match &chars[2 + length..] {
        [] | ['|'] if length <= 60 => Scan::Open,
        ['|', '>'] => Scan::Complete,
        _ => Scan::Broken,
    }
}

fn scan_declaration(chars: &[char]) -> Scan {
    match (chars.get(2), chars.last()) {
        (None, _) => Scan::Open,
        (Some(c), _) if !c.is_alphabetic() && !matches!(c, '-' | '[') => Scan::Broken,
        (_, Some('>')) => Scan::Complete,
        _ => Scan::Open,
    }
}

fn scan_attributes(rest: &[char]) -> Scan {
    let (mut at, mut without_value) = (0, 0);
    loop {
        while rest.get(at).is_some_and(|c| c.is_whitespace() || *c == '/') {
            at += 1;
        }
        match rest.get(at) {
            None => return Scan::Open,
            Some('>') if at + 1 == rest.len() => return Scan::Complete,
            Some(c) if c.is_alphabetic() || matches!(c, '_' | ':' | '@') => {}
            Some(_) => return Scan::Broken,
        }
        let is_name = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '@');
        at += rest[at..].iter().take_while(|c| is_name(c)).count();
        let after_name = at;
        while rest.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        match rest.get(at) {
            None => return if without_value > 0 { Scan::Broken } else { Scan::Open },
            Some('=') => at += 1,
            Some(_) => {
                without_value += 1;
                if without_value > 1 {
                    return Scan::Broken;
                }
                at = after_name;
                continue;
            }
        }
        while rest.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        match rest.get(at) {
            None => return Scan::Open,
            Some(quote @ ('"' | '\'' | '“' | '”')) => {
                let closing = if matches!(quote, '“') { '”' } else { *quote };
                match rest[at + 1..].iter().position(|c| *c == closing) {
                    Some(length) => at += length + 2,
                    None => return Scan::Open,
                }
            }
            Some(_) => {
                at += rest[at..]
                    .iter()
                    .take_while(|c| !c.is_whitespace() && !matches!(c, '>' | '<' | '"' | '\''))
                    .count();
                if matches!(rest.get(at), Some('<' | '"' | '\'')) {
                    return Scan::Broken;
                }
            }
        }
    }
}

/// Decides what a complete tag becomes.
pub(super) fn effect(tag: &str) -> Effect {
    let inner: String = tag[1..tag.len() - 1].chars().map(plain).collect();
    if let Some(marker) = inner.strip_prefix('|') {
        return Effect::Marker(marker.trim_end_matches('|').trim().to_lowercase());
    }
    if let Some(text) = inner.strip_prefix("![CDATA[") {
        return Effect::Text(text.trim_end_matches(']').to_owned());
    }
    if inner.starts_with(['!', '?']) {
        return Effect::Replace("");
    }
    if inner.contains('@') || inner.contains("://") {
        let is_address = !inner.chars().any(|c| c.is_whitespace() || c == '"');
        if is_address {
            return Effect::Text(inner);
        }
    }
    let is_end = inner.starts_with('/');
    let is_empty = inner.ends_with('/');
    let body = inner.trim_matches('/');
    let (name, attributes) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
    let name = name.split(['/', '=']).next().unwrap_or_default().to_lowercase();
    let local = name.rsplit_once(':').map_or(name.as_str(), |(_, local)| local);
    if REASONING.contains(&local) {
        return match (is_end, is_empty) {
            (true, _) => Effect::EndOfReasoning,
            (_, true) => Effect::Replace(""),
            _ => Effect::Hide(name),
        };
    }
    if MACHINE.contains(&local) {
        let replaced = is_end || is_empty;
        return if replaced {
            Effect::Replace("")
        } else {
            Effect::Hide(name)
        };
    }
    if let Some((_, start, end)) = BLOCKS.iter().find(|(known, ..)| *known == local) {
        return Effect::Replace(if is_end { end } else { start });
    }
    if local == "img" {
        return Effect::Text(attribute(attributes, "alt").unwrap_or_default().to_owned());
    }
    if matches!(local, "break" | "s" | "sentence" | "w") {
        return Effect::Replace("\u{fdd0} ");
    }
    let has_bare_attribute = !attributes.trim_matches('/').trim().is_empty() && !attributes.contains('=');
    let is_short = local.chars().count() == 1;
    let is_text = (is_short && !SHORT_NAMES.contains(&local)) || (has_bare_attribute && !KNOWN.contains(&local));
    if is_text { Effect::Literal } else { Effect::Replace("") }
}

/// Returns the quoted value of an attribute.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = attributes.split_once(&format!("{name}="))?;
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split(quote).next()
}

/// Whether this is the end tag of the element; reasoning may end with any of its names.
pub(super) fn closes(tag: &str, name: &str) -> bool {
    let Some(end) = tag.strip_prefix("</") else {
        return false;
    };
    let end = end.trim_end_matches('>').trim().to_lowercase();
    let local = |name: &str| {
        name.rsplit_once(':')
            .map_or(name.to_owned(), |(_, local)| local.to_owned())
    };
    end == name || (REASONING.contains(&local(&end).as_str()) && REASONING.contains(&local(name).as_str()))
}

/// Whether a tag that the text ends in is dropped: it is certain enough that it is one.
pub(super) fn is_cut_tag(text: &str) -> bool {
    if text.starts_with("</") || text.starts_with("<!--") || text.starts_with("<|") {
        return text.len() > 2;
    }
    let name: String = text[1..]
        .chars()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':'))
        .collect();
    let name = name.to_lowercase();
    let is_known = |names: &[&str]| names.contains(&name.as_str());
    text.contains('=') || (name.len() > 1 && (is_known(KNOWN) || is_known(REASONING) || is_known(MACHINE)))
}
