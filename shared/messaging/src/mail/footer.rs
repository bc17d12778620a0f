//! The footer of commercial mails: the name and the postal address of the sender, and the link to unsubscribe (15 U.S.C. 7704(a)(5)).

use butt_dial_domain::message::Content;

/// Appends a paragraph to the text and to the HTML of a message. A message without both gets a text.
pub(crate) fn append_paragraph(content: &mut Content, text: &str) {
    if content.body.is_some() || content.html.is_none() {
        let body = content.body.get_or_insert_default();
        let gap = if body.is_empty() { "" } else { "\n\n" };
        body.push_str(gap);
        body.push_str(text);
    }
    if let Some(html) = &mut content.html {
        insert_at_end(html, &format!("<p>{}</p>", escape(text)));
    }
}

/// Appends the footer to the text and to the HTML of a mail.
pub(crate) fn append(content: &mut Content, address: &str, unsubscribe: &str) {
    let lines: Vec<&str> = address.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if content.body.is_some() || content.html.is_none() {
        let body = content.body.get_or_insert_default();
        body.push_str(&format!("\n\n-- \n{}\nUnsubscribe: {unsubscribe}\n", lines.join("\n")));
    }
    if let Some(html) = &mut content.html {
        let footer = format!(
            "<hr><p>{}<br><a href=\"{url}\">Unsubscribe</a></p>",
            lines.iter().map(|line| escape(line)).collect::<Vec<_>>().join("<br>"),
            url = escape(unsubscribe),
        );
        insert_at_end(html, &footer);
    }
}

/// Inserts a part before the end of the document: not every mail program shows what follows it.
fn insert_at_end(html: &mut String, part: &str) {
    let end = html.to_ascii_lowercase().rfind("</body>").unwrap_or(html.len());
    html.insert_str(end, part);
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footer_is_in_text_and_html() {
        let mut content = Content {
            body: Some("Offer".into()),
            html: Some("<html><body><b>Offer</b></BODY></html>".into()),
            ..Content::default()
        };
        append(
            &mut content,
            "A & B\n1 Main St\n\n Springfield ",
            "https://x.example/u?a=1&b=2",
        );
        assert_eq!(
            content.body.as_deref(),
            Some("Offer\n\n-- \nA & B\n1 Main St\nSpringfield\nUnsubscribe: https://x.example/u?a=1&b=2\n")
        );
        assert_eq!(
            content.html.as_deref(),
            Some(
                "<html><body><b>Offer</b><hr><p>A &amp; B<br>1 Main St<br>Springfield<br>\
                 <a href=\"https://x.example/u?a=1&amp;b=2\">Unsubscribe</a></p></BODY></html>"
            )
        );
    }

    #[test]
    fn html_alone_gets_no_text() {
        let mut content = Content {
            html: Some("Offer".into()),
            ..Content::default()
        };
        append(&mut content, "A", "https://x.example");
        assert_eq!(content.body, None);
        assert!(content.html.is_some_and(|html| html.starts_with("Offer<hr>")));
    }
}
