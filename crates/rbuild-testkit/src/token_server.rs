//! A server that gives tokens which Debian's `docker-registry` believes.
//!
//! Distribution's "Token Authentication Implementation": JSON web tokens, signed with RS256. openssl
//! does the signing.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{
    Error, Host,
    http::{Reply, Seen, Server},
    openssl,
};

/// The service that tokens are for, and who gives them.
const SERVICE: &str = "it";

/// A token server at a free port of 127.0.0.1; ends with the test's process.
#[derive(Debug)]
pub struct TokenServer {
    /// What was asked.
    pub server: Server,
    certificate: PathBuf,
}

/// What tokens are signed with.
struct Signer {
    dir: PathBuf,
    /// Base64 of the certificate's DER.
    certificate: String,
    issued: AtomicU64,
}

impl TokenServer {
    /// Starts a server that gives tokens to whoever logs in as `USER:PASSWORD`.
    ///
    /// # Errors
    /// [`Error`] if openssl makes no key.
    pub fn start(host: &Host, login: &str) -> Result<Self, Error> {
        let dir = host.scratch.dir("tokens")?;
        let certificate = dir.join("cert.pem");
        let request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=it -keyout key.pem";
        openssl(&dir, &[request, "-out cert.pem"].join(" "))?;
        let pem = fs::read_to_string(&certificate).map_err(Error::file("read", &certificate))?;
        let body = pem.lines().filter(|line| !line.starts_with('-'));
        let signer = Signer {
            certificate: body.collect(),
            issued: AtomicU64::new(0),
            dir,
        };
        let login = format!("Basic {}", STANDARD.encode(login));
        let server = Server::start(move |seen| {
            if seen.headers.get("authorization") != Some(&login) {
                return Reply::new(401, "");
            }
            match signer.token(seen) {
                Ok(token) => Reply::new(200, json!({ "token": token }).to_string()),
                Err(error) => Reply::new(500, error.to_string()),
            }
        });
        Ok(Self {
            server,
            certificate,
        })
    }

    /// The lines of a registry's configuration that make it want these tokens.
    pub fn yaml(&self) -> String {
        format!(
            "auth: {{token: {{realm: '{}', service: {SERVICE}, issuer: {SERVICE}, \
             rootcertbundle: '{}'}}}}\n",
            self.server.url("/token"),
            self.certificate.display()
        )
    }
}

impl Signer {
    /// A token for what the query of a request asks for.
    fn token(&self, seen: &Seen) -> Result<String, Error> {
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [self.certificate] });
        let claims = json!({
            "iss": SERVICE, "sub": "user", "aud": SERVICE, "jti": number.to_string(),
            "nbf": now - 10, "iat": now, "exp": now + 300, "access": access(&seen.path),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let (text, signature) = (format!("{number}.txt"), format!("{number}.sig"));
        let file = self.dir.join(&text);
        fs::write(&file, &signed).map_err(Error::file("write", &file))?;
        openssl(
            &self.dir,
            &format!("dgst -sha256 -sign key.pem -out {signature} {text}"),
        )?;
        let file = self.dir.join(signature);
        let signature = fs::read(&file).map_err(Error::file("read", &file))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What a query asks for: each `scope=repository:NAME:ACTION,ACTION`.
fn access(path: &str) -> Vec<Value> {
    let (_, query) = path.split_once('?').unwrap_or((path, ""));
    let scopes = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("scope="));
    let entry = |scope: &str| {
        let scope = scope
            .replace("%3A", ":")
            .replace("%2F", "/")
            .replace("%2C", ",");
        let mut parts = scope.splitn(3, ':').map(str::to_owned);
        let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
        let actions: Vec<&str> = actions.split(',').collect();
        Some(json!({ "type": kind, "name": name, "actions": actions }))
    };
    scopes.filter_map(entry).collect()
}
