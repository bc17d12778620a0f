//! The files that the rules read: those of the repository, by their path from the root, with `/` as separator.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::source::Source;

/// Folders that a walk without git skips.
const SKIPPED_FOLDERS: [&str; 2] = ["target", ".git"];

pub struct File {
    pub text: String,
    /// Set for Rust files.
    pub source: Option<Source>,
}

pub struct Tree {
    pub root: PathBuf,
    pub files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads the files that git tracks or would track; without git, all files. Skips files that are not UTF-8.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let paths = match listed_by_git(root) {
            Some(paths) => paths,
            None => walked(root)?,
        };
        let mut files = BTreeMap::new();
        for path in paths {
            let Ok(text) = fs::read_to_string(root.join(&path)) else {
                continue;
            };
            let source = path.ends_with(".rs").then(|| Source::new(&text));
            files.insert(path, File { text, source });
        }
        Ok(Self {
            root: root.to_owned(),
            files,
        })
    }

    /// Iterates over the Rust files.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files
            .iter()
            .filter_map(|(path, file)| Some((path.as_str(), file.source.as_ref()?)))
    }

    pub fn source(&self, path: &str) -> Option<&Source> {
        self.files.get(path)?.source.as_ref()
    }

    /// Iterates over the files below a folder, with their paths relative to it.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files.iter().filter_map(move |(path, file)| {
            let inner = path.strip_prefix(folder)?.strip_prefix('/')?;
            Some((inner, file))
        })
    }
}

/// Whether the path is that of a test file.
pub fn is_test(path: &str) -> bool {
    let mut folders = path.split('/');
    let name = folders.next_back().unwrap_or_default();
    folders.any(|folder| matches!(folder, "tests" | "testing"))
        || matches!(name, "tests.rs" | "testing.rs")
        || name.ends_with("_tests.rs")
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let paths = names.split_terminator('\0').map(str::to_owned);
    output.status.success().then(|| paths.collect())
}

fn walked(root: &Path) -> io::Result<Vec<String>> {
    let (mut folders, mut paths) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if !entry.file_type()?.is_dir() {
                paths.push(path.to_string_lossy().replace('\\', "/"));
            } else if !SKIPPED_FOLDERS.iter().any(|name| entry.file_name() == *name) {
                folders.push(path);
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
pub mod tests {
    use std::{
        env, process,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn folder_with(files: &[(&str, &str)]) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "butt-dial-tidy-{}-{}",
            process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let root = env::temp_dir().join(name);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Folder(root)
    }

    /// Writes the files to a temporary folder and reads them as a tree.
    pub fn tree_of(files: &[(&str, &str)]) -> Tree {
        Tree::read(&folder_with(files).0).unwrap()
    }

    #[test]
    fn skips_built_and_ignored_files() {
        let files = [
            ("a/b.rs", "//! b"),
            ("target/c.rs", ""),
            ("d.txt", "d"),
            (".gitignore", "*.txt\ntarget"),
        ];
        let folder = folder_with(&files);
        let read = |root: &Path| Tree::read(root).unwrap().files.into_keys().collect::<Vec<_>>();
        assert_eq!(read(&folder.0), [".gitignore", "a/b.rs", "d.txt"], "without git");
        let git = Command::new("git").arg("init").arg("--quiet").arg(&folder.0).status();
        assert!(git.unwrap().success());
        assert_eq!(read(&folder.0), [".gitignore", "a/b.rs"], "with git");
    }

    #[test]
    fn recognizes_test_files_by_path() {
        assert!(
            [
                "tests/src/a.rs",
                "shared/a/src/tests/b.rs",
                "a/tests.rs",
                "a/b_tests.rs"
            ]
            .into_iter()
            .all(is_test)
        );
        assert!(
            !["shared/testkit/src/lib.rs", "a/contests.rs", "a/tests_of.rs"]
                .into_iter()
                .any(is_test)
        );
    }
}
