//! Clients that open connections and stand still: they hold neither the descriptors of the program nor its end.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Program, RequestExt as _, with_defaults, within_timeout};

const SHUTDOWN: [(&str, &str); 2] = [("SHUTDOWN_DELAY_SECONDS", "0"), ("SHUTDOWN_TIMEOUT_SECONDS", "60")];

async fn open(program: &Program, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(program.address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_use_up_no_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::serve_with_file_limit(128, &with_defaults(&directory, &[])).await;
    let silent = join_all((0..300).map(|_| open(&program, b""))).await;
    program.client().get("/health").reply().await.expect(200);
    drop(silent);
}

/// A request that was never received completely is no open work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_requests_do_not_delay_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::serve(&["serve"], &with_defaults(&directory, &SHUTDOWN)).await;
    let half: [&[u8]; 5] = [
        b"",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /api/v1/send-message HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx",
        b"POST /webhooks/twilio/sms HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx",
        b"POST /webhooks/twilio/sms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    let half = join_all(half.map(|sent| open(&program, sent))).await;
    let mut idle = open(&program, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0; 12];
    within_timeout("a response", idle.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let started = Instant::now();
    program.terminate().await;
    let status = program.wait_for_exit().await;
    assert!(status.success(), "{status}: {}", program.log());
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    drop(half);
}
