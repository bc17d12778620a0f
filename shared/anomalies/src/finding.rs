//! The findings of detectors, and the names of the detectors.

use butt_dial_store::{Reaction, Severity};
use serde_json::Value;

/// A cause, with the numbers that tripped the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    pub reaction: Reaction,
    /// One sentence for a person, without addresses.
    pub explanation: String,
    pub numbers: Value,
}

/// Declares the detectors with their names and the titles of their alerts.
macro_rules! detectors {
    ($($variant:ident $name:literal $title:literal,)+) => {
        /// A detector. Its name is stored with anomalies, so it never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Detector {
            $($variant,)+
        }

        impl Detector {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns the kind of its alerts.
            pub fn alert_kind(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("anomaly.", $name),)+
                }
            }

            /// Returns the title of its alerts.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)+
                }
            }
        }
    };
}

detectors! {
    VolumeSpike "volume_spike" "Far more messages than usual",
    SpendRate "spend_rate" "A budget will soon be used up",
    NewCountry "new_country" "Messages to a country that is new for the organization",
    PremiumPrefix "premium_prefix" "Repeated attempts to reach premium numbers",
    SmsPumping "sms_pumping" "Text messages to many neighbouring numbers that do not answer",
    TokenGuessing "token_guessing" "Many unknown tokens",
    CodeGuessing "code_guessing" "One-time codes are being guessed",
    SignInGuessing "sign_in_guessing" "Many failed sign-ins to the console",
    TokenRotation "token_rotation" "Tokens are replaced unusually often",
    FailureRate "failure_rate" "Far more messages fail than usual",
    OptOuts "opt_outs" "Many people opt out",
    Complaints "complaints" "Many mails are reported as spam",
    CallBurst "call_burst" "Far more calls than usual",
    BotLoop "bot_loop" "An agent talks with another program",
    SharedContact "shared_contact" "Many agents write to one person",
}

impl Detector {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|detector| detector.name() == name)
    }
}
