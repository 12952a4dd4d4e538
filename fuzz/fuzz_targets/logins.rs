//! auth.json is understood or refused; an edit of it keeps everything else, and is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_registry::{AuthFile, Login, edited, emptied};

fuzz_target!(|text: &str| {
    let Ok(file) = AuthFile::parse(text) else {
        return;
    };
    let _ = file.lookup("registry.example", "a/b/c");
    let _ = (file.has("registry.example"), file.helpers().count());
    let key = "registry.example/a";
    let login = Login::parse("user:pass:word");
    if let Ok(with) = edited(text, key, Some(&login)) {
        let with_file = AuthFile::parse(&with).expect("what we wrote is read");
        assert!(with_file.has(key));
        let without = edited(&with, key, None).expect("what we wrote is edited");
        let without = AuthFile::parse(&without).expect("what we wrote is read");
        assert!(!without.has(key));
    }
    if let Ok(empty) = emptied(text) {
        let empty = AuthFile::parse(&empty).expect("what we wrote is read");
        assert!(!empty.has(key));
    }
});
