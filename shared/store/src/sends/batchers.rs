//! The batchers of a store: group commit of acceptances and outcomes, and shared reads of contact states.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{AcceptedSend, Decision, SettledSend, Write, Written, postgres, sqlite};
use crate::{
    StoreError,
    contact_state::{self, ContactQuery, ContactState},
    engine::Engine,
    group_commit::{Batcher, READ_TIMEOUT, WRITE_TIMEOUT},
};

/// The batchers of a store.
#[derive(Clone)]
pub(crate) struct Batchers {
    pub(crate) contact: Batcher<ContactQuery, ContactState>,
    writes: Writes,
}

#[derive(Clone)]
enum Writes {
    /// Postgres runs both at the same time.
    Separate {
        accept: Batcher<Arc<AcceptedSend>, Decision>,
        settle: Batcher<SettledSend, bool>,
    },
    /// SQLite has one writer: both share its transactions.
    Shared(Batcher<Write, Written>),
}

impl Batchers {
    pub fn start(engine: &Engine, tasks: &TaskTracker) -> Self {
        match engine {
            Engine::Postgres(pool) => {
                let (a, b, c) = (pool.clone(), pool.clone(), pool.clone());
                Self {
                    contact: Batcher::start(tasks, READ_TIMEOUT, move |queries| {
                        contact_state::find_in_postgres(a.clone(), queries)
                    }),
                    writes: Writes::Separate {
                        accept: Batcher::start(tasks, WRITE_TIMEOUT, move |items| postgres::accept(b.clone(), items)),
                        settle: Batcher::start(tasks, WRITE_TIMEOUT, move |items| postgres::settle(c.clone(), items)),
                    },
                }
            }
            Engine::Sqlite { contacts, write, .. } => {
                let (contacts, write) = (contacts.clone(), write.clone());
                Self {
                    contact: Batcher::start(tasks, READ_TIMEOUT, move |queries| {
                        contact_state::find_in_sqlite(contacts.clone(), queries)
                    }),
                    writes: Writes::Shared(Batcher::start(tasks, WRITE_TIMEOUT, move |items| {
                        sqlite::write(write.clone(), items)
                    })),
                }
            }
        }
    }

    pub(super) async fn accept(&self, send: Arc<AcceptedSend>) -> Result<Decision, StoreError> {
        match &self.writes {
            Writes::Separate { accept, .. } => accept.submit(send).await,
            Writes::Shared(group) => match group.submit(Write::Accept(send)).await? {
                Written::Accepted(decision) => Ok(decision),
                Written::Settled(_) => Err(wrong_kind()),
            },
        }
    }

    pub(super) async fn settle(&self, settled: SettledSend) -> Result<bool, StoreError> {
        match &self.writes {
            Writes::Separate { settle, .. } => settle.submit(settled).await,
            Writes::Shared(group) => match group.submit(Write::Settle(settled)).await? {
                Written::Settled(is_settled) => Ok(is_settled),
                Written::Accepted(_) => Err(wrong_kind()),
            },
        }
    }
}

fn wrong_kind() -> StoreError {
    StoreError::Shared("the result belongs to another kind of write".into())
}
