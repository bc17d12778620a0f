//! The files that the rules read: the repository's own, by path from its root with `/` between the parts.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::source::Source;

/// Folders that a walk without git leaves out: what is built or private to a tool.
const NOT_OURS: [&str; 2] = ["target", ".git"];

pub struct File {
    pub text: String,
    /// Of Rust files only.
    pub source: Option<Source>,
}

pub struct Tree {
    pub files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads what git tracks or would track; every file where there is no git. Leaves out what is not text.
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
        Ok(Self { files })
    }

    /// The Rust files, with their paths.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files
            .iter()
            .filter_map(|(path, file)| Some((path.as_str(), file.source.as_ref()?)))
    }

    pub fn source(&self, path: &str) -> Option<&Source> {
        self.files.get(path)?.source.as_ref()
    }

    /// The files below a folder, each with its path from there.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files.iter().filter_map(move |(path, file)| {
            let inner = path.strip_prefix(folder)?.strip_prefix('/')?;
            Some((inner, file))
        })
    }
}

/// Whether the whole file is test code, by its path.
pub fn is_test(path: &str) -> bool {
    let mut folders = path.split('/');
    let name = folders.next_back().unwrap_or_default();
    folders.any(|folder| folder == "tests") || name == "tests.rs" || name.ends_with("_tests.rs")
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
            } else if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
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

    /// A tree of these files, written to a folder of its own and read back.
    pub fn made_up(files: &[(&str, &str)]) -> Tree {
        Tree::read(&folder_with(files).0).unwrap()
    }

    #[test]
    fn what_is_built_or_ignored_is_not_read() {
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
    fn test_files_are_known_by_their_paths() {
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
