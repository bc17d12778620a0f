//! The data of a registration, checked as the vendor checks it, so that a mistake costs no review.

use butt_dial_domain::{
    Code, Failure,
    ports::registrations::{BrandData, CampaignData, RegistrationKind, TollfreeData},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::senders::parse_number;

const OPT_IN_TYPES: [&str; 6] = [
    "verbal",
    "web_form",
    "paper_form",
    "via_text",
    "mobile_qr_code",
    "import",
];
const BUSINESS_TYPES: [&str; 5] = [
    "private_profit",
    "public_profit",
    "non_profit",
    "government",
    "sole_proprietor",
];
const MAX_TEXT: usize = 500;

/// The data of a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum RegistrationData {
    Brand {
        data: BrandData,
    },
    Campaign {
        data: Box<CampaignData>,
    },
    Tollfree {
        /// In E.164 form.
        number: String,
        data: Box<TollfreeData>,
    },
}

impl RegistrationData {
    /// Reads and checks the data. Fails with `InvalidArgument`, and names the fields.
    pub(super) fn read(kind: RegistrationKind, value: Value) -> Result<Self, Failure> {
        let mut value = in_camel_case(value);
        let checked = match kind {
            RegistrationKind::Brand => {
                let data: BrandData = parse(value)?;
                check_brand(&data)?;
                Self::Brand { data }
            }
            RegistrationKind::Campaign => {
                let data: Box<CampaignData> = parse(value)?;
                check_campaign(&data)?;
                Self::Campaign { data }
            }
            RegistrationKind::Tollfree => {
                let number = value.as_object_mut().and_then(|fields| fields.remove("number"));
                let number = number.as_ref().and_then(Value::as_str).unwrap_or_default();
                let number =
                    parse_number(number).map_err(|_| invalid("number", "is a toll-free number in E.164 form"))?;
                let data: Box<TollfreeData> = parse(value)?;
                check_tollfree(&data)?;
                Self::Tollfree { number, data }
            }
        };
        Ok(checked)
    }

    pub(super) fn kind(&self) -> RegistrationKind {
        match self {
            Self::Brand { .. } => RegistrationKind::Brand,
            Self::Campaign { .. } => RegistrationKind::Campaign,
            Self::Tollfree { .. } => RegistrationKind::Tollfree,
        }
    }

    pub(super) fn is_same_subject(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tollfree { number, .. }, Self::Tollfree { number: other, .. }) => number == other,
            // The vendor has the changed profiles; their ids identify the brand.
            (Self::Brand { data }, Self::Brand { data: other }) => {
                data.customer_profile_id == other.customer_profile_id && data.a2p_profile_id == other.a2p_profile_id
            }
            _ => false,
        }
    }
}

/// Renames the fields of clients that write them in snake case.
fn in_camel_case(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let renamed = fields.into_iter().map(|(name, value)| {
        let mut camel = String::with_capacity(name.len());
        for (n, word) in name.split('_').enumerate() {
            let mut letters = word.chars();
            match letters.next().filter(|_| n > 0) {
                Some(first) => {
                    camel.push(first.to_ascii_uppercase());
                    camel.push_str(letters.as_str());
                }
                None => camel.push_str(word),
            }
        }
        (camel, value)
    });
    Value::Object(renamed.collect())
}

fn parse<T: for<'a> Deserialize<'a>>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| {
        Failure::new(Code::InvalidArgument, format!("data is not valid: {error}")).detail("fields", json!(["data"]))
    })
}

fn check_brand(data: &BrandData) -> Result<(), Failure> {
    for (name, id) in [
        ("customerProfileId", &data.customer_profile_id),
        ("a2pProfileId", &data.a2p_profile_id),
    ] {
        let is_id = id
            .strip_prefix("BU")
            .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
        check(
            is_id,
            name,
            "is BU and 32 hexadecimal digits, from the provider's console",
        )?;
    }
    let kind = data.brand_type.as_deref().unwrap_or("standard");
    check(
        ["standard", "sole_proprietor"].contains(&kind),
        "brandType",
        "is standard or sole_proprietor",
    )
}

fn check_campaign(data: &CampaignData) -> Result<(), Failure> {
    length("description", &data.description, 40, 4_096)?;
    length("messageFlow", &data.message_flow, 40, 2_048)?;
    let samples = &data.message_samples;
    check(
        (2..=5).contains(&samples.len()),
        "messageSamples",
        "has 2 to 5 messages",
    )?;
    for sample in samples {
        length("messageSamples", sample, 20, 1_024)?;
    }
    check(
        is_name(&data.use_case),
        "useCase",
        "is a use case of the provider, such as CUSTOMER_CARE",
    )?;
    for (name, text) in [
        ("optInMessage", &data.opt_in_message),
        ("optOutMessage", &data.opt_out_message),
        ("helpMessage", &data.help_message),
    ] {
        optional(
            name,
            text,
            |text| (20..=320).contains(&text.chars().count()),
            "has 20 to 320 characters",
        )?;
    }
    for (name, words) in [
        ("optInKeywords", &data.opt_in_keywords),
        ("optOutKeywords", &data.opt_out_keywords),
        ("helpKeywords", &data.help_keywords),
    ] {
        let is_word = |word: &String| (1..=255).contains(&word.len()) && !word.contains(char::is_control);
        check(
            words.len() <= 20 && words.iter().all(is_word),
            name,
            "has up to 20 words",
        )?;
    }
    for (name, url) in [
        ("privacyPolicyUrl", &data.privacy_policy_url),
        ("termsUrl", &data.terms_url),
    ] {
        optional(name, url, is_web_url, "is a web address")?;
    }
    Ok(())
}

fn check_tollfree(data: &TollfreeData) -> Result<(), Failure> {
    length("businessName", &data.business_name, 1, MAX_TEXT)?;
    check(
        is_web_url(&data.business_website),
        "businessWebsite",
        "is a web address",
    )?;
    check(
        is_mail(&data.notification_email),
        "notificationEmail",
        "is a mail address",
    )?;
    let categories = &data.use_case_categories;
    let are_names = (1..=5).contains(&categories.len()) && categories.iter().all(|name| is_name(name));
    check(
        are_names,
        "useCaseCategories",
        "has 1 to 5 use cases of the provider, such as CUSTOMER_CARE",
    )?;
    length("useCaseSummary", &data.use_case_summary, 10, MAX_TEXT)?;
    length("messageSample", &data.message_sample, 20, 1_000)?;
    let pictures = &data.opt_in_image_urls;
    let are_urls = (1..=5).contains(&pictures.len()) && pictures.iter().all(|url| is_web_url(url));
    check(are_urls, "optInImageUrls", "has 1 to 5 web addresses")?;
    check(
        OPT_IN_TYPES.contains(&data.opt_in_type.as_str()),
        "optInType",
        "is one of verbal, web_form, paper_form, via_text, mobile_qr_code, import",
    )?;
    let volume: String = data.message_volume.chars().filter(|c| *c != ',').collect();
    let is_volume = !volume.is_empty() && volume.len() <= 9 && volume.bytes().all(|b| b.is_ascii_digit());
    check(
        is_volume,
        "messageVolume",
        "is a number of messages each month, such as 1,000",
    )?;
    optional("contactEmail", &data.contact_email, is_mail, "is a mail address")?;
    optional(
        "contactPhone",
        &data.contact_phone,
        |text| parse_number(text).is_ok(),
        "is a number in E.164 form",
    )?;
    let is_country = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    optional(
        "businessCountry",
        &data.business_country,
        is_country,
        "is two capital letters",
    )?;
    optional(
        "businessRegistrationCountry",
        &data.business_registration_country,
        is_country,
        "is two capital letters",
    )?;
    let is_type = |text: &str| BUSINESS_TYPES.contains(&text);
    optional(
        "businessType",
        &data.business_type,
        is_type,
        "is one of private_profit, public_profit, non_profit, government, sole_proprietor",
    )?;
    for (name, text) in [
        ("businessStreetAddress", &data.business_street_address),
        ("businessCity", &data.business_city),
        ("businessState", &data.business_state),
        ("businessPostalCode", &data.business_postal_code),
        ("contactFirstName", &data.contact_first_name),
        ("contactLastName", &data.contact_last_name),
        ("businessRegistrationNumber", &data.business_registration_number),
        ("businessRegistrationAuthority", &data.business_registration_authority),
        ("additionalInformation", &data.additional_information),
    ] {
        optional(
            name,
            text,
            |text| (1..=MAX_TEXT).contains(&text.chars().count()),
            "has 1 to 500 characters",
        )?;
    }
    Ok(())
}

fn length(name: &'static str, text: &str, min: usize, max: usize) -> Result<(), Failure> {
    let is_fitting = (min..=max).contains(&text.trim().chars().count());
    check(is_fitting, name, &format!("has {min} to {max} characters"))
}

fn optional(name: &'static str, text: &Option<String>, fits: impl Fn(&str) -> bool, rule: &str) -> Result<(), Failure> {
    check(text.as_deref().is_none_or(fits), name, rule)
}

fn check(is_valid: bool, name: &'static str, rule: &str) -> Result<(), Failure> {
    match is_valid {
        true => Ok(()),
        false => Err(invalid(name, rule)),
    }
}

fn invalid(name: &'static str, rule: &str) -> Failure {
    Failure::new(Code::InvalidArgument, format!("data.{name} {rule}")).detail("fields", json!([format!("data.{name}")]))
}

/// A name of the vendor's lists.
fn is_name(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_web_url(text: &str) -> bool {
    text.len() <= 2_048
        && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn is_mail(text: &str) -> bool {
    butt_dial_domain::Address::parse(butt_dial_domain::Channel::Email, text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaign_is_checked_as_the_vendor_does() {
        let valid = json!({
            "description": "x".repeat(40), "messageFlow": "y".repeat(40), "useCase": "CUSTOMER_CARE",
            "messageSamples": ["s".repeat(20), "t".repeat(1024)],
        });
        let read = |value: &Value| RegistrationData::read(RegistrationKind::Campaign, value.clone());
        assert!(read(&valid).is_ok());
        for (field, value) in [
            ("description", json!("x".repeat(39))),
            ("description", json!("x".repeat(4097))),
            ("messageFlow", json!("short")),
            ("useCase", json!("customer care")),
            ("messageSamples", json!(["s".repeat(20)])),
            ("messageSamples", json!(vec!["s".repeat(20); 6])),
            ("messageSamples", json!(["s".repeat(20), "t".repeat(19)])),
            ("privacyPolicyUrl", json!("ftp://x")),
            ("helpMessage", json!("short")),
            ("unknown", json!(1)),
        ] {
            let mut wrong = valid.clone();
            wrong[field] = value;
            let failure = read(&wrong).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{field}");
        }
    }

    #[test]
    fn brand_names_profiles_of_the_vendor() {
        let profile = format!("BU{}", "a".repeat(32));
        let read = |value: Value| RegistrationData::read(RegistrationKind::Brand, value);
        assert!(read(json!({ "customerProfileId": profile, "a2pProfileId": profile })).is_ok());
        assert!(read(json!({ "customerProfileId": profile })).is_err());
        assert!(read(json!({ "customerProfileId": profile, "a2pProfileId": profile, "brandType": "gold" })).is_err());
    }
}
