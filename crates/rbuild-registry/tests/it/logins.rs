//! Logins: who sees them, and who never does.

use rbuild_registry::{CredentialSources, Error, Login, Repository, Scope};
use rbuild_testkit::http::{Ending, Reply, Seen, Server};

use crate::{blob, chain, fine, is_probe, reference, repository_as};

const BYTES: &[u8] = b"0123456789";
/// `user:secret`.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

fn known_as(server: &Server, login: Login) -> Repository {
    let credentials = CredentialSources {
        given: Some(login),
        ..CredentialSources::default()
    };
    repository_as(
        &reference(&server.address.to_string(), ""),
        Scope::Pull,
        credentials,
    )
}

fn user() -> Login {
    Login::parse("user:secret")
}

/// What pulling a blob leads to; the error's text never has the secret in it.
fn pull(repository: &Repository) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = repository
        .blob(&blob(BYTES))
        .map_err(|error| chain(&error))
        .and_then(|mut reader| {
            std::io::Read::read_to_end(&mut reader, &mut bytes).map_err(|error| chain(&error))
        });
    assert!(!format!("{repository:?}{read:?}").contains("secret"));
    assert!(!format!("{repository:?}{read:?}").contains("dXNlc"));
    read.map(|_| bytes)
}

fn authorization(seen: &Seen) -> &str {
    seen.headers.get("authorization").map_or("", String::as_str)
}

fn wants_password(seen: &Seen) -> Option<Reply> {
    let refused = Reply::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\"");
    (authorization(seen) != BASIC).then_some(refused)
}

#[test]
fn a_password_is_given_only_when_asked_for() {
    let server = Server::start(|seen| {
        if is_probe(seen) {
            assert_eq!(authorization(seen), "", "nobody asked yet");
            return fine();
        }
        wants_password(seen).unwrap_or_else(|| Reply::new(200, BYTES))
    });
    assert_eq!(pull(&known_as(&server, user())).unwrap(), BYTES);
}

#[test]
fn a_wrong_password_is_tried_once_and_named_by_its_user() {
    let server = Server::start(|seen| wants_password(seen).unwrap_or_else(fine));
    let repository = known_as(&server, Login::parse("user:wrong-secret"));
    let error = pull(&repository).unwrap_err();
    assert!(
        error.contains("status 401") && error.contains("password of `user`"),
        "{error}"
    );
    let blobs = server
        .requests()
        .iter()
        .filter(|line| line.contains("/blobs/"))
        .count();
    assert_eq!(blobs, 2);
    let error = repository.log_in().unwrap_err();
    let hint = Error::hint(&error).unwrap();
    assert!(
        hint.contains(&format!("rbuild login {}", server.address)),
        "{hint}"
    );
}

#[test]
fn without_a_login_the_error_says_so() {
    let server = Server::start(|seen| match is_probe(seen) {
        true => fine(),
        false => wants_password(seen).unwrap_or_else(fine),
    });
    let nobody = CredentialSources::default();
    let reference = reference(&server.address.to_string(), "");
    let error = pull(&repository_as(&reference, Scope::Pull, nobody)).unwrap_err();
    assert!(
        error.contains("no login is known for `127.0.0.1"),
        "{error}"
    );
}

/// A registry whose tokens are for `user`, or for an identity token, and good for one request.
fn with_tokens(serve: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
    let issued = std::sync::atomic::AtomicUsize::new(0);
    let spent = std::sync::Mutex::new(std::collections::BTreeSet::new());
    Server::start(move |seen| {
        if is_probe(seen) {
            return fine();
        }
        if seen.path.starts_with("/token") {
            let form = String::from_utf8_lossy(&seen.body).into_owned();
            let by_form = seen.method == "POST" && form.contains("refresh_token=id%2Fsecret");
            if !by_form && wants_password(seen).is_some() {
                return Reply::new(401, "");
            }
            let number = issued.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return Reply::new(200, format!(r#"{{"access_token":"T{number}"}}"#));
        }
        let token = authorization(seen);
        if token.starts_with("Bearer T") && spent.lock().unwrap().insert(token.to_owned()) {
            return serve(seen);
        }
        let realm = format!(
            "Bearer realm=\"http://{}/token\",service=\"s\"",
            seen.headers["host"]
        );
        Reply::new(401, "").header("WWW-Authenticate", realm)
    })
}

fn cut_once(seen: &Seen) -> Reply {
    match seen.headers.get("range") {
        None => Reply::new(200, BYTES).ending(Ending::Cut(4)),
        Some(_) => Reply::new(206, &BYTES[4..]).header("Content-Range", "bytes 4-9/10"),
    }
}

#[test]
fn a_token_is_had_for_a_password_and_again_when_it_expires() {
    let server = with_tokens(cut_once);
    assert_eq!(pull(&known_as(&server, user())).unwrap(), BYTES);
    let tokens = server
        .seen()
        .into_iter()
        .filter(|seen| seen.path.starts_with("/token"));
    let gets: Vec<_> = tokens
        .map(|seen| (seen.method.clone(), authorization(&seen).to_owned()))
        .collect();
    assert_eq!(
        gets,
        [
            ("GET".to_owned(), BASIC.to_owned()),
            ("GET".to_owned(), BASIC.to_owned())
        ]
    );
}

#[test]
fn a_token_is_had_for_an_identity_token() {
    let server = with_tokens(cut_once);
    let token = Login::IdentityToken("id/secret".to_owned());
    assert_eq!(pull(&known_as(&server, token)).unwrap(), BYTES);
    let posts = server
        .requests()
        .iter()
        .filter(|line| *line == "POST /token")
        .count();
    assert_eq!(posts, 2);
}

#[test]
fn a_refused_login_gets_no_token() {
    let server = with_tokens(|_| fine());
    let error = pull(&known_as(&server, Login::parse("user:other-secret"))).unwrap_err();
    assert!(error.contains("password of `user`"), "{error}");
}

/// CVE-2020-15157, CVE-2019-10214: a place that must never see a login.
fn stranger() -> Server {
    Server::start(|seen| {
        assert_eq!(authorization(seen), "", "leaked");
        assert!(seen.body.is_empty(), "leaked");
        Reply::new(200, BYTES)
    })
}

#[test]
fn a_redirect_takes_no_password_along() {
    let cdn = stranger();
    let target = cdn.url("/data");
    let server = Server::start(move |seen| match is_probe(seen) {
        true => fine(),
        false => wants_password(seen)
            .unwrap_or_else(|| Reply::new(307, "").header("Location", target.clone())),
    });
    assert_eq!(pull(&known_as(&server, user())).unwrap(), BYTES);
    assert_eq!(cdn.requests(), ["GET /data"]);
}

#[test]
fn a_realm_that_moves_elsewhere_takes_nothing_along() {
    for login in [user(), Login::IdentityToken("secret".to_owned())] {
        let thief = stranger();
        let target = thief.url("/steal");
        let server = Server::start(move |seen| {
            if is_probe(seen) {
                return fine();
            }
            if seen.path.starts_with("/token") {
                return Reply::new(307, "").header("Location", target.clone());
            }
            let realm = format!("Bearer realm=\"http://{}/token\"", seen.headers["host"]);
            Reply::new(401, "").header("WWW-Authenticate", realm)
        });
        assert!(pull(&known_as(&server, login)).is_err());
        assert!(
            thief
                .seen()
                .iter()
                .all(|seen| authorization(seen).is_empty() && seen.body.is_empty())
        );
    }
}

#[test]
fn an_unencrypted_realm_elsewhere_is_never_asked() {
    let server = Server::start(|seen| match is_probe(seen) {
        true => fine(),
        false => Reply::new(401, "").header(
            "WWW-Authenticate",
            "Bearer realm=\"http://elsewhere.invalid/t\"",
        ),
    });
    let error = pull(&known_as(&server, user())).unwrap_err();
    assert!(error.contains("is not encrypted"), "{error}");
}
