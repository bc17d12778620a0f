//! Loopback ports for test servers. A port is reserved until it is dropped, even while its server is stopped. Never an
//! ephemeral port, because an outgoing connection could use it in between.

use std::{
    fs::{self, File},
    net::TcpListener,
    ops::Range,
};

/// Below the ephemeral range of Linux (32768 and up).
const RANGE: Range<u16> = 20_000..32_000;

/// A reserved port. The file lock belongs to the kernel, so a killed test leaves no reservation.
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let folder = std::env::temp_dir().join("butt-dial-ports");
        fs::create_dir_all(&folder).expect("a folder for port locks");
        let size = u128::from(RANGE.end - RANGE.start);
        let start = uuid::Uuid::new_v4().as_u128() % size;
        (0..size)
            .map(|step| RANGE.start + ((start + step) % size) as u16)
            .find_map(|number| {
                let lock = File::create(folder.join(number.to_string())).ok()?;
                lock.try_lock().ok()?;
                TcpListener::bind(("127.0.0.1", number)).ok()?;
                Some(Self { number, _lock: lock })
            })
            .expect("a free port")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
