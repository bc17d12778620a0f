//! The check of the encryption key's backup: the key in use must be in it. Must not print a key.

use std::path::Path;

use butt_dial_runtime::Config;

use super::report::Report;

pub(super) fn check(config: &Config, backup: Option<&Path>, report: &mut Report) {
    match backup {
        Some(path) => report.check("key backup", compare(config, path)),
        None => report.warn("key backup", &not_compared(config)),
    }
}

fn not_compared(config: &Config) -> String {
    let place = if config.encryption_keys.is_empty() {
        format!(
            "the only copy may be {}: keep another one elsewhere. ",
            config.key_file().display()
        )
    } else {
        String::new()
    };
    format!(
        "not checked: {place}without the encryption key no content can be read, and no process starts. \
         `butt-dial doctor --key-backup FILE` compares your copy"
    )
}

/// Fails unless the file has every key in use, separated by commas or lines.
fn compare(config: &Config, path: &Path) -> Result<(), String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("{} can't be read: {error}", path.display()))
    };
    let text = read(path)?;
    let kept: Vec<&str> = text.split([',', '\n']).map(str::trim).collect();
    let keys = if config.encryption_keys.is_empty() {
        let file = config.key_file();
        if is_same_file(path, &file) {
            return Err(format!("{} is the key in use, and no copy of it", path.display()));
        }
        vec![read(&file)?.trim().to_owned()]
    } else {
        config.encryption_keys.clone()
    };
    let missing = keys.iter().filter(|key| !kept.contains(&key.trim())).count();
    match missing {
        0 => Ok(()),
        missing => Err(format!(
            "{} lacks {missing} of the {} keys in use (CREDENTIALS_ENCRYPTION_KEY, CREDENTIALS_ENCRYPTION_KEYS)",
            path.display(),
            keys.len()
        )),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (std::fs::canonicalize(one), std::fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
