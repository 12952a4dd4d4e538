//! Which build secrets authorize a request, and how. Pure.
//!
//! Knows: the ids that users give to such secrets. Does not know: where their values are; they
//! never are in a key, a message or a file.
//!
//! Spec: dockerfile.md 1.11, X4 and X6.

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A file of the web.
    File,
    /// A git repository.
    Git,
}

/// A secret that may authorize a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSecret {
    /// The id to look for.
    pub id: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// All of the header's value.
    Header,
    /// A token that is sent as it is.
    Bearer,
    /// A token that is sent as a password, as git's hosts want it.
    Password,
}

impl AuthSecret {
    /// The secrets for `host` (without port), the best first.
    pub fn candidates(asked: Asked, host: &str) -> Vec<Self> {
        let secret = |id: String, form| Self { id, form };
        match asked {
            Asked::File => vec![
                secret(format!("HTTP_AUTH_HEADER_{host}"), Form::Header),
                secret(format!("HTTP_AUTH_TOKEN_{host}"), Form::Bearer),
            ],
            Asked::Git => vec![
                secret(format!("GIT_AUTH_HEADER.{host}"), Form::Header),
                secret(format!("GIT_AUTH_TOKEN.{host}"), Form::Password),
                secret("GIT_AUTH_HEADER".to_owned(), Form::Header),
                secret("GIT_AUTH_TOKEN".to_owned(), Form::Password),
            ],
        }
    }

    /// The value of `Authorization` when the secret is `value`; `None` if nothing can be made of
    /// it: it is empty, or more than one line.
    pub fn authorization(&self, value: &str) -> Option<String> {
        let value = value.trim();
        if value.is_empty() || value.contains(|c: char| c.is_control() || !c.is_ascii()) {
            return None;
        }
        Some(match self.form {
            Form::Header => value.to_owned(),
            Form::Bearer => format!("Bearer {value}"),
            Form::Password => rbuild_http::basic(&format!("x-access-token:{value}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, AuthSecret};

    #[track_caller]
    fn check(asked: Asked, value: &str, expected: &[(&str, Option<&str>)]) {
        let found = AuthSecret::candidates(asked, "h.example");
        let found: Vec<_> = found
            .iter()
            .map(|secret| (&secret.id[..], secret.authorization(value)))
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|(id, text)| (*id, text.as_deref()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn secrets_of_a_host_come_before_those_for_all() {
        check(
            Asked::File,
            "t\n",
            &[
                ("HTTP_AUTH_HEADER_h.example", Some("t")),
                ("HTTP_AUTH_TOKEN_h.example", Some("Bearer t")),
            ],
        );
        check(
            Asked::Git,
            "t",
            &[
                ("GIT_AUTH_HEADER.h.example", Some("t")),
                (
                    "GIT_AUTH_TOKEN.h.example",
                    Some("Basic eC1hY2Nlc3MtdG9rZW46dA=="),
                ),
                ("GIT_AUTH_HEADER", Some("t")),
                ("GIT_AUTH_TOKEN", Some("Basic eC1hY2Nlc3MtdG9rZW46dA==")),
            ],
        );
    }

    #[test]
    fn a_value_cannot_add_a_header() {
        for value in ["", " \n", "a\nX: y", "a\0", "ä"] {
            for secret in AuthSecret::candidates(Asked::Git, "h") {
                assert_eq!(secret.authorization(value), None);
            }
        }
    }
}
