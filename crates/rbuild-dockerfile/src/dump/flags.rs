//! The flags of instructions, and heredocs, for the dump.

use super::Dump;
use crate::ast::{Add, Copy, Heredoc, Mount, Probe, Run, RunForm, Spanned, Word};

impl Dump<'_> {
    pub(super) fn flags(&self, name: &str, values: &[Word]) -> String {
        values
            .iter()
            .map(|value| self.flag(name, Some(value)))
            .collect()
    }

    pub(super) fn description(&self, text: Option<&Word>) -> String {
        text.map_or_else(String::new, |text| {
            format!(" described {}", self.word(text))
        })
    }

    pub(super) fn copy(&self, copy: &Copy) -> String {
        let flags = [
            self.flag("from", copy.from.as_ref()),
            self.flag("chown", copy.chown.as_ref()),
            self.flag("chmod", copy.chmod.as_ref()),
            switch("link", copy.link.as_ref()),
            switch("parents", copy.parents.as_ref()),
            self.flags("exclude", &copy.exclude),
        ];
        flags.concat() + &self.places(&copy.sources, &copy.heredocs, &copy.destination)
    }

    pub(super) fn add(&self, add: &Add) -> String {
        let flags = [
            self.flag("checksum", add.checksum.as_ref()),
            switch("keep-git-dir", add.keep_git_dir.as_ref()),
            switch("unpack", add.unpack.as_ref()),
            self.flag("chown", add.chown.as_ref()),
            self.flag("chmod", add.chmod.as_ref()),
            switch("link", add.link.as_ref()),
            self.flags("exclude", &add.exclude),
        ];
        flags.concat() + &self.places(&add.sources, &add.heredocs, &add.destination)
    }

    fn places(&self, sources: &[Word], heredocs: &[Heredoc], destination: &Word) -> String {
        let heredocs: String = heredocs.iter().map(|it| self.heredoc(it)).collect();
        let (sources, destination) = (self.words(sources), self.word(destination));
        format!("{sources}{heredocs} -> {destination}")
    }

    pub(super) fn run_flags(&self, run: &Run) -> String {
        let mut text: String = run.mounts.iter().map(|it| self.mount(it)).collect();
        text.extend(
            run.network
                .iter()
                .map(|it| format!(" --network={:?}", it.value)),
        );
        text.extend(
            run.security
                .iter()
                .map(|it| format!(" --security={:?}", it.value)),
        );
        for device in &run.devices {
            let required = if device.required { " required" } else { "" };
            text += &format!(" --device={}{required}", self.word(&device.name));
        }
        text
    }

    fn mount(&self, mount: &Mount) -> String {
        let options: Vec<String> = mount
            .options()
            .map(|(key, word)| format!("{key}={}", self.word(word)))
            .collect();
        format!(" --mount[{}]", options.join(" "))
    }

    pub(super) fn form(&self, form: &RunForm) -> String {
        let bodies: String = form.heredocs().iter().map(|it| self.heredoc(it)).collect();
        match form {
            RunForm::Command(command) => self.command(command),
            RunForm::Script(_) => format!("script{bodies}"),
            RunForm::Program(_) => format!("program{bodies}"),
            RunForm::Heredocs { text, .. } => format!("shell {}{bodies}", self.word(text)),
        }
    }

    fn heredoc(&self, heredoc: &Heredoc) -> String {
        let dash = if heredoc.strips_tabs { "-" } else { "" };
        let quoted = if heredoc.quoted { "quoted " } else { "" };
        let (name, body) = (&heredoc.name.value, self.word(&heredoc.body));
        format!(" <<{dash}{quoted}{name:?} {body}")
    }

    pub(super) fn probe(&self, probe: &Probe) -> String {
        let lengths = [
            ("interval", probe.interval),
            ("timeout", probe.timeout),
            ("start-period", probe.start_period),
            ("start-interval", probe.start_interval),
        ];
        let mut text = String::new();
        for (name, length) in lengths {
            text.extend(length.map(|length| format!(" --{name}={length:?}")));
        }
        text.extend(probe.retries.map(|retries| format!(" --retries={retries}")));
        format!("{text} {}", self.command(&probe.command))
    }
}

fn switch(name: &str, value: Option<&Spanned<bool>>) -> String {
    value.map_or_else(String::new, |value| format!(" --{name}={}", value.value))
}
