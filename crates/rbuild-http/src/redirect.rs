//! Where a redirect may lead. Pure; the client follows what this module allows.

use crate::{Error, Result, Security, Url};

/// How many redirects in a row are followed.
pub const LIMIT: u32 = 5;

/// Whether `status` sends a request elsewhere.
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The target of a redirect from `url` to `location`.
///
/// # Errors
/// [`Error::Redirect`] if it leads to something other than http and https, from encrypted to
/// plain without leave, or from the network to this machine.
pub fn target(url: &Url, location: &str, security: Security) -> Result<Url> {
    let refuse = |why| Error::Redirect {
        url: url.clone(),
        location: location.to_owned(),
        why,
    };
    let next = url
        .join(location)
        .map_err(|_| refuse("only http and https are followed"))?;
    if next.is_loopback() && !url.is_loopback() {
        return Err(refuse(
            "a server elsewhere does not send us to this machine",
        ));
    }
    let plain_is_fine = security != Security::Verified || next.is_loopback();
    if !next.is_https() && (url.is_https() || !plain_is_fine) && security != Security::Insecure {
        return Err(refuse("it is not encrypted"));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::target;
    use crate::Security;

    #[track_caller]
    fn check(url: &str, location: &str, security: Security, allowed: bool) {
        let answer = target(&url.parse().unwrap(), location, security);
        assert_eq!(answer.is_ok(), allowed, "{answer:?}");
    }

    #[test]
    fn only_encrypted_redirects_are_followed() {
        check("https://a/", "https://b/", Security::Verified, true);
        check("https://a/", "/x", Security::Verified, true);
        check("https://a/", "http://b/", Security::Verified, false);
        check("https://a/", "http://a/", Security::PlainAllowed, false);
        check("http://a/", "http://b/", Security::PlainAllowed, true);
        check("http://a/", "http://b/", Security::Insecure, true);
        check("https://a/", "http://b/", Security::Insecure, true);
        check(
            "http://127.0.0.1/",
            "http://localhost/",
            Security::Verified,
            true,
        );
        check("http://127.0.0.1/", "http://b/", Security::Verified, false);
    }

    #[test]
    fn files_and_this_machine_are_out_of_reach() {
        check(
            "https://a/",
            "file:///etc/shadow",
            Security::Insecure,
            false,
        );
        check(
            "https://a/",
            "https://127.0.0.1/",
            Security::Insecure,
            false,
        );
        check(
            "https://a/",
            "http://localhost:80/",
            Security::Verified,
            false,
        );
    }
}
