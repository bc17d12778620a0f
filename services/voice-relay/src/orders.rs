//! What an agent wants of a call that this relay holds, done and answered.

use butt_dial_comms::calls::{
    dialogue::{Answer, Stale},
    orders::{Order, Ordered, Outcome},
    signal::{Event, Signal},
    state::{Next, Speaker},
};
use butt_dial_domain::ports::{
    bus::{Headers, Message},
    voice::ToCaller,
};
use tokio::time::Instant;

use crate::call::{Call, Ended};

/// Keys of answers that are remembered.
const KEYS: usize = 32;

impl Call {
    pub(crate) async fn ordered(&mut self, message: Message) -> Result<(), Ended> {
        let begun = Instant::now();
        let ordered: Option<Ordered> = serde_json::from_slice(&message.payload).ok();
        let Some(Ordered { agent, order }) = ordered else {
            tracing::warn!(call = %self.dialogue.state.facts.call, "an order for a call can't be read");
            return Ok(());
        };
        if let Order::Moved { epoch } = order {
            return match epoch > self.lease.fence {
                true => Err(Ended::Moved),
                false => Ok(()),
            };
        }
        let is_answer = matches!(order, Order::Answer { .. });
        let outcome = match agent == self.dialogue.state.facts.agent {
            true => self.carry_out(order).await?,
            false => Outcome::NotYours,
        };
        if is_answer {
            self.comms.metrics.call_part("to_caller", begun.elapsed());
        }
        if let (Some(reply_to), Ok(payload)) = (message.reply_to, serde_json::to_vec(&outcome)) {
            let told = self.comms.bus.publish(&reply_to, Headers::new(), payload.into()).await;
            told.inspect_err(|error| tracing::info!(%error, "an agent is not told what became of its order"))
                .ok();
        }
        Ok(())
    }

    async fn carry_out(&mut self, order: Order) -> Result<Outcome, Ended> {
        let (wall, now) = (self.comms.clock.now(), Instant::now());
        match order {
            Order::Answer {
                turn,
                text,
                is_last,
                ends,
                key,
            } => {
                let keys = &self.dialogue.state.keys;
                if key.as_ref().is_some_and(|key| keys.contains(key)) {
                    return Ok(self.done());
                }
                if !self.dialogue.state.is_attended {
                    let acts = self.dialogue.attend(wall, now);
                    self.perform(acts).await?;
                }
                if let Err(stale) = self.say(turn, text, is_last).await? {
                    return Ok(self.stale(stale));
                }
                self.remember(key);
                if ends {
                    let acts = self.dialogue.end(Next::HangUp, now);
                    self.perform(acts).await?;
                }
            }
            Order::Attend => {
                let acts = self.dialogue.attend(wall, now);
                self.perform(acts).await?;
            }
            Order::HangUp { text } => {
                if let Err(stale) = self.say_if_any(text).await? {
                    return Ok(self.stale(stale));
                }
                let acts = self.dialogue.end(Next::HangUp, now);
                self.perform(acts).await?;
            }
            Order::Transfer {
                to,
                announcement,
                whisper,
            } => {
                if let Err(stale) = self.say_if_any(announcement).await? {
                    return Ok(self.stale(stale));
                }
                let acts = self.dialogue.end(Next::Transfer { to, whisper }, now);
                self.perform(acts).await?;
            }
            Order::Play { url } => {
                let play = ToCaller::Play {
                    url,
                    preemptible: false,
                };
                self.send(&play).await?;
            }
            Order::Digits { digits } => {
                let acts = self.dialogue.press(&digits);
                self.perform(acts).await?;
            }
            Order::Language { language } => {
                let acts = self.dialogue.speak_in(&language);
                self.perform(acts).await?;
            }
            Order::Moved { .. } => {}
        }
        Ok(self.done())
    }

    async fn say_if_any(&mut self, text: Option<String>) -> Result<Result<(), Stale>, Ended> {
        match text.filter(|text| !text.trim().is_empty()) {
            Some(text) => self.say(None, text, true).await,
            None => Ok(Ok(())),
        }
    }

    async fn say(&mut self, turn: Option<u64>, text: String, is_last: bool) -> Result<Result<(), Stale>, Ended> {
        let answer = Answer {
            by: Speaker::Agent,
            turn,
            text,
            is_last,
        };
        match self.dialogue.answer(answer, self.comms.clock.now(), Instant::now()) {
            Ok(acts) => {
                // It has answered; its client's model need not.
                self.mind = None;
                self.perform(acts).await.map(Ok)
            }
            Err(stale) => Ok(Err(stale)),
        }
    }

    /// What has been said under this key is not said again.
    fn remember(&mut self, key: Option<String>) {
        let keys = &mut self.dialogue.state.keys;
        if keys.len() >= KEYS {
            keys.remove(0);
        }
        keys.extend(key);
    }

    fn done(&self) -> Outcome {
        let state = &self.dialogue.state;
        Outcome::Done {
            turn: state.turn,
            pending: state.is_pending.then(|| Box::new(Signal::new(Event::Turn, state))),
        }
    }

    fn stale(&self, stale: Stale) -> Outcome {
        match stale {
            Stale::Superseded => Outcome::Superseded {
                turn: self.dialogue.state.turn,
            },
            Stale::Answered => Outcome::Answered,
        }
    }
}
