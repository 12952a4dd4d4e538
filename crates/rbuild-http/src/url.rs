//! URLs: http or https, without user and password in them.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use ureq::http::Uri;

use crate::{Error, Result};

/// An absolute http or https URL. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Arc<Uri>);

impl Url {
    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host, in lower case; an IPv6 address without its brackets.
    pub fn host(&self) -> String {
        let host = self.0.host().unwrap_or_default();
        host.trim_matches(['[', ']']).to_ascii_lowercase()
    }

    /// The port, the scheme's default filled in.
    pub fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { 80 };
        self.0.port_u16().unwrap_or(default)
    }

    /// Whether scheme, host and port are the same: only then credentials may be shared.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.is_https(), self.host(), self.port())
            == (other.is_https(), other.host(), other.port())
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// What `location` means on this page. RFC 3986, 5.2, without a fragment.
    ///
    /// # Errors
    /// [`Error::Url`] if that is not http or https, or has a user.
    pub fn join(&self, location: &str) -> Result<Self> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.is_https() { "https" } else { "http" };
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        if has_scheme(location) {
            return location.parse();
        }
        if let Some(rest) = location.strip_prefix("//") {
            return format!("{scheme}://{rest}").parse();
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') {
            format!("{}{location}", self.0.path())
        } else {
            let directory = self
                .0
                .path()
                .rsplit_once('/')
                .map_or("", |(above, _)| above);
            format!("{directory}/{location}")
        };
        format!("{scheme}://{authority}{path}").parse()
    }

    /// This URL with `name=value` added to its query; `value` is encoded.
    #[must_use]
    pub fn with_query(&self, name: &str, value: &str) -> Self {
        let separator = if self.0.query().is_some() { '&' } else { '?' };
        let text = format!("{}{separator}{name}={}", self.0, percent_encoded(value));
        text.parse().expect("an encoded value keeps a URL valid")
    }

    /// The path, as it is encoded; starts with `/`.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why| Error::Url {
            url: without_user(text),
            why,
        };
        let uri: Uri = text.parse().map_err(|_| bad("it cannot be parsed"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(bad("only http and https are"));
        }
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it has a user in it"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(bad("it has no host"));
        }
        Ok(Self(Arc::new(uri)))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `text` without what is before an `@` in its authority, for messages: a password may be there.
pub fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// `text` with its percent-encoding undone; `None` if that is malformed or not UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let digits = part.get(..2)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| hex)?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn has_scheme(location: &str) -> bool {
    let end = location.find([':', '/', '?']);
    end.is_some_and(|end| location[end..].starts_with(':'))
}

/// `value` as it may stand in a query or a form. RFC 3986, 2.1.
pub fn percent_encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Url, percent_decoded, without_user};

    #[track_caller]
    fn check(base: &str, location: &str, expected: Option<&str>) {
        let joined = base.parse::<Url>().unwrap().join(location).ok();
        assert_eq!(joined.map(|url| url.to_string()).as_deref(), expected);
    }

    #[test]
    fn locations_are_absolute_or_relative() {
        check("https://a/b/c?d", "https://x/y", Some("https://x/y"));
        check("https://a/b/c?d", "//x/y#f", Some("https://x/y"));
        check("https://a:1/b/c?d", "/y:z", Some("https://a:1/y:z"));
        check("http://a/b/c?d", "y?z", Some("http://a/b/y?z"));
        check("http://a/b/c?d", "?z", Some("http://a/b/c?z"));
        check("http://a", "y", Some("http://a/y"));
    }

    #[test]
    fn other_schemes_and_users_are_refused() {
        check("https://a/", "file:///etc/passwd", None);
        check("https://a/", "gopher://x/", None);
        check("https://a/", "https://user:secret@x/", None);
        check("https://a/", "https://", None);
        check("https://a/", "//\u{0}", None);
    }

    #[test]
    fn errors_show_no_passwords() {
        for text in [
            "https://me:secret@h/",
            "https://secret@h",
            "ftp://a:secret@b@h/?x",
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(without_user("https://h/a@b"), "https://h/a@b");
    }

    #[test]
    fn percent_signs_are_followed_by_two_digits() {
        assert_eq!(percent_decoded("a%2Fb%c3%A4").as_deref(), Some("a/bä"));
        for text in ["%", "%2", "%+1", "%ff", "%zz"] {
            assert_eq!(percent_decoded(text), None);
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        assert!(url("https://A/x").same_origin(&url("https://a:443/y")));
        assert!(!url("https://a/").same_origin(&url("http://a/")));
        assert!(!url("https://a/").same_origin(&url("https://a:444/")));
        assert!(!url("https://a/").same_origin(&url("https://a.b/")));
        assert!(url("http://127.1.2.3/").is_loopback() && url("http://[::1]:5/").is_loopback());
        assert!(!url("http://localhost.evil/").is_loopback());
        assert_eq!(
            url("http://a/?b").with_query("c", "d:/ä").to_string(),
            "http://a/?b&c=d%3A%2F%C3%A4"
        );
    }
}
