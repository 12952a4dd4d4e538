//! `ExposeProtoCasing`, `ExposeInvalidFormat`: for ports without variables.

use super::rules::{EXPOSE_INVALID_FORMAT, EXPOSE_PROTO_CASING};
use crate::ast::{Dockerfile, Kind, Span};
use crate::diagnostic::Diagnostic;

pub(super) fn check(file: &Dockerfile, found: &mut Vec<Diagnostic>) {
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    for instruction in instructions {
        if let Kind::Expose(words) = &instruction.kind {
            let literal = words.iter().filter(|word| !word.value.contains('$'));
            found.extend(literal.flat_map(|word| check_port(&word.value, &word.span)));
        }
    }
}

/// The findings about `port`, variables replaced, which was written at `span`.
pub fn check_port(port: &str, span: &Span) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if port.contains(':') {
        let message = format!("`{port}` has more than a port of the container");
        let hint = "addresses and host ports are chosen when a container is started";
        let finding = Diagnostic::warning(span.clone(), message).with_hint(hint);
        found.push(finding.of_rule(EXPOSE_INVALID_FORMAT));
    }
    let protocol = port.rsplit_once('/').map_or("", |(_, protocol)| protocol);
    if protocol.contains(|c: char| c.is_ascii_uppercase()) {
        let message = format!("the protocol `{protocol}` is not in lower case");
        let hint = format!("write `{}`", port.to_ascii_lowercase());
        let finding = Diagnostic::warning(span.clone(), message).with_hint(hint);
        found.push(finding.of_rule(EXPOSE_PROTO_CASING));
    }
    found
}
