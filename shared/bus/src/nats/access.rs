//! How a client proves itself to NATS, and which server certificates it trusts.

use std::path::PathBuf;

use async_nats::{ConnectOptions, ServerAddr};
use butt_dial_domain::ports::bus::BusError;
use percent_encoding::percent_decode_str;

use super::wire;

/// Access to a NATS server besides what its URL says. Not `Debug`, because it contains secrets.
#[derive(Clone, Default)]
pub struct NatsAccess {
    pub identity: NatsIdentity,
    /// PEM file of the certificate authority of the servers; `None`: that of the system.
    pub root_certificates: Option<PathBuf>,
    /// PEM files of the client's certificate and its key, for servers that verify clients.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// The identity of a client.
#[derive(Clone, Default)]
pub enum NatsIdentity {
    /// User and password, or token, of the URL; without them none.
    #[default]
    Url,
    /// The seed of an nkey, which begins with `SU`.
    NkeySeed(String),
    /// The content of a `.creds` file: a JWT and its seed.
    Credentials(String),
}

impl NatsAccess {
    /// Adds the identity and the certificates to the options of a connection to these servers.
    pub(super) fn apply(&self, options: ConnectOptions, servers: &[ServerAddr]) -> Result<ConnectOptions, BusError> {
        let options = match &self.root_certificates {
            Some(path) => options.add_root_certificates(path.clone()),
            None => options,
        };
        let options = match &self.client_certificate {
            Some((certificate, key)) => options.add_client_certificate(certificate.clone(), key.clone()),
            None => options,
        };
        match &self.identity {
            NatsIdentity::Url => url_identity(options, servers),
            NatsIdentity::NkeySeed(seed) => Ok(options.nkey(seed.trim().to_owned())),
            NatsIdentity::Credentials(text) => options
                .credentials(text)
                // The error may quote the text.
                .map_err(|_| wire::unavailable("NATS_CREDENTIALS is not the content of a .creds file")),
        }
    }
}

/// Uses the credentials of the first URL that has some: a cluster has one set of users. The client does not read them itself.
fn url_identity(options: ConnectOptions, servers: &[ServerAddr]) -> Result<ConnectOptions, BusError> {
    let Some((user, server)) = servers.iter().find_map(|server| Some((server.username()?, server))) else {
        return Ok(options);
    };
    Ok(match server.password() {
        Some(password) => options.user_and_password(decoded(user)?, decoded(password)?),
        None => options.token(decoded(user)?),
    })
}

/// Decodes percent signs: a URL can't have every character of a password.
fn decoded(text: &str) -> Result<String, BusError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| wire::unavailable("invalid NATS URL: its credentials are not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use butt_dial_testkit::servers::Nats;
    use nkeys::KeyPair;
    use serde_json::{Value, json};

    use super::*;
    use crate::NatsBus;

    async fn server(config: &str) -> (Nats, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nats.conf");
        fs::write(&path, config).unwrap();
        let server = Nats::start_with(&["-c", path.to_str().unwrap()]).await;
        (server, directory)
    }

    async fn connects(url: &str, access: NatsAccess) -> bool {
        NatsBus::connect_with(url, "test", &access).await.is_ok()
    }

    fn of(identity: NatsIdentity) -> NatsAccess {
        NatsAccess {
            identity,
            ..NatsAccess::default()
        }
    }

    #[tokio::test]
    async fn connects_with_user_of_url() {
        let (server, _directory) = server(r#"authorization { user: app, password: "p@ss/1" }"#).await;
        let address = server.address();
        assert!(connects(&format!("nats://app:p%40ss%2F1@{address}"), NatsAccess::default()).await);
        assert!(!connects(&format!("nats://app:wrong@{address}"), NatsAccess::default()).await);
    }

    #[tokio::test]
    async fn connects_with_nkey() {
        let user = KeyPair::new_user();
        let config = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", user.public_key());
        let (server, _directory) = server(&config).await;
        assert!(connects(&server.url(), of(NatsIdentity::NkeySeed(user.seed().unwrap()))).await);
        let stranger = KeyPair::new_user().seed().unwrap();
        assert!(!connects(&server.url(), of(NatsIdentity::NkeySeed(stranger))).await);
        assert!(!connects(&server.url(), NatsAccess::default()).await);
    }

    fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
        let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
        let claims = json!({
            "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
            "sub": subject.public_key(), "nats": nats,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = issuer.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[tokio::test]
    async fn connects_with_credentials_file() {
        let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let operator_jwt = jwt(&operator, &operator, &json!({ "type": "operator", "version": 2 }));
        // A server with accounts has one for itself.
        let (system, system_limits) = (
            KeyPair::new_account(),
            json!({ "subs": -1, "conn": -1, "wildcards": true }),
        );
        let account_of = |pair: &KeyPair, limits: &Value| {
            let claims = json!({ "type": "account", "version": 2, "limits": limits });
            format!("{}: {}", pair.public_key(), jwt(&operator, pair, &claims))
        };
        let user_limits = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let user_jwt = jwt(&account, &user, &user_limits);
        let config = format!(
            "operator: {operator_jwt}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}\n{}\n}}",
            system.public_key(),
            account_of(&system, &system_limits),
            account_of(&account, &limits)
        );
        let (server, _directory) = server(&config).await;
        let credentials = |seed: String| {
            format!(
                "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            )
        };
        let valid = credentials(user.seed().unwrap());
        assert!(connects(&server.url(), of(NatsIdentity::Credentials(valid))).await);
        let foreign = credentials(KeyPair::new_user().seed().unwrap());
        assert!(!connects(&server.url(), of(NatsIdentity::Credentials(foreign))).await);
        let unreadable = of(NatsIdentity::Credentials("SUSECRET".into()));
        let refused = NatsBus::connect_with(&server.url(), "test", &unreadable).await;
        assert!(!refused.err().unwrap().to_string().contains("SUSECRET"));
    }

    fn certificate(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (
            directory.join(format!("{name}.crt")),
            directory.join(format!("{name}.key")),
        );
        fs::write(&certificate, generated.cert.pem()).unwrap();
        fs::write(&key, generated.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[tokio::test]
    async fn connects_with_client_certificate() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = certificate(directory.path(), "server");
        let client = self::certificate(directory.path(), "client");
        let config = format!(
            "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {:?}, verify: true }}",
            client.0
        );
        let (server, _directory) = self::server(&config).await;
        let url = server.url().replace("nats://127.0.0.1", "tls://localhost");
        let access = |client_certificate| NatsAccess {
            root_certificates: Some(certificate.clone()),
            client_certificate,
            ..NatsAccess::default()
        };
        assert!(connects(&url, access(Some(client.clone()))).await);
        assert!(!connects(&url, access(None)).await);
        let untrusting = NatsAccess {
            client_certificate: Some(client),
            ..NatsAccess::default()
        };
        assert!(!connects(&url, untrusting).await);
    }
}
