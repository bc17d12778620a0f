//! Recognizes the automaton that has answered an outbound call, as far as its words show: a screening service, a phone menu, a
//! queue with announcements, an answering machine. Carriers detect answering machines only, and not all of them.

use butt_dial_domain::call::{AutomatonAction, AutomatonActions};
use serde::{Deserialize, Serialize};

/// An automatic counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Automaton {
    /// Asks for the caller's name and reason before the person answers.
    Screening,
    /// Asks for keys.
    Menu,
    /// The callee waits in a queue. It says nothing that needs an answer.
    Hold,
    /// Takes a message after a tone.
    Voicemail,
}

impl Automaton {
    /// Returns what a call with these settings does.
    pub fn action(self, actions: &AutomatonActions) -> AutomatonAction {
        match self {
            Self::Screening => actions.on_screening(),
            Self::Menu => actions.on_menu(),
            Self::Hold => actions.on_hold(),
            Self::Voicemail => actions.on_voicemail(),
        }
    }
}

/// Parts of the announcements of each kind, in lower case without punctuation. The first kind with a part that the words
/// contain is the answer.
const ANNOUNCEMENTS: &[(Automaton, &[&str])] = &[
    (
        Automaton::Screening,
        &[
            // iOS.
            "record your name and reason for calling",
            "see if this person is available",
            // Google.
            "using a screening service",
            "call assist by google",
            "say your name and why you re calling",
            "say your name and why you are calling",
            "who is calling and why",
            "state your name after the tone",
            "nennen sie ihren namen und den grund",
            "votre nom et la raison de votre appel",
            "diga su nombre y el motivo",
        ],
    ),
    (
        Automaton::Voicemail,
        &[
            "leave a message",
            "leave your message",
            "leave me a message",
            "after the tone",
            "after the beep",
            "at the tone",
            "record your message",
            "voicemail of",
            "voice mailbox",
            "mailbox is full",
            "nach dem signalton",
            "nach dem piepton",
            "hinterlassen sie",
            "laissez un message",
            "laisser un message",
            "apres le bip",
            "après le bip",
            "deje un mensaje",
            "deje su mensaje",
            "después de la señal",
            "después del tono",
        ],
    ),
    (
        Automaton::Menu,
        &[
            "press 1",
            "press one",
            "press 2",
            "press two",
            "press 0",
            "press zero",
            "press the pound",
            "press star",
            "press any key",
            "listen carefully as our menu",
            "menu options",
            "drücken sie",
            "tapez 1",
            "appuyez sur",
            "presione",
            "pulse 1",
            "pulse uno",
            "marque 1",
        ],
    ),
    (
        Automaton::Hold,
        &[
            "your call is important",
            "please hold",
            "please stay on the line",
            "please continue to hold",
            "remain on the line",
            "all of our agents",
            "all our agents",
            "agents are currently busy",
            "representatives are currently",
            "next available agent",
            "next available representative",
            "you are number",
            "bleiben sie in der leitung",
            "bleiben sie am apparat",
            "bitte warten",
            "ne quittez pas",
            "veuillez patienter",
            "no cuelgue",
            "permanezca en la línea",
            "manténgase en la línea",
        ],
    ),
];

/// Returns the kind of automaton that says these words. `None`: they may be of a person.
pub fn recognize(words: &str) -> Option<Automaton> {
    let plain: Vec<String> = words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let plain = format!(" {} ", plain.join(" "));
    // A queue asks nothing.
    let is_question = words.contains(['?', '？']);
    ANNOUNCEMENTS
        .iter()
        .filter(|(kind, _)| *kind != Automaton::Hold || !is_question)
        .find(|(_, parts)| parts.iter().any(|part| plain.contains(&format!(" {part} "))))
        .map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_announcements() {
        use Automaton::{Hold, Menu, Screening, Voicemail};
        for (words, expected) in [
            (
                "Hi, if you record your name and reason for calling, I'll see if this person is available.",
                Some(Screening),
            ),
            (
                "Hi, the person you're calling is using a screening service from Google. Go ahead and say your name and why you're calling.",
                Some(Screening),
            ),
            (
                "You have reached Bob. Please leave a message after the beep.",
                Some(Voicemail),
            ),
            (
                "Bitte hinterlassen Sie eine Nachricht nach dem Signalton.",
                Some(Voicemail),
            ),
            ("For sales, press one. For support, press two.", Some(Menu)),
            ("Para ventas, pulse 1.", Some(Menu)),
            ("Your call is important to us. Please stay on the line.", Some(Hold)),
            ("Ne quittez pas.", Some(Hold)),
            ("Hello? Who is this?", None),
            ("I left a message for you.", None),
            ("Please hold. Who is calling?", None),
            ("They pressed me.", None),
        ] {
            assert_eq!(recognize(words), expected, "{words}");
        }
    }
}
