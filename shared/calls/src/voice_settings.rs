//! How an agent speaks and listens on the phone: its own settings, which calls can override.

use butt_dial_domain::{
    Channel, Code, Failure,
    call::{AutomatonActions, InterruptSensitivity, VoiceSettings, is_language_tag},
    ports::bus::Headers,
    subjects,
};
use butt_dial_identity::Caller;

use super::handle::Calls;

const MAX_GREETING: usize = butt_dial_domain::bounds::GREETING;
const MAX_VOICE: usize = butt_dial_domain::bounds::VOICE;
const MAX_HINTS: usize = butt_dial_domain::bounds::HINTS;
const MAX_HINT: usize = butt_dial_domain::bounds::HINT;
/// As long as the instructions of a call.
const MAX_PROMPT: usize = butt_dial_domain::bounds::PROMPT;
const GENDERS: [&str; 3] = ["male", "female", "neutral"];
/// The value of `finishOnKey` with which no key ends the input.
const NO_KEY: &str = "none";
/// All keys of a phone.
const MAX_KEYS: usize = 12;

/// A change of the settings. `None`: the setting stays. An empty text or list: the setting is removed.
#[derive(Default)]
pub struct VoiceSettingsChange {
    pub language: Option<String>,
    pub voice: Option<String>,
    pub greeting: Option<String>,
    pub hints: Option<Vec<String>>,
    pub interrupt_sensitivity: Option<InterruptSensitivity>,
    pub finish_on_key: Option<String>,
    pub spoken_forms: Option<bool>,
    pub records_calls: Option<bool>,
    pub automata: AutomatonActions,
    pub system_prompt: Option<String>,
    /// `male`, `female` or `neutral`.
    pub gender: Option<String>,
    pub voice_gender: Option<String>,
}

/// Changes the caller's settings. Returns all of them. They hold for the next calls.
pub async fn change_voice_settings(
    calls: &Calls,
    caller: &Caller,
    change: VoiceSettingsChange,
) -> Result<VoiceSettings, Failure> {
    let profile = caller.agent()?;
    let agent = &profile.agent.id;
    let before = calls.store.find_voice_settings(agent).await?;
    let settings = apply(before.clone(), change)?;
    if settings == before {
        return Ok(settings);
    }
    if let Some(greeting) = &settings.greeting {
        calls.compliance.check_text(agent, Channel::Voice, greeting)?;
    }
    calls.store.set_voice_settings(agent, &settings).await?;
    for owned in profile.channels.iter().filter(|owned| owned.channel == Channel::Voice) {
        let payload = format!("{} {}", owned.channel, owned.address).into();
        let published = calls.bus.publish(subjects::ROUTE_CHANGED, Headers::new(), payload);
        if let Err(error) = published.await {
            tracing::warn!(%error, "route change not published; it takes effect with the next refresh");
        }
    }
    Ok(settings)
}

fn apply(before: VoiceSettings, change: VoiceSettingsChange) -> Result<VoiceSettings, Failure> {
    let text = |new: Option<String>, old: Option<String>| match new {
        Some(new) => Some(new.trim().to_owned()).filter(|new| !new.is_empty()),
        None => old,
    };
    let settings = VoiceSettings {
        language: text(change.language, before.language),
        voice: text(change.voice, before.voice),
        greeting: text(change.greeting, before.greeting),
        hints: match change.hints {
            Some(hints) => hints
                .iter()
                .map(|hint| hint.trim().to_owned())
                .filter(|hint| !hint.is_empty())
                .collect(),
            None => before.hints,
        },
        interrupt_sensitivity: change.interrupt_sensitivity.or(before.interrupt_sensitivity),
        finish_on_key: match change.finish_on_key {
            Some(key) => parse_finish_key(&key)?,
            None => before.finish_on_key,
        },
        spoken_forms: change.spoken_forms.or(before.spoken_forms),
        records_calls: change.records_calls.or(before.records_calls),
        automata: change.automata.or(before.automata),
        system_prompt: text(change.system_prompt, before.system_prompt),
        gender: text(change.gender, before.gender),
        voice_gender: text(change.voice_gender, before.voice_gender),
    };
    for (field, gender) in [("gender", &settings.gender), ("voiceGender", &settings.voice_gender)] {
        if gender.as_deref().is_some_and(|gender| !GENDERS.contains(&gender)) {
            return Err(invalid(format!("{field} is one of {}", GENDERS.join(", "))));
        }
    }
    if settings
        .system_prompt
        .as_deref()
        .is_some_and(|prompt| prompt.chars().count() > MAX_PROMPT)
    {
        return Err(invalid(format!("systemPrompt has at most {MAX_PROMPT} characters")));
    }
    check_language(settings.language.as_deref())?;
    check_voice(settings.voice.as_deref())?;
    check_hints(&settings.hints)?;
    if settings
        .greeting
        .as_deref()
        .is_some_and(|greeting| greeting.chars().count() > MAX_GREETING)
    {
        return Err(invalid(format!("greeting has at most {MAX_GREETING} characters")));
    }
    Ok(settings)
}

/// Checks a language that a caller gives.
pub fn check_language(language: Option<&str>) -> Result<(), Failure> {
    match language.is_none_or(is_language_tag) {
        true => Ok(()),
        false => Err(invalid("language is not a language tag".to_owned()).hint("give a tag such as en-US or de-DE")),
    }
}

/// Checks a voice that a caller gives.
pub fn check_voice(voice: Option<&str>) -> Result<(), Failure> {
    let is_valid = |voice: &str| voice.chars().count() <= MAX_VOICE && !voice.chars().any(char::is_control);
    match voice.is_none_or(is_valid) {
        true => Ok(()),
        false => Err(invalid(format!("voice is one line of at most {MAX_VOICE} characters"))),
    }
}

/// Checks the likely words for speech recognition.
pub fn check_hints(hints: &[String]) -> Result<(), Failure> {
    let is_long = |hint: &String| hint.chars().count() > MAX_HINT || hint.chars().any(char::is_control);
    match hints.len() > MAX_HINTS || hints.iter().any(is_long) {
        true => Err(invalid(format!(
            "hints are at most {MAX_HINTS} words or phrases of at most {MAX_HINT} characters each"
        ))),
        false => Ok(()),
    }
}

/// Parses the keys of which each ends the input of digits. `None`: the default. Empty: none does.
pub fn parse_finish_key(text: &str) -> Result<Option<String>, Failure> {
    let text = text.trim();
    let is_key = |c: char| matches!(c, '0'..='9' | '*' | '#');
    match text {
        "" => Ok(None),
        NO_KEY => Ok(Some(String::new())),
        keys if keys.len() <= MAX_KEYS && keys.chars().all(is_key) => Ok(Some(keys.to_owned())),
        _ => Err(invalid("finishOnKey is a key of a phone".to_owned()).hint("give one of 0-9, * and #, or none")),
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(Code::InvalidArgument, message).on(Channel::Voice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_not_given_and_removes_what_is_empty() {
        let change = VoiceSettingsChange {
            language: Some(" de-DE ".into()),
            greeting: Some("Guten Tag!".into()),
            hints: Some(vec!["Brezel".into(), " ".into()]),
            finish_on_key: Some("none".into()),
            ..VoiceSettingsChange::default()
        };
        let settings = apply(VoiceSettings::default(), change).unwrap();
        assert_eq!(settings.language.as_deref(), Some("de-DE"));
        assert_eq!(
            (settings.hints.as_slice(), settings.finish_on_key.as_deref()),
            (&["Brezel".to_owned()][..], Some(""))
        );
        assert_eq!(
            apply(settings.clone(), VoiceSettingsChange::default()),
            Ok(settings.clone())
        );
        let change = VoiceSettingsChange {
            language: Some(String::new()),
            hints: Some(Vec::new()),
            finish_on_key: Some("*".into()),
            ..VoiceSettingsChange::default()
        };
        let settings = apply(settings, change).unwrap();
        assert_eq!((settings.language, settings.hints.len()), (None, 0));
        assert_eq!(
            (settings.greeting.as_deref(), settings.finish_on_key.as_deref()),
            (Some("Guten Tag!"), Some("*"))
        );
    }

    #[test]
    fn rejects_invalid_settings() {
        let change = VoiceSettingsChange::default;
        for invalid in [
            VoiceSettingsChange {
                language: Some("in German".into()),
                ..change()
            },
            VoiceSettingsChange {
                voice: Some("a\nb".into()),
                ..change()
            },
            VoiceSettingsChange {
                greeting: Some("a".repeat(MAX_GREETING + 1)),
                ..change()
            },
            VoiceSettingsChange {
                hints: Some(vec!["a".repeat(MAX_HINT + 1)]),
                ..change()
            },
            VoiceSettingsChange {
                finish_on_key: Some("x".into()),
                ..change()
            },
        ] {
            let failure = apply(VoiceSettings::default(), invalid).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument);
        }
    }
}
