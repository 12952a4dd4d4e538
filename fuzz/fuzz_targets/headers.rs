//! What a server or the site says of places: a redirect leads where one may be led, or is refused;
//! a list of hosts without a proxy is understood; a URL is printed and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_http::{Proxies, Security, Url, redirect_target};

const PLACES: [&str; 4] = [
    "https://registry.example/v2/a/b/blobs/uploads/1",
    "https://registry.example:5000/v2/",
    "http://registry.example/v2/",
    "http://127.0.0.1:5000/v2/",
];

fuzz_target!(|text: &str| {
    if let Ok(url) = text.parse::<Url>() {
        let again = url.to_string().parse::<Url>();
        assert!(again.is_ok_and(|again| again.to_string() == url.to_string()));
    }
    let proxies = Proxies {
        http: Some("http://proxy.example".to_owned()),
        https: Some("http://proxy.example".to_owned()),
        no_proxy: text.to_owned(),
    };
    for place in PLACES {
        let here: Url = place.parse().expect("it is one");
        assert!(!here.is_loopback() || proxies.for_url(&here).is_none());
        let trust = [
            Security::Verified,
            Security::PlainAllowed,
            Security::Insecure,
        ];
        for security in trust {
            let Ok(there) = redirect_target(&here, text, security) else {
                continue;
            };
            let scheme = there.to_string();
            assert!(scheme.starts_with("https://") || scheme.starts_with("http://"));
            assert!(here.is_loopback() || !there.is_loopback(), "{there}");
            if security != Security::Insecure && here.is_https() {
                assert!(there.is_https(), "{there}");
            }
        }
    }
});
