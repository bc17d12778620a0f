//! The lock of the data directory. Two programs on one SQLite file would each serve a part of the traffic, and the embedded bus of
//! one does not wake the readers of the other. The lock belongs to the process: it ends with it, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use butt_dial_runtime::{Config, platform::StartError};

const LOCK_FILE: &str = "butt-dial.lock";

/// The locks of the directories that this program works in, until they are dropped.
pub struct DataLock {
    files: Vec<(File, PathBuf)>,
}

impl DataLock {
    /// Locks the data directory, and the directory of the SQLite file if it is another one. Without SQLite it locks nothing:
    /// programs on Postgres share their data.
    pub fn acquire(config: &Config) -> Result<Self, StartError> {
        let mut locked = Self { files: Vec::new() };
        for directory in directories(config) {
            let directory = create(&directory)?;
            if !locked.directories().any(|known| known == directory) {
                locked.files.push((lock(&directory)?, directory));
            }
        }
        Ok(locked)
    }

    /// Returns the locked directories, the data directory first.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(_, directory)| directory.as_path())
    }
}

fn directories(config: &Config) -> Vec<PathBuf> {
    let Some(database) = config.database_url.strip_prefix("sqlite:") else {
        return Vec::new();
    };
    let database = Path::new(database.trim_start_matches("//"));
    let beside = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    vec![
        config.data_dir.clone(),
        beside.unwrap_or_else(|| Path::new(".")).to_owned(),
    ]
}

/// Creates the directory if it is missing. Returns its absolute path without links: a directory has one lock.
fn create(directory: &Path) -> Result<PathBuf, StartError> {
    let created = std::fs::create_dir_all(directory).and_then(|()| std::fs::canonicalize(directory));
    created.map_err(|error| StartError::Io {
        resource: format!("the data directory {} (DATA_DIR)", directory.display()),
        error,
    })
}

fn lock(directory: &Path) -> Result<File, StartError> {
    let path = directory.join(LOCK_FILE);
    let failed = |error| StartError::Io {
        resource: format!("the lock of the data directory, {} (DATA_DIR)", path.display()),
        error,
    };
    // The file stays: a program that removed it could remove the lock of another one.
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Other(format!(
            "another program uses the data directory {}. Stop it first, or set DATA_DIR to another directory for this one. To run \
             several programs on the same data, use Postgres, NATS and Redis",
            directory.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_runtime::config::Deployment;

    use super::*;

    fn config(settings: &[(&str, &Path)]) -> Config {
        let settings = settings.iter();
        let settings = settings.map(|(name, value)| ((*name).to_owned(), value.display().to_string()));
        Config::from_parts(None, settings, Deployment::SingleProcess).expect("valid settings")
    }

    #[test]
    fn second_lock_fails_until_first_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let settings = config(&[("DATA_DIR", &data)]);
        let first = DataLock::acquire(&settings).unwrap();
        let refused = DataLock::acquire(&settings).err().unwrap().to_string();
        assert!(
            refused.contains(&data.display().to_string()) && refused.contains("DATA_DIR"),
            "{refused}"
        );
        drop(first);
        DataLock::acquire(&settings).unwrap();
    }

    #[test]
    fn locks_directory_of_database_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let url = PathBuf::from(format!("sqlite:{}", directory.path().join("shared/x.db").display()));
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        let _first = DataLock::acquire(&config(&[("DATA_DIR", &one), ("DATABASE_URL", &url)])).unwrap();
        let refused = DataLock::acquire(&config(&[("DATA_DIR", &other), ("DATABASE_URL", &url)]));
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains("shared"), "{refused}");
    }
}
