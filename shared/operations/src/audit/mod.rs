//! The audit log of the organization: listed, verified, exported with proofs. The orchestrator reads that of the installation, or of any
//! organization.

pub mod export_audit;
pub mod get_audit_checkpoint;
pub mod get_audit_key;
pub mod get_receipt;
pub mod list_audit;
pub mod verify_audit;

use butt_dial_audit::INSTALLATION_LOG;
use butt_dial_domain::{Code, Failure, Scope};
use butt_dial_identity::Caller;

/// Returns the log of the caller's organization. The orchestrator names an organization, or gets the log of the installation.
fn log_of(caller: &Caller, org: Option<&str>) -> Result<String, Failure> {
    match (&caller.principal.org, org) {
        (Some(own), None) => Ok(own.to_string()),
        (Some(own), Some(org)) if own.as_str() == org => Ok(own.to_string()),
        (None, org) if caller.require(Scope::SuperAdmin).is_ok() => Ok(org.unwrap_or(INSTALLATION_LOG).to_owned()),
        _ => Err(Failure::new(
            Code::AuthForbidden,
            "orgId of another organization needs the orchestrator's token",
        )),
    }
}
