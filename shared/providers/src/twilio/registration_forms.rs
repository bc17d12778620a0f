//! The forms of registrations, with Twilio's names of the fields. A list is a field that repeats.

use butt_dial_domain::ports::registrations::{BrandData, CampaignData, RegistrationRequest, TollfreeData};

pub type Fields = Vec<(&'static str, String)>;

/// Names the number of a verification. It can't be changed.
pub const TOLLFREE_NUMBER: &str = "TollfreePhoneNumberSid";

pub fn of(request: RegistrationRequest<'_>) -> Fields {
    match request {
        RegistrationRequest::Brand(data) => brand(data),
        RegistrationRequest::Campaign { brand, data, .. } => campaign(brand, data),
        RegistrationRequest::Tollfree { number, data } => tollfree(number, data),
    }
}

fn brand(data: &BrandData) -> Fields {
    let mut fields = vec![
        ("CustomerProfileBundleSid", data.customer_profile_id.clone()),
        ("A2PProfileBundleSid", data.a2p_profile_id.clone()),
    ];
    if let Some(kind) = &data.brand_type {
        fields.push(("BrandType", kind.to_uppercase()));
    }
    if data.skip_vetting {
        fields.push(("SkipAutomaticSecVet", "true".to_owned()));
    }
    fields
}

fn campaign(brand: &str, data: &CampaignData) -> Fields {
    let mut fields = vec![
        ("BrandRegistrationSid", brand.to_owned()),
        ("Description", data.description.clone()),
        ("MessageFlow", data.message_flow.clone()),
        ("UsAppToPersonUsecase", data.use_case.clone()),
        ("HasEmbeddedLinks", data.has_embedded_links.to_string()),
        ("HasEmbeddedPhone", data.has_embedded_phone.to_string()),
    ];
    add(&mut fields, "MessageSamples", &data.message_samples);
    add(&mut fields, "OptInMessage", &data.opt_in_message);
    add(&mut fields, "OptOutMessage", &data.opt_out_message);
    add(&mut fields, "HelpMessage", &data.help_message);
    add(&mut fields, "OptInKeywords", &data.opt_in_keywords);
    add(&mut fields, "OptOutKeywords", &data.opt_out_keywords);
    add(&mut fields, "HelpKeywords", &data.help_keywords);
    add(&mut fields, "PrivacyPolicyUrl", &data.privacy_policy_url);
    add(&mut fields, "TermsAndConditionsUrl", &data.terms_url);
    fields
}

fn tollfree(number: &str, data: &TollfreeData) -> Fields {
    let mut fields = vec![
        (TOLLFREE_NUMBER, number.to_owned()),
        ("BusinessName", data.business_name.clone()),
        ("BusinessWebsite", data.business_website.clone()),
        ("NotificationEmail", data.notification_email.clone()),
        ("UseCaseSummary", data.use_case_summary.clone()),
        ("ProductionMessageSample", data.message_sample.clone()),
        ("OptInType", data.opt_in_type.to_uppercase()),
        ("MessageVolume", data.message_volume.clone()),
    ];
    add(&mut fields, "UseCaseCategories", &data.use_case_categories);
    add(&mut fields, "OptInImageUrls", &data.opt_in_image_urls);
    add(&mut fields, "BusinessStreetAddress", &data.business_street_address);
    add(&mut fields, "BusinessCity", &data.business_city);
    add(&mut fields, "BusinessStateProvinceRegion", &data.business_state);
    add(&mut fields, "BusinessPostalCode", &data.business_postal_code);
    add(&mut fields, "BusinessCountry", &data.business_country);
    add(&mut fields, "BusinessContactFirstName", &data.contact_first_name);
    add(&mut fields, "BusinessContactLastName", &data.contact_last_name);
    add(&mut fields, "BusinessContactEmail", &data.contact_email);
    add(&mut fields, "BusinessContactPhone", &data.contact_phone);
    add(
        &mut fields,
        "BusinessRegistrationNumber",
        &data.business_registration_number,
    );
    add(
        &mut fields,
        "BusinessRegistrationAuthority",
        &data.business_registration_authority,
    );
    add(
        &mut fields,
        "BusinessRegistrationCountry",
        &data.business_registration_country,
    );
    let business_type = data.business_type.as_ref().map(|kind| kind.to_uppercase());
    add(&mut fields, "BusinessType", &business_type);
    add(&mut fields, "AdditionalInformation", &data.additional_information);
    fields
}

fn add<'a>(fields: &mut Fields, name: &'static str, values: impl IntoIterator<Item = &'a String>) {
    fields.extend(values.into_iter().map(|value| (name, value.clone())));
}
