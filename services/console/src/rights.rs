//! The rights of each role. Owners and administrators may do everything; the others what this table says.

use butt_dial_accounts::Role;
use butt_dial_domain::{Code, Failure};
use butt_dial_operations::Definition;

/// Operations of operators: agents and their traffic.
const OPERATED: &[&str] = &[
    "comms_send_message",
    "comms_cancel_scheduled_message",
    "comms_end_call",
    "comms_say",
    "comms_transfer_call",
    "comms_set_agent_status",
    "set_callback_url",
    "replay_callback",
    "comms_set_channel_block",
    "comms_record_consent",
    "comms_revoke_consent",
    "comms_decide_approval",
    "acknowledge_alert",
    "resolve_alert",
    "dismiss_anomaly",
    "end_contact_pause",
    "take_over_conversation",
    "return_conversation",
    "add_suppressions",
    "replay_dead_letter",
    "drop_dead_letter",
    "retry_stuck_order",
    "check_comm_channel",
    "update_comm_channel",
];
/// Operations of the accounting.
const BILLED: &[&str] = &[
    "set_billing_config",
    "comms_set_client_limits",
    "comms_set_agent_limits",
];

/// Returns whether a role includes an operation.
pub fn permits(role: Role, definition: &Definition) -> bool {
    match role {
        Role::Owner | Role::Admin => true,
        _ if definition.is_read_only() => true,
        Role::Operator => OPERATED.contains(&definition.name),
        Role::Billing => BILLED.contains(&definition.name),
        Role::Viewer => false,
    }
}

/// Returns whether a role includes members, keys and other matters of administration.
pub fn administers(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

/// Returns whether a role includes the daily work with agents and messages.
pub fn operates(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin | Role::Operator)
}

/// Returns whether a role includes limits and billing.
pub fn bills(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin | Role::Billing)
}

pub fn refusal(role: Role) -> Failure {
    let text = format!("your role ({}) does not include this", role.as_str());
    Failure::new(Code::AuthForbidden, text).hint("ask an owner or an administrator of the organization")
}

#[cfg(test)]
mod tests {
    use butt_dial_operations as operations;

    use super::*;

    fn may(role: Role, name: &str) -> bool {
        let definition = operations::all().iter().find(|definition| definition.name == name);
        permits(role, definition.unwrap())
    }

    #[test]
    fn rights_name_operations_that_exist() {
        for name in OPERATED.iter().chain(BILLED) {
            let exists = operations::all().iter().any(|definition| definition.name == *name);
            assert!(exists, "{name}");
        }
    }

    #[test]
    fn roles_include_what_their_names_say() {
        for (name, operator, billing, viewer) in [
            ("list_messages", true, true, true),
            ("comms_send_message", true, false, false),
            ("comms_set_client_limits", false, true, false),
            ("create_agent_token", false, false, false),
            ("revoke_agent_token", false, false, false),
            ("register_agent", false, false, false),
            ("add_member", false, false, false),
            ("remove_provider", false, false, false),
            ("comms_set_agent_status", true, false, false),
        ] {
            assert!(may(Role::Owner, name) && may(Role::Admin, name), "{name}");
            assert_eq!(may(Role::Operator, name), operator, "{name}");
            assert_eq!(may(Role::Billing, name), billing, "{name}");
            assert_eq!(may(Role::Viewer, name), viewer, "{name}");
        }
    }
}
