//! One look at a time for what is to be fetched, and one more when something came meanwhile: every batch that is written down
//! asks for a look, and looks beside each other would only add up.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::ReplicaId;

/// Who looks, and whether to look again. By replica, because tests run several in one process.
static LOOKING: LazyLock<Mutex<HashMap<String, bool>>> = LazyLock::new(Mutex::default);

/// The right to look, until it is dropped.
pub struct Turn {
    replica: String,
    is_over: bool,
}

impl Turn {
    /// `None`: somebody looks, and will look once more.
    pub fn take(replica: &ReplicaId) -> Option<Self> {
        match looking().entry(replica.to_string()) {
            Entry::Occupied(mut again) => {
                again.insert(true);
                None
            }
            Entry::Vacant(free) => {
                free.insert(false);
                Some(Self {
                    replica: replica.to_string(),
                    is_over: false,
                })
            }
        }
    }

    /// After a look: whether somebody has asked for another one. If nobody has, the turn is over, in the same moment: whoever
    /// asks then takes the next one.
    pub fn pass(mut self) -> Option<Self> {
        let mut looking = looking();
        let is_wanted = looking.get_mut(&self.replica).is_some_and(std::mem::take);
        if !is_wanted {
            looking.remove(&self.replica);
            self.is_over = true;
        }
        drop(looking);
        is_wanted.then_some(self)
    }
}

// When the look panics: the next one must not wait for it for good.
impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            looking().remove(&self.replica);
        }
    }
}

fn looking() -> MutexGuard<'static, HashMap<String, bool>> {
    LOOKING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_and_looks_again_for_those_who_came_meanwhile() {
        let (ours, theirs) = (ReplicaId::from("turn-1"), ReplicaId::from("turn-2"));
        let turn = Turn::take(&ours).unwrap();
        assert!(Turn::take(&theirs).is_some(), "another replica's look is another");
        for _ in 0..3 {
            assert!(Turn::take(&ours).is_none());
        }
        let turn = turn.pass().unwrap();
        assert!(turn.pass().is_none(), "once is enough for all of them");
        drop(Turn::take(&ours).unwrap());
        assert!(Turn::take(&ours).is_some());
    }
}
