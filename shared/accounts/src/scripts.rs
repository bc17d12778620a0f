//! Removes scripts from the HTML of a mail: elements that run code or load pages, and attributes with event handlers. Mail programs
//! run none of them; a mail of this installation must not contain them in any case.

/// Elements that are removed with their content.
const REMOVED: [&str; 5] = ["script", "iframe", "object", "embed", "noscript"];

/// Returns the HTML without scripts.
pub fn without_scripts(html: &str) -> String {
    let mut kept = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        kept.push_str(&rest[..start]);
        let tag_and_rest = &rest[start..];
        let end = tag_end(tag_and_rest);
        let (tag, after) = tag_and_rest.split_at(end);
        let name = name_of(tag);
        if REMOVED.contains(&name.as_str()) {
            rest = after_element(after, &name);
            continue;
        }
        if !REMOVED.iter().any(|removed| name == format!("/{removed}")) {
            kept.push_str(&without_handlers(tag));
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// Returns the end of the tag that the text begins with: after its `>`, which may be in a quoted attribute.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (index, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '>') => return index + 1,
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if letter == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn name_of(tag: &str) -> String {
    let name = tag.trim_start_matches('<').chars();
    let name = name.take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '/');
    let name: String = name.collect::<String>().to_lowercase();
    match name.strip_prefix('/') {
        Some(closed) => format!("/{}", closed.trim_end_matches('/')),
        None => name.split('/').next().unwrap_or_default().to_owned(),
    }
}

/// Returns the text after the end of an element. An element without an end is removed to the end of the text.
fn after_element<'a>(text: &'a str, name: &str) -> &'a str {
    if name == "embed" {
        return text;
    }
    // ASCII only, so that positions stay.
    let end = text.to_ascii_lowercase().find(&format!("</{name}"));
    end.map_or("", |end| &text[end + tag_end(&text[end..])..])
}

/// Returns a tag without attributes that begin with `on`, and without `javascript:` URLs.
fn without_handlers(tag: &str) -> String {
    let lower = tag.to_ascii_lowercase();
    let mut kept = String::with_capacity(tag.len());
    let (mut index, mut quote) = (0, None);
    while let Some(letter) = tag[index..].chars().next() {
        let next = index + letter.len_utf8();
        let closes_value = quote == Some(letter);
        let ends_attribute = closes_value || quote.is_none() && (letter.is_whitespace() || letter == '/');
        if ends_attribute && lower[next..].starts_with("on") {
            if closes_value {
                kept.push(letter);
                quote = None;
            }
            index = next + attribute_end(&tag[next..]);
            continue;
        }
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(_), _) if closes_value => quote = None,
            _ => {}
        }
        kept.push(letter);
        index = next;
    }
    let position = kept.to_ascii_lowercase().find("javascript:");
    match position {
        Some(at) => format!("{}#{}", &kept[..at], &kept[at + "javascript:".len()..]),
        None => kept,
    }
}

/// Returns the length of the attribute that the text begins with.
fn attribute_end(text: &str) -> usize {
    let Some(equals) = text.find(['=', '>']).filter(|at| text[*at..].starts_with('=')) else {
        return text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
    };
    let value = &text[equals + 1..];
    let trimmed = value.trim_start();
    let start = equals + 1 + value.len() - trimmed.len();
    match trimmed.chars().next() {
        Some(open @ ('"' | '\'')) => trimmed[1..].find(open).map_or(text.len(), |end| start + end + 2),
        _ => {
            start
                + trimmed
                    .find(|c: char| c.is_whitespace() || c == '>')
                    .unwrap_or(trimmed.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_scripts_and_keeps_the_rest() {
        for (html, expected) in [
            ("<p>Hi &amp; <b>you</b></p>", "<p>Hi &amp; <b>you</b></p>"),
            ("a<script>alert('<b>')</script>b", "ab"),
            ("a<SCRIPT src=x></SCRIPT >b", "ab"),
            ("a<script>never closed", "a"),
            ("<iframe src='x'></iframe>b", "b"),
            ("<a href=\"x\" onclick=\"y()\">z</a>", "<a href=\"x\">z</a>"),
            ("<a onclick=y() href=x>z</a>", "<a href=x>z</a>"),
            ("<img src=x/onerror=y>", "<img src=x>"),
            ("<img src=\"x\"onerror='y'>", "<img src=\"x\">"),
            ("<a title=\"on time\">z</a>", "<a title=\"on time\">z</a>"),
            ("<a href=\"JavaScript:x\">z</a>", "<a href=\"#x\">z</a>"),
            ("1 < 2", "1 < 2"),
            ("été <é", "été <é"),
        ] {
            assert_eq!(without_scripts(html), expected, "{html}");
        }
    }
}
