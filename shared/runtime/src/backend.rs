//! The services that all processes of an installation share.

/// A service that all processes of an installation share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Database,
    Bus,
    Kv,
}

impl Backend {
    pub const ALL: &'static [Self] = &[Self::Database, Self::Bus, Self::Kv];

    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Bus => "bus",
            Self::Kv => "kv",
        }
    }
}
