//! `xtask servers` as its users see it: a process that gives a command a database and ends as the command ends.

#![expect(clippy::unwrap_used, reason = "here a failed expectation is a failed test")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running `xtask servers -- sh -c <script>`, whose script first says where its database is.
struct Run {
    xtask: Child,
    output: BufReader<ChildStdout>,
    /// Host and port of the database.
    address: String,
}

impl Run {
    fn start(script: &str) -> Self {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args([
                "servers",
                "--",
                "sh",
                "-c",
                &format!("echo $TEST_POSTGRES_URL; {script}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(xtask.stdout.take().unwrap());
        let mut url = String::new();
        output.read_line(&mut url).unwrap();
        let address = url.split(['@', '/']).nth(3).unwrap_or_default().to_owned();
        Self { xtask, output, address }
    }

    /// The exit code, after which the database must be gone.
    fn end(mut self) -> Option<i32> {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.xtask.wait().unwrap();
        assert!(TcpStream::connect(&self.address).is_err(), "the server outlived xtask");
        status.code()
    }
}

#[test]
fn servers_live_as_long_as_the_command() {
    let mut run = Run::start("read line; exit 7");
    assert!(TcpStream::connect(&run.address).is_ok());
    drop(run.xtask.stdin.take());
    assert_eq!(run.end(), Some(7));
}

#[test]
fn servers_end_on_a_signal_with_the_command_s_code() {
    for signal in ["INT", "TERM"] {
        let mut run = Run::start("trap 'exit 9' INT TERM; echo ready; while :; do sleep 0.05; done");
        run.output.read_line(&mut String::new()).unwrap();
        let id = run.xtask.id().to_string();
        assert!(
            Command::new("sh")
                .args(["-c", &format!("kill -s {signal} {id}")])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(run.end(), Some(9), "{signal}");
    }
}

#[test]
fn servers_say_what_a_shell_says_of_a_killed_command() {
    assert_eq!(Run::start("kill -s KILL $$").end(), Some(128 + 9));
}
