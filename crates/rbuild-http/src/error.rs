//! What can go wrong with a request.

use std::path::PathBuf;

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
        source: std::io::Error,
    },
    /// No answer.
    #[error("cannot {method} `{url}`")]
    Send {
        /// The method.
        method: &'static str,
        /// The URL.
        url: Url,
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

    /// What the user can try, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Send { source, .. } = self else {
            return None;
        };
        is_certificate(source).then_some(
            "name the file of its authority in SSL_CERT_FILE, or trust it blindly: --tls-verify=false",
        )
    }
}

/// Whether the server's certificate was the problem; ureq wraps that in an I/O error.
fn is_certificate(error: &ureq::Error) -> bool {
    let is = |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(_));
    match error {
        ureq::Error::Rustls(error) => is(error),
        ureq::Error::Io(error) => error
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .is_some_and(is),
        _ => false,
    }
}
