//! The text of a mail that has only HTML.

/// Bytes of HTML that are converted. The rest of a longer mail stays in the HTML.
const MAX_HTML: usize = 256 * 1024;

/// Converts HTML to text, beside the async threads. `None`: there is no text in it.
pub(super) async fn text_of_html(html: String) -> Option<String> {
    let converted = tokio::task::spawn_blocking(move || convert(&html)).await;
    converted
        .inspect_err(|error| tracing::error!(%error, "conversion of HTML failed"))
        .ok()
        .filter(|text| !text.is_empty())
}

fn convert(html: &str) -> String {
    let html = &html[..html.floor_char_boundary(MAX_HTML)];
    let count = |byte: u8| html.bytes().filter(|found| *found == byte).count();
    // The converter takes quadratic time for tags that are not closed.
    if count(b'<') > 2 * count(b'>') + 100 {
        return html.replace(['<', '>'], " ").trim().to_owned();
    }
    let text = nanohtml2text::html2text(html).replace("\r\n", "\n");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn converts_markup_to_words() {
        let html =
            "<html><head><style>p{}</style></head><body><p>Hello <b>Ann</b> &amp; Bo</p><p>See you</p></body></html>";
        assert_eq!(convert(html), "Hello Ann & Bo\n\nSee you");
        assert_eq!(convert("<div><img src='x'></div>"), "");
    }

    #[test]
    fn large_and_broken_html_takes_little_time() {
        for piece in [
            "<p>Hello</p>",
            "<a href=\"",
            "<div>",
            "<a href='x'>",
            "&amp;",
            "<!--",
            "ä",
        ] {
            let html = piece.repeat(6_000_000 / piece.len());
            let started = Instant::now();
            convert(&html);
            assert!(
                started.elapsed() < Duration::from_secs(3),
                "{piece}: {:?}",
                started.elapsed()
            );
        }
    }
}
