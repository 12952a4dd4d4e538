//! A seccomp profile as data, and as the JSON that container tools share.
//!
//! Knows: the formats of the OCI runtime specification (config-linux.md, "Seccomp") and of moby,
//! which adds conditions on capabilities, architectures and the kernel. Does not know numbers of
//! system calls, nor what becomes of a profile.

use serde::Deserialize;

use crate::{capability::CapabilitySet, error::Error};

/// What becomes of each system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeccompProfile {
    /// Of calls that no rule is about.
    pub(super) default: Action,
    /// The interfaces that the profile is about, as in `SCMP_ARCH_…`; `None` for all that this
    /// machine has.
    pub(super) architectures: Option<Vec<String>>,
    /// In order.
    pub(super) rules: Vec<Rule>,
}

/// What becomes of some system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Names that no interface has are ignored, as runc does.
    pub(super) names: Vec<String>,
    pub(super) action: Action,
    /// All must hold for the rule to apply; but of several about one argument, each is a rule
    /// of its own, as runc does.
    pub(super) conditions: Vec<Condition>,
    /// The rule counts only where this holds.
    pub(super) includes: Circumstances,
    /// The rule does not count where one of these holds.
    pub(super) excludes: Circumstances,
}

/// What becomes of a call. seccomp(2), "Filter return values".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    /// Allowed, and written to the kernel's log.
    Log,
    /// It fails with this error number.
    Errno(u16),
    /// A tracer decides; without one the call fails with ENOSYS.
    Trace(u16),
    /// SIGSYS.
    Trap,
    KillThread,
    KillProcess,
}

/// A comparison of an argument, as a 64-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u8,
    pub(super) comparison: Comparison,
    pub(super) value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Equal in the bits of this mask.
    MaskedEqual(u64),
}

impl Condition {
    /// Whether it holds for every call.
    pub(super) fn is_always(&self) -> bool {
        self.comparison == Comparison::MaskedEqual(0) && self.value == 0
    }
}

/// Circumstances of a command; what is empty or `None` says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    pub(super) capabilities: CapabilitySet,
    /// In the words of the Go language.
    pub(super) architectures: Vec<String>,
    /// The kernel is at least this: major and minor version.
    pub(super) kernel: Option<(u32, u32)>,
}

/// Larger files are no profiles; moby's has 13 KiB.
const MAX_SIZE: usize = 1 << 20;
/// The kernel knows no larger error number.
const MAX_ERRNO: u32 = 4095;
const EPERM: u16 = 1;
/// Errors that profiles name instead of numbering them.
const ERRNOS: [(&str, u32); 5] = [
    ("EPERM", 1),
    ("ENOENT", 2),
    ("EACCES", 13),
    ("EINVAL", 22),
    ("ENOSYS", 38),
];

impl SeccompProfile {
    /// Reads a profile in the format of the OCI or of moby.
    ///
    /// # Errors
    /// [`Error::ProfileSyntax`], or [`Error::ProfileRule`], which names the system call.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        if json.len() > MAX_SIZE {
            return Err(fault("defaultAction", "is in a file larger than 1 MiB"));
        }
        let file: ProfileJson = serde_json::from_slice(json).map_err(Error::ProfileSyntax)?;
        file.profile()
    }
}

fn fault(call: &str, problem: impl Into<String>) -> Error {
    Error::ProfileRule {
        call: call.to_owned(),
        problem: problem.into(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileJson {
    default_action: String,
    default_errno_ret: Option<u32>,
    default_errno: Option<String>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchitectureJson>>,
    #[serde(default)]
    flags: Vec<String>,
    listener_path: Option<String>,
    syscalls: Option<Vec<RuleJson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchitectureJson {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleJson {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    errno: Option<String>,
    args: Option<Vec<ConditionJson>>,
    #[serde(default)]
    includes: CircumstancesJson,
    #[serde(default)]
    excludes: CircumstancesJson,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConditionJson {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CircumstancesJson {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

impl ProfileJson {
    fn profile(self) -> Result<SeccompProfile, Error> {
        let unusable = self.listener_path.as_deref().or_else(|| {
            // These two are as the sandbox always does it.
            let usual = [
                "SECCOMP_FILTER_FLAG_TSYNC",
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            ];
            let flags = self.flags.iter().map(String::as_str);
            flags.into_iter().find(|flag| !usual.contains(flag))
        });
        if let Some(unusable) = unusable {
            return Err(fault(
                "defaultAction",
                format!("asks for `{unusable}`, which is not supported"),
            ));
        }
        let errno = (self.default_errno_ret, self.default_errno.as_deref());
        let default = action("defaultAction", &self.default_action, errno)?;
        let rules = self.syscalls.unwrap_or_default().into_iter();
        Ok(SeccompProfile {
            default,
            architectures: architectures(self.architectures, self.arch_map)?,
            rules: rules.map(RuleJson::rule).collect::<Result<_, _>>()?,
        })
    }
}

/// Both forms of the list; with moby's, what belongs to the native interface counts.
fn architectures(
    list: Option<Vec<String>>,
    map: Option<Vec<ArchitectureJson>>,
) -> Result<Option<Vec<String>>, Error> {
    match (
        list.filter(|list| !list.is_empty()),
        map.filter(|map| !map.is_empty()),
    ) {
        (Some(_), Some(_)) => Err(fault("architectures", "is there, and `archMap` too")),
        (list, None) => Ok(list),
        (None, Some(map)) => {
            let all = map.into_iter().flat_map(|entry| {
                let others = entry.sub_architectures.unwrap_or_default();
                std::iter::once(entry.architecture).chain(others)
            });
            Ok(Some(all.collect()))
        }
    }
}

impl RuleJson {
    fn rule(self) -> Result<Rule, Error> {
        let names: Vec<_> = self
            .names
            .unwrap_or_default()
            .into_iter()
            .chain(self.name)
            .collect();
        let call = names.first().map_or("(no name)", String::as_str);
        let conditions = self.args.unwrap_or_default();
        Ok(Rule {
            action: action(call, &self.action, (self.errno_ret, self.errno.as_deref()))?,
            conditions: conditions
                .into_iter()
                .map(|condition| condition.condition(call))
                .collect::<Result<_, _>>()?,
            includes: self.includes.circumstances(call)?,
            excludes: self.excludes.circumstances(call)?,
            names,
        })
    }
}

fn action(
    call: &str,
    name: &str,
    (number, errno): (Option<u32>, Option<&str>),
) -> Result<Action, Error> {
    let named = errno.filter(|_| number.is_none()).map(|name| {
        let known = ERRNOS.iter().find(|(known, _)| *known == name);
        known.ok_or_else(|| {
            fault(
                call,
                format!("fails with `{name}`: give its number as errnoRet"),
            )
        })
    });
    let number = number.or(named.transpose()?.map(|(_, number)| *number));
    let number = match number {
        Some(number) if number > MAX_ERRNO => {
            return Err(fault(
                call,
                format!("has the errnoRet {number}; the largest is {MAX_ERRNO}"),
            ));
        }
        number => number.and_then(|number| u16::try_from(number).ok()),
    };
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(number.unwrap_or(EPERM)),
        "SCMP_ACT_TRACE" => Action::Trace(number.unwrap_or(EPERM)),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        other => {
            return Err(fault(
                call,
                format!("has the action `{other}`, which is not supported"),
            ));
        }
    })
}

impl ConditionJson {
    fn condition(self, call: &str) -> Result<Condition, Error> {
        if self.index > 5 {
            return Err(fault(
                call,
                format!("looks at argument {}; the last one is 5", self.index),
            ));
        }
        let (comparison, value) = match self.op.as_str() {
            "SCMP_CMP_NE" => (Comparison::NotEqual, self.value),
            "SCMP_CMP_LT" => (Comparison::Less, self.value),
            "SCMP_CMP_LE" => (Comparison::LessOrEqual, self.value),
            "SCMP_CMP_EQ" => (Comparison::Equal, self.value),
            "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, self.value),
            "SCMP_CMP_GT" => (Comparison::Greater, self.value),
            "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(self.value), self.value_two),
            other => {
                return Err(fault(
                    call,
                    format!("has the operator `{other}`, which does not exist"),
                ));
            }
        };
        Ok(Condition {
            argument: self.index,
            comparison,
            value,
        })
    }
}

impl CircumstancesJson {
    fn circumstances(self, call: &str) -> Result<Circumstances, Error> {
        let mut capabilities = CapabilitySet::default();
        for name in self.caps.unwrap_or_default() {
            let one = CapabilitySet::named(&name).ok_or_else(|| {
                fault(call, format!("depends on `{name}`, which is no capability"))
            })?;
            capabilities = capabilities.with(one);
        }
        let kernel = self.min_kernel.map(|text| {
            version(&text).ok_or_else(|| {
                fault(
                    call,
                    format!("depends on the kernel `{text}`, which is no version"),
                )
            })
        });
        Ok(Circumstances {
            capabilities,
            architectures: self.arches.unwrap_or_default(),
            kernel: kernel.transpose()?,
        })
    }
}

/// Major and minor version; what follows does not matter.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
