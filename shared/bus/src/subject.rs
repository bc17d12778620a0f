//! Subjects and patterns as NATS defines them: tokens between dots, `*` for one token, a last `>` for one or more.

/// A subject that a message can be sent to: no wildcards, no empty tokens, nothing that would break the wire format.
pub(crate) fn is_subject(text: &str) -> bool {
    is_pattern(text) && !has_wildcard(text)
}

pub(crate) fn is_pattern(text: &str) -> bool {
    let mut tokens = text.split('.').peekable();
    let mut valid = true;
    while let Some(token) = tokens.next() {
        let wildcard_alone = token == "*" || token == ">" || !token.contains(['*', '>']);
        let tail_is_last = token != ">" || tokens.peek().is_none();
        valid &= !token.is_empty() && wildcard_alone && tail_is_last && !token.contains(is_blank);
    }
    valid
}

pub(crate) fn has_wildcard(pattern: &str) -> bool {
    pattern.split('.').any(|token| token == "*" || token == ">")
}

pub(crate) fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// What every subject begins with that the pattern matches; the whole of a pattern without wildcards.
pub(crate) fn literal_prefix(pattern: &str) -> &str {
    let mut end = 0;
    for token in pattern.split_inclusive('.') {
        if has_wildcard(token) {
            break;
        }
        end += token.len();
    }
    &pattern[..end]
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_nats() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("a.*.>", "a.b", false),
            ("a.*.>", "a.b.c", true),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    #[test]
    fn a_pattern_begins_with_its_literal_tokens() {
        for (pattern, expected) in [
            ("a.b", "a.b"),
            ("a.*", "a."),
            ("a.b.>", "a.b."),
            ("a.*.c", "a."),
            ("*.b", ""),
            (">", ""),
        ] {
            assert_eq!(literal_prefix(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_would_break_the_wire_is_no_subject() {
        for subject in ["a", "a.b-c_d.9", "$JS.API"] {
            assert!(is_subject(subject), "{subject}");
        }
        for subject in ["", ".", "a.", ".a", "a..b", "a b", "a\r\nPUB b", "a.*", "a.>", "a.*b"] {
            assert!(!is_subject(subject), "{subject}");
        }
        for pattern in ["*", ">", "a.*.c", "a.>"] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for pattern in ["a.>.b", "a*", "", "a..>"] {
            assert!(!is_pattern(pattern), "{pattern}");
        }
    }
}
