//! The steps of a job. Their names are stored.

use butt_dial_store::{SubjectJobKind, SubjectTable};
use serde::{Deserialize, Serialize};

/// A step: the pages of a table, or another part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Table(SubjectTable),
    DeadLetters,
    /// Recipients in grants of tokens, and their labels.
    Grants,
    /// Texts of alerts.
    Alerts,
    /// The ids of tasks.
    Tasks,
    /// Consents, suppressions, links between addresses, trust and bindings.
    Contact,
    /// The deletion at vendors.
    Vendors,
}

const OTHERS: [Step; 6] = [
    Step::DeadLetters,
    Step::Grants,
    Step::Alerts,
    Step::Tasks,
    Step::Contact,
    Step::Vendors,
];

/// The place within a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The agent, sender or organization of the page.
    pub scope: String,
    /// The last row of the page before.
    pub after: String,
    /// Rows that another process works on were left out.
    pub has_open: bool,
    /// The number of the next part of the archive.
    pub part: i64,
}

impl Step {
    /// Returns the steps of a job in their order.
    pub fn all(kind: SubjectJobKind) -> impl Iterator<Item = Self> {
        let tables = SubjectTable::ALL.iter().map(|table| Self::Table(*table));
        // Vendors and dead letters are no part of an archive: events and messages name their contents.
        let others = OTHERS
            .into_iter()
            .filter(move |step| kind == SubjectJobKind::Erase || *step == Self::Contact);
        tables.chain(others)
    }

    pub fn first() -> Self {
        Self::Table(SubjectTable::ALL[0])
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Table(table) => table.into(),
            Self::DeadLetters => "dead_letters",
            Self::Grants => "grants",
            Self::Alerts => "alerts",
            Self::Tasks => "tasks",
            Self::Contact => "contact",
            Self::Vendors => "vendors",
        }
    }

    pub fn parse(kind: SubjectJobKind, name: &str) -> Option<Self> {
        Self::all(kind).find(|step| step.name() == name)
    }

    /// Returns the step after this one.
    pub fn next(self, kind: SubjectJobKind) -> Option<Self> {
        Self::all(kind).skip_while(|step| *step != self).nth(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_reached_by_its_name() {
        for kind in [SubjectJobKind::Access, SubjectJobKind::Erase] {
            let (mut step, mut count) = (Step::first(), 1);
            while let Some(next) = step.next(kind) {
                assert_eq!(Step::parse(kind, next.name()), Some(next));
                (step, count) = (next, count + 1);
            }
            assert_eq!(count, Step::all(kind).count());
        }
        assert_eq!(Step::Vendors.next(SubjectJobKind::Erase), None);
        assert_eq!(Step::Contact.next(SubjectJobKind::Access), None);
    }
}
