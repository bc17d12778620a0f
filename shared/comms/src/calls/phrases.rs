//! What is said on a call that neither the agent nor a model has written, by language.

/// `{}` stands for whom the call is with.
pub struct Phrases {
    /// Said once, at the beginning of every call: people have to be told that they talk with a machine (EU AI Act, art. 50;
    /// FCC 24-17; California AB 2905).
    pub disclosure: &'static str,
    pub greeting: &'static str,
    /// Before a message that is left, and on a call of ours.
    pub calling: &'static str,
    /// While the agent thinks. Short, and to be cut by its answer.
    pub fillers: &'static [&'static str],
    /// The agent is not there, and the machine takes over.
    pub apology: &'static str,
    /// The agent was never there.
    pub away: &'static str,
    /// The machine's first question, where no model asks it.
    pub who_calls: &'static str,
    /// Something that the caller said may have been lost.
    pub missed: &'static str,
    pub still_there: &'static str,
    pub goodbye: &'static str,
    /// Whoever the call was to be handed to could not be reached.
    pub not_reached: &'static str,
    /// The call has lasted as long as it may.
    pub time_is_up: &'static str,
    /// The budget is used up.
    pub money_is_up: &'static str,
    /// Before the beep, where there is no model.
    pub record: &'static str,
    pub thanks: &'static str,
    pub unavailable: &'static str,
}

const ENGLISH: Phrases = Phrases {
    disclosure: "I'm an AI assistant.",
    greeting: "Hello, this is {}.",
    calling: "Hello, this is an AI assistant calling for {}.",
    fillers: &[
        "One moment.",
        "Let me see.",
        "Just a second.",
        "Let me check that.",
        "Bear with me.",
        "Hm, let me look.",
    ],
    apology: "I'm sorry, I can't answer that right now.",
    away: "Hello, this is the AI answering service of {}. I'm sorry, nobody can take your call right now.",
    who_calls: "May I take a message? Please tell me your name.",
    missed: "Sorry, I missed that. Please go on.",
    still_there: "Are you still there?",
    goodbye: "Goodbye.",
    not_reached: "I'm sorry, nobody could be reached there.",
    time_is_up: "I'm sorry, our time is up. Goodbye.",
    money_is_up: "I'm sorry, I have to end the call here. Goodbye.",
    record: "Please leave a message after the beep.",
    thanks: "Thank you. Your message will be passed on. Goodbye.",
    unavailable: "I'm sorry, this call can't be continued right now. Please try again later. Goodbye.",
};

const GERMAN: Phrases = Phrases {
    disclosure: "Ich bin ein KI-Assistent.",
    greeting: "Guten Tag, hier ist {}.",
    calling: "Guten Tag, hier ist ein KI-Assistent im Auftrag von {}.",
    fillers: &[
        "Einen Moment.",
        "Ich sehe nach.",
        "Sekunde bitte.",
        "Ich schaue kurz.",
        "Moment bitte.",
        "Hm, ich prüfe das.",
    ],
    apology: "Es tut mir leid, das kann ich gerade nicht beantworten.",
    away: "Guten Tag, hier ist der KI-Anrufbeantworter von {}. Leider kann gerade niemand Ihren Anruf annehmen.",
    who_calls: "Darf ich etwas ausrichten? Bitte nennen Sie mir Ihren Namen.",
    missed: "Entschuldigung, das habe ich nicht verstanden. Bitte sprechen Sie weiter.",
    still_there: "Sind Sie noch da?",
    goodbye: "Auf Wiederhören.",
    not_reached: "Leider war dort niemand zu erreichen.",
    time_is_up: "Leider ist unsere Zeit um. Auf Wiederhören.",
    money_is_up: "Leider muss ich das Gespräch hier beenden. Auf Wiederhören.",
    record: "Bitte sprechen Sie nach dem Signalton.",
    thanks: "Vielen Dank. Ihre Nachricht wird ausgerichtet. Auf Wiederhören.",
    unavailable: "Leider kann dieses Gespräch gerade nicht fortgesetzt werden. Bitte versuchen Sie es später. Auf Wiederhören.",
};

const FRENCH: Phrases = Phrases {
    disclosure: "Je suis un assistant IA.",
    greeting: "Bonjour, ici {}.",
    calling: "Bonjour, ici un assistant IA qui appelle pour {}.",
    fillers: &[
        "Un instant.",
        "Je regarde.",
        "Une seconde.",
        "Je vérifie.",
        "Un petit moment.",
        "Voyons voir.",
    ],
    apology: "Je suis désolé, je ne peux pas répondre à cela pour le moment.",
    away: "Bonjour, ici le répondeur IA de {}. Personne ne peut prendre votre appel pour le moment.",
    who_calls: "Puis-je prendre un message ? Dites-moi votre nom, s'il vous plaît.",
    missed: "Pardon, je n'ai pas entendu. Continuez, s'il vous plaît.",
    still_there: "Êtes-vous toujours là ?",
    goodbye: "Au revoir.",
    not_reached: "Désolé, personne n'a pu être joint.",
    time_is_up: "Désolé, notre temps est écoulé. Au revoir.",
    money_is_up: "Désolé, je dois mettre fin à l'appel. Au revoir.",
    record: "Laissez un message après le bip.",
    thanks: "Merci. Votre message sera transmis. Au revoir.",
    unavailable: "Désolé, cet appel ne peut pas continuer. Veuillez réessayer plus tard. Au revoir.",
};

const SPANISH: Phrases = Phrases {
    disclosure: "Soy un asistente de IA.",
    greeting: "Hola, le atiende {}.",
    calling: "Hola, le llama un asistente de IA de parte de {}.",
    fillers: &[
        "Un momento.",
        "Déjeme ver.",
        "Un segundo.",
        "Lo compruebo.",
        "Espere un momento.",
        "A ver.",
    ],
    apology: "Lo siento, ahora no puedo responder a eso.",
    away: "Hola, este es el contestador de IA de {}. Lo siento, nadie puede atender su llamada ahora.",
    who_calls: "¿Quiere dejar un mensaje? Dígame su nombre, por favor.",
    missed: "Perdone, no le he oído. Continúe, por favor.",
    still_there: "¿Sigue ahí?",
    goodbye: "Adiós.",
    not_reached: "Lo siento, no se pudo contactar a nadie.",
    time_is_up: "Lo siento, se nos acabó el tiempo. Adiós.",
    money_is_up: "Lo siento, tengo que terminar la llamada. Adiós.",
    record: "Deje su mensaje después de la señal.",
    thanks: "Gracias. Su mensaje será entregado. Adiós.",
    unavailable: "Lo siento, esta llamada no puede continuar. Inténtelo más tarde. Adiós.",
};

/// By BCP 47; English where we have no other.
pub fn of(language: &str) -> &'static Phrases {
    let primary = language.split(['-', '_']).next().unwrap_or_default();
    match primary.to_ascii_lowercase().as_str() {
        "de" => &GERMAN,
        "fr" => &FRENCH,
        "es" => &SPANISH,
        _ => &ENGLISH,
    }
}

/// The phrase with the name in its place.
pub fn with(phrase: &str, name: &str) -> String {
    phrase.replace("{}", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_fillers_that_differ_and_says_what_it_is() {
        for language in ["en-US", "de-DE", "fr", "es-MX"] {
            let phrases = of(language);
            let mut fillers = phrases.fillers.to_vec();
            fillers.sort_unstable();
            fillers.dedup();
            assert!(
                fillers.len() >= 4 && fillers.len() == phrases.fillers.len(),
                "{language}"
            );
            assert!(with(phrases.away, "Ann").contains("Ann"));
        }
        assert_eq!(of("tlh").goodbye, ENGLISH.goodbye);
        assert_eq!(of("de-AT").goodbye, GERMAN.goodbye);
    }
}
