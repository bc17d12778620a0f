//! The style of pages without a login, and the sources of inline code in their content security policies.

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

pub const STYLE: &str = "body{max-width:32rem;margin:4rem auto;padding:0 1rem;font:1.1rem/1.5 system-ui,sans-serif;color-scheme:light dark}\
    img{max-height:4rem;max-width:100%}h1{color:var(--brand,inherit)}code{overflow-wrap:anywhere}\
    blockquote{margin:1rem 0;padding:.6rem 1rem;border-left:.25rem solid #8888;white-space:pre-wrap;overflow-wrap:anywhere}\
    button{font:inherit;margin-right:.6rem;padding:.6rem 1.4rem;border-radius:.4rem;border:1px solid #8888;cursor:pointer}";

/// Returns the source of inline code in a content security policy: its hash.
pub fn source_of(code: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(code.as_bytes())))
}
