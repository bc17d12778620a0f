//! The settings of spoken text.

/// Whether numbers, prices, dates, addresses and codes are written the way people say them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpokenForms {
    /// The voice decides how it reads them.
    #[default]
    Off,
    On,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeechOptions {
    /// A language tag, such as `en` or `pt-BR`. An unknown language has no spoken forms.
    pub language: String,
    pub spoken_forms: SpokenForms,
}

impl Default for SpeechOptions {
    fn default() -> Self {
        Self::new("en")
    }
}

impl SpeechOptions {
    pub fn new(language: &str) -> Self {
        Self {
            language: language.to_owned(),
            spoken_forms: SpokenForms::Off,
        }
    }
}
