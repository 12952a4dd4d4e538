//! What a tree's text does not show: hard links, attributes, times, devices, depth.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, net::UnixListener},
};

use expect_test::expect;
use rbuild_sys::{Dir, FileKind, Node, Timestamp};

use crate::site::Site;

fn context(site: &Site) -> Dir {
    Dir::open(&site.path("context")).unwrap()
}

fn node(kind: FileKind, rdev: (u32, u32)) -> Node {
    Node {
        kind,
        mode: 0o644,
        rdev,
    }
}

#[test]
fn names_of_one_file_stay_names_of_one_file_c12_t32() {
    let Some(site) = Site::new() else { return };
    site.file("d/one", "x");
    fs::create_dir(site.path("context/d/e")).unwrap();
    for name in ["context/d/two", "context/d/e/three", "context/outside"] {
        fs::hard_link(site.path("context/d/one"), site.path(name)).unwrap();
    }
    let state = site.state("FROM scratch\nCOPY d /x\nCOPY d/one d/two /y/\n");
    site.look(&state.layers, |root| {
        let inode = |path: &str| root.resolve_stat(path.as_bytes()).unwrap().ino;
        assert_eq!(inode("x/one"), inode("x/two"));
        assert_eq!(inode("x/one"), inode("x/e/three"));
        assert_ne!(inode("y/one"), inode("y/two"), "two sources are two files");
        assert_eq!(root.resolve_stat(b"x/one").unwrap().links, 3);
    });
}

#[test]
fn a_hard_link_to_what_was_replaced_meanwhile_is_not_made() {
    let Some(site) = Site::new() else { return };
    site.file("d/one", "x");
    fs::hard_link(site.path("context/d/one"), site.path("context/d/two")).unwrap();
    // The destination has both names as one file: it is left by both.
    let state = site.state("FROM scratch\nRUN mkdir /x; write /x/one o; hard /x/one /x/two; hard /x/one /old\nCOPY d /x\n");
    expect![[r#"
        / d 0755 0:0
        /old f 0644 0:0 1 "o"
        /x d 0755 0:0
        /x/one f 0644 0:0 1 "x"
        /x/two f 0644 0:0 1 "x"
    "#]]
    .assert_eq(&site.tree(&state.layers).to_string());
}

#[test]
fn modes_and_attributes_survive_a_new_owner_t30_t31() {
    let Some(site) = Site::new() else { return };
    site.file("f", "x");
    let root = context(&site);
    // Version 2, effective, CAP_NET_RAW; linux/capability.h.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    root.set_xattr(b"f", b"security.capability", &capability)
        .unwrap();
    root.set_xattr(b"f", b"user.mine", b"1").unwrap();
    root.set_xattr(b"f", b"trusted.theirs", b"2").unwrap();
    root.set_mode(b"f", 0o6755).unwrap();
    let state = site.state("FROM scratch\nCOPY --chown=5:6 f /f\n");
    site.look(&state.layers, |root| {
        let stat = root.stat(b"f").unwrap();
        assert_eq!((stat.mode, stat.uid, stat.gid), (0o6755, 5, 6));
        let all = root.xattrs(b"f").unwrap();
        let names: Vec<_> = all
            .iter()
            .map(|(key, _)| String::from_utf8_lossy(key))
            .collect();
        assert_eq!(names, ["security.capability", "user.mine"]);
        assert_eq!(all[0].1, capability);
    });
}

#[test]
fn an_access_list_is_copied_and_is_a_reason() {
    let Some(site) = Site::new() else { return };
    site.file("f", "x");
    // Version 2: user::rw-, user:UID:r--, group::r--, mask::r--, other::r--; acl(5).
    let list = |uid: u8| {
        let mut bytes = vec![2, 0, 0, 0];
        for (tag, mode, id) in [
            (1, 6, [255; 4]),
            (2, 4, [uid, 0, 0, 0]),
            (4, 4, [255; 4]),
            (16, 4, [255; 4]),
            (32, 4, [255; 4]),
        ] {
            bytes.extend([tag, 0, mode, 0]);
            bytes.extend(id);
        }
        bytes
    };
    for uid in [7, 8] {
        let set = context(&site).set_xattr(b"f", b"system.posix_acl_access", &list(uid));
        if let Err(error) = set {
            return rbuild_testkit::skip(&error.to_string());
        }
        let state = site.state("FROM scratch\nCOPY f /f\n");
        let copied = site.look(&state.layers, |root| {
            root.xattr(b"f", b"system.posix_acl_access").unwrap()
        });
        assert_eq!(copied, Some(list(uid)));
    }
}

#[test]
fn times_are_kept_to_the_nanosecond_c12() {
    let Some(site) = Site::new() else { return };
    site.file("d/e/f", "x");
    site.link("f", "d/e/l");
    let time = |seconds| Timestamp {
        seconds,
        nanoseconds: 123_456_789,
    };
    let root = context(&site);
    let e = root.resolve_dir(b"d/e").unwrap();
    for (name, seconds) in [(&b"f"[..], 1), (b"l", 2)] {
        e.set_mtime(name, time(seconds)).unwrap();
    }
    root.resolve_dir(b"d")
        .unwrap()
        .set_mtime(b"e", time(3))
        .unwrap();
    root.set_mtime(b"d", time(4)).unwrap();
    let state = site.state("FROM scratch\nRUN mkdir /x/e\nCOPY d /x\n");
    site.look(&state.layers, |root| {
        let times = [("x/e", "f"), ("x/e", "l"), ("x", "e"), ("", "x")].map(|(dir, name)| {
            let dir = root.resolve_dir(dir.as_bytes()).unwrap();
            dir.stat(name.as_bytes()).unwrap().mtime
        });
        assert_eq!(times, [1, 2, 3, 4].map(time));
    });
}

#[test]
fn pipes_and_devices_are_copied_and_never_opened_and_sockets_left_out_t33() {
    let Some(site) = Site::new() else { return };
    fs::create_dir(site.path("context/d")).unwrap();
    let d = context(&site).resolve_dir(b"d").unwrap();
    d.mknod(b"pipe", node(FileKind::Fifo, (0, 0))).unwrap();
    // A tape that is not there: opening it fails, or hangs.
    if let Err(error) = d.mknod(b"tape", node(FileKind::CharDevice, (9, 0))) {
        return rbuild_testkit::skip(&error.to_string());
    }
    let _socket = UnixListener::bind(site.path("context/d/socket")).unwrap();
    let dockerfile =
        "FROM scratch\nCOPY d /x\nCOPY d/pipe d/socket d/tape /y/\nCOPY d/socket /z/s\n";
    let state = site.state(dockerfile);
    expect![[r#"
        / d 0755 0:0
        /x d 0755 0:0
        /x/pipe 6 0644 0:0
        /x/tape 3 0644 0:0
        /y d 0755 0:0
        /y/pipe 6 0644 0:0
        /y/tape 3 0644 0:0
        /z d 0755 0:0
    "#]]
    .assert_eq(&site.tree(&state.layers).to_string());
    assert!(!site.events(dockerfile).contains("started"));
}

#[test]
fn a_device_that_means_a_deletion_is_refused() {
    let Some(site) = Site::new() else { return };
    fs::create_dir(site.path("context/d")).unwrap();
    let d = context(&site).resolve_dir(b"d").unwrap();
    d.mknod(b"gone", node(FileKind::CharDevice, (0, 0)))
        .unwrap();
    expect![[r#"
        the build failed
        cannot write `/x/gone` in the image
        mknodat(`gone`)
        Operation not permitted (os error 1)
    "#]]
    .assert_eq(&site.failure("FROM scratch\nRUN mkdir /x; write /x/gone g\nCOPY d /x\n"));
}

#[test]
fn names_are_bytes() {
    let Some(site) = Site::new() else { return };
    let names: [&[u8]; 6] = [
        b"new\nline",
        b"\xff\xfe",
        b"-rf",
        b"a*b",
        b"back\\slash",
        &[b'n'; 255],
    ];
    fs::create_dir(site.path("context/d")).unwrap();
    for name in names {
        fs::write(site.path("context/d").join(OsStr::from_bytes(name)), name).unwrap();
    }
    let state = site.state("FROM scratch\nCOPY d /x\nCOPY d/* /y/\n");
    site.look(&state.layers, |root| {
        for dir in ["x", "y"] {
            let dir = root.resolve_dir(dir.as_bytes()).unwrap();
            assert_eq!(dir.entries().unwrap().len(), names.len());
            for name in names {
                assert_eq!(dir.stat(name).unwrap().size, name.len() as u64);
            }
        }
    });
}

#[test]
fn depth_has_no_limit() {
    let Some(site) = Site::new() else { return };
    // Longer than PATH_MAX.
    let name = "directory-of-some-length";
    let mut here = context(&site);
    for _ in 0..300 {
        here.mkdir(name.as_bytes(), 0o755).unwrap();
        here = here.child(name.as_bytes()).unwrap();
    }
    here.create(b"f", 0o644).unwrap();
    let dockerfile =
        format!("FROM scratch AS a\nCOPY {name} /x\nFROM scratch\nCOPY --from=a /x /y\n");
    let state = site.state(&dockerfile[..]);
    let depth = site.look(&state.layers, |root| {
        let mut here = root.child(b"y").unwrap();
        let mut depth = 0;
        while let Ok(child) = here.child(name.as_bytes()) {
            here = child;
            depth += 1;
        }
        here.stat(b"f").unwrap();
        depth
    });
    assert_eq!(depth, 299);
    assert!(!site.events(&dockerfile[..]).contains("started"));
}
