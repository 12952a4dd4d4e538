//! Links that want to lead out: neither side of a COPY leaves its root.
//!
//! Beside the context there are `canary`, a file, and `outside`, a directory with a file `f`. No
//! build may read or change them.

use std::fs;

use rbuild_engine::environment;
use rbuild_sandbox::users::Identity;

use crate::site::Site;

/// Links of the context that lead out, if anything does.
const LINKS: &[(&str, &str)] = &[
    ("../canary", "relative"),
    ("../../../../../../../../../../CANARY", "far"),
    ("CANARY", "absolute"),
    ("..", "parent"),
    ("/", "root"),
    ("/proc/self/cwd", "cwd"),
    ("/proc/self/root", "magic"),
    ("d/../../canary", "through"),
    ("loop", "loop"),
];

/// Builds with `$OUT` the host path of what is beside the context; the secret must be neither in
/// the tree nor changed.
#[track_caller]
fn check(instructions: &str) {
    let Some(site) = Site::new() else { return };
    fs::create_dir(site.path("outside")).unwrap();
    for name in ["canary", "outside/f"] {
        fs::write(site.path(name), "secret").unwrap();
    }
    site.file("d/f", "plain");
    let out = site.path("");
    let out = out.to_str().unwrap().trim_end_matches('/');
    for (target, name) in LINKS {
        site.link(&target.replace("CANARY", &format!("{out}/canary")), name);
    }
    let text = format!("FROM scratch\n{}\n", instructions.replace("$OUT", out));
    if let Ok(states) = site.build(&text[..]).result {
        for state in states {
            let tree = site.tree(&state.layers).to_string();
            assert!(!tree.contains("secret"), "{tree}");
        }
    }
    let beside: Vec<_> = fs::read_dir(site.path(""))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(beside.len(), 4, "{beside:?}");
    assert_eq!(fs::read_dir(site.path("outside")).unwrap().count(), 1);
    for name in ["canary", "outside/f"] {
        assert_eq!(fs::read(site.path(name)).unwrap(), b"secret", "{name}");
    }
}

#[test]
fn sources_do_not_lead_out() {
    for (_, name) in LINKS {
        check(&format!("COPY {name} /x/"));
        check(&format!("COPY {name}/canary /x/"));
        check(&format!("COPY {name}* /x/"));
        check(&format!("COPY {name}/* /x/"));
        check(&format!("COPY {name}/../canary /x/"));
    }
    check("COPY ../canary /x");
    check("COPY ../outside /x");
    check("COPY ../* /x/");
    check("COPY d/../../canary /x");
    check("COPY . /x");
    check("COPY $OUT/canary /x");
}

#[test]
fn sources_in_a_stage_do_not_lead_out() {
    for target in [
        "$OUT/canary",
        "../../../../../..$OUT/canary",
        "$OUT",
        "/proc/self/root$OUT",
    ] {
        let stage = format!("RUN link {target} /l\nFROM scratch\n");
        check(&format!("{stage}COPY --from=0 /l /x/"));
        check(&format!("{stage}COPY --from=0 /l/canary /x/"));
        check(&format!("{stage}COPY --from=0 / /x/"));
    }
}

#[test]
fn destinations_do_not_lead_out() {
    for target in [
        "$OUT/outside",
        "../../../../../../../../..$OUT/outside",
        "/proc/self/root$OUT/outside",
    ] {
        let link = format!("RUN link {target} /l; mkdir /d; link {target} /d/l\n");
        check(&format!("{link}COPY d /l"));
        check(&format!("{link}COPY d/f /l/"));
        check(&format!("{link}COPY d/f /l/f"));
        check(&format!("{link}COPY d/f /l"));
        check(&format!("{link}COPY d /l/new"));
        check(&format!("{link}COPY d /d/l/../l/"));
        check(&format!("{link}WORKDIR /l/new"));
        check(&format!("{link}WORKDIR /l\nCOPY d/f g"));
        check(&format!("{link}COPY --chown=0 --chmod=777 d/f /l"));
    }
}

#[test]
fn a_file_link_at_the_destination_is_replaced() {
    check("RUN link $OUT/canary /l\nCOPY d/f /l");
    check("RUN mkdir /x; link $OUT/canary /x/f\nCOPY d /x");
    check("RUN mkdir /x; link $OUT/outside /x/f\nCOPY d /x");
}

#[test]
fn accounts_do_not_come_from_outside() {
    check("RUN mkdir /etc; link $OUT/canary /etc/passwd\nCOPY --chown=secret d/f /x");
}

#[test]
fn cve_2026_57231_variables_without_a_value_are_left_out() {
    let identity = Identity::root();
    let env = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string);
        environment(names, &identity)
    };
    assert_eq!(
        env(&["A", "*", "B=1", "PATH", "C="])[..],
        ["B=1", "C=", "HOME=/root"]
    );
}
