//! Lists the documents of the repository, so that the program serves all of them: `docs/` with its folders, and the README.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    // Read at run time: a target directory can be shared by several copies of the sources.
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("CARGO_MANIFEST_DIR is not set"))?;
    let root = Path::new(&package).join("../..").canonicalize()?;
    let docs = root.join("docs");
    let mut files = vec![("guide.md".to_owned(), root.join("README.md"))];
    list(&docs, &docs, &mut files)?;
    files.sort();
    let entries: String = files
        .iter()
        .map(|(name, path)| format!("    ({name:?}, include_str!({path:?})),\n"))
        .collect();
    let target = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("documents.rs");
    fs::write(target, format!("&[\n{entries}]\n"))
}

/// Adds the Markdown files of a folder, by their path below `docs`.
fn list(docs: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(docs, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.strip_prefix(docs).unwrap_or(&path).to_string_lossy().into_owned();
            files.push((name, path));
        }
    }
    Ok(())
}
