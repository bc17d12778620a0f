//! The bill of an organization as a table (CSV, RFC 4180), for spreadsheets and accounting.

use butt_dial_domain::{Code, Failure, Micros, OrgId};
use butt_dial_store::{BilledBy, BilledLine};
use chrono::NaiveDate;

use crate::Billing;

const MAX_DAYS: i64 = 366;
/// Lines of a table. It is built in memory, with about 100 bytes each.
const MAX_LINES: u32 = 100_000;
const COLUMNS: [&str; 8] = [
    "day", "agent", "channel", "task", "actions", "cost", "billed", "currency",
];

/// The days of an export, both included, and the kind of its lines.
#[derive(Clone, Copy)]
pub struct ExportRequest<'a> {
    /// `2026-11-01`.
    pub from: &'a str,
    pub to: &'a str,
    /// `day`, `agent`, `channel` or `task`.
    pub by: &'a str,
}

/// An exported bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    pub csv: String,
}

impl Billing {
    /// Exports the bill of an organization. Fails with `InvalidArgument` for days that are not valid, or for too many lines.
    pub async fn export(&self, org: &OrgId, request: ExportRequest<'_>) -> Result<Export, Failure> {
        let by: BilledBy = request
            .by
            .parse()
            .map_err(|_| invalid("by is one of day, agent, channel, task"))?;
        let (from, to) = (day("from", request.from)?, day("to", request.to)?);
        let days = (to - from).num_days() + 1;
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(invalid(format!(
                "from is not after to, and they are at most {MAX_DAYS} days"
            )));
        }
        let (from, to) = (from.to_string(), to.to_string());
        let days = (from.as_str(), to.as_str());
        let lines = self.store.list_billed_lines(org, days, by, MAX_LINES + 1).await?;
        if lines.len() > MAX_LINES as usize {
            let message = format!("the table has more than {MAX_LINES} lines");
            return Err(invalid(message).hint("export fewer days at a time"));
        }
        render(by, &lines).map(|csv| Export { csv })
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(Code::InvalidArgument, message)
}

fn day(field: &str, text: &str) -> Result<NaiveDate, Failure> {
    let is_plain = text.len() == 10;
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| is_plain);
    day.ok_or_else(|| invalid(format!("{field} is a day such as 2026-11-22")))
}

fn render(by: BilledBy, lines: &[BilledLine]) -> Result<String, Failure> {
    let mut table = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let failed = |error: &dyn std::error::Error| {
        tracing::error!(%error, "table of a bill not written");
        Failure::internal()
    };
    table.write_record(COLUMNS).map_err(|error| failed(&error))?;
    for line in lines {
        table.write_record(cells(by, line)).map_err(|error| failed(&error))?;
    }
    let bytes = table.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

fn cells(by: BilledBy, line: &BilledLine) -> [String; 8] {
    let name = match by {
        // Agents are known by the ids of their hosts.
        BilledBy::Agent => butt_dial_domain::AgentId::from(line.name.clone()).host_id().to_owned(),
        BilledBy::Day | BilledBy::Channel | BilledBy::Task => line.name.clone(),
    };
    let name = defuse(name);
    let of = |column| if by == column { name.clone() } else { String::new() };
    [
        of(BilledBy::Day),
        of(BilledBy::Agent),
        of(BilledBy::Channel),
        of(BilledBy::Task),
        line.actions.to_string(),
        Micros(line.cost).to_string(),
        Micros(line.billed).to_string(),
        "USD".to_owned(),
    ]
}

/// Marks a text that a spreadsheet would run as a formula.
fn defuse(text: String) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> BilledLine {
        BilledLine {
            name: name.to_owned(),
            actions: 2,
            cost: 1_500_000,
            billed: 1_650_000,
        }
    }

    #[test]
    fn lines_have_their_name_in_its_column() {
        let table = render(BilledBy::Task, &[line(""), line("order:7")]).unwrap();
        assert_eq!(
            table,
            "day,agent,channel,task,actions,cost,billed,currency\r\n\
             ,,,,2,1.500000,1.650000,USD\r\n\
             ,,,order:7,2,1.500000,1.650000,USD\r\n"
        );
        let table = render(BilledBy::Day, &[line("2026-11-22")]).unwrap();
        assert!(table.ends_with("2026-11-22,,,,2,1.500000,1.650000,USD\r\n"), "{table}");
    }

    #[test]
    fn formulas_are_defused() {
        for text in ["=1+1", "+1", "-1", "@a"] {
            assert_eq!(defuse(text.to_owned()), format!("'{text}"));
        }
        assert_eq!(defuse("order-7".to_owned()), "order-7");
        let table = render(BilledBy::Task, &[line("-cmd:1")]).unwrap();
        assert!(table.contains(",'-cmd:1,"), "{table}");
    }

    #[test]
    fn days_are_plain_dates() {
        assert!(day("from", "2028-02-29").is_ok());
        for text in ["2026-02-29", "2026-1-1", "26-01-01", "today", "2026-11-22 ", ""] {
            assert!(day("from", text).is_err(), "{text}");
        }
    }
}
