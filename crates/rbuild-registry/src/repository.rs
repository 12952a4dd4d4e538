//! A repository: where it is, and how it is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use rbuild_http::{Body, Client, Method, Request, Response, Security, Url};
use rbuild_oci::{BlobDigest, Reference};
use serde::Deserialize;

use crate::{
    CredentialSources, Error, Login, Result,
    auth::{self, Bearer, Challenge},
};

/// The longest error message or token answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;

/// The most other repositories that a token is asked for, to mount blobs from.
const MOUNTS_LIMIT: usize = 8;

/// What is to be done with a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing but being known: [`Repository::log_in`].
    Login,
    /// Only reading.
    Pull,
    /// Writing too.
    Push {
        /// Which other repositories of the registry have which blobs: they need not be moved.
        mounts: BTreeMap<BlobDigest, String>,
    },
}

/// How a repository is approached.
#[derive(Clone, Debug)]
pub struct Access {
    /// What for.
    pub scope: Scope,
    /// How far the registry is trusted.
    pub security: Security,
    /// Who we are.
    pub credentials: CredentialSources,
}

/// One repository of one registry. Connects on first use; threads may share it.
#[derive(Debug)]
pub struct Repository {
    http: Client,
    host: String,
    name: String,
    /// The host as the user knows it, e.g. `docker.io`.
    registry: String,
    access: Access,
    /// `https://host/`, or http where that is allowed and answers.
    base: OnceLock<Url>,
    /// Held by whoever logs in.
    turn: Mutex<()>,
    /// The `Authorization` that was accepted last.
    authorization: Mutex<Option<Authorization>>,
    /// The login for this repository, once it was looked for.
    login: Mutex<Option<Option<Login>>>,
}

/// The value of a header that is nobody's business.
#[derive(Clone, PartialEq, Eq)]
struct Authorization(String);

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization")
    }
}

/// What registries say about an error. Distribution-spec, "Error Codes".
#[derive(Deserialize)]
struct Complaint {
    errors: Vec<ComplaintEntry>,
}

#[derive(Deserialize)]
struct ComplaintEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Repository {
    /// The repository of `reference`; Docker Hub's if that is a short name.
    pub fn new(http: &Client, reference: &Reference, access: Access) -> Self {
        let full = reference.on_docker_hub();
        let host = match full.registry.as_deref() {
            None | Some("docker.io" | "index.docker.io") => "registry-1.docker.io",
            Some(host) => host,
        };
        Self {
            http: http.clone(),
            host: host.to_owned(),
            registry: full.registry.clone().unwrap_or_default(),
            name: full.repository,
            access,
            base: OnceLock::new(),
            turn: Mutex::new(()),
            authorization: Mutex::new(None),
            login: Mutex::new(None),
        }
    }

    /// The repository's name within its registry, as in [`Scope::Push`].
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    pub(crate) fn security(&self) -> Security {
        self.access.security
    }

    /// `object` with the repository's name, for messages.
    pub(crate) fn what(&self, object: &str) -> String {
        match self.access.scope {
            Scope::Login => format!("{object} at `{}`", self.host),
            Scope::Pull | Scope::Push { .. } => {
                format!("{object} of `{}/{}`", self.host, self.name)
            }
        }
    }

    /// The URL of `path` in this repository.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        self.base()?
            .join(&format!("/v2/{}/{path}", self.name))
            .map_err(|source| self.send_error(path, source))
    }

    /// Where the registry is: https, unless the host is this machine or plain http is allowed
    /// and only that answers.
    fn base(&self) -> Result<&Url> {
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        let url = |scheme: &str| {
            let text = format!("{scheme}://{}/v2/", self.host);
            text.parse::<Url>()
                .map_err(|source| self.send_error("the registry", source))
        };
        let https = url("https")?;
        let found = match self.access.security {
            _ if https.is_loopback() => self.first_to_answer([url("http")?, https]),
            Security::Verified => https,
            Security::PlainAllowed | Security::Insecure => {
                self.first_to_answer([https, url("http")?])
            }
        };
        Ok(self.base.get_or_init(|| found))
    }

    /// The one of two URLs that answers in its own protocol; the first if none does.
    fn first_to_answer(&self, [first, second]: [Url; 2]) -> Url {
        let http = self.http.once();
        // 400: plain http to a port that speaks TLS. What is wrong with its TLS is then worth
        // knowing, so the other URL need not answer.
        let status = |url: &Url| {
            let request = Request::new(Method::Get, url.clone(), self.access.security);
            http.send(request).ok().map(|response| response.status)
        };
        match status(&first) {
            Some(400) => second,
            None if status(&second).is_some_and(|status| status != 400) => second,
            _ => first,
        }
    }

    /// Sends a request to this registry; logs in when asked to, once. `request` may be called
    /// twice, and must not have a streamed body then.
    pub(crate) fn send<'a>(
        &self,
        object: &str,
        request: &mut dyn FnMut() -> Request<'a>,
    ) -> Result<Response> {
        let used = self.authorization();
        let response = self.send_with(object, request(), used.clone())?;
        if response.status != 401 || !response.url.same_origin(self.base()?) {
            return Ok(response);
        }
        // One thread at a time: the others then have what the first one got.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let authorization = match self.authorization() {
            Some(newer) if Some(&newer) != used.as_ref() => newer,
            _ => self.authorize(object, &response)?,
        };
        drop(turn);
        self.send_with(object, request(), Some(authorization))
    }

    /// Sends `request` as it is, logged in if we are; for what cannot be sent twice.
    pub(crate) fn send_once(&self, object: &str, request: Request<'_>) -> Result<Response> {
        let authorization = self.authorization();
        self.send_with(object, request, authorization)
    }

    fn send_with(
        &self,
        object: &str,
        mut request: Request<'_>,
        authorization: Option<Authorization>,
    ) -> Result<Response> {
        // An upload may go to another host, which has no use for our token.
        let base = self.base.get();
        request.authorization = authorization
            .filter(|_| base.is_some_and(|base| base.same_origin(&request.url)))
            .map(|Authorization(value)| value);
        self.http
            .send(request)
            .map_err(|source| self.send_error(object, source))
    }

    fn authorization(&self) -> Option<Authorization> {
        let known = self.authorization.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds out whether the registry accepts our login.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if it does not; else as any request.
    pub fn log_in(&self) -> Result<()> {
        let object = "a login";
        let url = self.base()?.clone();
        let response = self.send(object, &mut || {
            Request::new(Method::Get, url.clone(), self.security())
        })?;
        self.expect(object, response, &[200]).map(drop)
    }

    /// Gets what `refusal` asks for, and remembers it.
    fn authorize(&self, object: &str, refusal: &Response) -> Result<Authorization> {
        let fail = |why: String| Error::Login {
            what: self.what(object),
            why,
        };
        let login = self.login()?;
        let challenge = auth::best_challenge(refusal.headers("www-authenticate"))
            .ok_or_else(|| fail("the registry asks for neither token nor password".to_owned()))?;
        let value = match challenge {
            Challenge::Basic => login
                .as_ref()
                .and_then(Login::basic)
                .ok_or_else(|| self.unauthorized(object))?,
            Challenge::Bearer(bearer) => {
                let realm = bearer.realm(self.base()?).map_err(fail)?;
                let scopes = self.scopes();
                let ask = |scopes| self.token(object, &bearer, (&realm, login.as_ref(), scopes));
                let token = match ask(&scopes) {
                    // Some refuse all where one of the repositories to mount from is closed.
                    Err(Error::Unauthorized { .. }) if scopes.len() > 1 => ask(&scopes[..1])?,
                    answer => answer?,
                };
                format!("Bearer {token}")
            }
        };
        let authorization = Authorization(value);
        let mut known = self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(authorization.clone());
        Ok(authorization)
    }

    /// Asks `realm` for a token for `scopes`, as whoever logs in.
    fn token(
        &self,
        object: &str,
        bearer: &Bearer,
        (realm, login, scopes): (&Url, Option<&Login>, &[String]),
    ) -> Result<String> {
        let realm = realm.clone();
        let form = match login {
            Some(Login::IdentityToken(token)) => Some(bearer.refresh_form(token, scopes)),
            _ => None,
        };
        let mut request = match &form {
            Some(form) => {
                let mut request = Request::new(Method::Post, realm, self.access.security);
                request.body = Body::Bytes(form.as_bytes());
                request.body_is_secret = true;
                let form_type = "application/x-www-form-urlencoded".to_owned();
                request.headers.push(("content-type", form_type));
                request
            }
            None => {
                let url = bearer.token_url(realm, scopes);
                Request::new(Method::Get, url, self.access.security)
            }
        };
        request.authorization = login.and_then(Login::basic);
        let answer = self
            .http
            .send(request)
            .map_err(|source| self.send_error("a token", source))?;
        let status = answer.status;
        let body = self.read(answer, "a token", ANSWER_LIMIT)?;
        if matches!(status, 400 | 401 | 403) {
            return Err(self.unauthorized(object));
        }
        Some(body)
            .filter(|_| status == 200)
            .and_then(|body| auth::parse_token(&body))
            .ok_or_else(|| Error::Login {
                what: self.what(object),
                why: format!("status {status} and no token from its realm"),
            })
    }

    /// The login for this repository; looked up once, when the registry asks for it.
    fn login(&self) -> Result<Option<Login>> {
        let mut known = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(login) = &*known {
            return Ok(login.clone());
        }
        let found = self.access.credentials.find(&self.registry, &self.name)?;
        Ok(known.insert(found).clone())
    }

    /// The refusal of `object` with what we said about ourselves.
    fn unauthorized(&self, object: &str) -> Error {
        let known = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        let why = match known.as_ref() {
            Some(Some(Login::Password { user, .. })) => {
                format!("it does not accept the password of `{user}`, or `{user}` may not do that")
            }
            Some(Some(Login::IdentityToken(_))) => {
                "it does not accept the identity token".to_owned()
            }
            Some(None) | None => format!("no login is known for `{}`", self.registry),
        };
        Error::Unauthorized {
            what: self.what(object),
            registry: self.registry.clone(),
            why,
        }
    }

    fn scopes(&self) -> Vec<String> {
        match &self.access.scope {
            Scope::Login => Vec::new(),
            Scope::Pull => vec![format!("repository:{}:pull", self.name)],
            Scope::Push { mounts } => {
                let own = format!("repository:{}:pull,push", self.name);
                let others: BTreeSet<&String> = mounts.values().collect();
                let others = others.iter().take(MOUNTS_LIMIT);
                let others = others.map(|name| format!("repository:{name}:pull"));
                std::iter::once(own).chain(others).collect()
            }
        }
    }

    /// The other repository that has blob `digest`, if one is known.
    pub(crate) fn mount_source(&self, digest: &BlobDigest) -> Option<&str> {
        match &self.access.scope {
            Scope::Push { mounts } => mounts.get(digest).map(String::as_str),
            Scope::Login | Scope::Pull => None,
        }
    }

    /// The whole body of `response`, at most `limit` bytes.
    pub(crate) fn read(&self, response: Response, object: &str, limit: u64) -> Result<Vec<u8>> {
        let what = || self.what(object);
        match response.read_at_most(limit) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Error::TooLarge {
                what: what(),
                limit,
            }),
            Err(source) => Err(Error::Lost {
                what: what(),
                source,
            }),
        }
    }

    /// `response`, if its status is one of `wanted`.
    pub(crate) fn expect(
        &self,
        object: &str,
        response: Response,
        wanted: &[u16],
    ) -> Result<Response> {
        let status = response.status;
        if wanted.contains(&status) {
            return Ok(response);
        }
        if status == 401 {
            return Err(self.unauthorized(object));
        }
        let retry_after = response.retry_after();
        let body = response.read_at_most(ANSWER_LIMIT).ok().flatten();
        let message = body
            .and_then(|body| serde_json::from_slice::<Complaint>(&body).ok())
            .and_then(|complaint| complaint.errors.into_iter().next())
            .map(|entry| format!(": {} {}", entry.code, entry.message))
            .unwrap_or_default();
        Err(Error::Status {
            what: self.what(object),
            status,
            message: message.replace(char::is_control, " "),
            retry_after,
        })
    }

    pub(crate) fn send_error(&self, object: &str, source: rbuild_http::Error) -> Error {
        Error::Send {
            what: self.what(object),
            source,
        }
    }
}
