//! The reference of the settings is what `cargo xtask settings` writes.

use super::{Finding, tree::Tree};
use crate::settings_reference::{DEFAULTS, PATH, render};

pub fn check(tree: &Tree) -> Vec<Finding> {
    let text = |path: &str| tree.files.get(path).map(|file| file.text.as_str());
    let Some(defaults) = text(DEFAULTS) else {
        return vec![Finding::new(
            DEFAULTS,
            0,
            "the defaults are missing",
            "restore the file",
        )];
    };
    match text(PATH) {
        Some(reference) if reference == render(defaults) => Vec::new(),
        _ => vec![Finding::new(
            PATH,
            0,
            "differs from the defaults and the vendors' manifests",
            "run `cargo xtask settings`",
        )],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn finds_stale_reference() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let findings = |root: &Path| check(&Tree::read(root).unwrap()).len();
        let defaults = "# TCP port.\nport = 3100\n";
        write(DEFAULTS, defaults);
        assert_eq!(findings(root.path()), 1);
        write(PATH, &render(defaults));
        assert_eq!(findings(root.path()), 0);
        write(DEFAULTS, "# TCP port.\nport = 3101\n");
        assert_eq!(findings(root.path()), 1);
    }
}
