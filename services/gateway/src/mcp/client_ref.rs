//! Whom a request concerns beyond its answer: the stream that it belongs to, or the session with all its streams.

use http::request::Parts;

use super::{
    connection::{Change, Connection},
    sessions::{SESSION_HEADER, Sessions},
    streams::Streams,
};

/// Where a request came from.
#[derive(Clone)]
pub enum Audience {
    /// The legacy transport: one stream, one client.
    Stream(Box<Connection>),
    /// Streamable HTTP up to 2025-11-25.
    Session(String),
    /// The stateless revision: nothing can be pushed.
    Nobody,
}

impl Audience {
    pub fn of(parts: &Parts) -> Self {
        if let Some(audience) = parts.extensions.get::<Self>() {
            return audience.clone();
        }
        let session = parts.headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok());
        session.map_or(Self::Nobody, |id| Self::Session(id.to_owned()))
    }
}

/// What is known of clients between their requests.
#[derive(Clone)]
pub struct Audiences {
    pub sessions: Sessions,
    pub streams: Streams,
}

impl Audiences {
    /// Notes it where every replica finds it. Costs something only when it is new. What can't be noted is not worth an error:
    /// at worst an agent gets its events by another way.
    pub async fn note(&self, audience: &Audience, change: Change) {
        match audience {
            Audience::Stream(connection) => self.streams.note(connection, change).await,
            Audience::Session(id) => self.note_session(id, change).await,
            Audience::Nobody => {}
        }
    }

    async fn note_session(&self, id: &str, change: Change) {
        let session = match self.sessions.note(id, &change).await {
            Ok(Some(session)) => session,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "what a client said could not be noted in its session");
                return;
            }
        };
        match self.streams.list_of_session(&session.agent, id).await {
            Ok(open) => {
                for connection in open {
                    self.streams.note(&connection, change.clone()).await;
                }
            }
            Err(error) => tracing::warn!(%error, "the open streams of a session can't be found"),
        }
    }
}
