//! The patterns of the content filter, as data.

/// A pattern: words that follow each other on one line.
pub struct Phrase {
    pub steps: &'static [Step],
    pub reason: &'static str,
}

/// One of these words, after at most `gap` characters behind the word of the step before. ASCII in lower case.
pub struct Step {
    pub gap: usize,
    pub words: &'static [&'static str],
}

/// A credential: it begins with `prefix` in this case, and the rest is checked.
pub struct Credential {
    pub prefix: &'static str,
    pub rest: Rest,
}

/// The form of a credential behind its prefix.
pub enum Rest {
    /// At least so many characters of the alphabet.
    AtLeast(usize, fn(u8) -> bool),
    /// So many characters of the alphabet, and then the end of the word.
    Exactly(usize, fn(u8) -> bool),
    /// The rest of the first line of a private key.
    PrivateKey,
}

const fn step(gap: usize, words: &'static [&'static str]) -> Step {
    Step { gap, words }
}

const fn phishing(steps: &'static [Step]) -> Phrase {
    Phrase {
        steps,
        reason: PHISHING,
    }
}

pub const SECRET: &str = "the text holds a credential; secrets do not belong in messages";
const PHISHING: &str = "the text asks for credentials or payment the way phishing does";
pub const SHORTENER: &str = "public link shorteners are blocked by carriers; use the full link";
const THREAT: &str = "the text contains a threat";
const DRUGS: &str = "the text offers goods that carriers do not carry (drugs, weapons)";

/// The beginnings of links. They need not begin or end a word.
pub const LINK: &[&str] = &["http://", "https://", "www."];
const VOUCHERS: &[&str] = &["gift card", "gift cards", "giftcard", "giftcards", "bitcoin", "btc"];
const AUTHORITIES: &[&str] = &["irs", "arrest", "warrant", "police"];

pub const PHRASES: &[Phrase] = &[
    phishing(&[
        step(0, &["verify", "confirm", "update", "validate", "unlock"]),
        step(40, &["account", "password", "bank", "card", "identity"]),
        step(60, LINK),
    ]),
    phishing(&[
        step(0, &["account", "card", "paypal", "netflix", "bank"]),
        step(40, &["suspended", "locked", "limited", "deactivated"]),
        step(80, LINK),
    ]),
    phishing(&[
        step(0, &["send", "give", "reply", "text", "tell"]),
        step(20, &["your", "ur"]),
        step(
            20,
            &[
                "password",
                "pin code",
                "cvv",
                "social security number",
                "ssn",
                "seed phrase",
            ],
        ),
    ]),
    phishing(&[step(0, VOUCHERS), step(60, AUTHORITIES)]),
    phishing(&[step(0, AUTHORITIES), step(60, VOUCHERS)]),
    phishing(&[
        step(0, &["you won", "you've won", "you have won"]),
        step(60, &["claim", "prize"]),
        step(60, LINK),
    ]),
    Phrase {
        steps: &[step(0, &["kill yourself", "hang yourself"])],
        reason: THREAT,
    },
    Phrase {
        steps: &[
            step(
                0,
                &[
                    "i'll",
                    "i will",
                    "i am going to",
                    "i'm going to",
                    "i'm gonna",
                    "we'll",
                    "we will",
                ],
            ),
            step(1, &["kill", "murder", "shoot", "stab", "rape", "hurt"]),
            step(1, &["you", "u", "your"]),
        ],
        reason: THREAT,
    },
    Phrase {
        steps: &[
            step(
                0,
                &[
                    "buy",
                    "order",
                    "selling",
                    "sell",
                    "deliver",
                    "delivered",
                    "delivery",
                    "get",
                ],
            ),
            step(
                30,
                &[
                    "cocaine",
                    "heroin",
                    "meth",
                    "fentanyl",
                    "mdma",
                    "lsd",
                    "ghost gun",
                    "ghost guns",
                ],
            ),
        ],
        reason: DRUGS,
    },
];

/// Hosts of public shorteners; a path has to follow.
pub const SHORTENERS: &[&str] = &[
    "bit.ly/",
    "tinyurl.com/",
    "goo.gl/",
    "ow.ly/",
    "is.gd/",
    "buff.ly/",
    "t.ly/",
    "cutt.ly/",
    "rb.gy/",
];

pub const CREDENTIALS: &[Credential] = &[
    credential("-----BEGIN ", Rest::PrivateKey),
    credential(
        "AKIA",
        Rest::Exactly(16, |b| b.is_ascii_digit() || b.is_ascii_uppercase()),
    ),
    credential("ghp_", Rest::AtLeast(30, is_word)),
    credential("gho_", Rest::AtLeast(30, is_word)),
    credential("github_pat_", Rest::AtLeast(30, is_word)),
    credential("sk-", Rest::AtLeast(32, is_url_safe)),
    credential("xoxa-", Rest::AtLeast(20, is_dashed)),
    credential("xoxb-", Rest::AtLeast(20, is_dashed)),
    credential("xoxp-", Rest::AtLeast(20, is_dashed)),
    credential("xoxr-", Rest::AtLeast(20, is_dashed)),
    credential("xoxs-", Rest::AtLeast(20, is_dashed)),
    credential("bda_", Rest::Exactly(43, is_url_safe)),
    credential("bdt_", Rest::Exactly(43, is_url_safe)),
    credential("bdo_", Rest::Exactly(43, is_url_safe)),
];

const fn credential(prefix: &'static str, rest: Rest) -> Credential {
    Credential { prefix, rest }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn is_url_safe(b: u8) -> bool {
    is_word(b) || b == b'-'
}

fn is_dashed(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-'
}
