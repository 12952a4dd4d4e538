//! A store with very many images and cache records in it, none of which anybody asks for.
//!
//! Knows: the names of files in a store (docs/formats.md). Does not know: what they slow down.

use std::path::Path;

use crate::{Account, Error, Output};

/// Fills a store with named images and cache records, as many as the arguments say; prints what
/// makes the names.
const FILL: &str = r#"
    function put(file, text) { print text > file; close(file) }
    BEGIN {
        for (i = 0; i < 256; i++) system(sprintf("mkdir -p cache/%02x", i))
        for (i = 0; i < ARGV[2]; i++) {
            key = sprintf("%02x%062x", i % 256, i)
            put("cache/" substr(key, 1, 2) "/" key, "{\"layer\":null,\"state\":\"" key "\",\"created\":0}")
        }
        for (i = 0; i < ARGV[1]; i++) {
            put(sprintf("images/%064x", i), "{}")
            printf "ln -s ../images/%064x names/localhost%%2Fsynthetic:%d\n", i, i
        }
    }"#;

/// Adds so many named images and cache records to the store of `account` at `store`.
///
/// # Errors
/// [`Error`] if there is no store, or no awk.
pub fn crowd(
    account: &Account,
    store: &Path,
    (images, records): (usize, usize),
) -> Result<(), Error> {
    let script = format!(
        "cd {}; awk '{FILL}' {images} {records} | sh",
        store.display()
    );
    Output::of_success(account.inside("sh").args(["-c", &script])).map(drop)
}
