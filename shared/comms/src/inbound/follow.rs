//! Reads the durable stream and writes down what it tells, in order. One reader at a time does the work; should two believe
//! that they are it, the position in the database lets only one of them write.

use std::time::Duration;

use butt_dial_domain::{
    keys,
    ports::{
        bus::{BusError, Headers, LogReader, Logged},
        kv::Lease,
    },
    subjects,
};
use butt_dial_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::{
    STREAM, aside,
    record::{Recorded, Recorder, Unrecorded},
};
use crate::{Comms, calls, delivery, media, outbound::schedule};

/// As many as one transaction takes well.
const BATCH: usize = 256;
/// Bytes of notices in one transaction: what is larger may take longer than a call to the database may.
const PIECE: usize = 4 * 1024 * 1024;
/// How often in a row a database that answers may fail to take several notices, before it is given fewer at once.
const PATIENCE_WITH_MANY: u32 = 2;
/// The same for one notice, before that is kept aside. Longer, because a lock or a rush passes, and nothing smaller is left.
const PATIENCE_WITH_ONE: u32 = 8;
/// How long an idle reader waits before it looks whether it still is the one.
const WAIT: Duration = Duration::from_secs(2);
/// A reader that has died is replaced after this time.
const LEASE: Duration = Duration::from_secs(6);
/// After something did not answer.
const PAUSE: Duration = Duration::from_millis(300);

/// Follows the stream until `end`.
pub async fn follow(comms: &Comms, end: &CancellationToken) {
    let recorder = Recorder::new(comms.clone());
    while !end.is_cancelled() {
        match turn(comms).await {
            Turn::Ours(lease) => {
                read(comms, &recorder, lease.as_ref(), end).await;
                if let Some(lease) = lease
                    && let Err(error) = comms.kv.release(&lease).await
                {
                    tracing::debug!(%error, "the next reader has to wait until our turn has run out");
                }
            }
            Turn::Theirs => {}
        }
        let _ = end.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
}

enum Turn {
    /// Without a lease when nobody can say: the database decides then.
    Ours(Option<Lease>),
    Theirs,
}

async fn turn(comms: &Comms) -> Turn {
    match comms
        .kv
        .acquire(&keys::reader(STREAM.name), comms.replica.as_str(), LEASE)
        .await
    {
        Ok(Some(lease)) => Turn::Ours(Some(lease)),
        Ok(None) => Turn::Theirs,
        Err(error) => {
            tracing::warn!(%error, "nobody can say who reads; reading all the same");
            Turn::Ours(None)
        }
    }
}

/// Reads until the turn is lost, something fails, or `end`.
async fn read(comms: &Comms, recorder: &Recorder, lease: Option<&Lease>, end: &CancellationToken) {
    let (mut position, mut reader) = match open(comms).await {
        Ok(opened) => opened,
        Err(error) => return tracing::warn!(error, "the stream of what comes in can't be read yet"),
    };
    let mut renewed = tokio::time::Instant::now();
    while let Some(batch) = end.run_until_cancelled(next(&mut *reader)).await {
        let Some(batch) = batch else { return };
        if !batch.is_empty() {
            if !write(comms, recorder, position, &batch, end).await {
                return;
            }
            position = batch.last().map_or(position, |logged| logged.sequence);
        }
        if let Some(lease) = lease
            && renewed.elapsed() > LEASE / 3
        {
            // That it can't be renewed is found out by whoever takes over, and then by us, from the position.
            if matches!(comms.kv.renew(lease, LEASE).await, Ok(false)) {
                return;
            }
            renewed = tokio::time::Instant::now();
        }
    }
}

async fn open(comms: &Comms) -> Result<(u64, Box<dyn LogReader>), String> {
    let position = comms.store.find_log_position(STREAM.name).await;
    let position = position.map_err(|error| error.to_string())?;
    match comms.bus.read_log(STREAM.name, subjects::INBOUND, position).await {
        Ok(reader) => Ok((position, reader)),
        // A bus that lost its streams begins anew, and so do we: what comes a second time is known by its id.
        Err(error @ BusError::EndsBefore { .. }) => {
            tracing::error!(%error, "the stream of what comes in was lost; reading it from its beginning");
            let reset = comms.store.skip_log_entry(STREAM.name, position, 0).await;
            Err(reset.err().map_or_else(|| error.to_string(), |error| error.to_string()))
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn next(reader: &mut dyn LogReader) -> Option<Vec<Logged>> {
    match reader.next(BATCH, WAIT).await {
        Ok(batch) => Some(batch),
        Err(error) => {
            tracing::warn!(%error, "the stream of what comes in can't be read");
            None
        }
    }
}

/// Writes the batch down, in pieces that one transaction takes within its deadline. False: somebody else reads.
async fn write(comms: &Comms, recorder: &Recorder, after: u64, batch: &[Logged], end: &CancellationToken) -> bool {
    let mut after = after;
    for piece in pieces(batch) {
        if !write_piece(comms, recorder, after, piece, end).await {
            return false;
        }
        after = piece.last().map_or(after, |logged| logged.sequence);
    }
    true
}

/// Writes it down, however long the database is away. False: somebody else reads.
async fn write_piece(
    comms: &Comms,
    recorder: &Recorder,
    after: u64,
    piece: &[Logged],
    end: &CancellationToken,
) -> bool {
    let begun = std::time::Instant::now();
    let mut too_slow = 0;
    loop {
        match recorder.record(after, piece).await {
            Ok(recorded) => {
                comms.metrics.inbound_batch(piece.len(), begun.elapsed());
                announce(comms, recorded).await;
                return true;
            }
            Err(Unrecorded::Aside(error)) => {
                tracing::warn!(%error, "a notice that can't be read can't be kept aside yet");
            }
            Err(Unrecorded::Store(StoreError::Conflict)) => {
                tracing::info!(after, "somebody else has read on");
                return false;
            }
            Err(Unrecorded::Store(error)) if error.is_unavailable() => {
                // What a database that answers can't take within a call's deadline, it will never take at once.
                too_slow = if comms.store.check().await.is_ok() {
                    too_slow + 1
                } else {
                    0
                };
                tracing::warn!(%error, notices = piece.len(), too_slow, "what came in can't be written down yet");
                if piece.len() > 1 && too_slow >= PATIENCE_WITH_MANY {
                    return write_parts(comms, recorder, after, piece.chunks(piece.len().div_ceil(2)), end).await;
                }
                if too_slow >= PATIENCE_WITH_ONE && keep_aside(comms, after, piece).await {
                    return true;
                }
            }
            // A statement that can never succeed must not stop everything behind it: one by one, and only the culprit waits.
            Err(Unrecorded::Store(error)) if piece.len() > 1 => {
                tracing::error!(%error, "a batch can't be written down; trying one by one");
                return write_parts(comms, recorder, after, piece.chunks(1), end).await;
            }
            Err(Unrecorded::Store(error)) => {
                tracing::error!(%error, after, "a notice can't be written down");
                if keep_aside(comms, after, piece).await {
                    return true;
                }
            }
        }
        if end.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return false;
        }
    }
}

/// One after the other, so that the order stays.
async fn write_parts(
    comms: &Comms,
    recorder: &Recorder,
    after: u64,
    parts: std::slice::Chunks<'_, Logged>,
    end: &CancellationToken,
) -> bool {
    let mut after = after;
    for part in parts {
        if !Box::pin(write_piece(comms, recorder, after, part, end)).await {
            return false;
        }
        after = part.last().map_or(after, |logged| logged.sequence);
    }
    true
}

/// The batch in its order, cut where a piece would hold more than `PIECE` bytes. One notice that is larger is a piece.
fn pieces(batch: &[Logged]) -> Vec<&[Logged]> {
    let mut pieces = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (n, logged) in batch.iter().enumerate() {
        let size = logged.message.payload.len();
        if n > begin && bytes + size > PIECE {
            pieces.push(&batch[begin..n]);
            (begin, bytes) = (n, 0);
        }
        bytes += size;
    }
    if begin < batch.len() {
        pieces.push(&batch[begin..]);
    }
    pieces
}

/// Into a stream for operators to look at; the position moves on.
async fn keep_aside(comms: &Comms, after: u64, piece: &[Logged]) -> bool {
    let [notice] = piece else { return false };
    tracing::error!(sequence = notice.sequence, "a notice is kept aside");
    match aside::keep(comms, notice).await {
        Ok(()) => comms
            .store
            .skip_log_entry(STREAM.name, after, notice.sequence)
            .await
            .unwrap_or(false),
        Err(error) => {
            tracing::warn!(%error, "a notice can't be kept aside yet");
            false
        }
    }
}

/// Whoever waits for it learns that there is something; and what this process may deliver, it delivers.
async fn announce(comms: &Comms, recorded: Recorded) {
    for call in recorded.applied.to_settle {
        let owned = comms.clone();
        comms
            .tasks
            .spawn(async move { calls::money::settle(&owned, &call).await });
    }
    for claim in recorded.applied.claims {
        delivery::ladder::begin(comms, claim);
    }
    for agent in recorded.applied.agents {
        let subject = subjects::agent_events(&agent);
        if let Err(error) = comms.bus.publish(&subject, Headers::new(), bytes::Bytes::new()).await {
            tracing::debug!(%error, "who waits for events has to look by itself");
        }
    }
    if recorded.has_incomplete {
        media::begin(comms);
    }
    if recorded.applied.follow_ups > 0 {
        schedule::begin(comms);
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::ports::bus::Message;

    use super::*;

    fn batch(sizes: &[usize]) -> Vec<Logged> {
        let logged = |(sequence, size): (u64, &usize)| Logged {
            sequence,
            message: Message {
                subject: subjects::INBOUND.into(),
                headers: Headers::new(),
                payload: vec![b'x'; *size].into(),
                reply_to: None,
            },
        };
        (1..).zip(sizes).map(logged).collect()
    }

    /// How many notices each piece holds.
    fn cut(sizes: &[usize]) -> Vec<usize> {
        let batch = batch(sizes);
        let pieces = pieces(&batch);
        let joined: Vec<u64> = pieces
            .iter()
            .flat_map(|piece| piece.iter().map(|one| one.sequence))
            .collect();
        let expected: Vec<u64> = batch.iter().map(|one| one.sequence).collect();
        assert_eq!(joined, expected, "all of it, in its order");
        pieces.iter().map(|piece| piece.len()).collect()
    }

    #[test]
    fn a_batch_is_cut_by_its_bytes() {
        assert_eq!(cut(&[]), [0; 0]);
        assert_eq!(cut(&[1_000; BATCH]), [BATCH], "an ordinary one is not cut");
        assert_eq!(cut(&[PIECE]), [1]);
        assert_eq!(cut(&[PIECE / 2, PIECE / 2, 1]), [2, 1], "exactly full");
        assert_eq!(cut(&[PIECE / 2, PIECE / 2 + 1, 1]), [1, 2]);
        assert_eq!(
            cut(&[1, PIECE + 1, 1, 1]),
            [1, 1, 2],
            "one that is too large goes alone"
        );
        assert_eq!(cut(&[PIECE + 1, PIECE + 1]), [1, 1]);
        assert_eq!(cut(&[1_000_000; 10]), [4, 4, 2]);
    }
}
