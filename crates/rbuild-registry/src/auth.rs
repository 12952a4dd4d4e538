//! Bearer challenges: what a registry wants to see, and from whom it can be had.
//!
//! RFC 9110, 11.6.1 for the grammar; distribution's token specification for the parameters.

use rbuild_http::Url;
use serde::Deserialize;

/// The longest challenge that is looked at, in bytes.
const CHALLENGE_LIMIT: usize = 16 * 1024;

/// A `Bearer` challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
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

/// The first `Bearer` challenge in `header`; `None` if there is none, or it has no realm, or
/// the header is too long to be honest.
pub fn parse_challenge(header: &str) -> Option<Challenge> {
    if header.len() > CHALLENGE_LIMIT {
        return None;
    }
    let mut rest = header;
    let mut is_bearer = false;
    let mut challenge = Challenge::default();
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
                "realm" if is_bearer => challenge.realm = value,
                "service" if is_bearer => challenge.service = Some(value),
                _ => {}
            }
            rest = tail;
        } else {
            if is_bearer {
                break;
            }
            is_bearer = word.eq_ignore_ascii_case("bearer");
            rest = tail;
        }
    }
    Some(challenge).filter(|challenge| !challenge.realm.is_empty())
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

impl Challenge {
    /// The URL that gives a token for `scopes` at the registry `base`.
    ///
    /// # Errors
    /// Says what is wrong if the realm is neither encrypted nor the registry's own host
    /// (CVE-2019-10214), or points a registry elsewhere to this machine.
    pub fn token_url(&self, base: &Url, scopes: &[String]) -> Result<Url, String> {
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
        let service = self.service.iter().map(|service| ("service", service));
        let scopes = scopes.iter().map(|scope| ("scope", scope));
        Ok(service
            .chain(scopes)
            .fold(realm, |url, (name, value)| url.with_query(name, value)))
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
    use super::{Challenge, parse_challenge, parse_token};

    #[track_caller]
    fn check(header: &str, expected: Option<(&str, Option<&str>)>) {
        let expected = expected.map(|(realm, service)| Challenge {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
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
            "Basic realm=\"x\"",
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

    #[track_caller]
    fn check_realm(base: &str, realm: &str, expected: Option<&str>) {
        let challenge = Challenge {
            realm: realm.to_owned(),
            service: Some("s".to_owned()),
        };
        let url = challenge.token_url(&base.parse().unwrap(), &["a:b".to_owned()]);
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
