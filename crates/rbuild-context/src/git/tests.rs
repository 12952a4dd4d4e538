//! Forms of git sources, and that nothing slips through them.

use expect_test::{Expect, expect};
use proptest::prelude::{prop_assert, proptest};

use super::{GitReference, GitSource, Shorthand};

/// All that is understood of `text`, on one line.
fn dump(text: &str, shorthand: Shorthand) -> String {
    let source = match GitSource::parse(text, shorthand) {
        None => return "not git".to_owned(),
        Some(Err(error)) => return error.to_string(),
        Some(Ok(source)) => source,
    };
    let mut line = source.url().to_owned();
    line += &match &source.reference {
        None => String::new(),
        Some(GitReference::Any(name)) => format!(" ref={name}"),
        Some(GitReference::Branch(name)) => format!(" branch={name}"),
        Some(GitReference::Tag(name)) => format!(" tag={name}"),
    };
    let mut field = |name: &str, value: Option<String>| {
        line += &value.map_or_else(String::new, |value| format!(" {name}={value}"));
    };
    field("commit", source.commit.clone());
    field("subdir", source.subdir.clone());
    field("keep", source.keep_git_dir.map(|keep| keep.to_string()));
    field("submodules", (!source.submodules).then(|| "no".to_owned()));
    field("user", source.remote.user.clone());
    field(
        "times",
        (source.times == super::GitTimes::Commit).then(|| "commit".to_owned()),
    );
    field(
        "by-commit",
        source.fetch_by_commit.then(|| "yes".to_owned()),
    );
    line
}

#[expect(clippy::needless_pass_by_value, reason = "what `expect!` makes")]
#[track_caller]
fn check(texts: &[&str], expected: Expect) {
    let lines: Vec<String> = texts
        .iter()
        .map(|text| format!("{text}\n    {}\n", dump(text, Shorthand::Refused)))
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn urls_of_repositories() {
    check(
        &[
            "https://example.com/a/b.git",
            "http://example.com:8080/b.git/",
            "https://example.com/a/b",
            "https://example.com.git",
            "ssh://git@example.com:22/a/b",
            "git://example.com/b",
            "git@example.com:a/b.git",
            "deploy-1@example.com:b",
            "./git@example.com:a",
            "a/b@c:d",
            "dir.git",
            "/abs/dir.git",
            "file:///etc/repo.git",
            "ext::sh -c id.git",
            "github.com/a/b",
        ],
        expect![[r#"
            https://example.com/a/b.git
                https://example.com/a/b.git
            http://example.com:8080/b.git/
                http://example.com:8080/b.git/
            https://example.com/a/b
                not git
            https://example.com.git
                not git
            ssh://git@example.com:22/a/b
                ssh://git@example.com:22/a/b
            git://example.com/b
                git://example.com/b
            git@example.com:a/b.git
                git@example.com:a/b.git
            deploy-1@example.com:b
                deploy-1@example.com:b
            ./git@example.com:a
                not git
            a/b@c:d
                not git
            dir.git
                not git
            /abs/dir.git
                not git
            file:///etc/repo.git
                not git
            ext::sh -c id.git
                not git
            github.com/a/b
                not git
        "#]],
    );
    assert_eq!(
        dump("github.com/a/b#main", Shorthand::Accepted),
        "https://github.com/a/b ref=main"
    );
    assert_eq!(dump("github.community/a", Shorthand::Accepted), "not git");
}

#[test]
fn fragments_and_queries() {
    check(
        &[
            "https://h/r.git#main",
            "https://h/r.git#v1.0:docs/api/",
            "https://h/r.git#:docs",
            "https://h/r.git#refs/pull/7/head",
            "https://h/r.git?branch=main&subdir=a%2Fb",
            "https://h/r.git?tag=v1&commit=ABC123",
            "https://h/r.git?ref=main#main:x",
            "https://h/r.git?checksum=abc&keep-git-dir&submodules=false&mtime=commit",
            "https://h/r.git?ref=main&commit=abc&fetch-by-commit=1",
            "git@h:r?branch=x",
        ],
        expect![[r#"
            https://h/r.git#main
                https://h/r.git ref=main
            https://h/r.git#v1.0:docs/api/
                https://h/r.git ref=v1.0 subdir=docs/api
            https://h/r.git#:docs
                https://h/r.git subdir=docs
            https://h/r.git#refs/pull/7/head
                https://h/r.git ref=refs/pull/7/head
            https://h/r.git?branch=main&subdir=a%2Fb
                https://h/r.git branch=main subdir=a/b
            https://h/r.git?tag=v1&commit=ABC123
                https://h/r.git tag=v1 commit=abc123
            https://h/r.git?ref=main#main:x
                https://h/r.git ref=main subdir=x
            https://h/r.git?checksum=abc&keep-git-dir&submodules=false&mtime=commit
                https://h/r.git commit=abc keep=true submodules=no times=commit
            https://h/r.git?ref=main&commit=abc&fetch-by-commit=1
                https://h/r.git ref=main commit=abc by-commit=yes
            git@h:r?branch=x
                git@h:r branch=x
        "#]],
    );
}

#[test]
fn contradictions_and_unknown_keys_are_errors() {
    check(
        &[
            "https://h/r.git?branch=a&tag=b",
            "https://h/r.git?ref=a&tag=b",
            "https://h/r.git?ref=a&ref=a",
            "https://h/r.git?commit=a&checksum=a",
            "https://h/r.git?ref=a#b",
            "https://h/r.git?subdir=a#:b",
            "https://h/r.git?depth=1",
            "https://h/r.git?submodules=maybe",
            "https://h/r.git?mtime=now",
            "https://h/r.git?commit=xyz",
            "https://h/r.git?ref=%zz",
            "https://h/r.git?fetch-by-commit=true",
        ],
        expect![[r#"
            https://h/r.git?branch=a&tag=b
                `https://h/r.git?branch=a&tag=b` is not a usable git source: `tag` and `branch` cannot be combined
            https://h/r.git?ref=a&tag=b
                `https://h/r.git?ref=a&tag=b` is not a usable git source: `ref` cannot be combined with `tag` or `branch`
            https://h/r.git?ref=a&ref=a
                `https://h/r.git?ref=a&ref=a` is not a usable git source: a key of its query is repeated
            https://h/r.git?commit=a&checksum=a
                `https://h/r.git?commit=a&checksum=a` is not a usable git source: a key of its query is repeated
            https://h/r.git?ref=a#b
                `https://h/r.git?ref=a#b` is not a usable git source: its query and its fragment name different references
            https://h/r.git?subdir=a#:b
                `https://h/r.git?subdir=a#:b` is not a usable git source: its query and its fragment name different directories
            https://h/r.git?depth=1
                `https://h/r.git?depth=1` is not a usable git source: its query has a key other than `ref`, `tag`, `branch`, `commit`, `checksum`, `subdir`, `keep-git-dir`, `submodules`, `mtime` and `fetch-by-commit`
            https://h/r.git?submodules=maybe
                `https://h/r.git?submodules=maybe` is not a usable git source: a switch in its query is `true` or `false`
            https://h/r.git?mtime=now
                `https://h/r.git?mtime=now` is not a usable git source: `mtime` is `checkout` or `commit`
            https://h/r.git?commit=xyz
                `https://h/r.git?commit=xyz` is not a usable git source: a commit is hexadecimal
            https://h/r.git?ref=%zz
                `https://h/r.git?ref=%zz` is not a usable git source: its percent-encoding is wrong
            https://h/r.git?fetch-by-commit=true
                `https://h/r.git?fetch-by-commit=true` is not a usable git source: `fetch-by-commit` needs `commit`
        "#]],
    );
}

/// CVE-2019-13139, CVE-2025-21613, CVE-2026-33748.
#[test]
fn nothing_becomes_an_option_or_leads_out() {
    check(
        &[
            "https://h/r.git#--upload-pack=id",
            "https://h/r.git#main:../../etc",
            "https://h/r.git?subdir=a/%2e%2e/b",
            "https://h/r.git#main:.git/hooks",
            "ssh://-oProxyCommand=id/r",
            "ssh://h/-r",
            "git@-h:r",
            "git@h:-r",
            "ssh://h",
            "https://h/r.git#a..b",
            "https://h/r .git",
            "https://-h/r.git",
        ],
        expect![[r#"
            https://h/r.git#--upload-pack=id
                `https://h/r.git#--upload-pack=id` is not a usable git source: it has no valid reference
            https://h/r.git#main:../../etc
                `https://h/r.git#main:../../etc` is not a usable git source: its directory leads out of the repository
            https://h/r.git?subdir=a/%2e%2e/b
                `https://h/r.git?subdir=a/%2e%2e/b` is not a usable git source: its directory leads out of the repository
            https://h/r.git#main:.git/hooks
                `https://h/r.git#main:.git/hooks` is not a usable git source: its directory is `.git`
            ssh://-oProxyCommand=id/r
                `ssh://-oProxyCommand=id/r` is not a usable git source: it has no valid host
            ssh://h/-r
                `ssh://h/-r` is not a usable git source: a user, a host or a path does not start with `-`
            git@-h:r
                `git@-h:r` is not a usable git source: a user, a host or a path does not start with `-`
            git@h:-r
                `git@h:-r` is not a usable git source: a user, a host or a path does not start with `-`
            ssh://h
                `ssh://h` is not a usable git source: it names no repository
            https://h/r.git#a..b
                `https://h/r.git#a..b` is not a usable git source: it has no valid reference
            https://h/r .git
                `https://h/r .git` is not a usable git source: it is not a valid URL
            https://-h/r.git
                `https://-h/r.git` is not a usable git source: a host does not start with `-`
        "#]],
    );
}

#[test]
fn credentials_are_kept_apart() {
    let text = "https://me:to%40ken@h/r.git#main";
    let source = GitSource::parse(text, Shorthand::Refused).unwrap().unwrap();
    assert_eq!(source.remote.user.as_deref(), Some("me:to@ken"));
    assert_eq!(source.to_string(), "https://h/r.git#main");
    assert!(!format!("{source:?}").contains("ken"));
    for text in [
        "https://me:hunter2@h/r.git#-x",
        "ssh://me:hunter2@h/r",
        "https://me:hunter2@/r.git",
        "https://me:hunter2@h/x@y/r.git?depth=1",
    ] {
        let error = GitSource::parse(text, Shorthand::Refused)
            .unwrap()
            .unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn others_find_a_repository_by_its_locator() {
    for (text, expected) in [
        ("https://me:to%40ken@h/a/r.git", "git+https://h/a/r.git"),
        (
            "https://h/r.git#v1:sub/dir",
            "git+https://h/r.git@v1#sub/dir",
        ),
        (
            "https://h/r.git?branch=b",
            "git+https://h/r.git@refs/heads/b",
        ),
        (
            "https://h/r.git?tag=t&subdir=d",
            "git+https://h/r.git@refs/tags/t#d",
        ),
        (
            "https://h/r.git?commit=0123abc",
            "git+https://h/r.git@0123abc",
        ),
        ("git@h:a/r.git#main", "git+ssh://git@h/a/r.git@main"),
        ("git@h:/srv/r.git", "git+ssh://git@h/srv/r.git"),
        ("ssh://git@h:22/r", "git+ssh://git@h:22/r"),
        ("git://h/r", "git+git://h/r"),
    ] {
        let source = GitSource::parse(text, Shorthand::Refused).unwrap().unwrap();
        assert_eq!(source.locator(), expected);
    }
}

proptest! {
    #[test]
    fn any_text_is_understood_or_refused(text in "[-a-z:/@#?&=.%~ ]{0,40}", prefix in 0usize..6) {
        let prefix = ["", "https://h/r.git", "ssh://", "git@h:", "git://", "github.com/"][prefix];
        let text = format!("{prefix}{text}");
        if let Some(Ok(source)) = GitSource::parse(&text, Shorthand::Accepted) {
            let mut words = vec![source.url().to_owned()];
            match &source.reference {
                Some(GitReference::Any(name) | GitReference::Branch(name) | GitReference::Tag(name)) => {
                    words.push(name.clone());
                }
                None => {}
            }
            prop_assert!(words.iter().all(|word| !word.is_empty() && !word.starts_with('-')));
            prop_assert!(words.iter().all(|word| !word.contains([' ', '\n'])));
            let subdir = source.subdir.clone().unwrap_or_default();
            prop_assert!(subdir.split('/').all(|part| part != ".." && part != ".git"));
            // What was understood is understood again in its printed form.
            let again = GitSource::parse(source.url(), Shorthand::Refused);
            let shorthand = prefix == "github.com/";
            prop_assert!(shorthand || again.is_some_and(|again| again.is_ok()), "{}", source.url());
        }
    }
}
