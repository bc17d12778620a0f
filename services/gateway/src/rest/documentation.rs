//! The documents of the repository, for people as pages and for agents as Markdown: `/docs/{name}`, `/docs/{name}.md`, and
//! `/llms.txt` with links to all of them. They hold no data, so they need no token.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// One document.
struct Document {
    /// The segment of the path.
    name: &'static str,
    /// The name of the file, by which other documents link to it.
    file: &'static str,
    title: &'static str,
    about: &'static str,
    markdown: &'static str,
}

const DOCUMENTS: [Document; 3] = [
    Document {
        name: "guide",
        file: "README.md",
        title: "Guide",
        about: "start the server, connect an agent, send and receive messages, run it in production",
        markdown: include_str!("../../../../README.md"),
    },
    Document {
        name: "architecture",
        file: "ARCHITECTURE.md",
        title: "Architecture",
        about: "the services, the stages of a message, the life of a call, and the glossary",
        markdown: include_str!("../../../../docs/ARCHITECTURE.md"),
    },
    Document {
        name: "settings",
        file: "SETTINGS.md",
        title: "Settings",
        about: "every setting with its default",
        markdown: include_str!("../../../../docs/SETTINGS.md"),
    },
];

const MARKDOWN: HeaderValue = HeaderValue::from_static("text/markdown; charset=utf-8");
const STYLE: &str = "body{max-width:52rem;margin:2rem auto;padding:0 1rem;font:16px/1.55 system-ui,sans-serif;color-scheme:light dark}\
    pre{overflow-x:auto;padding:.75rem 1rem;border:1px solid #8884;border-radius:6px}code{font-size:.92em}\
    table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #8884;padding:.3rem .6rem;text-align:left;\
    vertical-align:top}nav a{margin-right:1rem}";

pub fn router() -> Router {
    DOCUMENTS
        .iter()
        .fold(Router::new(), |router, document| {
            router
                .route(&format!("/docs/{}", document.name), get(async || page(document)))
                .route(&format!("/docs/{}.md", document.name), get(async || markdown(document)))
        })
        .route("/llms.txt", get(async || index()))
}

fn page(document: &Document) -> Html<String> {
    let links: String = DOCUMENTS
        .iter()
        .map(|other| format!("<a href=\"/docs/{}\">{}</a>", other.name, other.title))
        .collect();
    let mut body = String::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES;
    html::push_html(&mut body, links_to_pages(Parser::new_ext(document.markdown, options)));
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{} – Butt-Dial</title><style>{STYLE}</style><nav>{links}<a href=\"/docs/\">API</a></nav><main>{body}</main></html>",
        document.title
    ))
}

/// Makes links to other documents links to their pages. Links to other files of the repository become plain text.
fn links_to_pages<'a>(events: impl Iterator<Item = Event<'a>>) -> impl Iterator<Item = Event<'a>> {
    let mut is_dropped = false;
    events.filter_map(move |event| match event {
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => {
            let dest_url = page_of(dest_url);
            is_dropped = dest_url.is_none();
            let dest_url = dest_url?;
            Some(Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }))
        }
        Event::End(TagEnd::Link) if is_dropped => {
            is_dropped = false;
            None
        }
        event => Some(event),
    })
}

/// Returns where a link leads on the pages; `None` if it leads to a file that is no page.
fn page_of(link: CowStr<'_>) -> Option<CowStr<'_>> {
    if link.contains("://") || link.starts_with('#') {
        return Some(link);
    }
    let file = link.rsplit('/').next()?.split('#').next()?;
    let document = DOCUMENTS.iter().find(|document| document.file == file)?;
    Some(format!("/docs/{}", document.name).into())
}

fn markdown(document: &Document) -> Response {
    ([(header::CONTENT_TYPE, MARKDOWN)], document.markdown).into_response()
}

/// The index in the format of llmstxt.org: a title, a summary, and links with descriptions.
fn index() -> Response {
    let mut text = "# Butt-Dial\n\n> A communications server for AI agents: phone numbers, SMS, WhatsApp, e-mail and calls over MCP and \
        REST.\n\n## Documents\n\n"
        .to_owned();
    for document in &DOCUMENTS {
        text.push_str(&format!(
            "- [{}](/docs/{}.md): {}\n",
            document.title, document.name, document.about
        ));
    }
    text.push_str("- [API](/openapi.json): every REST operation as OpenAPI\n");
    ([(header::CONTENT_TYPE, MARKDOWN)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_tables_and_links() {
        for document in &DOCUMENTS {
            let Html(page) = page(document);
            assert!(page.contains("<h1>"), "{}", document.name);
            assert!(page.contains("<a href=\"/docs/settings\">"));
        }
        let settings = DOCUMENTS.iter().find(|document| document.name == "settings").unwrap();
        assert!(page(settings).0.contains("<table>"));
    }

    #[test]
    fn links_lead_to_pages() {
        let page = |link: &'static str| page_of(link.into()).map(|page| page.to_string());
        assert_eq!(
            page("docs/ARCHITECTURE.md#glossary").as_deref(),
            Some("/docs/architecture")
        );
        assert_eq!(page("https://example.com/").as_deref(), Some("https://example.com/"));
        assert_eq!(page("#numbers").as_deref(), Some("#numbers"));
        assert_eq!(page("LICENSE"), None);
        let mut text = String::new();
        html::push_html(&mut text, links_to_pages(Parser::new("[a](LICENSE) [b](README.md)")));
        assert_eq!(text, "<p>a <a href=\"/docs/guide\">b</a></p>\n");
    }
}
