//! Any word is expanded or refused at a place in it, within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_dockerfile::expand::{expand, expand_words};

fuzz_target!(|word: &str| {
    let lookup = |name: &str| (name != "a").then(|| "vé*/".repeat(name.len()));
    for escape in ['\\', '`'] {
        match expand(word, escape, &lookup) {
            Ok(expanded) => assert!(expanded.text.len() <= 128 << 10),
            Err(error) => assert!(word.is_char_boundary(error.offset()), "{error:?}"),
        }
        let _ = expand_words(word, escape, &lookup);
    }
});
