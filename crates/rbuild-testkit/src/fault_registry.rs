//! A registry in memory that does everything right, but for the faults that a test lists.
//!
//! Knows: the requests of the OCI distribution specification, tokens, what can go wrong with each
//! (store.md, faults 25 to 32). Does not know: whether a client copes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::http::{Ending, Reply, Seen, Server};

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// With requests of this method; of all if it is empty.
    pub method: &'static str,
    /// With this in their path.
    pub path: String,
    /// How often.
    pub times: usize,
    /// What happens instead.
    pub deed: Deed,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Deed {
    /// The connection is lost after so many bytes of the answer's body.
    Cut(usize),
    /// The connection is lost after so many bytes of the request's body, which are kept.
    CutUpload(u64),
    /// The answer's body never comes.
    Stall,
    /// The answer's headers never end.
    Drip,
    /// Another answer than the right one.
    Answer(u16, Vec<(&'static str, String)>),
    /// The right answer with another body.
    Body(Vec<u8>),
    /// The right body again and again.
    Endless,
    /// The right answer with another header.
    Header(&'static str, String),
    /// No HTTP at all.
    Garbage(Vec<u8>),
    /// The request is done, but its answer is lost.
    Forget,
    /// All tokens so far are worth nothing any more.
    Expire,
}

impl Fault {
    /// A fault that happens once.
    pub fn once(method: &'static str, path: impl Into<String>, deed: Deed) -> Self {
        Self {
            method,
            path: path.into(),
            times: 1,
            deed,
        }
    }

    /// A fault that happens each time.
    pub fn always(method: &'static str, path: impl Into<String>, deed: Deed) -> Self {
        Self {
            times: usize::MAX,
            ..Self::once(method, path, deed)
        }
    }

    fn concerns(&self, seen: &Seen) -> bool {
        let of_method = self.method.is_empty() || self.method == seen.method;
        self.times > 0 && of_method && seen.path.contains(&self.path)
    }
}

/// Who may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Those with a token, which everybody gets.
    Tokens,
}

/// The registry; it is at a free port of 127.0.0.1, and ends with the test's process.
#[derive(Debug)]
pub struct FaultRegistry {
    /// What was asked.
    pub server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    /// By path; with their types.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// By path.
    blobs: BTreeMap<String, Vec<u8>>,
    uploads: Vec<Vec<u8>>,
    /// `None`: not needed.
    tokens: Option<BTreeSet<String>>,
    issued: usize,
}

impl FaultRegistry {
    /// A registry without any image.
    pub fn start(access: Access, faults: Vec<Fault>) -> Self {
        let state = Arc::new(Mutex::new(State {
            faults,
            tokens: (access == Access::Tokens).then(BTreeSet::new),
            ..State::default()
        }));
        let (before, after) = (Arc::clone(&state), Arc::clone(&state));
        let server = Server::start_cutting(
            move |seen| lock(&before).cut(seen),
            move |seen| lock(&after).answer(seen),
        );
        Self { server, state }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// From now on `fault` happens too.
    pub fn add_fault(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }

    /// Gives repository `name` a blob.
    pub fn add_blob(&self, name: &str, bytes: &[u8]) {
        let path = format!("/v2/{name}/blobs/{}", digest(bytes));
        lock(&self.state).blobs.insert(path, bytes.to_vec());
    }

    /// Gives repository `name` a manifest or index of `media_type`, under `tag` and its digest.
    pub fn add_manifest(&self, (name, tag): (&str, &str), media_type: &str, text: &str) {
        for reference in [tag.to_owned(), digest(text.as_bytes())] {
            let path = format!("/v2/{name}/manifests/{reference}");
            let manifest = (media_type.to_owned(), text.as_bytes().to_vec());
            lock(&self.state).manifests.insert(path, manifest);
        }
    }

    /// The manifest `reference`, a tag or digest, of repository `name`.
    pub fn manifest(&self, name: &str, reference: &str) -> Option<String> {
        let path = format!("/v2/{name}/manifests/{reference}");
        let found = lock(&self.state).manifests.get(&path).cloned();
        found.and_then(|(_, text)| String::from_utf8(text).ok())
    }

    /// The blob of repository `name` with that digest.
    pub fn blob(&self, name: &str, digest: &str) -> Option<Vec<u8>> {
        let path = format!("/v2/{name}/blobs/{digest}");
        lock(&self.state).blobs.get(&path).cloned()
    }

    /// What a registry calls `bytes`.
    pub fn digest(&self, bytes: &[u8]) -> String {
        digest(bytes)
    }

    /// `METHOD path` of all requests so far, without the question which protocol is spoken.
    pub fn requests(&self) -> Vec<String> {
        let mut requests = self.server.requests();
        requests.retain(|request| request != "GET /v2/");
        requests
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

impl State {
    /// After how many bytes of its body a request is lost.
    fn cut(&mut self, seen: &Seen) -> Option<u64> {
        let is_cut =
            |fault: &&mut Fault| matches!(fault.deed, Deed::CutUpload(_)) && fault.concerns(seen);
        let fault = self.faults.iter_mut().find(is_cut)?;
        fault.times -= 1;
        match fault.deed {
            Deed::CutUpload(count) => Some(count),
            _ => None,
        }
    }

    fn answer(&mut self, seen: &Seen) -> Reply {
        let wanted =
            |fault: &&mut Fault| !matches!(fault.deed, Deed::CutUpload(_)) && fault.concerns(seen);
        let fault = self.faults.iter_mut().find(wanted);
        let deed = fault.filter(|_| !seen.is_cut).map(|fault| {
            fault.times -= 1;
            fault.deed.clone()
        });
        match deed {
            None => self.right_answer(seen),
            Some(Deed::Answer(status, headers)) => {
                let add = |reply: Reply, (name, value)| reply.header(name, value);
                headers.into_iter().fold(Reply::new(status, ""), add)
            }
            Some(Deed::Garbage(bytes)) => Reply::new(200, bytes).ending(Ending::Garbage),
            Some(Deed::Expire) => {
                self.tokens = self.tokens.take().map(|_| BTreeSet::new());
                self.right_answer(seen)
            }
            Some(deed) => distorted(self.right_answer(seen), deed),
        }
    }

    fn right_answer(&mut self, seen: &Seen) -> Reply {
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        if path == "/token" {
            return self.token();
        }
        if let Some(tokens) = &self.tokens
            && path != "/v2/"
            && !seen
                .headers
                .get("authorization")
                .is_some_and(|token| tokens.contains(token))
        {
            let realm = format!("http://{}/token", seen.headers["host"]);
            let challenge = format!("Bearer realm=\"{realm}\",service=\"it\"");
            return Reply::new(401, "").header("WWW-Authenticate", challenge);
        }
        match (seen.method.as_str(), path) {
            ("GET", "/v2/") => Reply::new(200, "{}"),
            (_, path) if path.contains("/blobs/uploads/") => self.upload(seen, (path, query)),
            ("PUT", path) if path.contains("/manifests/") => self.put_manifest(seen, path),
            ("GET" | "HEAD", path) => self.get(seen, path),
            _ => Reply::new(405, ""),
        }
    }

    fn token(&mut self) -> Reply {
        let token = format!("T{}", self.issued);
        self.issued += 1;
        if let Some(tokens) = &mut self.tokens {
            tokens.insert(format!("Bearer {token}"));
        }
        Reply::new(200, format!(r#"{{"token":"{token}"}}"#))
    }

    fn get(&self, seen: &Seen, path: &str) -> Reply {
        if let Some((media_type, text)) = self.manifests.get(path) {
            return Reply::new(200, text.clone())
                .header("Content-Type", media_type)
                .header("Docker-Content-Digest", digest(text));
        }
        let Some(blob) = self.blobs.get(path) else {
            return Reply::new(404, r#"{"errors":[{"code":"UNKNOWN","message":"no"}]}"#);
        };
        let size = blob.len();
        let part = seen.headers.get("range").and_then(|range| {
            let (start, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            let last = if last.is_empty() {
                size - 1
            } else {
                last.parse().ok()?
            };
            Some((start.parse().ok()?, last)).filter(|(start, last)| start <= last && *last < size)
        });
        match part {
            None => Reply::new(200, blob.clone()),
            Some((start, last)) => {
                let range = format!("bytes {start}-{last}/{size}");
                Reply::new(206, &blob[start..=last]).header("Content-Range", range)
            }
        }
    }

    fn put_manifest(&mut self, seen: &Seen, path: &str) -> Reply {
        let media_type = seen.headers.get("content-type").cloned();
        let manifest = (media_type.unwrap_or_default(), seen.body.clone());
        let (repository, _) = path.rsplit_once('/').unwrap_or_default();
        let pinned = format!("{repository}/{}", digest(&seen.body));
        self.manifests.insert(pinned, manifest.clone());
        self.manifests.insert(path.to_owned(), manifest);
        Reply::new(201, "").header("Docker-Content-Digest", digest(&seen.body))
    }

    /// The steps of an upload: begin (or mount), append, ask, end.
    fn upload(&mut self, seen: &Seen, (path, query): (&str, &str)) -> Reply {
        let (repository, id) = path
            .split_once("/blobs/uploads/")
            .expect("the caller has looked");
        let query = query.replace("%3A", ":").replace("%2F", "/");
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        if seen.method == "POST" {
            if let (Some(digest), Some(from)) = (value("mount"), value("from"))
                && let Some(blob) = self.blobs.get(&format!("/v2/{from}/blobs/{digest}"))
            {
                let blob = blob.clone();
                self.blobs
                    .insert(format!("{repository}/blobs/{digest}"), blob);
                return Reply::new(201, "");
            }
            self.uploads.push(Vec::new());
            let location = format!("{path}{}", self.uploads.len() - 1);
            return Reply::new(202, "").header("Location", location);
        }
        let upload = id.parse().ok();
        let Some(upload) = upload.and_then(|id: usize| self.uploads.get_mut(id)) else {
            return Reply::new(404, "");
        };
        let start = seen.headers.get("content-range");
        let start = start.and_then(|range| range.split('-').next()?.parse().ok());
        if start.is_some_and(|start: usize| start != upload.len()) {
            return Reply::new(416, "");
        }
        upload.extend_from_slice(&seen.body);
        let range = format!("0-{}", upload.len().saturating_sub(1));
        match (seen.method.as_str(), value("digest")) {
            ("GET", _) => Reply::new(204, "")
                .header("Location", path)
                .header("Range", range),
            ("PATCH", _) => Reply::new(202, "")
                .header("Location", path)
                .header("Range", range),
            ("PUT", Some(wanted)) if digest(upload) == wanted => {
                let blob = std::mem::take(upload);
                self.blobs
                    .insert(format!("{repository}/blobs/{wanted}"), blob);
                Reply::new(201, "")
            }
            _ => Reply::new(400, r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#),
        }
    }
}

/// `reply` as `deed` makes it.
fn distorted(mut reply: Reply, deed: Deed) -> Reply {
    match deed {
        Deed::Cut(count) => reply.ending(Ending::Cut(count)),
        Deed::Stall => reply.ending(Ending::Stall),
        Deed::Drip => reply.ending(Ending::Drip),
        Deed::Endless => reply.ending(Ending::Endless),
        Deed::Header(name, value) => reply.header(name, value),
        Deed::Forget => Reply::new(0, "").ending(Ending::Garbage),
        Deed::Body(body) => {
            reply.body = body;
            reply
        }
        Deed::Answer(..) | Deed::Garbage(_) | Deed::Expire | Deed::CutUpload(_) => reply,
    }
}
