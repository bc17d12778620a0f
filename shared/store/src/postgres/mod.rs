//! Postgres, directly or behind a pooler that gives every transaction another session. Such a pooler breaks what lasts longer than a
//! transaction: settings and locks of a session, and named statements, unless it keeps track of them. If it does not, each statement
//! runs in a transaction, as a statement without a name. Otherwise nothing is added to a statement.

mod connect;
mod pool;
mod replica;
mod replica_state;
mod waits;

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Database, Either, Error, Execute, Executor, PgPool, Postgres, SqlStr, Transaction,
    error::BoxDynError,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

pub(crate) use connect::connect;
use replica_state::ReplicaState;
pub use replica_state::ReplicaStatus;
pub(crate) use waits::Waits;

/// The kind of pooler between the program and Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Pooler {
    /// None, or one that gives every connection its own session.
    #[default]
    None,
    /// A pooler that gives every transaction another session.
    Transaction,
}

/// The pool of connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PgDatabase {
    pub pool: PgPool,
    pub pooler: Pooler,
    pub statements: Statements,
    pub waits: Arc<Waits>,
    lists: Option<Arc<Lists>>,
}

/// A streaming replica, for lists and exports: `on_list!` reads from it while it follows the primary closely. Must never answer what
/// decides something, because its state is older.
#[derive(Debug)]
pub(crate) struct Lists {
    pub database: PgDatabase,
    pub state: ReplicaState,
}

/// How statements are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statements {
    /// Each has a name, under which Postgres, or the pooler, keeps it prepared.
    Named,
    /// None has a name. Each runs in a transaction.
    Unnamed,
}

/// A transaction. `&mut *tx` runs statements in it.
#[derive(Debug)]
pub(crate) struct PgTx(PgSession);

/// The connection of a transaction.
#[derive(Debug)]
pub(crate) struct PgSession {
    tx: Transaction<'static, Postgres>,
    statements: Statements,
}

/// A query that the session does not keep as a named statement.
struct Unnamed<E>(E);

impl PgDatabase {
    /// Returns the replica for lists, if there is one.
    pub fn lists(&self) -> Option<&Lists> {
        self.lists.as_deref()
    }

    pub async fn begin(&self) -> Result<PgTx, Error> {
        Ok(PgTx(PgSession {
            tx: Transaction::begin(self.acquire().await?, None).await?,
            statements: self.statements,
        }))
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Error> {
        self.waits.measure(self.pool.acquire()).await
    }
}

impl PgTx {
    pub async fn commit(self) -> Result<(), Error> {
        self.0.tx.commit().await
    }
}

impl Deref for PgTx {
    type Target = PgSession;

    fn deref(&self) -> &PgSession {
        &self.0
    }
}

impl DerefMut for PgTx {
    fn deref_mut(&mut self) -> &mut PgSession {
        &mut self.0
    }
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<<Postgres as Database>::Arguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

type Step = Either<PgQueryResult, PgRow>;

impl<'c> Executor<'c> for &'c mut PgSession {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.statements {
            Statements::Named => self.tx.fetch_many(query),
            Statements::Unnamed => self.tx.fetch_many(Unnamed(query)),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.statements {
            Statements::Named => self.tx.fetch_optional(query),
            Statements::Unnamed => self.tx.fetch_optional(Unnamed(query)),
        }
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        self.tx.prepare_with(sql, parameters)
    }
}

impl<'p> Executor<'p> for &'p PgDatabase {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let steps = async move {
            let steps: Vec<Step> = match self.statements {
                Statements::Named => {
                    let mut connection = self.acquire().await?;
                    connection.fetch_many(query).try_collect().await?
                }
                Statements::Unnamed => {
                    let mut tx = self.begin().await?;
                    let steps = tx.fetch_many(query).try_collect().await?;
                    tx.commit().await?;
                    steps
                }
            };
            Ok::<_, Error>(stream::iter(steps.into_iter().map(Ok)))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move {
            match self.statements {
                Statements::Named => self.acquire().await?.fetch_optional(query).await,
                Statements::Unnamed => {
                    let mut tx = self.begin().await?;
                    let row = tx.fetch_optional(query).await?;
                    tx.commit().await?;
                    Ok(row)
                }
            }
        }
        .boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        (&self.pool).prepare_with(sql, parameters)
    }
}
