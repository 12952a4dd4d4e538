//! What can be asked of a Dockerfile instead of building it: `rbuild check`, `bud --call`.

use std::str::FromStr;

use clap::Args;

use super::InputArgs;

const CHECK_NOTES: &str = "\
All stages are looked at, or those that --target needs. Nothing is executed, fetched or written, and
nothing is said that a base image could disprove: a build finds more. Of CONTEXT only the names of
files are read. Each check has a page in docs/checks, which also says what the JSON is like.

Exit status: 0 if there is nothing to say, 1 for findings and errors, 2 for a wrong command line.

Examples:
  rbuild check .
  rbuild check -f Dockerfile.multi --format json .";

/// Say what is wrong with a Dockerfile, and build nothing.
#[derive(Args, Debug)]
#[command(after_help = CHECK_NOTES)]
pub struct FileCheckArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Lines for people, or one JSON object
    #[arg(long, value_enum, default_value_t = CallFormat::Text, value_name = "FORMAT")]
    pub format: CallFormat,
}

/// How an answer is written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// A question in place of a build.
#[derive(Args, Debug)]
pub struct CallArgs {
    /// Check the Dockerfile and build nothing, as `rbuild check` does
    #[arg(long, conflicts_with_all = ["call", "tag", "output", "iidfile", "metadata_file"])]
    pub check: bool,
    /// Build nothing, but tell: `check`, `outline` (what the target takes) or `targets`;
    /// with `,format=json` as JSON
    #[arg(long, value_name = "QUESTION", conflicts_with_all = ["tag", "output", "iidfile", "metadata_file"])]
    pub call: Option<Call>,
}

impl CallArgs {
    /// What is asked; `None` if it is to be built.
    pub fn question(&self) -> Option<Call> {
        let check = Call {
            question: Question::Check,
            format: CallFormat::Text,
        };
        self.call.or(self.check.then_some(check))
    }
}

/// `--call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub question: Question,
    /// How the answer is written.
    pub format: CallFormat,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What is wrong with the file?
    Check,
    /// What does the target take?
    Outline,
    /// Which targets are there?
    Targets,
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let question = match parts.next().unwrap_or_default() {
            "check" | "lint" => Question::Check,
            "outline" => Question::Outline,
            "targets" => Question::Targets,
            _ => return Err("can be `check`, `outline` or `targets`".to_owned()),
        };
        let mut format = CallFormat::Text;
        for part in parts {
            format = match part {
                "format=text" => CallFormat::Text,
                "format=json" => CallFormat::Json,
                _ => return Err(format!("`{part}` is not `format=text` or `format=json`")),
            };
        }
        Ok(Self { question, format })
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, CallFormat, Question};

    #[test]
    fn a_call_has_a_question_and_a_format() {
        let call = |question, format| Ok(Call { question, format });
        for (text, expected) in [
            ("check", call(Question::Check, CallFormat::Text)),
            (
                "outline,format=json",
                call(Question::Outline, CallFormat::Json),
            ),
            (
                "targets,format=text",
                call(Question::Targets, CallFormat::Text),
            ),
        ] {
            assert_eq!(text.parse::<Call>(), expected, "{text}");
        }
        for text in ["", "build", "check,format=xml", "check,quiet"] {
            assert!(text.parse::<Call>().is_err(), "{text}");
        }
    }
}
