//! Interpreters that a sandbox registers for its commands.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rbuild_sandbox::{Error, Interpreter};

use crate::world::{Wish, World};

/// Programs that begin so are nobody's.
const MAGIC: &[u8] = b"odd\0";

fn by(program: &str) -> Interpreter {
    Interpreter {
        program: program.into(),
        magic: MAGIC.to_vec(),
        mask: vec![0xff; MAGIC.len()],
        flags: "P".to_owned(),
    }
}

pub fn register(place: &Path) {
    let world = World::new(place);
    let odd = world.image("bin/odd");
    fs::write(&odd, [MAGIC, b"program"].concat()).unwrap();
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o755)).unwrap();
    let wish = Wish {
        argv: &["/bin/odd"],
        ..Wish::default()
    };
    let refused = |error: &Error| matches!(error, Error::NotExecutable { .. });
    assert!(world.run(&wish).is_err_and(|error| refused(&error)));
    let missing = world.sandbox.register(&[by("/no/such/program")]);
    // The later one counts: the first needs libraries, which the tree has not.
    match world
        .sandbox
        .register(&[by("/bin/true"), by("/bin/busybox")])
    {
        Err(Error::InterpretersOfAll) => {
            assert!(world.run(&wish).is_err_and(|error| refused(&error)));
            return;
        }
        Err(error @ Error::NoInterpreters { .. }) => return println!("SKIP {error} ({error:?})"),
        other => other.unwrap(),
    }
    assert!(matches!(missing, Err(Error::Interpreter { .. })));
    // Busybox looks for itself under the name that it was registered by, a descriptor's.
    let ran = world.run(&wish).unwrap();
    assert_eq!(ran.exit.status, 127);
    assert!(ran.stderr.ends_with(": applet not found\n"), "{ran:?}");
    let script = "ls -A /proc/sys/fs/binfmt_misc; mount -t binfmt_misc none /tmp || echo no mount";
    assert_eq!(world.sh(script).stdout, "no mount\n");
}
