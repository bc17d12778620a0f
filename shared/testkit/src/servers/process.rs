//! A server process with a private directory. Dropping it kills the process and removes the directory. When the test
//! process is killed, a watchdog does the same.

use std::{
    fs,
    io::Read as _,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::time::sleep;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// The account of a server that must not run as root.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

pub(crate) struct Process {
    name: &'static str,
    /// The signal that ends the server at once and lets it reap its children.
    quit: &'static str,
    directory: PathBuf,
    account: Option<Account>,
    child: Option<Child>,
    watchdog: Child,
}

impl Process {
    /// Creates the directory, readable by all and owned by the account, if there is one.
    pub(crate) fn new(name: &'static str, quit: &'static str, account: Option<Account>) -> Self {
        let directory = std::env::temp_dir().join(format!("butt-dial-{name}-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&directory).expect("a private directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("permissions");
        if let Some(Account { uid, gid }) = account {
            chown(&directory, Some(uid), Some(gid)).expect("chown");
        }
        let watchdog = watch(&directory, quit);
        Self {
            name,
            quit,
            directory,
            account,
            child: None,
            watchdog,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Creates a command under the server's account, with its output in the file `log`.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))
            .expect("a log file");
        command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        if let Some(Account { uid, gid }) = self.account {
            command.gid(gid).uid(uid);
        }
        command
    }

    pub(crate) fn spawn(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "{} is already running", self.name);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {}: {error}", self.name));
        fs::write(self.directory.join("watched"), child.id().to_string()).expect("the watchdog's file");
        self.child = Some(child);
    }

    /// Polls until the probe returns true. Panics with the server's log when the process exits or the time-out passes.
    pub(crate) async fn wait_until_ready(&mut self, probe: impl AsyncFn() -> bool) {
        let start = Instant::now();
        loop {
            let ready = probe().await;
            // After the probe: if the process has exited, another server responded.
            let exited = self
                .child
                .as_mut()
                .is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if ready && !exited {
                return;
            }
            assert!(
                !exited && start.elapsed() < START_TIMEOUT,
                "{} did not start: {}",
                self.name,
                self.log()
            );
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends the signal and waits for the exit.
    pub(crate) async fn stop(&mut self, signal: &str) {
        let Some(mut child) = self.child.take() else { return };
        assert!(send(signal, &child), "can't signal {}", self.name);
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if start.elapsed() > STOP_TIMEOUT {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{} ignored {signal}: {}", self.name, self.log());
            }
            sleep(POLL_INTERVAL).await;
        }
        self.unwatch();
    }

    /// Halts the process and its children: connections are accepted by the kernel, and stay open and silent.
    pub(crate) fn freeze(&self) {
        self.signal_all("STOP");
    }

    /// Continues the halted processes.
    pub(crate) fn resume(&self) {
        self.signal_all("CONT");
    }

    /// Sends a signal to the process, and then to its children, which it can't replace once it is halted.
    fn signal_all(&self, signal: &str) {
        let child = self.child.as_ref().expect("a running server");
        assert!(send(signal, child), "can't signal {}", self.name);
        let id = child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        // One of the children may have ended meanwhile.
        let script = format!("for child in {children}; do kill -{signal} $child; done; true");
        let sent = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
        assert!(sent.is_ok_and(|status| status.success()), "can't signal {}", self.name);
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            self.unwatch();
        }
    }

    fn unwatch(&self) {
        let _ = fs::remove_file(self.directory.join("watched"));
    }

    fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = fs::File::open(self.directory.join("log")) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_some() {
            // A halted process would not end, and its children would stay.
            self.resume();
        }
        if let Some(child) = &mut self.child
            && send(self.quit, child)
        {
            let start = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && start.elapsed() < QUIT_TIMEOUT {
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn send(signal: &str, child: &Child) -> bool {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {}", child.id())])
        .status();
    sent.is_ok_and(|status| status.success())
}

/// Ends the server of the file `watched` when its standard input is closed, which is when the test process exits.
const WATCHDOG: &str = r#"
    read -r _
    if server=$(cat "$0/watched"); then
        kill -s "$1" "$server"; sleep 1; kill -s KILL "$server"
    fi
    rm -rf "$0""#;

fn watch(directory: &Path, quit: &str) -> Child {
    Command::new("sh")
        .args(["-c", WATCHDOG])
        .arg(directory)
        .arg(quit)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A separate group, so that a signal to the test's group does not kill the watchdog.
        .process_group(0)
        .spawn()
        .expect("sh")
}

/// Finds a program in PATH or in one of the folders, the last folder first.
pub(crate) fn find_program(name: &str, folders: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(folders.iter().rev().cloned())
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed"))
}
