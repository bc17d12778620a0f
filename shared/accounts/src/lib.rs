//! Organizations, their members and their agents: registration, verification, tokens, accounts at vendors, senders, erasure.
//!
//! [`Accounts`] registers organizations and serves their owners; each flow is one file. [`Agents`] and [`TeamTokens`] serve an
//! organization's administrators. [`Bootstrap`] creates the first organization and agent of an installation. Every change is
//! written to the audit log.

mod agent_rotation;
mod agent_status;
mod agent_tokens;
mod agents;
mod audit;
mod bootstrap;
mod budget_alerts;
mod challenges;
pub mod console;
mod erasure;
mod handle;
mod installation;
mod invites;
mod limits;
mod mails;
mod member_access;
mod members;
mod notices;
mod onboarding;
mod people;
mod phone;
mod profile;
mod provider_accounts;
mod registration;
mod registrations;
mod resend;
mod rotation;
mod scripts;
mod secrets;
mod senders;
mod settings;
mod status;
mod subjects;
mod team_access;
mod team_tokens;
mod teams;
mod template;
mod trust;
mod verification;

pub use agent_rotation::{GRACE_SECONDS, RotatedToken};
pub use agent_status::pause_event;
pub use agent_tokens::{CreatedAgentToken, NewAgentToken};
pub use agents::{Agents, NewAgent, StatusChange};
pub use bootstrap::{Addresses, Bootstrap, Bootstrapped};
pub use butt_dial_store::{
    AccountStatus, AgentStatus, Challenge, ChallengeOwner, ConsentStatus, FoundAgent, NoticeState, OpenSession,
    OrgMode, OrgStatus, Profile as AgentProfile, Role, Sender, SenderChange, SenderOrder, TrustSession,
};
pub use challenges::{Challenges, CodeRequest, SentCode};
pub use console::Console;
pub use erasure::{ErasureOutcome, ErasureStarted};
pub use handle::Accounts;
pub use installation::Installation;
pub use member_access::{MemberPasskey, MemberSessionView};
pub use members::{parse_role, role_name};
pub use people::{ContactProfile, People};
pub use phone::AdminCode;
pub use profile::{Branding, Profile, phone_hint};
pub use provider_accounts::{AccountView, NewAccount, OwnVendor, ProviderAccounts};
pub use registration::{NewRegistration, Registered};
pub use registrations::{RegistrationData, RegistrationView, Registrations, Requirement, requirements_of};
pub use resend::Resent;
pub use senders::{AddChannel, ChannelKind, NumberCheck, NumberOrder, OrderedSender, SenderSettings, Senders};
pub use settings::{AccountSettings, Registration, Terms};
pub use status::VerificationStatus;
pub use subjects::{ArchivePart, ErasurePreview, Hold, SubjectJobView, SubjectRequest, Subjects};
pub use team_access::{ReplayGuard, RevealedToken};
pub use team_tokens::TeamTokens;
pub use teams::{CreatedTeam, NewTeamRequest};
pub use template::MailTemplate;
pub use trust::{Trust, TrustState, parse_contact};
pub use verification::{Verified, VerifiedOutcome};
