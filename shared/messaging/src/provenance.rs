//! The origin of a message, as far as its carrier vouches for it. An agent that acts on a message decides by this, not by its text.

use butt_dial_domain::{Channel, inbound::InboundMessage};
use serde_json::{Value, json};

use crate::outbound::INTERNAL_CARRIER;

/// Servers that receive mail for the vendors (Resend receives with Amazon SES). They put their results above all others. A sender can
/// write such a header too, but in the name of another server, so its results say nothing.
const RECEIVERS: [&str; 1] = ["amazonses.com"];

/// Returns the `provenance` of a message event. `verified` says that the carrier vouches for the sender: of chat accounts and of agents
/// it does, telephone numbers can be forged, and of a mail its DMARC result decides (RFC 7489).
pub(crate) fn of(carrier: &str, message: &InboundMessage) -> Value {
    if carrier == INTERNAL_CARRIER {
        return json!({ "basis": "agent", "verified": true });
    }
    match message.channel {
        Channel::Whatsapp => json!({ "basis": "whatsapp_account", "verified": true }),
        Channel::Line => json!({ "basis": "line_account", "verified": true }),
        Channel::Sms | Channel::Voice => json!({ "basis": "telephone_number", "verified": false }),
        Channel::Email => of_mail(message),
    }
}

/// Returns the `provenance` of a mail. Its results may be known only when the mail has been fetched.
pub(crate) fn of_mail(message: &InboundMessage) -> Value {
    let results = message.mail.as_ref().and_then(|mail| mail.authentication.as_deref());
    let results = results.filter(|results| is_of_receiver(results));
    let mut provenance = json!({ "basis": "mail_address", "verified": false });
    for method in ["dmarc", "dkim", "spf"] {
        if let Some(result) = results.and_then(|results| find_result(results, method)) {
            provenance[method] = json!(result);
        }
    }
    provenance["verified"] = json!(provenance["dmarc"] == "pass");
    provenance
}

/// Returns whether the results are those of a server that receives mail for a vendor: its name comes first.
fn is_of_receiver(results: &str) -> bool {
    let server = results.split([';', ' ']).next().unwrap_or_default().trim();
    RECEIVERS.iter().any(|receiver| server.eq_ignore_ascii_case(receiver))
}

/// Finds the result of a method in the text of `Authentication-Results` (RFC 8601). Of several results of one method, each must be the
/// same: otherwise the first one that is not `pass` counts.
fn find_result(results: &str, method: &str) -> Option<String> {
    let mut found = None;
    for clause in results.split([';', ',']) {
        // A comment can hold anything.
        let clause = clause.split('(').next().unwrap_or_default().trim();
        let Some((name, rest)) = clause.split_once('=') else {
            continue;
        };
        if !name.trim().eq_ignore_ascii_case(method) {
            continue;
        }
        let result = rest.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let is_word = !result.is_empty() && result.bytes().all(|b| b.is_ascii_alphabetic());
        if is_word && found.as_deref().is_none_or(|found| found == "pass") {
            found = Some(result);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_results_of_mail_authentication() {
        let results =
            "mx.example; spf=pass smtp.mailfrom=a.example; DKIM=pass (good; dmarc=pass) header.d=a.example; dmarc=fail";
        assert_eq!(find_result(results, "spf").as_deref(), Some("pass"));
        assert_eq!(find_result(results, "dkim").as_deref(), Some("pass"));
        assert_eq!(find_result(results, "dmarc").as_deref(), Some("fail"));
        assert_eq!(find_result("mx.example; none", "dmarc"), None);
        assert_eq!(find_result("dmarc=pass; dmarc=fail", "dmarc").as_deref(), Some("fail"));
        assert_eq!(find_result("dmarc=<b>", "dmarc"), None);
        assert!(is_of_receiver("amazonses.com; dmarc=pass") && is_of_receiver("AmazonSES.com 1; none"));
        assert!(!is_of_receiver("mx.example; dmarc=pass") && !is_of_receiver("dmarc=pass"));
    }
}
