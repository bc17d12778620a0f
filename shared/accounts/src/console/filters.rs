//! Filters of lists that a person has given a name.

use butt_dial_domain::{Code, Failure};
use butt_dial_store::ConsoleFilter;

use super::{Console, ConsoleMember, invalid};

/// Filters of one person in one organization.
const MAX: u32 = 20;
/// Characters of a name, and bytes of a query.
const MAX_NAME: usize = 40;
const MAX_QUERY: usize = 500;

impl Console {
    /// Lists the member's filters by name.
    pub async fn list_filters(&self, member: &ConsoleMember) -> Result<Vec<ConsoleFilter>, Failure> {
        let user = &member.session.user_id;
        Ok(self.store.list_console_filters(&member.org, user).await?)
    }

    /// Saves a filter, or replaces the one with its name.
    pub async fn save_filter(&self, member: &ConsoleMember, name: &str, query: &str) -> Result<(), Failure> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME {
            return Err(invalid("name", format!("a name has 1 to {MAX_NAME} characters")));
        }
        if query.is_empty() || query.len() > MAX_QUERY {
            return Err(invalid("name", "choose a filter first"));
        }
        let (filter, now) = (
            ConsoleFilter {
                name: name.to_owned(),
                query: query.to_owned(),
            },
            self.clock.now(),
        );
        let user = &member.session.user_id;
        match self
            .store
            .save_console_filter(&member.org, user, &filter, MAX, now)
            .await?
        {
            true => Ok(()),
            false => Err(
                Failure::new(Code::Conflict, format!("there are {MAX} saved filters already")).hint("forget one first"),
            ),
        }
    }

    /// Forgets a filter. One that does not exist is no error.
    pub async fn forget_filter(&self, member: &ConsoleMember, name: &str) -> Result<(), Failure> {
        let user = &member.session.user_id;
        self.store.delete_console_filter(&member.org, user, name).await?;
        Ok(())
    }
}
