//! The files that logins are kept in: containers-auth.json(5) and docker's `config.json`.
//!
//! Pure: text in, answers and text out. Who reads and writes the files is not known here.
//!
//! Invariant: what an edit does not concern is kept, keys of other programs included.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Login;

/// What a file of logins says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AuthFile {
    /// By normalised key: `host[/namespace…]`.
    logins: BTreeMap<String, Login>,
    /// By host: the program that keeps its login.
    helpers: BTreeMap<String, String>,
    /// The program that keeps all others.
    store: Option<String>,
}

/// What a file says about a repository.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// This login.
    Login(Login),
    /// `docker-credential-NAME` knows.
    Helper(String),
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
}

impl AuthFile {
    /// Understands the text of a file.
    ///
    /// # Errors
    /// Says what is wrong, without any of the text: it has secrets in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if !text.trim_start().starts_with('{') {
            return Err("it is not a JSON object".to_owned());
        }
        let text: Text = serde_json::from_str(text)
            .map_err(|error| format!("line {} is not JSON of that form", error.line()))?;
        let mut logins = BTreeMap::new();
        for (key, auth) in text.auths {
            let key = normalized(&key);
            if let Some(login) = login(&auth).map_err(|why| format!("`{key}` has {why}"))? {
                logins.insert(key, login);
            }
        }
        let helpers = text.helpers.into_iter();
        Ok(Self {
            logins,
            helpers: helpers
                .map(|(key, name)| (normalized(&key), name))
                .collect(),
            store: Some(text.store).filter(|name| !name.is_empty()),
        })
    }

    /// What is known for `repository` of `host`: a program named for the host, then the login of
    /// the longest key that leads to it, then the program for all hosts.
    pub fn lookup(&self, host: &str, repository: &str) -> Option<Entry> {
        let host = normalized(host);
        if let Some(name) = self.helpers.get(&host) {
            return Some(Entry::Helper(name.clone()));
        }
        let full = format!("{host}/{repository}");
        let mut key = full.trim_end_matches('/');
        loop {
            if let Some(login) = self.logins.get(key) {
                return Some(Entry::Login(login.clone()));
            }
            match key.rsplit_once('/') {
                Some((shorter, _)) => key = shorter,
                None => return self.store.clone().map(Entry::Helper),
            }
        }
    }

    /// The program that keeps the login of `key`, where one is configured.
    pub fn helper_for(&self, key: &str) -> Option<&str> {
        let helper = self.helpers.get(&normalized(key));
        helper.or(self.store.as_ref()).map(String::as_str)
    }

    /// Whether exactly `key` has a login.
    pub fn has(&self, key: &str) -> bool {
        self.logins.contains_key(&normalized(key))
    }

    /// Every host with a program of its own, and that program.
    pub fn helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        let helpers = self.helpers.iter();
        helpers.map(|(host, name)| (host.as_str(), name.as_str()))
    }
}

/// `text` with the login of `key` set to `login`, or removed.
///
/// # Errors
/// If `text` is neither empty nor a JSON object with an object `auths`.
pub fn edited(text: &str, key: &str, login: Option<&Login>) -> Result<String, String> {
    let mut root = object(text)?;
    let auths = root.entry("auths").or_insert_with(|| json!({}));
    let auths = auths.as_object_mut().ok_or("`auths` is not an object")?;
    let wanted = normalized(key);
    auths.retain(|other, _| normalized(other) != wanted);
    match login {
        Some(Login::Password { user, password }) => {
            let auth = STANDARD.encode(format!("{user}:{password}"));
            auths.insert(wanted, json!({ "auth": auth }));
        }
        Some(Login::IdentityToken(token)) => {
            auths.insert(wanted, json!({ "identitytoken": token }));
        }
        None => {}
    }
    Ok(pretty(root))
}

/// `text` without any login; programs stay configured.
///
/// # Errors
/// As [`edited`].
pub fn emptied(text: &str) -> Result<String, String> {
    let mut root = object(text)?;
    root.insert("auths".to_owned(), json!({}));
    Ok(pretty(root))
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(root)) => Ok(root),
        _ => Err("it is not a JSON object".to_owned()),
    }
}

fn pretty(root: Map<String, Value>) -> String {
    let mut text = serde_json::to_string_pretty(&Value::Object(root))
        .expect("a value that was parsed or made here can be written");
    text.push('\n');
    text
}

/// A key as this module compares it. Docker writes Docker Hub's in its own way, and some programs
/// put a protocol before a host.
fn normalized(key: &str) -> String {
    let bare = key.strip_prefix("https://");
    let bare = bare.or_else(|| key.strip_prefix("http://"));
    let key = match bare {
        Some(bare) => bare.split('/').next().unwrap_or(bare),
        None => key.trim_end_matches('/'),
    };
    let (host, path) = match key.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (key, None),
    };
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    };
    path.map_or_else(|| host.to_owned(), |path| format!("{host}/{path}"))
}

/// The login of an entry; `None` for an empty one, which only says that a helper has it.
fn login(auth: &Auth) -> Result<Option<Login>, &'static str> {
    if !auth.identity_token.is_empty() {
        return Ok(Some(Login::IdentityToken(auth.identity_token.clone())));
    }
    if auth.auth.is_empty() {
        let fields = (auth.username.clone(), auth.password.clone());
        return Ok((!fields.0.is_empty()).then_some(Login::Password {
            user: fields.0,
            password: fields.1,
        }));
    }
    let bytes = STANDARD
        .decode(auth.auth.trim())
        .map_err(|_| "an `auth` that is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "an `auth` that is not UTF-8")?;
    let (user, password) = text.split_once(':').ok_or("an `auth` without a colon")?;
    Ok(Some(Login::Password {
        user: user.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::{AuthFile, Entry, edited, emptied};
    use crate::Login;

    /// `a:1`, `b:2`, `c:3` in base64, and a token.
    const FILE: &str = r#"{
        "auths": {
            "r.example": {"auth": "YTox"},
            "r.example/team": {"auth": "Yjoy"},
            "r.example/team/app": {"auth": "Yzoz"},
            "https://index.docker.io/v1/": {"auth": "YTox"},
            "https://old.example/v2/": {"username": "u", "password": "p"},
            "t.example:5000": {"auth": "YTox", "identitytoken": "T"},
            "kept.example": {}
        },
        "credHelpers": {"h.example": "pass"},
        "HttpHeaders": {"X": "y"}
    }"#;

    #[track_caller]
    fn check(host: &str, repository: &str, expected: &str) {
        let found = AuthFile::parse(FILE).unwrap().lookup(host, repository);
        let text = match found {
            None => "nothing".to_owned(),
            Some(Entry::Helper(name)) => format!("helper {name}"),
            Some(Entry::Login(Login::IdentityToken(token))) => format!("token {token}"),
            Some(Entry::Login(Login::Password { user, password })) => format!("{user}:{password}"),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn the_longest_key_that_leads_to_a_repository_counts() {
        check("r.example", "x/y", "a:1");
        check("r.example", "team/x", "b:2");
        check("r.example", "team/app", "c:3");
        check("r.example", "team/application", "b:2");
        check("r.example", "teams", "a:1");
        check("r.example:5000", "team/app", "nothing");
        check("t.example:5000", "x", "token T");
        check("kept.example", "x", "nothing");
    }

    #[test]
    fn docker_has_its_own_names_for_hosts() {
        check("docker.io", "library/alpine", "a:1");
        check("registry-1.docker.io", "library/alpine", "a:1");
        check("old.example", "x", "u:p");
        check("evil.example", "docker.io", "nothing");
    }

    #[test]
    fn a_program_knows_where_one_is_named() {
        check("h.example", "x", "helper pass");
        let all = AuthFile::parse(r#"{"credsStore": "x"}"#).unwrap();
        assert_eq!(all.lookup("a", "b"), Some(Entry::Helper("x".to_owned())));
    }

    #[test]
    fn rubbish_is_an_error_that_tells_no_secret() {
        for bad in [
            "[",
            "[]",
            r#"{"auths": {"a": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"a": {"auth": "secret!"}}}"#,
            r#"{"auths": {"a": "secret"}}"#,
            r#"{"auths": {"a": {"auth": "/w=="}}}"#,
        ] {
            let why = AuthFile::parse(bad).unwrap_err();
            assert!(!why.contains("secret") && !why.contains("c2V"), "{why}");
        }
        assert_eq!(AuthFile::parse(" \n"), Ok(AuthFile::default()));
    }

    #[test]
    fn an_edit_keeps_what_it_does_not_concern() {
        let login = Login::Password {
            user: "n".to_owned(),
            password: "s:t".to_owned(),
        };
        let text = edited(FILE, "docker.io", Some(&login)).unwrap();
        assert!(text.contains("HttpHeaders") && !text.contains("index.docker.io"));
        let file = AuthFile::parse(&text).unwrap();
        assert_eq!(file.lookup("docker.io", "x"), Some(Entry::Login(login)));
        assert!(file.lookup("r.example", "x").is_some());
        let text = edited(&text, "docker.io", None).unwrap();
        assert_eq!(
            AuthFile::parse(&text).unwrap().lookup("docker.io", "x"),
            None
        );
        let none = AuthFile::parse(&emptied(&text).unwrap()).unwrap();
        assert!(!none.has("r.example") && none.helpers().count() == 1);
        assert!(edited("[]", "a", None).is_err());
    }
}
