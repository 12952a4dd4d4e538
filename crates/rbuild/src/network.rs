//! What `--network` means: to the plan, to the sandbox, and where there is no private network.

use std::sync::{Arc, Once};

use rbuild_engine::Private;
use rbuild_plan as plan;
use rbuild_sandbox as sandbox;

use crate::{cli::NetworkMode, report};

/// The network of commands in a build that do not say. By default it is a private one, whether
/// this machine has that or not: what commands made is not made again because `pasta` was
/// installed.
pub fn of_plan(mode: NetworkMode) -> plan::Network {
    match mode {
        NetworkMode::Default | NetworkMode::Private => plan::Network::Private,
        NetworkMode::Host => plan::Network::Host,
        NetworkMode::None => plan::Network::None,
    }
}

/// The network of a single command.
pub fn of_command(mode: NetworkMode) -> sandbox::Network {
    match mode {
        NetworkMode::Default | NetworkMode::Private => sandbox::Network::Private,
        NetworkMode::Host => sandbox::Network::Host,
        NetworkMode::None => sandbox::Network::None,
    }
}

/// What becomes of commands that are to have a private network. That they have this machine's is
/// said once.
pub fn private(mode: NetworkMode) -> Private {
    if mode == NetworkMode::Private {
        return Private::Strict;
    }
    let said = Once::new();
    Private::OrHost(Arc::new(move |reason| {
        said.call_once(|| {
            let why = report::one_line(reason);
            report::note(&format!(
                "commands have this machine's network, its loopback included: {why}"
            ));
        });
    }))
}
