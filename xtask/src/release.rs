//! Which distribution release the files of tests are made of.

use std::fs;
use std::process::Command;

/// A release, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    pub suite: String,
    pub components: &'static str,
    pub mirror: String,
}

impl Release {
    /// The host's own release and mirror where the host is Debian or Ubuntu,
    /// so that nothing but the configured mirror is asked; else Debian 12.
    pub fn of_host() -> Self {
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let targets = Command::new("apt-get")
            .args([
                "indextargets",
                "--format",
                "$(CODENAME) $(REPO_URI)",
                "Created-By: Packages",
            ])
            .output();
        let targets = targets.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self::from_texts(&os_release, &targets.unwrap_or_default())
    }

    /// The same for another architecture than this machine's: Ubuntu has those elsewhere.
    pub fn for_architecture(mut self, architecture: Option<&str>) -> Self {
        if architecture.is_some() && self.components.contains("universe") {
            self.mirror = "http://ports.ubuntu.com/ubuntu-ports".to_owned();
        }
        self
    }

    fn from_texts(os_release: &str, targets: &str) -> Self {
        let value = |key: &str| {
            let mut lines = os_release.lines();
            lines.find_map(|line| Some(line.strip_prefix(key)?.trim_matches('"').to_owned()))
        };
        let suite = value("VERSION_CODENAME=").unwrap_or_else(|| "bookworm".to_owned());
        let own = targets.lines().filter_map(|line| line.split_once(' '));
        let mirror = own.into_iter().find(|(codename, _)| *codename == suite);
        let Some((_, mirror)) = mirror else {
            return Self {
                suite: "bookworm".to_owned(),
                components: "main",
                mirror: "http://deb.debian.org/debian".to_owned(),
            };
        };
        let ubuntu = value("ID=").is_some_and(|id| id == "ubuntu");
        let components = if ubuntu { "main,universe" } else { "main" };
        Self {
            mirror: mirror.to_owned(),
            suite,
            components,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(os_release: &str, targets: &str, expected: (&str, &str, &str)) {
        let Release {
            suite,
            components,
            mirror,
        } = Release::from_texts(os_release, targets);
        assert_eq!((suite.as_str(), components, mirror.as_str()), expected);
    }

    #[test]
    fn the_host_release_and_mirror_are_used_where_they_can_be() {
        check(
            "ID=debian\nVERSION_CODENAME=trixie\n",
            "trixie-updates http://m/u\ntrixie http://m/debian\n",
            ("trixie", "main", "http://m/debian"),
        );
        check(
            "ID=ubuntu\nVERSION_CODENAME=noble\n",
            "noble http://m/ubuntu\n",
            ("noble", "main,universe", "http://m/ubuntu"),
        );
    }

    #[test]
    fn ubuntu_has_other_architectures_elsewhere() {
        let mirror = |id: &str| {
            let os_release = format!("ID={id}\nVERSION_CODENAME=x\n");
            let release = Release::from_texts(&os_release, "x http://m\n");
            release.for_architecture(Some("arm64")).mirror
        };
        assert_eq!(mirror("debian"), "http://m");
        assert_eq!(mirror("ubuntu"), "http://ports.ubuntu.com/ubuntu-ports");
    }

    #[test]
    fn another_host_gets_debian() {
        check(
            "ID=fedora\n",
            "",
            ("bookworm", "main", "http://deb.debian.org/debian"),
        );
    }
}
