//! Times of last use of tokens: collected in memory and written periodically, so that a request costs no write.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use butt_dial_domain::{TokenId, clock::Timestamp};
use butt_dial_store::Store;

#[derive(Default)]
pub struct LastUsed(Mutex<HashMap<TokenId, Timestamp>>);

impl LastUsed {
    pub fn note(&self, token: &TokenId, at: Timestamp) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(token) {
            Some(last) => *last = at,
            None => {
                used.insert(token.clone(), at);
            }
        }
    }

    /// Writes the collected times. They are lost if the database does not answer; the next use of a token sets them again.
    pub async fn flush(&self, store: &Store) {
        let used: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        if used.is_empty() {
            return;
        }
        if let Err(error) = store.touch_tokens(&used).await {
            tracing::warn!(%error, tokens = used.len(), "last use of tokens not recorded");
        }
    }
}
