//! What a Dockerfile gets only with the consent of the one who builds it.
//!
//! Knows: which parts of an instruction need consent.
//! Does not know: how consent is given, but what to tell who did not.
//!
//! Spec: dockerfile.md R5–R7; cli.md 2.3, `--allow`; sandbox.md, Network.

use std::collections::BTreeSet;

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{Instruction, Kind, Network, Run, Security, Span};

/// Something that needs consent, by the name that BuildKit gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// `RUN --network=host`.
    NetworkHost,
    /// `RUN --security=insecure`.
    SecurityInsecure,
    /// `RUN --device`.
    Device,
}

impl Entitlement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NetworkHost, Self::SecurityInsecure, Self::Device];

    /// As after `--allow`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
            Self::Device => "device",
        }
    }

    /// What asks for it.
    const fn flag(self) -> &'static str {
        match self {
            Self::NetworkHost => "RUN --network=host",
            Self::SecurityInsecure => "RUN --security=insecure",
            Self::Device => "RUN --device",
        }
    }
}

/// An error for each part of `instruction` that needs consent other than `given`.
pub(crate) fn refusals(
    instruction: &Instruction,
    given: &BTreeSet<Entitlement>,
) -> Vec<Diagnostic> {
    let Kind::Run(run) = &instruction.kind else {
        return Vec::new();
    };
    let needed = needed(run).into_iter();
    needed
        .filter(|(it, _)| !given.contains(it))
        .map(|(it, span)| refusal(it, span))
        .collect()
}

fn needed(run: &Run) -> Vec<(Entitlement, &Span)> {
    let network = run.network.iter().filter(|it| it.value == Network::Host);
    let network = network.map(|it| (Entitlement::NetworkHost, &it.span));
    let security = run.security.iter();
    let security = security.filter(|it| it.value == Security::Insecure);
    let security = security.map(|it| (Entitlement::SecurityInsecure, &it.span));
    let devices = run.devices.iter();
    let devices = devices.map(|it| (Entitlement::Device, &it.span));
    network.chain(security).chain(devices).collect()
}

fn refusal(entitlement: Entitlement, span: &Span) -> Diagnostic {
    let (flag, name) = (entitlement.flag(), entitlement.name());
    Diagnostic::error(span.clone(), format!("`{flag}` is not allowed here"))
        .with_hint(format!("if you trust this Dockerfile, add --allow {name}"))
}
