//! Positions in the durable streams: of times and subjects, and the deletion up to one.

use butt_dial_domain::{clock::Timestamp, ports::bus::BusError};

use super::{
    REQUEST_TIMEOUT,
    streams::{Streams, is_missing},
    wire,
};

impl Streams {
    /// Returns the position before the first message of this time or later, by bisection: messages have ascending times.
    pub(super) async fn position_before(&self, name: &str, time: Timestamp) -> Result<u64, BusError> {
        let found = self.jetstream.get_stream(name);
        let stream = self.connection.with_timeout(name, REQUEST_TIMEOUT, found).await?;
        let stream = stream.map_err(wire::unavailable)?;
        let state = &stream.cached_info().state;
        let (mut first, mut end) = (state.first_sequence.max(1), state.last_sequence + 1);
        while first < end {
            let middle = first + (end - first) / 2;
            let message = stream.get_raw_message(middle);
            let is_earlier = match self.connection.with_timeout(name, REQUEST_TIMEOUT, message).await? {
                Ok(message) => message.time.unix_timestamp() < time.timestamp(),
                // Deleted.
                Err(error) if is_missing(&error) => true,
                Err(error) => return Err(wire::unavailable(error)),
            };
            if is_earlier {
                first = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(first - 1)
    }

    pub(super) async fn last_position(&self, name: &str, subject: &str) -> Result<u64, BusError> {
        let found = self.jetstream.get_stream_no_info(name);
        let stream = self.connection.with_timeout(name, REQUEST_TIMEOUT, found).await?;
        let stream = stream.map_err(wire::unavailable)?;
        let last = stream.get_last_raw_message_by_subject(subject);
        match self.connection.with_timeout(name, REQUEST_TIMEOUT, last).await? {
            Ok(message) => Ok(message.sequence),
            Err(error) if is_missing(&error) => Ok(0),
            Err(error) => Err(wire::unavailable(error)),
        }
    }

    /// Deletes the messages with this subject before the position. Returns how many.
    pub(super) async fn discard(&self, name: &str, subject: &str, before: u64) -> Result<u64, BusError> {
        let found = self.jetstream.get_stream_no_info(name);
        let stream = self.connection.with_timeout(name, REQUEST_TIMEOUT, found).await?;
        let stream = stream.map_err(wire::unavailable)?;
        let purge = stream.purge().filter(subject).sequence(before).into_future();
        let purged = self.connection.with_timeout(name, REQUEST_TIMEOUT, purge).await?;
        Ok(purged.map_err(wire::unavailable)?.purged)
    }
}
