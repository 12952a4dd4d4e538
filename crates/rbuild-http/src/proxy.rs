//! Which proxy a request goes through.

use crate::Url;

/// The proxies of this site; what `http_proxy`, `https_proxy` and `no_proxy` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` URLs.
    pub http: Option<String>,
    /// For `https:` URLs.
    pub https: Option<String>,
    /// Comma-separated hosts that are asked directly: `example.com` means its subdomains
    /// too, `.example.com` only those, `*` every host. This machine always is.
    pub no_proxy: String,
}

impl Proxies {
    /// The proxy for `url`; `None`: ask directly.
    pub fn for_url(&self, url: &Url) -> Option<&str> {
        let proxy = if url.is_https() {
            &self.https
        } else {
            &self.http
        };
        let direct = url.is_loopback() || self.excludes(&url.host(), url.port());
        proxy
            .as_deref()
            .filter(|proxy| !direct && !proxy.is_empty())
    }

    /// ` through the proxy ` and which, without a password; nothing if `url` is asked directly.
    pub(crate) fn through(&self, url: &Url) -> String {
        let told = |proxy: &str| {
            let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", proxy));
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!(" through the proxy `{scheme}://{host}`")
        };
        self.for_url(url).map(told).unwrap_or_default()
    }

    fn excludes(&self, host: &str, port: u16) -> bool {
        self.no_proxy.split(',').any(|entry| {
            let entry = entry.trim().to_ascii_lowercase();
            let entry = match entry.rsplit_once(':') {
                Some((name, digits)) if digits.parse() == Ok(port) => name,
                _ => &entry,
            };
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            let whole = entry == domain;
            match host.strip_suffix(domain) {
                _ if entry == "*" => true,
                _ if domain.is_empty() => false,
                Some("") => whole,
                Some(sub) => sub.ends_with('.'),
                None => false,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Proxies;

    #[track_caller]
    fn check(no_proxy: &str, url: &str, proxied: bool) {
        let proxies = Proxies {
            http: Some("http://p:1".to_owned()),
            https: Some("http://p:2".to_owned()),
            no_proxy: no_proxy.to_owned(),
        };
        let url = url.parse().unwrap();
        assert_eq!(proxies.for_url(&url).is_some(), proxied);
    }

    #[test]
    fn no_proxy_means_a_domain_with_its_subdomains() {
        check("", "https://a.example.com/", true);
        check("b, Example.com", "https://a.example.com/", false);
        check("example.com", "https://notexample.com/", true);
        check(".example.com", "https://example.com/", true);
        check("*.example.com", "http://a.example.com/", false);
        check("*", "http://a/", false);
        check("a:80", "http://a/", false);
        check("a:81", "http://a/", true);
    }

    #[test]
    fn a_proxy_is_told_without_its_password() {
        let proxies = Proxies {
            https: Some("http://me:s3cret@proxy:3128".to_owned()),
            ..Proxies::default()
        };
        let through = |url: &str| proxies.through(&url.parse().unwrap());
        assert_eq!(
            through("https://a.b/c"),
            " through the proxy `http://proxy:3128`"
        );
        assert_eq!(through("http://a.b/c"), "");
    }

    #[test]
    fn this_machine_is_never_asked_through_a_proxy() {
        check("", "http://127.0.0.1:5000/", false);
        check("", "http://localhost/", false);
    }
}
