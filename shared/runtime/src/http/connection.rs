//! The socket of one client, with deadlines: for the first byte, for the head of a request, between two requests, and for each
//! piece of a response. A client that stands still loses its connection, so that it holds neither a descriptor nor memory.
//! While a request is being answered, and after an upgrade to a WebSocket, only writes have a deadline.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::connection_limits::Permit;

/// From the first byte of a request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two requests. Longer than the idle time of common load balancers (60 s), which must close first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// From a full send buffer to the next byte that the client reads.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// For the rest of a half-sent head at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte was received yet.
    Opened,
    /// A part of a head was received.
    Head,
    /// A request is being answered, or the protocol was upgraded.
    Busy,
    /// The last request was answered.
    Idle,
}

impl Phase {
    fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Opened,
            1 => Self::Head,
            2 => Self::Busy,
            _ => Self::Idle,
        }
    }
}

/// The phase, shared by the socket and the requests on it.
#[derive(Clone)]
pub(super) struct Activity(Arc<AtomicU8>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Opened as u8)))
    }

    /// Notes that a whole head was received.
    pub(super) fn begin_request(&self) {
        self.set(Phase::Busy);
    }

    /// Notes that the response was sent or given up.
    pub(super) fn end_request(&self) {
        self.set(Phase::Idle);
    }

    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn get(&self) -> Phase {
        Phase::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// A socket with deadlines.
pub(super) struct Socket {
    stream: TcpStream,
    activity: Activity,
    first_byte_timeout: Duration,
    /// The phase that the read deadline belongs to.
    timed: Option<Phase>,
    read_deadline: Option<Pin<Box<Sleep>>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
    draining: CancellationToken,
    drained: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Held as long as the socket, also when it belongs to a WebSocket.
    _permit: Permit,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        activity: Activity,
        first_byte_timeout: Duration,
        draining: CancellationToken,
        permit: Permit,
    ) -> Self {
        Self {
            stream,
            activity,
            first_byte_timeout,
            timed: None,
            read_deadline: None,
            write_deadline: None,
            draining,
            drained: None,
            _permit: permit,
        }
    }

    /// Waits for the deadline of the phase, or for the shutdown. The socket has nothing to read.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.activity.get();
        let timeout = match phase {
            Phase::Opened => self.first_byte_timeout,
            Phase::Head => HEAD_TIMEOUT,
            Phase::Busy => return Poll::Pending,
            Phase::Idle => IDLE_TIMEOUT,
        };
        if self.timed != Some(phase) {
            self.timed = Some(phase);
            reset(&mut self.read_deadline, timeout);
        }
        let draining = &self.draining;
        let drained = self
            .drained
            .get_or_insert_with(|| Box::pin(draining.clone().cancelled_owned()));
        if self.draining.is_cancelled() || drained.as_mut().poll(cx).is_ready() {
            if phase != Phase::Head {
                // The end of the stream: nothing was sent that could be lost.
                return Poll::Ready(Ok(()));
            }
            let limit = Instant::now() + DRAIN_TIMEOUT;
            if let Some(deadline) = &mut self.read_deadline
                && deadline.deadline() > limit
            {
                deadline.as_mut().reset(limit);
            }
        }
        if let Some(deadline) = &mut self.read_deadline {
            ready!(deadline.as_mut().poll(cx));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Passes the result of a write on, unless the client has read nothing for too long.
    fn limit_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

fn reset(deadline: &mut Option<Pin<Box<Sleep>>>, timeout: Duration) {
    match deadline {
        Some(deadline) => deadline.as_mut().reset(Instant::now() + timeout),
        None => *deadline = Some(Box::pin(sleep(timeout))),
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before && matches!(self.activity.get(), Phase::Opened | Phase::Idle) {
                self.activity.set(Phase::Head);
            }
            return Poll::Ready(read);
        }
        self.poll_deadline(cx)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limit_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.limit_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::http::{ConnectionLimits, TrustedProxies};

    struct Pair {
        client: TcpStream,
        socket: Socket,
        activity: Activity,
        draining: CancellationToken,
    }

    async fn pair() -> Pair {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (activity, draining) = (Activity::new(), CancellationToken::new());
        let limits = ConnectionLimits::new(1, 1, TrustedProxies::default());
        let permit = limits.admit([127, 0, 0, 1].into()).unwrap();
        let socket = Socket::new(
            stream,
            activity.clone(),
            Duration::from_secs(5),
            draining.clone(),
            permit,
        );
        // From now on the clock advances when all tasks wait.
        tokio::time::pause();
        Pair {
            client,
            socket,
            activity,
            draining,
        }
    }

    async fn read(socket: &mut Socket) -> (io::Result<usize>, u64) {
        let started = Instant::now();
        let read = socket.read(&mut [0; 16]).await;
        (read, started.elapsed().as_secs())
    }

    #[tokio::test]
    async fn silent_client_times_out() {
        let mut pair = pair().await;
        let (read, waited) = read(&mut pair.socket).await;
        assert_eq!((read.unwrap_err().kind(), waited), (io::ErrorKind::TimedOut, 5));
    }

    #[tokio::test]
    async fn unfinished_head_times_out_despite_more_bytes() {
        let mut pair = pair().await;
        pair.client.write_all(b"GET").await.unwrap();
        let started = Instant::now();
        assert_eq!(read(&mut pair.socket).await.0.unwrap(), 3);
        let sends = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(4)).await; // not a synchronisation: the pace of a slow client, on a paused clock
                let _ = pair.client.write_all(b"x").await;
            }
        };
        let reads = async { while let Ok(1) = read(&mut pair.socket).await.0 {} };
        tokio::select! {
            () = reads => assert!(started.elapsed() <= HEAD_TIMEOUT + Duration::from_secs(1)),
            () = sends => panic!("the head has no deadline"),
        }
    }

    #[tokio::test]
    async fn idle_client_times_out_after_request() {
        let mut pair = pair().await;
        pair.activity.begin_request();
        pair.activity.end_request();
        let (read, waited) = read(&mut pair.socket).await;
        assert_eq!(
            (read.unwrap_err().kind(), waited),
            (io::ErrorKind::TimedOut, IDLE_TIMEOUT.as_secs())
        );
    }

    #[tokio::test]
    async fn client_of_open_request_does_not_time_out() {
        let mut pair = pair().await;
        pair.activity.begin_request();
        let read = tokio::time::timeout(Duration::from_secs(3_600), read(&mut pair.socket)).await;
        assert!(read.is_err());
    }

    #[tokio::test]
    async fn client_that_reads_nothing_times_out() {
        let mut pair = pair().await;
        pair.activity.begin_request();
        let started = Instant::now();
        let error = pair.socket.write_all(&vec![0; 64 * 1024 * 1024]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), WRITE_TIMEOUT.as_secs());
    }

    #[tokio::test]
    async fn shutdown_ends_silent_client_at_once_and_half_head_soon() {
        let mut silent = pair().await;
        silent.draining.cancel();
        let (ended, waited) = read(&mut silent.socket).await;
        assert_eq!((ended.unwrap(), waited), (0, 0));
        tokio::time::resume();
        let mut half = pair().await;
        half.client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut half.socket).await.0.unwrap(), 3);
        half.draining.cancel();
        let (ended, waited) = read(&mut half.socket).await;
        assert_eq!(
            (ended.unwrap_err().kind(), waited),
            (io::ErrorKind::TimedOut, DRAIN_TIMEOUT.as_secs())
        );
    }
}
