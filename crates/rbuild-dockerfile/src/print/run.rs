//! `RUN`, its mounts and devices.

use super::words::{flag, opening};
use super::{Printer, command, with_arguments};
use crate::ast::{Device, Mount, Network, Run, RunForm, Security, Word};

impl Printer {
    pub(super) fn run(&mut self, run: &Run) {
        let mut line = "RUN".to_owned();
        line.extend(run.mounts.iter().map(|it| flag("mount", &mount(it))));
        line.extend(run.network.iter().map(|network| {
            let name = match network.value {
                Network::Default => "default",
                Network::None => "none",
                Network::Host => "host",
            };
            flag("network", name)
        }));
        line.extend(run.security.iter().map(|security| {
            let name = match security.value {
                Security::Sandbox => "sandbox",
                Security::Insecure => "insecure",
            };
            flag("security", name)
        }));
        line.extend(run.devices.iter().map(|it| flag("device", &device(it))));
        let arguments = match &run.form {
            RunForm::Command(it) => command(it),
            RunForm::Script(heredoc) | RunForm::Program(heredoc) => opening(heredoc),
            RunForm::Heredocs { text, .. } => text.value.clone(),
        };
        self.line(&with_arguments(line, &arguments), run.form.heredocs());
    }
}

fn device(device: &Device) -> String {
    let required = if device.required { ",required" } else { "" };
    format!("name={}{required}", device.name.value)
}

fn mount(mount: &Mount) -> String {
    let fields: Vec<String> = mount
        .options()
        .map(|(key, word)| field(key, word))
        .collect();
    fields.join(",")
}

/// `key=value`, quoted as a CSV field if need be.
fn field(key: &str, word: &Word) -> String {
    let text = format!("{key}={}", word.value);
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}
