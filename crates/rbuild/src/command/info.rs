//! `rbuild info`: what this machine can do, and what rbuild uses.

use std::process::ExitCode;

use rbuild_oci::Platform;
use rbuild_sandbox::{Host, Ids, Probe};

use crate::{
    cli::Global,
    emulation::{self, Means},
    failure::Failure,
    report::print,
    settings,
    template::size,
};

/// Prints one line for each thing that matters, with the reason where it does not work.
///
/// # Errors
/// If the store cannot be opened or no process can be started.
pub fn execute(global: &Global) -> Result<ExitCode, Failure> {
    let path = settings::store_path(global)?;
    let store = settings::store(global)?;
    let host = Host::probe(&path)?;
    let file_system = store.file_system()?;
    let executed = emulation::executed();
    let lines = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("kernel", host.kernel.clone()),
        ("store", path.display().to_string()),
        ("store file system", {
            let name = file_system.name().unwrap_or("unknown");
            format!("{name}, {} free", size(file_system.free))
        }),
        ("images", store.images()?.len().to_string()),
        ("user namespace", probe(&host.namespaces)),
        ("ids", ids(host.ids.as_ref())),
        ("overlay", probe(&host.overlay)),
        ("new /proc", probe(&host.proc)),
        (
            "network of RUN",
            match &host.private_network {
                Probe::Works => "private, through pasta".to_owned(),
                Probe::Fails(reason) => format!("host; a private one does not work: {reason}"),
            },
        ),
        ("Landlock scopes", probe(&host.scope)),
        (
            "control groups",
            match &host.limits {
                Ok(controllers) => format!("{}, limits of {}", host.cgroup, controllers.join(" ")),
                Err(reason) => format!("{}, no limits: {reason}", host.cgroup),
            },
        ),
        ("platforms of RUN", platforms(&executed, &Means::Processor)),
        ("- by binfmt_misc", platforms(&executed, &Means::Kernel)),
        (
            "- by QEMU, in a build",
            own_interpreters(&executed, &host.interpreters),
        ),
        (
            "no new privileges",
            if host.no_new_privileges {
                "set: newuidmap cannot work".to_owned()
            } else {
                "not set".to_owned()
            },
        ),
        (
            "user.max_user_namespaces",
            host.max_user_namespaces
                .map_or("unknown".to_owned(), |n| n.to_string()),
        ),
        ("/dev/fuse", format!("{} (not used yet)", probe(&host.fuse))),
    ];
    for (what, answer) in lines {
        print(&format!("{what:<26}{answer}"))?;
    }
    let able = host.namespaces == Probe::Works
        && host.overlay == Probe::Works
        && host.proc == Probe::Works;
    print(&format!(
        "{:<26}{}",
        "RUN",
        if able {
            "works"
        } else {
            "does not work here, for the reasons above"
        }
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Those whose commands are executed by these means.
fn platforms(executed: &[(Platform, Means)], means: &Means) -> String {
    let fitting = executed.iter().filter(|(_, its)| its == means);
    let names: Vec<String> = fitting.map(|(platform, _)| platform.to_string()).collect();
    match &names[..] {
        [] => "none".to_owned(),
        names => names.join(" "),
    }
}

/// Those that a build registers an interpreter of its own for, with its program.
fn own_interpreters(executed: &[(Platform, Means)], probe: &Probe) -> String {
    let programs = executed.iter().filter_map(|(platform, means)| match means {
        Means::Program(path) => Some(format!("{platform} ({})", path.display())),
        Means::Processor | Means::Kernel => None,
    });
    let programs: Vec<String> = programs.collect();
    match (probe, &programs[..]) {
        (Probe::Fails(reason), _) => format!("does not work: {reason}"),
        (Probe::Works, []) => "none: no other static `qemu-…` in PATH".to_owned(),
        (Probe::Works, programs) => programs.join(" "),
    }
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Works => "works".to_owned(),
        Probe::Fails(reason) => format!("does not work: {reason}"),
    }
}

fn ids(ids: Option<&Ids>) -> String {
    match ids {
        Some(Ids::All) => "all, as root".to_owned(),
        Some(Ids::Subordinate { uids, gids }) => {
            let (users, groups) = (uids.count() + 1, gids.count() + 1);
            let ignored = match uids.ignored + gids.ignored {
                0 => String::new(),
                lines => format!(" ({lines} useless lines of /etc/subuid and /etc/subgid ignored)"),
            };
            format!("{users} users ({uids}), {groups} groups ({gids}){ignored}")
        }
        None => {
            "1: no subordinate ids in /etc/subuid and /etc/subgid, nor from getsubids".to_owned()
        }
    }
}
