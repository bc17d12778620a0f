//! A signed-in person in one organization, as the pages see it.

use std::collections::HashMap;

use butt_dial_accounts::{
    OpenSession, Role,
    console::{Client, ConsoleMember},
};
use butt_dial_identity::Caller;

/// The field of a form with the token of the session.
pub const TOKEN: &str = "_token";

/// The fields of a form.
pub type Fields = HashMap<String, String>;

/// A signed-in person in one organization.
#[derive(Clone)]
pub struct Member {
    pub inner: ConsoleMember,
    /// A secret of the session, which stays the same.
    pub token: String,
    /// The same for forms, in another form in each answer.
    pub form_token: String,
    pub client: Client,
}

impl Member {
    pub fn role(&self) -> Role {
        self.inner.role
    }

    pub fn caller(&self) -> Caller {
        self.inner.caller()
    }

    pub fn session(&self) -> &OpenSession {
        &self.inner.session
    }
}
