//! The data of each language, one file each. To add a language, copy a file and add its `mod` line and its entry in `ALL`.

mod ar;
mod bg;
mod bn;
mod cs;
mod da;
mod de;
mod el;
mod en;
mod es;
mod fa;
mod fi;
mod fr;
mod he;
mod hi;
mod hu;
mod id;
mod it;
mod ja;
mod ko;
mod ms;
mod nb;
mod nl;
mod pl;
mod pt;
mod ro;
mod ru;
mod sk;
mod sv;
mod sw;
mod ta;
mod th;
mod tl;
mod tr;
mod uk;
mod ur;
mod vi;
mod zh;

/// The words of a language, in lower case.
///
/// Keywords are patterns: words separated by spaces. `stop|end texts|messages` stands for four phrases, a word in brackets may be
/// absent, `my_number` is two words. Accents and signs are optional, except in a word that begins with `=`. A word that begins
/// with `^` counts in capitals only.
pub(crate) struct Language {
    /// ISO 639-1.
    pub code: &'static str,
    /// Messages that end consent, alone or between polite words.
    pub stop: &'static [&'static str],
    /// As `stop`, but only alone: with other words they are about something else.
    pub stop_alone: &'static [&'static str],
    /// Messages that give consent again. Never a plain "yes", which answers other questions.
    pub start: &'static [&'static str],
    pub help: &'static [&'static str],
    /// Words around a keyword that do not change its meaning.
    pub polite: &'static [&'static str],
    /// Lines that begin the end of a letter.
    pub closings: &'static [&'static str],
    /// The beginnings of lines that programs add.
    pub signatures: &'static [&'static str],
    /// The verb before a quoted mail: "On Monday Ann wrote:".
    pub wrote: &'static [&'static str],
    /// Words that only show that a caller listens.
    pub acknowledgements: &'static [&'static str],
    /// Sounds that are no words.
    pub sounds: &'static [&'static str],
    /// The months in the form that follows a day, for languages with rules about dates.
    pub months: &'static [&'static str],
}

impl Language {
    /// Has no words.
    const NONE: Self = Self {
        code: "",
        stop: &[],
        stop_alone: &[],
        start: &[],
        help: &[],
        polite: &[],
        closings: &[],
        signatures: &[],
        wrote: &[],
        acknowledgements: &[],
        sounds: &[],
        months: &[],
    };
}

pub(crate) const ALL: &[Language] = &[
    ar::LANGUAGE,
    bg::LANGUAGE,
    bn::LANGUAGE,
    cs::LANGUAGE,
    da::LANGUAGE,
    de::LANGUAGE,
    el::LANGUAGE,
    en::LANGUAGE,
    es::LANGUAGE,
    fa::LANGUAGE,
    fi::LANGUAGE,
    fr::LANGUAGE,
    he::LANGUAGE,
    hi::LANGUAGE,
    hu::LANGUAGE,
    id::LANGUAGE,
    it::LANGUAGE,
    ja::LANGUAGE,
    ko::LANGUAGE,
    ms::LANGUAGE,
    nb::LANGUAGE,
    nl::LANGUAGE,
    pl::LANGUAGE,
    pt::LANGUAGE,
    ro::LANGUAGE,
    ru::LANGUAGE,
    sk::LANGUAGE,
    sv::LANGUAGE,
    sw::LANGUAGE,
    ta::LANGUAGE,
    th::LANGUAGE,
    tl::LANGUAGE,
    tr::LANGUAGE,
    uk::LANGUAGE,
    ur::LANGUAGE,
    vi::LANGUAGE,
    zh::LANGUAGE,
];

/// Other codes of the same languages.
const ALIASES: &[(&str, &str)] = &[
    ("no", "nb"),
    ("nn", "nb"),
    ("iw", "he"),
    ("in", "id"),
    ("fil", "tl"),
    ("cmn", "zh"),
    ("yue", "zh"),
];

/// Finds the language of a tag such as `de`, `de-AT` or `zh_Hant_TW`.
pub(crate) fn find(tag: &str) -> Option<&'static Language> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let code = ALIASES
        .iter()
        .find(|(alias, _)| *alias == primary)
        .map_or(primary.as_str(), |(_, code)| code);
    ALL.iter().find(|language| language.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_languages_by_tag() {
        for (tag, code) in [
            ("de", "de"),
            ("de-AT", "de"),
            ("ZH_hant_TW", "zh"),
            ("no", "nb"),
            ("fil-PH", "tl"),
        ] {
            assert_eq!(find(tag).map(|language| language.code), Some(code), "{tag}");
        }
        assert!(find("xx").is_none() && find("").is_none());
    }

    #[test]
    fn words_are_lower_case() {
        for language in ALL {
            for word in language
                .acknowledgements
                .iter()
                .chain(language.sounds)
                .chain(language.months)
            {
                assert_eq!(*word, word.to_lowercase(), "{}", language.code);
            }
        }
    }
}
