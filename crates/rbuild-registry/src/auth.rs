//! Challenges: what a registry wants to see, and from whom it can be had.
//!
//! RFC 9110, 11.6.1 for the grammar; distribution's token specification for the parameters.

use rbuild_http::{Url, percent_encoded};
use serde::Deserialize;

/// The longest challenge that is looked at, in bytes.
const CHALLENGE_LIMIT: usize = 16 * 1024;

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and password.
    Basic,
    /// A token.
    Bearer(Bearer),
}

/// A `Bearer` challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// Where tokens are to be had.
    pub realm: String,
    /// Whom they are for.
    pub service: Option<String>,
}

/// What a token server answers; old and new name of the same thing.
#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
}

/// The best of the challenges in `headers`: the first for a token, else for a password; `None` if
/// there is none of either kind.
pub fn best_challenge<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let (tokens, others): (Vec<_>, Vec<_>) = headers
        .filter_map(parse_challenge)
        .partition(|challenge| matches!(challenge, Challenge::Bearer(_)));
    tokens.into_iter().chain(others).next()
}

/// The first `Bearer` challenge in `header` that has a realm, else a `Basic` one; `None` if there
/// is neither, or the header is malformed, or too long to be honest.
fn parse_challenge(header: &str) -> Option<Challenge> {
    if header.len() > CHALLENGE_LIMIT {
        return None;
    }
    let mut rest = header;
    let (mut is_bearer, mut has_basic) = (false, false);
    let mut bearer = Bearer::default();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let end = rest.find(['=', ' ', '\t', ',']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        if let Some(value) = tail.strip_prefix('=') {
            let (value, tail) = parse_value(value)?;
            match word.to_ascii_lowercase().as_str() {
                "realm" if is_bearer => bearer.realm = value,
                "service" if is_bearer => bearer.service = Some(value),
                _ => {}
            }
            rest = tail;
        } else {
            if is_bearer {
                break;
            }
            is_bearer = word.eq_ignore_ascii_case("bearer");
            has_basic |= word.eq_ignore_ascii_case("basic");
            rest = tail;
        }
    }
    match bearer.realm.is_empty() {
        false => Some(Challenge::Bearer(bearer)),
        true => has_basic.then_some(Challenge::Basic),
    }
}

/// A token or quoted string at the start of `text`, and what follows it.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

impl Bearer {
    /// Where to get a token at the registry `base`.
    ///
    /// # Errors
    /// Says what is wrong if the realm is neither encrypted nor the registry's own host
    /// (CVE-2019-10214), or points a registry elsewhere to this machine.
    pub fn realm(&self, base: &Url) -> Result<Url, String> {
        let realm: Url = self
            .realm
            .parse()
            .map_err(|_| format!("`{}` is not a URL", self.realm))?;
        let own = realm.host() == base.host() && !base.is_https();
        if !realm.is_https() && !own {
            return Err(format!("`{realm}` is not encrypted"));
        }
        if realm.is_loopback() && !base.is_loopback() {
            return Err(format!("`{realm}` is this machine"));
        }
        Ok(realm)
    }

    /// The URL that gives a token for `scopes`, to be asked with `GET`.
    pub fn token_url(&self, realm: Url, scopes: &[String]) -> Url {
        let service = self.service.iter().map(|service| ("service", service));
        let scopes = scopes.iter().map(|scope| ("scope", scope));
        service
            .chain(scopes)
            .fold(realm, |url, (name, value)| url.with_query(name, value))
    }

    /// The form that exchanges an identity token for one for `scopes`, to be sent with `POST`.
    /// Distribution's "Token Authentication: OAuth2".
    pub fn refresh_form(&self, identity_token: &str, scopes: &[String]) -> String {
        let scope = scopes.join(" ");
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", "rbuild"),
            ("service", self.service.as_deref().unwrap_or_default()),
            ("scope", scope.as_str()),
            ("refresh_token", identity_token),
        ];
        let pairs = fields.map(|(name, value)| format!("{name}={}", percent_encoded(value)));
        pairs.join("&")
    }
}

/// The token in a token server's answer; `None` if there is none that fits into a header.
pub fn parse_token(answer: &[u8]) -> Option<String> {
    let reply: TokenReply = serde_json::from_slice(answer).ok()?;
    let token = reply.token.filter(|token| !token.is_empty());
    let token = token.or(reply.access_token)?;
    let fine = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    fine.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::{Bearer, Challenge, best_challenge, parse_challenge, parse_token};

    #[track_caller]
    fn check(header: &str, expected: Option<(&str, Option<&str>)>) {
        let expected = expected.map(|(realm, service)| {
            Challenge::Bearer(Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
            })
        });
        assert_eq!(parse_challenge(header), expected);
    }

    #[test]
    fn a_bearer_challenge_is_found_among_others() {
        let both = Some(("https://a/t", Some("r")));
        check(
            r#"Bearer realm="https://a/t",service="r",scope="x:y:pull,push""#,
            both,
        );
        check(r#"bearer service=r , Realm="https://a/t""#, both);
        check(
            r#"Basic realm="x", Bearer realm="https://a/t",service=r, Digest realm="z""#,
            both,
        );
        check(r#"Bearer realm="a\"b""#, Some(("a\"b", None)));
    }

    #[test]
    fn rubbish_is_no_challenge() {
        for bad in [
            "",
            "Bearer",
            "Bearer realm=\"",
            "Bearer realm=",
            "=,=,=",
            "\"",
            "Bearer realm=\"x\\",
        ] {
            check(bad, None);
        }
        check(&format!("Bearer realm=\"{}\"", "x".repeat(20_000)), None);
    }

    #[test]
    fn a_token_is_asked_for_rather_than_a_password() {
        let basic = "Basic realm=\"x\"";
        assert_eq!(parse_challenge(basic), Some(Challenge::Basic));
        assert_eq!(parse_challenge("Negotiate, basic"), Some(Challenge::Basic));
        assert_eq!(parse_challenge("Digest realm=\"x\""), None);
        let both = best_challenge([basic, "Bearer realm=\"y\""].into_iter());
        assert!(matches!(both, Some(Challenge::Bearer(_))));
    }

    #[track_caller]
    fn check_realm(base: &str, realm: &str, expected: Option<&str>) {
        let bearer = Bearer {
            realm: realm.to_owned(),
            service: Some("s".to_owned()),
        };
        let url = bearer
            .realm(&base.parse().unwrap())
            .map(|realm| bearer.token_url(realm, &["a:b".to_owned()]));
        assert_eq!(url.ok().map(|url| url.to_string()).as_deref(), expected);
    }

    #[test]
    fn tokens_come_from_encrypted_or_own_realms() {
        let url = "https://b/t?service=s&scope=a%3Ab";
        check_realm("https://a/", "https://b/t", Some(url));
        check_realm("https://a/", "http://b/t", None);
        check_realm("https://a/", "http://a/t", None);
        check_realm(
            "http://a/",
            "http://a:1/t",
            Some("http://a:1/t?service=s&scope=a%3Ab"),
        );
        check_realm("https://a/", "https://localhost/t", None);
        check_realm("https://a/", "file:///etc/passwd", None);
    }

    #[test]
    fn a_token_fits_into_a_header() {
        assert_eq!(parse_token(br#"{"token":"a"}"#).as_deref(), Some("a"));
        assert_eq!(
            parse_token(br#"{"access_token":"b"}"#).as_deref(),
            Some("b")
        );
        assert_eq!(parse_token(br#"{"token":"a\r\nX: y"}"#), None);
        assert_eq!(parse_token(b"<html>"), None);
    }
}
