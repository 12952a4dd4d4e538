//! HTTP for everything that fetches: one agent, and rules that do not depend on who asks.
//!
//! Knows: proxies, TLS roots, timeouts, redirects, retries.
//! Does not know: registries, tokens, digests, where files go; it reads no environment.
//!
//! Invariant: credentials given for one origin never reach another one, and never travel
//! over plain http unless the caller said so or the host is this machine.

mod basic;
mod certificates;
mod client;
mod error;
mod forward;
mod message;
mod proxy;
mod redirect;
mod retry_after;
mod url;

pub use basic::basic;
pub use certificates::CertificateDirs;
pub use client::{Backoff, Client, RETRY_AFTER_LIMIT, Settings, Timeouts};
pub use error::{Error, Result};
pub use message::{Body, Method, Reader, Request, Response, Security};
pub use proxy::Proxies;
pub use redirect::target as redirect_target;
pub use url::{Url, percent_decoded, percent_encoded, without_user};
