//! Subjects and patterns as NATS defines them: tokens between dots, `*` for one token, a final `>` for one or more.

/// Checks that a message can be sent to the subject: no wildcards, no empty tokens, no white space.
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
    for expected in pattern.split('.') {
        match (expected, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (expected, Some(token)) if expected == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Returns the common prefix of all subjects that the pattern matches; the whole pattern when it has no wildcard.
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
    fn matches_patterns_like_nats() {
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
    fn finds_literal_prefix_of_pattern() {
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
    fn rejects_invalid_subjects_and_patterns() {
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
