//! The files of the pages, embedded in the program. Their paths contain a hash of their content, so that browsers keep them.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file with its type.
struct Asset {
    /// The path below `assets/`, with the hash of the content.
    path: String,
    kind: &'static str,
    content: &'static [u8],
}

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, content: &'static [u8]) -> Self {
        Self {
            path: format!("{stem}.{}.{extension}", &sha256(content)[..12]),
            kind,
            content,
        }
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", CSS, include_bytes!("assets/console.css")));
static OWN: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "js", SCRIPT, include_bytes!("assets/console.js")));
static PASSKEYS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("passkeys", "js", SCRIPT, include_bytes!("assets/passkeys.js")));
static HTMX: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("htmx-4.0.1", "js", SCRIPT, include_bytes!("assets/htmx.min.js")));
static SSE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("hx-sse-4.0.1", "js", SCRIPT, include_bytes!("assets/hx-sse.min.js")));

/// Returns the path of the stylesheet below `assets/`.
pub fn style() -> &'static str {
    &STYLE.path
}

/// Returns the paths of the scripts below `assets/`, in the order in which they run.
pub fn scripts() -> [&'static str; 4] {
    [&HTMX.path, &SSE.path, &OWN.path, &PASSKEYS.path]
}

/// Serves a file.
pub async fn serve(Path(path): Path<String>) -> Response {
    let all = [&*STYLE, &*OWN, &*PASSKEYS, &*HTMX, &*SSE];
    let Some(asset) = all.into_iter().find(|asset| asset.path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ];
    (headers, Body::from(asset.content)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of the package `htmx.org` 4.0.1, unchanged. Its licence (0BSD) is beside them.
    #[test]
    fn vendored_scripts_are_those_of_their_version() {
        let expected = [
            (
                &HTMX,
                "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
            ),
            (&SSE, "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103"),
        ];
        for (asset, hash) in expected {
            assert_eq!(sha256(asset.content), hash, "{}", asset.path);
        }
        assert!(include_str!("assets/LICENSE-htmx.txt").contains("Zero-Clause BSD"));
    }

    #[test]
    fn stylesheet_loads_nothing() {
        let style = include_str!("assets/console.css");
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}
