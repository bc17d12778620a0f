//! The sessions of open streams. One task of this replica asks for all of them at once whether they are still open, so that many open
//! pages cost as much as one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_accounts::Console;
use butt_dial_domain::OrgId;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often they are looked at.
const INTERVAL: Duration = Duration::from_millis(800);
/// Sessions of one query.
const CHUNK: usize = 1_000;

/// The hash of a session, and the organization that its stream shows.
type Key = (String, OrgId);

#[derive(Clone, Default)]
pub struct OpenSessions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    streams: HashMap<Key, Watched>,
    is_looking: bool,
}

struct Watched {
    count: usize,
    ended: Arc<CancellationToken>,
}

/// A stream with a signal that fires when its session ends.
pub struct Watching {
    sessions: OpenSessions,
    key: Key,
    ended: Arc<CancellationToken>,
}

impl Watching {
    /// Fires when the session or the membership has ended, and when that can't be found out.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut state = self.sessions.lock();
        let Some(watched) = state.streams.get_mut(&self.key) else {
            return;
        };
        // After an end, new streams of the session are watched anew.
        if Arc::ptr_eq(&watched.ended, &self.ended) {
            watched.count -= 1;
            if watched.count == 0 {
                state.streams.remove(&self.key);
            }
        }
    }
}

impl OpenSessions {
    /// Watches a session for a stream. It was open a moment ago.
    pub fn watch(&self, key: Key, console: &Console, tasks: &TaskTracker, draining: &CancellationToken) -> Watching {
        let mut state = self.lock();
        let watched = state.streams.entry(key.clone()).or_insert_with(|| Watched {
            count: 0,
            ended: Arc::default(),
        });
        watched.count += 1;
        let ended = watched.ended.clone();
        if !state.is_looking {
            state.is_looking = true;
            let look = look(self.clone(), console.clone());
            let draining = draining.clone();
            tasks.spawn(async move { draining.run_until_cancelled(look).await });
        }
        drop(state);
        Watching {
            sessions: self.clone(),
            key,
            ended,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the watched sessions. `None`: there are none, and looking ends.
    fn keys(&self) -> Option<Vec<Key>> {
        let mut state = self.lock();
        if state.streams.is_empty() {
            state.is_looking = false;
            return None;
        }
        Some(state.streams.keys().cloned().collect())
    }

    fn end(&self, key: &Key) {
        if let Some(watched) = self.lock().streams.remove(key) {
            watched.ended.cancel();
        }
    }
}

/// Looks at all watched sessions, until there are none.
async fn look(sessions: OpenSessions, console: Console) {
    loop {
        sleep(INTERVAL).await;
        let Some(keys) = sessions.keys() else {
            return;
        };
        for keys in keys.chunks(CHUNK) {
            let hashes: Vec<&str> = keys.iter().map(|(hash, _)| hash.as_str()).collect();
            let open = console.find_open_sessions(&hashes).await.unwrap_or_default();
            keys.iter()
                .filter(|key| !open.contains(*key))
                .for_each(|key| sessions.end(key));
        }
    }
}
