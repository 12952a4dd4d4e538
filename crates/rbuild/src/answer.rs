//! Answers to `check` and `--call`: tables for people, JSON for programs.
//!
//! Knows: the columns, and the keys of the JSON (docs/checks/README.md), which are buildx's where
//! it has them.
//! Does not know: who asks.

use rbuild_dockerfile::{Diagnostic, Severity, lint::rule};
use rbuild_plan::{Outline, Parameter, Request, Target};
use serde_json::{Map, Value, json};

use crate::source::{Place, Source};

/// The stages as a table.
pub fn targets(targets: &[Target]) -> String {
    let mut rows = vec![["TARGET", "BASE", "DESCRIPTION"].map(str::to_owned)];
    for target in targets {
        let default = if target.is_default { " (default)" } else { "" };
        rows.push([
            format!("{}{default}", target.name),
            target.base.clone(),
            target.description.clone().unwrap_or_default(),
        ]);
    }
    table(&rows)
}

/// The stages as JSON.
pub fn targets_json(targets: &[Target]) -> String {
    let target = |target: &Target| {
        let mut object = described(&target.name, target.description.as_deref());
        object.insert("default".to_owned(), json!(target.is_default));
        object.insert("base".to_owned(), json!(target.base));
        if let Some(platform) = &target.platform {
            object.insert("platform".to_owned(), json!(platform));
        }
        Value::Object(object)
    };
    let targets: Vec<Value> = targets.iter().map(target).collect();
    pretty(&json!({ "targets": targets }))
}

/// What a target takes, as tables.
pub fn outline(outline: &Outline) -> String {
    let mut head = vec![["TARGET:".to_owned(), outline.name.clone()]];
    if let Some(description) = &outline.description {
        head.push(["DESCRIPTION:".to_owned(), description.clone()]);
    }
    let mut tables = vec![table(&head)];
    if !outline.args.is_empty() {
        let mut rows = vec![["BUILD ARG", "VALUE", "DESCRIPTION"].map(str::to_owned)];
        rows.extend(outline.args.iter().cloned().map(|arg| {
            let Parameter { name, value, .. } = arg;
            let description = arg.description.unwrap_or_default();
            [name, value.unwrap_or_default(), description]
        }));
        tables.push(table(&rows));
    }
    for (title, requests) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        if !requests.is_empty() {
            let mut rows = vec![[title, "REQUIRED"].map(str::to_owned)];
            rows.extend(requests.iter().map(|it| {
                let required = if it.required { "true" } else { "" };
                [it.id.clone(), required.to_owned()]
            }));
            tables.push(table(&rows));
        }
    }
    if !outline.caches.is_empty() {
        let mut rows = vec![["CACHE MOUNT".to_owned()]];
        rows.extend(outline.caches.iter().map(|id| [id.clone()]));
        tables.push(table(&rows));
    }
    tables.join("\n")
}

/// What a target takes, as JSON.
pub fn outline_json(outline: &Outline) -> String {
    let arg = |arg: &Parameter| {
        let mut object = described(&arg.name, arg.description.as_deref());
        if let Some(value) = &arg.value {
            object.insert("value".to_owned(), json!(value));
        }
        Value::Object(object)
    };
    let request = |it: &Request| json!({ "name": it.id, "required": it.required });
    let requests = |all: &[Request]| all.iter().map(request).collect::<Vec<_>>();
    let caches: Vec<Value> = outline
        .caches
        .iter()
        .map(|id| json!({ "ID": id }))
        .collect();
    let mut object = described(&outline.name, outline.description.as_deref());
    object.insert("args".to_owned(), outline.args.iter().map(arg).collect());
    object.insert("secrets".to_owned(), json!(requests(&outline.secrets)));
    object.insert("ssh".to_owned(), json!(requests(&outline.agents)));
    object.insert("cache".to_owned(), json!(caches));
    pretty(&Value::Object(object))
}

/// What was found in `source`, as JSON.
pub fn findings_json(found: &[Diagnostic], source: &Source) -> String {
    let of = |severity| found.iter().filter(move |it| it.severity == severity);
    let warnings: Vec<Value> = of(Severity::Warning)
        .map(|it| warning(it, source))
        .collect();
    let errors: Vec<Value> = of(Severity::Error).map(|it| error(it, source)).collect();
    let file = |name: &str| json!({ "fileName": name, "language": "Dockerfile" });
    let mut object = json!({
        "sources": source.names().map(file).collect::<Vec<_>>(),
        "warnings": warnings,
        "errors": errors,
    });
    if let Some(first) = errors.first() {
        object["error"] = first.clone();
    }
    pretty(&object)
}

fn warning(finding: &Diagnostic, source: &Source) -> Value {
    let rule = finding.rule.and_then(rule);
    let mut object = json!({
        "ruleName": finding.rule.unwrap_or_default(),
        "detail": finding.message,
    });
    if let Some(rule) = rule {
        object["description"] = json!(rule.what);
        object["url"] = json!(rule.page());
    }
    placed(object, finding, source)
}

fn error(finding: &Diagnostic, source: &Source) -> Value {
    placed(json!({ "message": finding.message }), finding, source)
}

/// Adds what to try, and where.
fn placed(mut object: Value, finding: &Diagnostic, source: &Source) -> Value {
    if let Some(hint) = &finding.hint {
        object["hint"] = json!(hint);
    }
    // What is about the command line has no place.
    if finding.span != (0..0) {
        object["location"] = location(&source.place(&finding.span));
    }
    object
}

fn location(place: &Place<'_>) -> Value {
    let Place {
        index, text, span, ..
    } = place;
    let (start, end) = (position(span.start, text), position(span.end, text));
    json!({ "sourceIndex": index, "ranges": [{ "start": start, "end": end }] })
}

/// Lines count from 1, characters in a line from 0.
fn position(offset: usize, text: &str) -> Value {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    json!({
        "line": before.matches('\n').count() + 1,
        "character": before[start..].chars().count(),
    })
}

fn described(name: &str, description: Option<&str>) -> Map<String, Value> {
    let mut object = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(description) = description {
        object.insert("description".to_owned(), json!(description));
    }
    object
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// `rows` with columns of one width each, lines ended.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("   ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use rbuild_dockerfile::Diagnostic;
    use rbuild_plan::{Outline, Parameter, Request};
    use serde_json::{Value, json};

    use super::{findings_json, outline};
    use crate::source::{Part, Source};

    #[test]
    fn a_finding_as_json_has_the_keys_of_buildx() {
        let text = "FROM a\nFROM ä AS B\n";
        let finding = Diagnostic::warning(18..19, "capitals").of_rule("StageNameCasing");
        let unused = Diagnostic::warning(0..0, "not taken").of_rule("UnusedBuildArg");
        let error = Diagnostic::error(0..4, "wrong").with_hint("write it right");
        let source = Source::of(Part {
            name: "Dockerfile".to_owned(),
            path: None,
            text: text.to_owned(),
        });
        let json = findings_json(&[unused, error, finding], &source);
        let found: Value = serde_json::from_str(&json).unwrap();
        let place = |line: u32, start: u32, end: u32| {
            let position = |character| json!({ "line": line, "character": character });
            let range = json!({ "start": position(start), "end": position(end) });
            json!({ "sourceIndex": 0, "ranges": [range] })
        };
        let error = json!({
            "message": "wrong",
            "hint": "write it right",
            "location": place(1, 0, 4),
        });
        let expected = json!({
            "sources": [{ "fileName": "Dockerfile", "language": "Dockerfile" }],
            "warnings": [
                {
                    "ruleName": "UnusedBuildArg",
                    "description": "a build argument is given that no `ARG` takes",
                    "url": "docs/checks/UnusedBuildArg.md",
                    "detail": "not taken",
                },
                {
                    "ruleName": "StageNameCasing",
                    "description": "a stage name has capital letters",
                    "url": "docs/checks/StageNameCasing.md",
                    "detail": "capitals",
                    "location": place(2, 10, 11),
                },
            ],
            "errors": [error],
            "error": error,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn an_outline_is_a_table_for_each_kind() {
        let request = |id: &str, required| Request {
            id: id.to_owned(),
            required,
        };
        let taken = Outline {
            name: "app".to_owned(),
            description: None,
            args: vec![Parameter {
                name: "V".to_owned(),
                description: Some("a version".to_owned()),
                value: None,
            }],
            secrets: vec![request("token", true), request("b", false)],
            agents: Vec::new(),
            caches: vec!["/c".to_owned()],
        };
        assert_eq!(
            outline(&taken),
            "\
TARGET:   app

BUILD ARG   VALUE   DESCRIPTION
V                   a version

SECRET   REQUIRED
token    true
b

CACHE MOUNT
/c
"
        );
    }
}
