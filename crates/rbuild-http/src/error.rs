//! What can go wrong with a request.

use std::{io, path::PathBuf};

use crate::Url;

/// What every function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A request was not sent or not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an http or https URL without user and password.
    #[error("`{url}` is not a usable URL: {why}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Plain http, and the caller did not allow that.
    #[error("`{url}` is not encrypted")]
    Plain {
        /// Where the request was to go.
        url: Url,
    },
    /// A redirect that is not followed.
    #[error("`{url}` redirects to `{location}`: {why}")]
    Redirect {
        /// Where the answer came from.
        url: Url,
        /// Where it points to.
        location: String,
        /// The rule that forbids it.
        why: &'static str,
    },
    /// The proxy's URL is wrong.
    #[error("`{proxy}` is not the URL of a proxy")]
    Proxy {
        /// The text.
        proxy: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// No TLS roots: no server could be trusted.
    #[error("cannot read any TLS certificate authority of this system")]
    Roots,
    /// A file of a `certs.d` directory.
    #[error("cannot read the certificates in `{path}`")]
    Certificates {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No answer.
    #[error("cannot {method} `{url}`{through}")]
    Send {
        /// The method.
        method: &'static str,
        /// The URL.
        url: Url,
        /// ` through the proxy ` and that, or nothing.
        through: String,
        /// Why.
        source: Box<ureq::Error>,
    },
}

impl Error {
    /// Whether the server could not be reached or did not speak TLS: over another scheme it
    /// may answer.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Send { source, .. } => matches!(
                **source,
                ureq::Error::Io(_)
                    | ureq::Error::Rustls(_)
                    | ureq::Error::Tls(_)
                    | ureq::Error::ConnectionFailed
            ),
            Self::Roots => true,
            _ => false,
        }
    }

    /// Whether the server was reached, and then said nothing for too long.
    pub fn is_stall(&self) -> bool {
        let Self::Send { source, .. } = self else {
            return false;
        };
        let before =
            |it: &ureq::Timeout| matches!(it, ureq::Timeout::Resolve | ureq::Timeout::Connect);
        matches!(&**source, ureq::Error::Timeout(when) if !before(when))
    }

    /// Whether the server was reached, and what it said was not TLS.
    pub fn is_without_tls(&self) -> bool {
        let Self::Send { source, .. } = self else {
            return false;
        };
        let why = of_tls(source);
        matches!(why, Some(rustls::Error::InvalidMessage(_)))
    }

    /// What the user can try, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Send {
            source, through, ..
        } = self
        else {
            return None;
        };
        let is_certificate = matches!(of_tls(source), Some(rustls::Error::InvalidCertificate(_)));
        match (&**source, through.is_empty()) {
            _ if is_certificate => Some(
                "name the file of its authority in SSL_CERT_FILE, or trust it blindly: --tls-verify=false",
            ),
            (ureq::Error::Io(error), false) if is_refused(error) || is_unknown_host(error) => Some(
                "`https_proxy`, `http_proxy` and `no_proxy` say what is asked through which proxy",
            ),
            (ureq::Error::Io(error), true) if is_refused(error) => Some(
                "nothing listens there: check the host, and the port if it is not the usual one",
            ),
            (ureq::Error::Io(error), true) if is_unknown_host(error) => Some(
                "check the name; where only a proxy leads outside, `https_proxy` and `http_proxy` must name it",
            ),
            _ => None,
        }
    }
}

/// What TLS does not like; ureq wraps that in an I/O error.
fn of_tls(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// Whether a name has no address. std has words for that, and no kind.
fn is_unknown_host(error: &io::Error) -> bool {
    error
        .to_string()
        .starts_with("failed to lookup address information")
}
