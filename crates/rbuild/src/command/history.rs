//! `rbuild history`: how an image was made, the latest step first.

use std::process::ExitCode;

use jiff::Timestamp;
use rbuild_oci::{HistoryEntry, ImageConfig};
use serde_json::{Value, json};

use crate::{
    cli::{Global, HistoryArgs},
    failure::Failure,
    find::{Found, find_for},
    report::print,
    settings,
    template::{ago, columns, fill, size},
};

/// Digits of a shortened id.
const SHORT: usize = 12;
/// Characters of a shortened instruction.
const SHORT_TEXT: usize = 45;
/// What stands for the id of a step that is not the last: it has no image.
const MISSING: &str = "<missing>";

/// One step.
struct Step<'a> {
    id: String,
    entry: &'a HistoryEntry,
    /// Bytes of its layer's tar.
    size: u64,
    names: Vec<String>,
}

/// Lists the steps as podman does.
///
/// # Errors
/// If there is no such image, its configuration is damaged, or the template is wrong.
pub fn execute(global: &Global, args: &HistoryArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(global)?;
    let image = find_for(&store, &args.image, None)?;
    let config: ImageConfig = serde_json::from_str(&image.record.config)?;
    let names = store.names()?;
    let names = names.into_iter().filter(|(_, id)| *id == image.id);
    let names = names.map(|(name, _)| name.to_string()).collect();
    let steps = steps(&image, &config, names);
    if args.format.as_deref() == Some("json") {
        let steps: Vec<Value> = steps.iter().map(Step::as_json).collect();
        print(&format!("{:#}", Value::from(steps)))?;
    } else if args.quiet {
        for step in &steps {
            print(&step.shown_id(args.no_trunc))?;
        }
    } else if let Some(template) = &args.format {
        for step in &steps {
            print(&fill(template, &step.fields(args)).map_err(Failure::message)?)?;
        }
    } else {
        table(&steps, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(steps: &[Step<'_>], args: &HistoryArgs) -> Result<(), Failure> {
    const COLUMNS: [(&str, &str); 5] = [
        ("ID", "ID"),
        ("CREATED", "Created"),
        ("CREATED BY", "CreatedBy"),
        ("SIZE", "Size"),
        ("COMMENT", "Comment"),
    ];
    let mut lines = vec![COLUMNS.map(|(heading, _)| heading.to_owned()).to_vec()];
    for step in steps {
        let fields = step.fields(args);
        let cell = |field: &str| fields[field].as_str().unwrap_or_default().to_owned();
        lines.push(COLUMNS.map(|(_, field)| cell(field)).to_vec());
    }
    print(columns(&lines).trim_end())?;
    Ok(())
}

fn steps<'a>(image: &Found, config: &'a ImageConfig, mut names: Vec<String>) -> Vec<Step<'a>> {
    let mut layers = image.record.layers.iter();
    let mut steps: Vec<Step<'a>> = Vec::with_capacity(config.history.len());
    for entry in &config.history {
        let layer = if entry.empty_layer {
            None
        } else {
            layers.next()
        };
        steps.push(Step {
            id: MISSING.to_owned(),
            entry,
            size: layer.map_or(0, |layer| layer.size),
            names: Vec::new(),
        });
    }
    if let Some(last) = steps.last_mut() {
        last.id = image.id.0.hex();
        last.names = std::mem::take(&mut names);
    }
    steps.reverse();
    steps
}

impl Step<'_> {
    fn shown_id(&self, whole: bool) -> String {
        match whole || self.id == MISSING {
            true => self.id.clone(),
            false => self.id[..SHORT].to_owned(),
        }
    }

    fn text(&self) -> &str {
        self.entry.created_by.as_deref().unwrap_or_default()
    }

    fn fields(&self, args: &HistoryArgs) -> Value {
        let time = self.entry.created.clone().unwrap_or_default();
        let then = time.parse::<Timestamp>().ok().map(Timestamp::as_second);
        let since = then.map_or(String::new(), |then| {
            ago(settings::now().saturating_sub(then))
        });
        let text = match args.no_trunc {
            true => self.text().to_owned(),
            false => shortened(self.text()),
        };
        let (created, bytes) = match args.human {
            true => (since.clone(), size(self.size)),
            false => (time.clone(), self.size.to_string()),
        };
        json!({
            "ID": self.shown_id(args.no_trunc),
            "Created": created,
            "CreatedSince": since,
            "CreatedAt": time,
            "CreatedBy": text,
            "Size": bytes,
            "Comment": self.entry.comment,
            "Tags": self.names,
        })
    }

    /// Its fields named as podman names them.
    fn as_json(&self) -> Value {
        json!({
            "id": self.id,
            "created": self.entry.created,
            "CreatedBy": self.text(),
            "size": self.size,
            "comment": self.entry.comment.as_deref().unwrap_or_default(),
            "tags": self.names,
        })
    }
}

/// One line, not longer than a column should be.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHORT_TEXT) {
        Some(_) => {
            let end = line.char_indices().nth(SHORT_TEXT - 1);
            format!("{}…", &line[..end.map_or(line.len(), |(at, _)| at)])
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::{SHORT_TEXT, shortened};

    #[test]
    fn long_texts_are_cut_and_lines_joined() {
        assert_eq!(shortened("RUN a &&\n    b"), "RUN a && b");
        assert_eq!(
            shortened(&"ü".repeat(SHORT_TEXT)).chars().count(),
            SHORT_TEXT
        );
        let cut = shortened(&"ü".repeat(SHORT_TEXT + 1));
        assert_eq!(
            (cut.chars().count(), cut.ends_with('…')),
            (SHORT_TEXT, true)
        );
    }
}
