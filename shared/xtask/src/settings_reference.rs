//! Writes `docs/SETTINGS.md` from `deploy/butt-dial.toml` and the vendors' manifests. `tidy` fails when the file is stale.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use butt_dial_providers::{Manifest, VENDORS};

/// The path of the reference, from the root of the workspace.
pub const PATH: &str = "docs/SETTINGS.md";
/// The path of the documented defaults.
pub const DEFAULTS: &str = "deploy/butt-dial.toml";

const HEAD: &str = "# Settings

<!-- `cargo xtask settings` writes this file from `deploy/butt-dial.toml` and the vendors' manifests. -->

Every setting is an environment variable, or a line of the file `butt-dial.toml` under its name in lower case. The environment takes
precedence over the file. `<NAME>_FILE` names a file with the value, such as a mounted secret. An empty value means: not set.
";

/// Writes the reference into the workspace.
pub fn write() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let defaults = fs::read_to_string(root.join(DEFAULTS)).context(DEFAULTS)?;
    fs::write(root.join(PATH), render(&defaults)).context(PATH)
}

/// Returns the text of the reference for the documented defaults.
pub fn render(defaults: &str) -> String {
    let mut text = HEAD.to_owned();
    let mut comment: Vec<&str> = Vec::new();
    for line in defaults.lines() {
        if let Some(title) = section(line) {
            let _ = write!(text, "\n## {title}\n\n| setting | default | meaning |\n|---|---|---|\n");
            comment.clear();
        } else if let Some(words) = line.strip_prefix('#') {
            comment.push(words.trim());
        } else if let Some((name, default)) = line.split_once('=') {
            let default = default.trim().trim_matches('"');
            let default = match default {
                "" => "not set".to_owned(),
                value => format!("`{value}`"),
            };
            let meaning = match comment.is_empty() {
                true => "As above.".to_owned(),
                false => cell(&comment.join(" ")),
            };
            let name = name.trim().to_uppercase();
            let _ = writeln!(text, "| `{name}` | {default} | {meaning} |");
            comment.clear();
        } else {
            // A comment without a setting, such as the head of the file.
            comment.clear();
        }
    }
    text.push_str("\n## Vendors\n\nCredentials of a carrier end the simulation of all carriers.\n");
    for vendor in VENDORS {
        render_vendor(&mut text, &vendor.manifest);
    }
    text
}

fn render_vendor(text: &mut String, manifest: &Manifest) {
    let _ = write!(
        text,
        "\n### {} (`{}`)\n\n{}\n\n| setting | required | meaning |\n|---|---|---|\n",
        manifest.title, manifest.id, manifest.docs
    );
    for field in manifest.credentials {
        let required = if field.required { "yes" } else { "no" };
        let _ = writeln!(text, "| `{}` | {required} | {} |", field.env, cell(field.help));
    }
    let _ = writeln!(
        text,
        "| `{}` | no | Replaces the endpoint `{}`. |",
        manifest.endpoint_env, manifest.default_endpoint
    );
}

/// Returns the title of a section: `# --- Title ---`.
fn section(line: &str) -> Option<&str> {
    Some(line.strip_prefix("# --- ")?.trim_end_matches('-').trim())
}

/// Escapes what ends a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_sections_defaults_and_vendors() {
        let defaults =
            "# Head of the file.\n\n# --- Network ----\n\n# TCP port.\n# 0 is free.\nport = 3100\nother = \"\"\n";
        let text = render(defaults);
        assert!(text.contains("\n## Network\n"));
        assert!(text.contains("| `PORT` | `3100` | TCP port. 0 is free. |"));
        assert!(text.contains("| `OTHER` | not set | As above. |"));
        assert!(!text.contains("Head of the file"));
        assert!(text.contains("| `TWILIO_AUTH_TOKEN` | yes |"));
    }
}
