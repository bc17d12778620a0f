//! The person of a request: the cookie of the session, and the form that a person sent. A form is read only with the token of
//! the session, so that no handler can forget the check.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Form, RequestExt as _,
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request},
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_accounts::{
    Console, OpenSession,
    console::{Client, ConsoleMember, Session},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    app::App,
    member::{Fields, Member, TOKEN},
    page,
};

/// The cookie over https. The prefix makes browsers refuse it from other hosts and paths.
const COOKIE: &str = "__Host-bd_console";
/// The cookie over http, on the machine itself.
const PLAIN_COOKIE: &str = "bd_console";
/// In bytes.
const TOKEN_LENGTH: usize = 16;

/// A form of a signed-in person.
pub struct Posted {
    pub member: Member,
    pub fields: Fields,
}

/// The client of a request, signed in or not.
pub struct Visitor {
    pub client: Client,
    pub session: Option<(OpenSession, String)>,
}

/// A form of a client that is not signed in.
pub struct OpenForm {
    pub client: Client,
    pub fields: Fields,
}

impl OpenForm {
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.trim())
    }

    /// Returns a password as it was typed.
    pub fn password(&self) -> String {
        self.fields.get("password").cloned().unwrap_or_default()
    }
}

impl Posted {
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.trim())
    }

    /// Returns a field unless it is empty.
    pub fn optional(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }
}

/// Builds the cookie of a new session.
pub fn cookie(session: &Session, headers: &HeaderMap, app: &App) -> HeaderValue {
    let value = match is_secure(headers, app) {
        true => format!(
            "{COOKIE}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax; Secure",
            session.secret, session.lifetime_seconds
        ),
        false => format!(
            "{PLAIN_COOKIE}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax",
            session.secret, session.lifetime_seconds
        ),
    };
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static(""))
}

/// Builds the headers that remove the cookies.
pub fn removed_cookies() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static("__Host-bd_console=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"),
        HeaderValue::from_static("bd_console=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"),
    ]
}

/// Returns whether the browser uses https: everywhere but on the machine itself, or in a network without it that the operator
/// has chosen by the public address.
fn is_secure(headers: &HeaderMap, app: &App) -> bool {
    let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    if let Some(scheme) = forwarded {
        return scheme.eq_ignore_ascii_case("https");
    }
    let public = app.platform().config.webhook_base_url.as_ref();
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    public.is_some_and(|url| url.scheme() == "https") && host == app.public_host()
}

fn secret(headers: &HeaderMap) -> Option<String> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs: Vec<(&str, &str)> = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .collect();
    let find = |name: &str| {
        pairs
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| (*value).to_owned())
    };
    find(COOKIE).or_else(|| find(PLAIN_COOKIE))
}

/// Derives the token of a session's forms from its secret. The secret does not follow from it.
fn form_token(secret: &str) -> [u8; TOKEN_LENGTH] {
    let mut token = [0; TOKEN_LENGTH];
    token.copy_from_slice(&Sha256::digest(format!("form {secret}"))[..TOKEN_LENGTH]);
    token
}

/// Writes a token in a form that differs each time. Pages are compressed and may repeat words of their address: the sizes of many
/// answers would give a token away that stays the same (BREACH).
fn masked(token: [u8; TOKEN_LENGTH]) -> String {
    let mask: [u8; TOKEN_LENGTH] = rand::random();
    let mut hidden = token;
    hidden.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    format!("{}{}", hex::encode(mask), hex::encode(hidden))
}

/// Reads a token in any of its forms.
fn unmasked(text: &str) -> Option<[u8; TOKEN_LENGTH]> {
    let (first, hidden) = text.split_at_checked(2 * TOKEN_LENGTH)?;
    let (mut mask, mut token) = ([0; TOKEN_LENGTH], [0; TOKEN_LENGTH]);
    hex::decode_to_slice(first, &mut mask).ok()?;
    hex::decode_to_slice(hidden, &mut token).ok()?;
    token.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    Some(token)
}

/// Returns the address of the client of a request.
pub fn client_address(extensions: &Extensions, headers: &HeaderMap, app: &App) -> Option<IpAddr> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
    app.proxies().client_address(peer, headers).ok()
}

fn client(parts: &Parts, app: &App) -> Client {
    let address = client_address(&parts.extensions, &parts.headers, app);
    let browser = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    Client {
        address,
        browser: browser.unwrap_or("unknown").to_owned(),
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let client = client(parts, app);
        let session = match secret(&parts.headers) {
            Some(secret) => {
                let found = app.console().find_session(&secret).await;
                let found = found.map_err(|failure| page::failed(app, &failure))?;
                found.map(|session| (session, masked(form_token(&secret))))
            }
            None => None,
        };
        Ok(Self { client, session })
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, app).await?;
        let Some((session, form_token)) = visitor.session else {
            // Within a base path, the router has removed it.
            let path = parts.uri.path();
            let page = path.find("/console").map_or(path, |at| &path[at + "/console".len()..]);
            let next: String = url::form_urlencoded::byte_serialize(app.path(page).as_bytes()).collect();
            return Err(Redirect::to(&app.path(&format!("/sign-in?next={next}"))).into_response());
        };
        if !Console::is_complete(&session) {
            return Err(Redirect::to(&app.path("/authenticator")).into_response());
        }
        let Some(inner) = ConsoleMember::of(session) else {
            let text = "You are no member of an active organization. Ask an owner for an invitation.";
            return Err((StatusCode::FORBIDDEN, page::plain(app, "No organization", text)).into_response());
        };
        Ok(Self {
            inner,
            token: unmasked(&form_token).map(hex::encode).unwrap_or_default(),
            form_token,
            client: visitor.client,
        })
    }
}

impl FromRequest<App> for Posted {
    type Rejection = Response;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Response> {
        let member: Member = request.extract_parts_with_state(app).await?;
        let fields = read_form(request, app).await?;
        match refused_token(&member.form_token, &fields, app) {
            Some(refused) => Err(refused),
            None => Ok(Self { member, fields }),
        }
    }
}

impl FromRequest<App> for OpenForm {
    type Rejection = Response;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Response> {
        let visitor: Visitor = request.extract_parts_with_state(app).await?;
        let fields = read_form(request, app).await?;
        Ok(Self {
            client: visitor.client,
            fields,
        })
    }
}

/// Returns whether a form has the token of the session.
pub fn has_token(token: &str, fields: &Fields) -> bool {
    let given = fields.get(TOKEN).and_then(|given| unmasked(given));
    match (unmasked(token), given) {
        (Some(token), Some(given)) => token.ct_eq(&given).into(),
        _ => false,
    }
}

/// Returns the refusal of a form without the token of the session.
pub fn refused_token(token: &str, fields: &Fields, app: &App) -> Option<Response> {
    if has_token(token, fields) {
        return None;
    }
    let text = "This form belongs to another session. Open the page again and repeat what you did.";
    Some((StatusCode::FORBIDDEN, page::plain(app, "Form refused", text)).into_response())
}

async fn read_form(request: Request, app: &App) -> Result<Fields, Response> {
    let read = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    match read {
        Ok(Form(pairs)) => Ok(pairs.into_iter().collect()),
        Err(error) => {
            let text = "The form could not be read.";
            Err((error.status(), page::plain(app, "Form refused", text)).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_cookie_with_the_prefix() {
        let read = |value: &'static str| {
            secret(&HeaderMap::from_iter([(
                header::COOKIE,
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(read("a=1; bd_console=x; __Host-bd_console=y").as_deref(), Some("y"));
        assert_eq!(read("bd_console=x").as_deref(), Some("x"));
        assert_eq!(read("other=x"), None);
    }

    #[test]
    fn token_of_forms_differs_by_session() {
        let fields = |token: &str| Fields::from([(TOKEN.to_owned(), token.to_owned())]);
        let (one, again) = (masked(form_token("one")), masked(form_token("one")));
        assert_ne!(one, again, "the size of a compressed page says nothing about it");
        assert!(has_token(&one, &fields(&again)));
        for wrong in [
            masked(form_token("two")).as_str(),
            "",
            &one[1..],
            &"x".repeat(64),
            &"ü".repeat(32),
        ] {
            assert!(!has_token(&one, &fields(wrong)), "{wrong}");
        }
    }
}
