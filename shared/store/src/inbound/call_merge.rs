//! The merge of a report into a call: pure, and independent of the order of the reports.

use butt_dial_domain::{
    call::{AnsweredBy, CallStatus, Recording},
    clock::Timestamp,
};

use super::{CallChange, Conclusion};
use crate::{call_row::Call, calls::stored_time};

/// Each field takes the highest, or the earliest, reported value: so the order of the reports does not matter.
impl Call {
    /// Returns the fields that determine the cost.
    pub(super) fn cost_basis(&self) -> (CallStatus, bool, Option<i64>, Option<i64>) {
        (
            self.status,
            self.answered_at.is_some(),
            self.duration_seconds,
            self.cost,
        )
    }

    pub(super) fn apply(&mut self, change: &CallChange) {
        let at = stored_time(change.at);
        self.updated_at = self.updated_at.max(at);
        if let Some(open) = &change.open {
            self.created_at = self.created_at.min(stored_time(open.at));
        }
        if let Some(status) = change.status {
            self.advance(status, at);
            if status.is_over() {
                self.duration_seconds = self.duration_seconds.max(change.duration_seconds.map(i64::from));
            }
        }
        if let Some(who) = change.answered_by
            && self.answered_by.is_none_or(|known| certainty(who) > certainty(known))
        {
            self.answered_by = Some(who);
        }
        // Carriers report the final price. Of several prices the highest counts.
        self.cost = self.cost.max(change.price.map(|price| price.0));
        if let Some(code) = &change.error_code
            && self.error_code.as_ref().is_none_or(|known| code < known)
        {
            self.error_code = Some(code.clone());
        }
        if let Some(recording) = &change.recording {
            self.apply_recording(recording);
        }
        if let Some(conclusion) = &change.conclusion {
            self.conclude(conclusion);
        }
    }

    /// Advances the status, never back. Of two end reports the earlier one counts.
    fn advance(&mut self, status: CallStatus, at: Timestamp) {
        if status == CallStatus::InProgress {
            self.answered_at = Some(self.answered_at.map_or(at, |known| known.min(at)));
        }
        let is_earlier_end = status.is_over()
            && self
                .ended_at
                .is_some_and(|ended| (at, status.as_str()) < (ended, self.status.as_str()));
        if status.rank() > self.status.rank() || is_earlier_end {
            self.status = status;
            self.ended_at = status.is_over().then_some(at);
        }
    }

    /// Keeps the longest of several recordings. A recording that is not completed has neither length nor address.
    fn apply_recording(&mut self, recording: &Recording) {
        let done = recording.is_completed;
        let seconds = recording.duration_seconds.filter(|_| done).map(i64::from);
        let url = recording.url.as_deref().filter(|_| done);
        let known = (
            self.recording_seconds,
            self.recording_url.as_deref(),
            self.recording_id.as_deref(),
        );
        if (seconds, url, Some(recording.id.as_str())) > known {
            let url = url.map(str::to_owned);
            (self.recording_seconds, self.recording_url) = (seconds, url);
            self.recording_id = Some(recording.id.clone());
        }
    }

    /// Keeps the conclusion with the most turns. A repeated conclusion does not restore content that was deleted.
    fn conclude(&mut self, conclusion: &Conclusion) {
        let known = (self.turns, self.handled_by.as_deref(), self.end_reason.as_deref());
        if (
            conclusion.turns,
            Some(conclusion.handled_by.as_str()),
            Some(conclusion.end_reason.as_str()),
        ) > known
        {
            self.turns = conclusion.turns;
            self.handled_by = Some(conclusion.handled_by.clone());
            self.end_reason = Some(conclusion.end_reason.clone());
            self.latency = Some(conclusion.latency.clone());
            self.content = conclusion.content.clone();
        }
    }
}

/// Orders detection results: a later result of answering machine detection is more certain.
fn certainty(who: AnsweredBy) -> u8 {
    match who {
        AnsweredBy::Unknown => 0,
        AnsweredBy::Human => 1,
        AnsweredBy::MachineStart => 2,
        AnsweredBy::Fax => 3,
        AnsweredBy::MachineEnd => 4,
    }
}
