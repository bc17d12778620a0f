//! `xtask servers` as a process: it gives a command a database and exits with the exit code of the command.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running `xtask servers -- sh -c <script>`. The script first prints the address of its database.
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

    /// Waits for the end. Returns the exit code, and checks that the database is stopped.
    fn wait(mut self) -> Option<i32> {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.xtask.wait().unwrap();
        assert!(
            TcpStream::connect(&self.address).is_err(),
            "the server is still running"
        );
        status.code()
    }
}

#[test]
fn servers_run_as_long_as_the_command() {
    let mut run = Run::start("read line; exit 7");
    assert!(TcpStream::connect(&run.address).is_ok());
    drop(run.xtask.stdin.take());
    assert_eq!(run.wait(), Some(7));
}

#[test]
fn servers_return_the_exit_code_after_a_signal() {
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
        assert_eq!(run.wait(), Some(9), "{signal}");
    }
}

#[test]
fn servers_return_128_plus_signal_of_a_killed_command() {
    assert_eq!(Run::start("kill -s KILL $$").wait(), Some(128 + 9));
}
