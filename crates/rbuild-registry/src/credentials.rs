//! Whose name is given to a registry, and where that is known from.
//!
//! Invariant: no secret is in a `Debug` text or an error.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    auth_file::{AuthFile, Entry},
    credential_helper,
};

/// How somebody proves to a registry who they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// The classic way.
    Password {
        /// The user.
        user: String,
        /// The password, or a token made for programs.
        password: String,
    },
    /// An OAuth 2 refresh token.
    IdentityToken(String),
}

/// Where logins are looked up, in this order.
#[derive(Clone, Debug, Default)]
pub struct CredentialSources {
    /// Given for this command; used for every registry that asks.
    pub given: Option<Login>,
    /// Files of logins, best first; those that are not there are skipped.
    pub files: Vec<PathBuf>,
    /// Programs to ask after the files: NAME of `docker-credential-NAME`.
    pub helpers: Vec<String>,
}

impl Login {
    /// From `USER:PASSWORD` or only `USER`, whose password is empty.
    pub fn parse(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// The user's name; `None` for a token.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } => Some(user),
            Self::IdentityToken(_) => None,
        }
    }

    /// The value of `Authorization`, RFC 7617; `None` for what is not a password.
    pub(crate) fn basic(&self) -> Option<String> {
        let Self::Password { user, password } = self else {
            return None;
        };
        Some(rbuild_http::basic(&format!("{user}:{password}")))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "password of `{user}`"),
            Self::IdentityToken(_) => f.write_str("identity token"),
        }
    }
}

impl CredentialSources {
    /// The login for `repository` (empty: any) of `host`; `None`: nobody is known there.
    ///
    /// # Errors
    /// [`Error::AuthFile`] and [`Error::Helper`]: what is configured and does not work is not
    /// passed over.
    pub fn find(&self, host: &str, repository: &str) -> Result<Option<Login>> {
        if self.given.is_some() {
            return Ok(self.given.clone());
        }
        for path in &self.files {
            let found = match read(path)?.lookup(host, repository) {
                Some(Entry::Login(login)) => Some(login),
                Some(Entry::Helper(name)) => credential_helper::get(&name, host)?,
                None => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        for name in &self.helpers {
            if let Some(login) = credential_helper::get(name, host)? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    /// The same without [`CredentialSources::given`]: for hosts that it was not given for.
    #[must_use]
    pub fn without_given(&self) -> Self {
        Self {
            given: None,
            ..self.clone()
        }
    }
}

/// Reads a file of logins; one that is not there, or closed to us, is empty.
fn read(path: &Path) -> Result<AuthFile> {
    match fs::read_to_string(path) {
        Ok(text) => AuthFile::parse(&text).map_err(|why| Error::AuthFile {
            path: path.to_owned(),
            why,
        }),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied => Ok(AuthFile::default()),
            _ => Err(Error::AuthFile {
                path: path.to_owned(),
                why: error.to_string(),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{CredentialSources, Login};

    #[test]
    fn a_login_does_not_tell_its_secret() {
        let login = Login::parse("user:secret:part");
        assert_eq!(format!("{login:?}"), "password of `user`");
        assert_eq!(
            login.basic().as_deref(),
            Some("Basic dXNlcjpzZWNyZXQ6cGFydA==")
        );
        let token = Login::IdentityToken("secret".to_owned());
        assert_eq!(format!("{token:?}"), "identity token");
        assert_eq!(token.basic(), None);
    }

    #[test]
    fn the_first_file_that_knows_the_host_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut sources = CredentialSources {
            given: None,
            files: vec![
                dir.path().join("absent"),
                file("a", r#"{"auths":{"x":{"auth":"YTox"}}}"#),
                file(
                    "b",
                    r#"{"auths":{"x":{"auth":"Yjoy"},"y":{"auth":"Yjoy"}}}"#,
                ),
            ],
            helpers: Vec::new(),
        };
        let user = |sources: &CredentialSources, host: &str| {
            let login = sources.find(host, "r").unwrap();
            login.and_then(|login| login.user().map(str::to_owned))
        };
        assert_eq!(user(&sources, "x").as_deref(), Some("a"));
        assert_eq!(user(&sources, "y").as_deref(), Some("b"));
        assert_eq!(user(&sources, "z"), None);
        sources.given = Some(Login::parse("c:3"));
        assert_eq!(user(&sources, "x").as_deref(), Some("c"));
        assert_eq!(user(&sources.without_given(), "x").as_deref(), Some("a"));
        sources.given = None;
        sources.files.insert(0, file("c", "{"));
        assert!(sources.find("x", "r").is_err());
    }
}
