//! How much a caller may give: lengths in characters, counts, numbers. The schemas of the API declare these bounds and refuse what is
//! beyond them; the crates that check the same values read them here. A channel or a carrier may take less.

/// An id, a cursor, or the name of a kind.
pub const REFERENCE: usize = 512;

// Lists.
pub const PAGE: u32 = 200;
pub const LARGE_PAGE: u32 = 1_000;
pub const DEAD_LETTERS: u32 = 100;
pub const TASKS_PAGE: u32 = 500;
pub const FOUND_NUMBERS: u32 = 50;
pub const OVERVIEW_DAYS: u64 = 92;

// Messages.
/// RFC 5322 and the vendors allow more; a text beyond one million characters is not a letter.
pub const MAIL_TEXT: usize = 1_000_000;
/// RFC 5322, 2.1.1: a line is at most 998 characters.
pub const SUBJECT: usize = 900;
/// Resend takes 50 recipients in all.
pub const FURTHER_RECIPIENTS: usize = 49;
/// Twilio, Messages resource: at most ten media URLs.
pub const MEDIA: usize = 10;
pub const MEDIA_URL: usize = 2_000;
/// Meta, Message templates: a name has at most 512 characters.
pub const TEMPLATE: usize = 512;
pub const IDEMPOTENCY_KEY: usize = 255;
pub const NAME: usize = 128;
pub const TASK: usize = 64;
/// WhatsApp Cloud API, reply buttons.
pub const BUTTONS: usize = 3;
pub const BUTTON_LABEL: usize = 20;
pub const CONTACT_CARD: usize = 4_000;
pub const LATITUDE: f64 = 90.0;
pub const LONGITUDE: f64 = 180.0;
/// A text to an agent of the same organization. With four bytes each and its encryption, it fits into a message of the bus.
pub const INTERNAL_TEXT: usize = 100_000;

/// WhatsApp Cloud API, text messages.
pub const WHATSAPP_TEXT: usize = 4_096;

// Conversations and events.
/// A person who forgets a conversation silences its agent no longer than a week.
pub const TAKEOVER_HOURS: u32 = 168;
pub const PARTICIPANTS: usize = 20;
pub const CONTEXT: usize = 10_000;
pub const SUBSCRIPTIONS: usize = 100;
pub const PATTERN: usize = 256;

// Calls.
/// A text that is spoken as a message.
pub const SPOKEN_MESSAGE: usize = 1_600;
/// Twilio speaks at most 4,096 characters of a text, which is four minutes of speech.
pub const SPOKEN_TEXT: usize = 4_000;
/// The prompt is sent with every turn of a call.
pub const PROMPT: usize = 20_000;
/// ElevenLabs takes the longest texts of the synthesizers.
pub const SYNTHESIZED_TEXT: usize = 10_000;
pub const GREETING: usize = 1_600;
pub const VOICE: usize = 128;
/// BCP 47, 4.4.1: longer tags need not be accepted.
pub const LANGUAGE: usize = 35;
pub const HINTS: usize = 100;
pub const HINT: usize = 100;
pub const KEYS: usize = 64;
pub const REQUESTER: usize = 64;
/// Long enough for the callee to reach the phone. Twilio allows up to ten minutes.
pub const MIN_RING_SECONDS: u32 = 5;
pub const MAX_RING_SECONDS: u32 = 120;
pub const MIN_CALL_SECONDS: u32 = 30;

// Accounts, tokens and trust.
pub const AGENTS: u32 = 10_000;
pub const TOKEN_DAYS: u32 = 3_650;
pub const TOKEN_LABEL: usize = 100;
pub const LABEL: usize = 100;
/// Why a person did something.
pub const REASON: usize = 500;
pub const DISCLOSURE: usize = 200;
pub const POSTAL_ADDRESS: usize = 300;
pub const SLUG: usize = 64;
/// A key or a token of a vendor.
pub const CREDENTIAL: usize = 4_096;
/// The key of a service that takes alerts.
pub const ROUTING_KEY: usize = 200;
pub const OVERLAP_SECONDS: u32 = 7 * 24 * 3_600;
pub const INVITE_DAYS: u32 = 365;
pub const TRUST_MINUTES: u32 = 43_200;
pub const TRUST_METHOD: usize = 32;
pub const CODE_PURPOSE: usize = 64;
pub const CONSENT_TEXT: usize = 500;
pub const QUERY: usize = 128;
pub const URL: usize = 2_048;
pub const ECHO: usize = 1_000;
/// US dollars.
pub const SPEND: f64 = 1_000_000.0;
/// Per cent.
pub const MARKUP: f64 = 500.0;
