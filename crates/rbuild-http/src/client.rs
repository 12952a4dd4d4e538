//! The client: sends a request, follows redirects, tries again.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::sleep,
    time::Duration,
};

use ureq::{
    Agent, Proxy, SendBody,
    http::{self, header},
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

use crate::{
    CertificateDirs, Error, Proxies, Result, Url,
    certificates::{self, Certificates},
    forward,
    message::{Body, Method, Reader, Request, Response, Security},
    redirect,
};

/// The longest wait that a server may ask for.
pub const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(120);

/// What is the same for all requests.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The site's proxies.
    pub proxies: Proxies,
    /// The site's certificates.
    pub certificates: CertificateDirs,
    /// `User-Agent`.
    pub user_agent: String,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// When to try again.
    pub backoff: Backoff,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For name resolution, and for a connection.
    pub connect: Duration,
    /// For the next byte in either direction.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
        }
    }
}

/// When to try again what failed in a way that may pass: a lost connection, silence, 429, 5xx.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles each time. A `Retry-After` of up to two
    /// minutes replaces it.
    pub first: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(500),
        }
    }
}

impl Backoff {
    /// What a failed attempt counts as that ended with silence: such take so long that only one
    /// more is made.
    pub fn stalled(&self, attempt: u32) -> u32 {
        attempt.max(self.attempts.saturating_sub(1))
    }

    /// How long to wait after failed attempt `attempt` (the first is 1).
    pub fn wait(&self, attempt: u32) -> Duration {
        let doubled = 1u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(RETRY_AFTER_LIMIT)
    }
}

/// The client. Clones share connections; threads may share it.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
    agents: Arc<Mutex<BTreeMap<Route, Agent>>>,
}

/// What distinguishes agents: a proxy, whether certificates are verified, and which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    proxy: Option<String>,
    tls: Option<Security>,
    certificates: Option<PathBuf>,
}

impl Client {
    /// A client; connects to nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            agents: Arc::default(),
        }
    }

    /// When this client tries again; for callers that must repeat more than a request.
    pub fn backoff(&self) -> Backoff {
        self.settings.backoff
    }

    /// The same client, which tries only once: for questions that "no" is an answer to.
    #[must_use]
    pub fn once(&self) -> Self {
        let mut settings = (*self.settings).clone();
        settings.backoff.attempts = 1;
        Self {
            settings: Arc::new(settings),
            agents: Arc::clone(&self.agents),
        }
    }

    /// Sends `request` and returns the answer to it, whatever its status is.
    ///
    /// Follows up to five redirects of what can be repeated. Tries idempotent requests again
    /// when the connection is lost, the server is silent (once) or says 429, 500, 502, 503 or 504;
    /// the last answer is returned then.
    ///
    /// # Errors
    /// [`Error::Plain`] and [`Error::Redirect`] by the rules of this crate, [`Error::Send`]
    /// if there is no answer.
    pub fn send(&self, mut request: Request<'_>) -> Result<Response> {
        for _ in 0..=redirect::LIMIT {
            let response = self.send_patiently(&mut request)?;
            let may_move = match (&request.body, request.method) {
                (Body::Empty, Method::Get | Method::Head) => true,
                (Body::Stream { .. }, _) => false,
                _ => matches!(response.status, 307 | 308),
            };
            let location = response.header("location").map(str::to_owned);
            let Some(location) =
                location.filter(|_| may_move && redirect::is_redirect(response.status))
            else {
                return Ok(response);
            };
            let next = redirect::target(&request.url, &location, request.security)?;
            if !next.same_origin(&request.url) {
                if request.body_is_secret {
                    return Ok(response);
                }
                request.authorization = None;
            }
            request.url = next;
        }
        Err(Error::Redirect {
            location: request.url.to_string(),
            url: request.url,
            why: "that is one redirect too many",
        })
    }

    /// Sends to `request.url`, again if need be; follows nothing.
    fn send_patiently(&self, request: &mut Request<'_>) -> Result<Response> {
        let backoff = self.settings.backoff;
        let replayable = !matches!(request.body, Body::Stream { .. });
        let mut attempt = 1;
        loop {
            let answer = self.send_once(request);
            if answer.as_ref().is_err_and(Error::is_stall) {
                attempt = backoff.stalled(attempt);
            }
            let again = replayable && attempt < backoff.attempts;
            let wait = match &answer {
                Ok(response) => wait_after(response, request.method),
                Err(error) => (error.is_connection() || error.is_stall())
                    .then_some(Wait::Ours)
                    .filter(|_| request.method.is_idempotent()),
            };
            match wait.filter(|_| again) {
                None => return answer,
                Some(Wait::Ours) => sleep(backoff.wait(attempt)),
                Some(Wait::Theirs(wait)) => sleep(wait),
            }
            attempt += 1;
        }
    }

    fn send_once(&self, request: &mut Request<'_>) -> Result<Response> {
        let url = request.url.clone();
        if !url.is_https() && request.security == Security::Verified && !url.is_loopback() {
            return Err(Error::Plain { url });
        }
        let agent = self.agent(&url, request.security)?;
        let mut head = http::Request::builder()
            .method(request.method.name())
            .uri(url.uri().clone());
        for (name, value) in &request.headers {
            head = head.header(*name, value);
        }
        if let Some(value) = &request.authorization {
            head = head.header(header::AUTHORIZATION, value);
        }
        let answer = match &mut request.body {
            Body::Empty if matches!(request.method, Method::Get | Method::Head) => {
                head.body(()).map(|request| agent.run(request))
            }
            Body::Empty => head.body(&[][..]).map(|request| agent.run(request)),
            Body::Bytes(bytes) => head.body(*bytes).map(|request| agent.run(request)),
            Body::Stream { reader, size } => {
                if let Some(size) = size {
                    head = head.header(header::CONTENT_LENGTH, *size);
                }
                let body = SendBody::from_reader(reader);
                head.body(body).map(|request| agent.run(request))
            }
        };
        let answer = answer.unwrap_or_else(|error| Err(ureq::Error::Http(error)));
        let (parts, body) = answer
            .map_err(|source| Error::Send {
                method: request.method.name(),
                url: url.clone(),
                through: self.settings.proxies.through(&url),
                source: Box::new(source),
            })?
            .into_parts();
        Ok(Response {
            status: parts.status.as_u16(),
            url,
            headers: parts.headers,
            body: Reader::new(body.into_reader()),
        })
    }

    /// The agent for `url`, made on first use: reading the TLS roots takes a while.
    fn agent(&self, url: &Url, security: Security) -> Result<Agent> {
        let tls = match security {
            _ if !url.is_https() => None,
            Security::Insecure => Some(Security::Insecure),
            Security::Verified | Security::PlainAllowed => Some(Security::Verified),
        };
        let proxy = self.settings.proxies.for_url(url).map(str::to_owned);
        let certificates = tls.and_then(|_| self.settings.certificates.for_url(url));
        let route = Route {
            proxy,
            tls,
            certificates,
        };
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&route) {
            return Ok(agent.clone());
        }
        let agent = self.new_agent(&route)?;
        agents.insert(route, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, route: &Route) -> Result<Agent> {
        let proxy = route.proxy.as_ref().map(|text| {
            Proxy::new(text).map_err(|source| Error::Proxy {
                proxy: text.clone(),
                source: Box::new(source),
            })
        });
        let proxy = proxy.transpose()?;
        // Plain http goes through a plain proxy as such, all else through a tunnel.
        let plain = proxy.as_ref().filter(|_| route.tls.is_none());
        let forward = plain.and_then(forward::through);
        let Timeouts { connect, stall } = self.settings.timeouts;
        let config = Agent::config_builder()
            .proxy(proxy.filter(|_| forward.is_none()))
            .tls_config(tls_config(route)?)
            .user_agent(self.settings.user_agent.as_str())
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(stall))
            .timeout_per_read(Some(stall))
            .timeout_per_write(Some(stall));
        Ok(match forward {
            None => config.build().into(),
            Some((connector, address)) => {
                let config = config.max_idle_connections(0).build();
                Agent::with_parts(config, connector, address)
            }
        })
    }
}

enum Wait {
    Ours,
    Theirs(Duration),
}

/// How long to wait before `response` may be a better one; `None`: it is final.
fn wait_after(response: &Response, method: Method) -> Option<Wait> {
    match response.status {
        429 => {}
        500 | 502 | 503 | 504 if method.is_idempotent() => {}
        _ => return None,
    }
    match response.retry_after() {
        Some(asked) if asked > RETRY_AFTER_LIMIT => None,
        Some(asked) => Some(Wait::Theirs(asked)),
        None => Some(Wait::Ours),
    }
}

fn tls_config(route: &Route) -> Result<TlsConfig> {
    let ours = match &route.certificates {
        Some(dir) => certificates::read(dir)?,
        None => Certificates::default(),
    };
    let builder = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .client_cert(ours.identity);
    let builder = match route.tls {
        None => builder.root_certs(RootCerts::new_with_certs(&[])),
        Some(Security::Insecure) => builder
            .disable_verification(true)
            .root_certs(RootCerts::new_with_certs(&[])),
        Some(_) => {
            let found = rustls_native_certs::load_native_certs().certs;
            let system = found
                .iter()
                .map(|root| Certificate::from_der(root).to_owned());
            let roots: Vec<_> = system.chain(ours.authorities).collect();
            if roots.is_empty() {
                return Err(Error::Roots);
            }
            builder.root_certs(RootCerts::new_with_certs(&roots))
        }
    };
    Ok(builder.build())
}
