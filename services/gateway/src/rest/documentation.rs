//! The documents of the repository, for people as pages and for agents as Markdown: `/docs/{name}`, `/docs/{name}.md`, and
//! `/llms.txt` with links to the main ones. They hold no data, so they need no token.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Each document with its path below `docs/`; the README is `guide.md`. The build script lists them.
const DOCUMENTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/documents.rs"));

/// The main documents, by their path, with what they are for.
const MAIN: [(&str, &str, &str); 7] = [
    (
        "guide.md",
        "Guide",
        "start the server, connect an agent, send and receive messages",
    ),
    (
        "ARCHITECTURE.md",
        "Architecture",
        "the services, the stages of a message, the life of a call, the glossary",
    ),
    (
        "OPERATIONS.md",
        "Operations",
        "topology, sizing, upgrades, backups, and what to do when an alert fires",
    ),
    (
        "COMPLIANCE.md",
        "Compliance",
        "the rules about messages and calls, preflight, refusals, approvals, the do-not-contact list",
    ),
    (
        "AUDIT.md",
        "Audit log",
        "the format of the log, its verification, exports and receipts",
    ),
    (
        "CONSOLE.md",
        "Console",
        "the pages for people: the first start, roles, sign-in, recovery",
    ),
    ("SETTINGS.md", "Settings", "every setting with its default"),
];

const MARKDOWN: HeaderValue = HeaderValue::from_static("text/markdown; charset=utf-8");
const STYLE: &str = "body{max-width:52rem;margin:2rem auto;padding:0 1rem;font:16px/1.55 system-ui,sans-serif;color-scheme:light dark}\
    pre{overflow-x:auto;padding:.75rem 1rem;border:1px solid #8884;border-radius:6px}code{font-size:.92em}\
    table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #8884;padding:.3rem .6rem;text-align:left;\
    vertical-align:top}nav a{margin-right:1rem}";

pub fn router() -> Router {
    DOCUMENTS
        .iter()
        .fold(Router::new(), |router, &(file, text)| {
            let path = path_of(file);
            router
                .route(&format!("{path}.md"), get(async move || markdown(text)))
                .route(&path, get(async move || page(file, text)))
        })
        .route("/llms.txt", get(async || index()))
}

/// Returns the path of a document's page, such as `/docs/operations` or `/docs/runbooks/ReplicaDown`.
fn path_of(file: &str) -> String {
    let name = file.trim_end_matches(".md");
    match name.contains('/') {
        true => format!("/docs/{name}"),
        false => format!("/docs/{}", name.to_lowercase()),
    }
}

fn page(file: &str, text: &str) -> Html<String> {
    let link = |(main, title, _): &(&str, &str, &str)| format!("<a href=\"{}\">{title}</a>", path_of(main));
    let links: String = MAIN.iter().map(link).collect();
    let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let mut body = String::new();
    let events = Parser::new_ext(text, Options::ENABLE_TABLES);
    html::push_html(&mut body, with_anchors(links_to_pages(file, events)).into_iter());
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} – Butt-Dial</title><style>{STYLE}</style><nav>{links}<a href=\"/docs/\">API</a></nav>\
         <main>{body}</main></html>"
    ))
}

/// Gives each heading the id that links within the documents use: its text in lower case, with hyphens for spaces.
fn with_anchors<'a>(events: impl Iterator<Item = Event<'a>>) -> Vec<Event<'a>> {
    let mut events: Vec<Event<'a>> = events.collect();
    let (mut heading, mut text) = (None, String::new());
    for index in 0..events.len() {
        match &events[index] {
            Event::Start(Tag::Heading { .. }) => {
                heading = Some(index);
                text.clear();
            }
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::End(TagEnd::Heading(_)) => {
                if let Some(Event::Start(Tag::Heading { id, .. })) =
                    heading.take().and_then(|start| events.get_mut(start))
                {
                    *id = Some(anchor(&text).into());
                }
            }
            _ => {}
        }
    }
    events
}

fn anchor(text: &str) -> String {
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Makes links to other documents links to their pages. Links to other files of the repository become plain text.
fn links_to_pages<'a>(file: &'a str, events: impl Iterator<Item = Event<'a>>) -> impl Iterator<Item = Event<'a>> {
    let mut is_dropped = false;
    events.filter_map(move |event| match event {
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => {
            let page = page_of(file, dest_url);
            is_dropped = page.is_none();
            Some(Event::Start(Tag::Link {
                link_type,
                dest_url: page?,
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

/// Returns where a link of a document leads on the pages; `None` if it leads to a file that is no document.
fn page_of<'a>(file: &str, link: CowStr<'a>) -> Option<CowStr<'a>> {
    if link.contains("://") || link.starts_with('#') {
        return Some(link);
    }
    // The README is above `docs/`, so its links name that folder.
    let path = link.split('#').next()?.trim_start_matches("docs/");
    let target = match (path.strip_prefix("../"), file.rsplit_once('/')) {
        (Some("README.md"), None) => "guide.md".to_owned(),
        (Some(above), _) => above.to_owned(),
        (None, Some((folder, _))) => format!("{folder}/{path}"),
        (None, None) => path.to_owned(),
    };
    let (found, _) = DOCUMENTS.iter().find(|(name, _)| *name == target)?;
    let anchor = link.find('#').map_or("", |start| &link[start..]);
    Some(format!("{}{anchor}", path_of(found)).into())
}

fn markdown(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, MARKDOWN)], text).into_response()
}

/// The index in the format of llmstxt.org: a title, a summary, and links with descriptions.
fn index() -> Response {
    let links: String = MAIN
        .iter()
        .map(|(file, title, about)| format!("- [{title}]({}.md): {about}\n", path_of(file)))
        .collect();
    let text = format!(
        "# Butt-Dial\n\n> A communications server for AI agents: phone numbers, SMS, WhatsApp, e-mail and calls over MCP and \
         REST.\n\n## Documents\n\n{links}- [API](/openapi.json): every REST operation as OpenAPI\n"
    );
    ([(header::CONTENT_TYPE, MARKDOWN)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_every_document() {
        for (file, _, _) in MAIN {
            assert!(DOCUMENTS.iter().any(|(name, _)| *name == file), "{file}");
        }
        for (file, text) in DOCUMENTS {
            let Html(page) = page(file, text);
            assert!(page.contains("<h1 id="), "{file}");
            assert!(page.contains("<a href=\"/docs/settings\">"), "{file}");
        }
    }

    #[test]
    fn links_within_a_document_have_targets() {
        let text = "[a](#the-life-of-a-call)\n\n## The life of a `call`\n";
        let Html(page) = page("x.md", text);
        assert!(page.contains("<h2 id=\"the-life-of-a-call\">"), "{page}");
        let operations = DOCUMENTS.iter().find(|(file, _)| *file == "OPERATIONS.md").unwrap();
        let Html(page) = self::page(operations.0, operations.1);
        let targets: Vec<&str> = page
            .split("href=\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(targets.len() > 5);
        for target in targets {
            assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }

    #[test]
    fn links_lead_to_pages() {
        let page = |file: &str, link: &'static str| page_of(file, link.into()).map(|page| page.to_string());
        let architecture = page("guide.md", "docs/ARCHITECTURE.md#glossary");
        assert_eq!(architecture.as_deref(), Some("/docs/architecture#glossary"));
        let runbooks = page("OPERATIONS.md", "runbooks/README.md");
        assert_eq!(runbooks.as_deref(), Some("/docs/runbooks/README"));
        let operations = page("runbooks/README.md", "../OPERATIONS.md");
        assert_eq!(operations.as_deref(), Some("/docs/operations"));
        assert_eq!(
            page("guide.md", "https://example.com/").as_deref(),
            Some("https://example.com/")
        );
        assert_eq!(page("guide.md", "LICENSE"), None);
        let mut text = String::new();
        let events = Parser::new("[a](LICENSE) [b](docs/SETTINGS.md)");
        html::push_html(&mut text, links_to_pages("guide.md", events));
        assert_eq!(text, "<p>a <a href=\"/docs/settings\">b</a></p>\n");
    }
}
