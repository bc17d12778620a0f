//! The registrations that a number needs before it may send texts, shown before it is bought.

use butt_dial_domain::{
    ports::{numbers::NumberKind, registrations::RegistrationKind},
    senders::US,
};

/// A registration that a number needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub kind: RegistrationKind,
    pub title: &'static str,
    pub duration: &'static str,
    pub notes: &'static [&'static str],
}

const BRAND: Requirement = Requirement {
    kind: RegistrationKind::Brand,
    title: "A2P 10DLC brand: the business that sends",
    duration: "3 to 5 business days",
    notes: &["once for each provider account; needs an approved customer profile and an A2P profile at the provider"],
};

const CAMPAIGN: Requirement = Requirement {
    kind: RegistrationKind::Campaign,
    title: "A2P 10DLC campaign: the messages of the brand, and how people consent",
    duration: "10 to 15 business days",
    notes: &[
        "after the brand is approved; all long codes of the organization join it",
        "a description of 40 to 4096 characters, and 2 to 5 sample messages of 20 to 1024 characters",
        "until then, carriers block texts of the number in the US (30034)",
    ],
};

const TOLLFREE: Requirement = Requirement {
    kind: RegistrationKind::Tollfree,
    title: "Verification of the toll-free number",
    duration: "3 to 10 business days",
    notes: &[
        "for each toll-free number, after it is bought; needs pictures of how people consent",
        "until then, carriers block texts of the number in the US (30032)",
    ],
};

/// Returns the registrations that a number needs, in the order in which they are made. Numbers outside of the US need none.
pub fn requirements_of(country: &str, kind: NumberKind) -> &'static [Requirement] {
    match (country, kind) {
        (US, NumberKind::TollFree) => &[TOLLFREE],
        (US, NumberKind::Local | NumberKind::Mobile) => &[BRAND, CAMPAIGN],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_us_numbers_need_a_registration() {
        let kinds = |country, kind| {
            let all = requirements_of(country, kind).iter();
            all.map(|requirement| requirement.kind).collect::<Vec<_>>()
        };
        assert_eq!(
            kinds("US", NumberKind::Local),
            [RegistrationKind::Brand, RegistrationKind::Campaign]
        );
        assert_eq!(kinds("US", NumberKind::TollFree), [RegistrationKind::Tollfree]);
        assert!(kinds("GB", NumberKind::Mobile).is_empty());
    }
}
