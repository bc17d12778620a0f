//! Telephone calls as the people on the line live them: what they hear, word by word, and what they do. How a carrier
//! handles a call is the carrier's simulator's to know; it takes the commands from here and writes down what came of them.

pub mod control;
mod handle;
mod person;
mod record;
mod switchboard;

pub use handle::{Call, Command, Order, State as CallState};
pub use person::{Act, Behaviour, PhoneCall};
pub use record::{Drop, Heard, Recorded, Said, Session, Sound, Speaker};
pub use switchboard::{Ringing, Switchboard};
