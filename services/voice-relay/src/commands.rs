//! What an agent wants of a call that this relay holds, done and answered.

use butt_dial_comms::calls::{
    commands::{CallCommand, CommandEnvelope, CommandOutcome},
    conversation::{Answer, ReplyRejected},
    notifications::{CallNotification, NotificationKind},
    state::{AfterSession, Speaker},
};
use butt_dial_domain::ports::{
    bus::{Headers, Message},
    voice::OutgoingFrame,
};
use tokio::time::Instant;

use crate::session::{CallSession, Ended};

/// Keys of answers that are remembered.
const KEYS: usize = 32;

impl CallSession {
    pub(crate) async fn ordered(&mut self, message: Message) -> Result<(), Ended> {
        let begun = Instant::now();
        let ordered: Option<CommandEnvelope> = serde_json::from_slice(&message.payload).ok();
        let Some(CommandEnvelope { agent, command }) = ordered else {
            tracing::warn!(call = %self.conversation.state.info.call, "an order for a call can't be read");
            return Ok(());
        };
        if let CallCommand::OwnerChanged { epoch } = command {
            return match epoch > self.lease.fence {
                true => Err(Ended::OwnerChanged),
                false => Ok(()),
            };
        }
        let is_answer = matches!(command, CallCommand::Answer { .. });
        let outcome = match agent == self.conversation.state.info.agent {
            true => self.carry_out(command).await?,
            false => CommandOutcome::NotYours,
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

    async fn carry_out(&mut self, command: CallCommand) -> Result<CommandOutcome, Ended> {
        let (wall, now) = (self.comms.clock.now(), Instant::now());
        match command {
            CallCommand::Answer {
                turn,
                text,
                is_last,
                ends,
                key,
            } => {
                let keys = &self.conversation.state.keys;
                if key.as_ref().is_some_and(|key| keys.contains(key)) {
                    return Ok(self.done());
                }
                if !self.conversation.state.is_attended {
                    let acts = self.conversation.attend(wall, now);
                    self.perform(acts).await?;
                }
                if let Err(stale) = self.say(turn, text, is_last).await? {
                    return Ok(self.stale(stale));
                }
                self.remember(key);
                if ends {
                    let acts = self.conversation.end(AfterSession::HangUp, now);
                    self.perform(acts).await?;
                }
            }
            CallCommand::Attend => {
                let acts = self.conversation.attend(wall, now);
                self.perform(acts).await?;
            }
            CallCommand::HangUp { text } => {
                if let Err(stale) = self.say_if_any(text).await? {
                    return Ok(self.stale(stale));
                }
                let acts = self.conversation.end(AfterSession::HangUp, now);
                self.perform(acts).await?;
            }
            CallCommand::Transfer {
                to,
                announcement,
                whisper,
            } => {
                if let Err(stale) = self.say_if_any(announcement).await? {
                    return Ok(self.stale(stale));
                }
                let acts = self.conversation.end(AfterSession::Transfer { to, whisper }, now);
                self.perform(acts).await?;
            }
            CallCommand::Play { url } => {
                let play = OutgoingFrame::Play {
                    url,
                    preemptible: false,
                };
                self.send(&play).await?;
            }
            CallCommand::Digits { digits } => {
                let acts = self.conversation.press(&digits);
                self.perform(acts).await?;
            }
            CallCommand::Language { language } => {
                let acts = self.conversation.speak_in(&language);
                self.perform(acts).await?;
            }
            CallCommand::OwnerChanged { .. } => {}
        }
        Ok(self.done())
    }

    async fn say_if_any(&mut self, text: Option<String>) -> Result<Result<(), ReplyRejected>, Ended> {
        match text.filter(|text| !text.trim().is_empty()) {
            Some(text) => self.say(None, text, true).await,
            None => Ok(Ok(())),
        }
    }

    async fn say(
        &mut self,
        turn: Option<u64>,
        text: String,
        is_last: bool,
    ) -> Result<Result<(), ReplyRejected>, Ended> {
        let answer = Answer {
            by: Speaker::Agent,
            turn,
            text,
            is_last,
        };
        match self.conversation.answer(answer, self.comms.clock.now(), Instant::now()) {
            Ok(acts) => {
                // It has answered; its client's model need not.
                self.reply_task = None;
                self.perform(acts).await.map(Ok)
            }
            Err(stale) => Ok(Err(stale)),
        }
    }

    /// What has been said under this key is not said again.
    fn remember(&mut self, key: Option<String>) {
        let keys = &mut self.conversation.state.keys;
        if keys.len() >= KEYS {
            keys.remove(0);
        }
        keys.extend(key);
    }

    fn done(&self) -> CommandOutcome {
        let state = &self.conversation.state;
        CommandOutcome::Done {
            turn: state.turn,
            pending: state
                .is_pending
                .then(|| Box::new(CallNotification::new(NotificationKind::Turn, state))),
        }
    }

    fn stale(&self, stale: ReplyRejected) -> CommandOutcome {
        match stale {
            ReplyRejected::Superseded => CommandOutcome::Superseded {
                turn: self.conversation.state.turn,
            },
            ReplyRejected::Answered => CommandOutcome::Answered,
        }
    }
}
