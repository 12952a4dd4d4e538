//! What a registry sends in `www-authenticate`, and what its token server answers, is understood or
//! ignored; a realm that is taken is encrypted or the registry's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_http::Url;
use rbuild_registry::{Challenge, best_challenge, parse_token};

fuzz_target!(|text: &str| {
    if let Some(token) = parse_token(text.as_bytes()) {
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let Some(Challenge::Bearer(bearer)) = best_challenge(text.lines()) else {
        return;
    };
    for base in ["https://registry.example/", "http://127.0.0.1:5000/"] {
        let base: Url = base.parse().expect("it is one");
        let Ok(realm) = bearer.realm(&base) else {
            continue;
        };
        assert!(realm.is_https() || realm.host() == base.host());
        assert!(!realm.is_loopback() || base.is_loopback());
        let scopes = ["repository:a/b:pull".to_owned()];
        let url = bearer.token_url(realm.clone(), &scopes);
        assert!(url.same_origin(&realm), "{url}");
        let form = bearer.refresh_form("secret&x=y", &scopes);
        assert_eq!(form.matches("&refresh_token=").count(), 1, "{form}");
    }
});
