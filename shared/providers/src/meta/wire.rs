//! Meta's JSON for messages (WhatsApp Cloud API, Messages). A message holds a template, a text or one file.

use butt_dial_domain::{
    Channel,
    message::Template,
    ports::carrier::{Dispatch, RefusalClass},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{addressed::addressed, rich};

/// The template language when the template id names none.
const LANGUAGE: &str = "en_US";

/// Builds the request body. Fails with a refusal class for content that Meta can't carry.
pub fn message(dispatch: &Dispatch) -> Result<Value, RefusalClass> {
    if dispatch.channel != Channel::Whatsapp {
        return Err(RefusalClass::Configuration);
    }
    let content = &dispatch.content;
    let body = content.body.as_deref().filter(|body| !body.is_empty());
    let rich = content.rich.as_deref().map(|rich| rich::part(rich, body)).transpose()?;
    let (kind, part) = match (&content.template, content.media.as_slice()) {
        _ if rich.is_some() => rich.unwrap_or_default(),
        (Some(approved), _) => ("template", template(approved)),
        (None, []) => ("text", json!({ "body": body.ok_or(RefusalClass::Content)? })),
        (None, [url]) => file(url, body)?,
        (None, _) => return Err(RefusalClass::Content),
    };
    let mut message = addressed(&dispatch.to, kind, part)?;
    // Returned in each receipt.
    message["biz_opaque_callback_data"] = json!(dispatch.message.as_str());
    Ok(message)
}

/// Returns the languages of a template that are tried in order, as Meta writes them.
pub fn languages(template: &Template) -> Vec<String> {
    let (_, codes) = template.id.split_once(':').unwrap_or((&template.id, LANGUAGE));
    // Meta writes `pt_BR` where others write `pt-BR`.
    codes.split(',').map(|code| code.replace('-', "_")).collect()
}

/// Sets another language of a template.
pub fn set_language(message: &mut Value, language: &str) {
    message["template"]["language"]["code"] = json!(language);
}

/// Renders a template in its first language. Its id is `name:language,language`; its variables are `1`, `2` and so on.
fn template(template: &Template) -> Value {
    let (name, _) = template.id.split_once(':').unwrap_or((&template.id, LANGUAGE));
    let mut variables: Vec<_> = template.variables.iter().collect();
    variables.sort_by_key(|(name, _)| name.parse().unwrap_or(u32::MAX));
    let parameters: Vec<_> = variables
        .iter()
        .map(|(_, value)| json!({ "type": "text", "text": value }))
        .collect();
    let mut written = json!({ "name": name, "language": { "code": languages(template).first() } });
    if !parameters.is_empty() {
        let mut components = vec![json!({ "type": "body", "parameters": parameters })];
        // The button that copies the code (WhatsApp, Authentication templates).
        if let Some(code) = template.variables.get("1").filter(|_| template.is_for_codes) {
            components.push(json!({
                "type": "button", "sub_type": "url", "index": "0", "parameters": [{ "type": "text", "text": code }],
            }));
        }
        written["components"] = json!(components);
    }
    written
}

fn file(url: &str, caption: Option<&str>) -> Result<(&'static str, Value), RefusalClass> {
    let kind = kind_of(url);
    let mut file = json!({ "link": url });
    match caption {
        // Audio has no caption, and the text would be lost.
        Some(_) if kind == "audio" => return Err(RefusalClass::Content),
        Some(caption) => file["caption"] = json!(caption),
        None => {}
    }
    Ok((kind, file))
}

/// Returns the media type for the file extension; `document` for an unknown one.
fn kind_of(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref().unwrap_or_default() {
        "jpg" | "jpeg" | "png" => "image",
        "mp4" | "3gp" => "video",
        "aac" | "amr" | "mp3" | "m4a" | "ogg" | "opus" => "audio",
        _ => "document",
    }
}

/// The fields read from a 200 response.
#[derive(Deserialize)]
pub struct Created {
    pub messages: Vec<CreatedMessage>,
}

#[derive(Deserialize)]
pub struct CreatedMessage {
    pub id: String,
    #[serde(default)]
    pub message_status: Option<String>,
}

#[derive(Deserialize)]
pub struct Number {
    #[serde(rename = "id")]
    _id: String,
}

#[derive(Deserialize)]
pub struct Media {
    pub url: String,
}

#[derive(Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: Error,
}

#[derive(Serialize, Deserialize)]
pub struct Error {
    pub code: u32,
    #[serde(default)]
    pub message: String,
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub fbtrace_id: String,
}

/// Returns whether the text is an id of a number or a file, which becomes part of a path.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_media_type_by_extension() {
        for (url, kind) in [
            ("https://x.test/a.PNG?b=c.mp4", "image"),
            ("https://x.test/a.mp4#t", "video"),
            ("https://x.test/a.ogg", "audio"),
            ("https://x.test/a.pdf", "document"),
            ("https://x.test/", "document"),
        ] {
            assert_eq!(kind_of(url), kind, "{url}");
        }
        assert!(file("https://x.test/a.mp3", Some("listen")).is_err());
    }

    #[test]
    fn template_for_codes_has_the_code_in_its_button() {
        let written = template(&Template {
            id: "login_code:de".to_owned(),
            variables: [("1".to_owned(), "123456".to_owned())].into(),
            is_for_codes: true,
        });
        let code = json!([{ "type": "text", "text": "123456" }]);
        assert_eq!(
            written["components"],
            json!([
                { "type": "body", "parameters": code },
                { "type": "button", "sub_type": "url", "index": "0", "parameters": code },
            ])
        );
    }

    #[test]
    fn renders_template_language_and_variables() {
        let variables = ["1", "10", "2"].map(|name| (name.to_owned(), format!("v{name}")));
        let written = template(&Template {
            id: "booking:de".to_owned(),
            variables: variables.into(),
            is_for_codes: false,
        });
        let text = |value| json!({ "type": "text", "text": value });
        let parameters = [text("v1"), text("v2"), text("v10")];
        assert_eq!(
            written["components"],
            json!([{ "type": "body", "parameters": parameters }])
        );
        assert_eq!(
            (&written["name"], &written["language"]["code"]),
            (&json!("booking"), &json!("de"))
        );
        for (id, code) in [
            ("booking:pt_BR", "pt_BR"),
            ("booking:pt-BR", "pt_BR"),
            ("booking", LANGUAGE),
            ("booking:de-AT,de,en", "de_AT"),
        ] {
            let written = template(&Template {
                id: id.to_owned(),
                variables: Default::default(),
                is_for_codes: false,
            });
            assert_eq!(
                written,
                json!({ "name": "booking", "language": { "code": code } }),
                "{id}"
            );
        }
    }
}
