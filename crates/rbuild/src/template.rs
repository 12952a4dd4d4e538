//! `--format '{{.Field}}'`: the part of Go's templates that people use with images, and the words
//! for sizes and times.
//!
//! text/template: fields by path, `json`, `index`. What else Go knows is refused by name.

use std::fmt::Write;

use serde_json::Value;

/// Fills `template` with fields of `value`.
///
/// `\t` and `\n` written as two characters mean tab and newline; a leading `table ` is dropped,
/// as podman does.
///
/// # Errors
/// What is wrong with the template, as text for the user.
pub fn fill(template: &str, value: &Value) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template.strip_prefix("table ").unwrap_or(template);
    while let Some(start) = rest.find("{{") {
        text.push_str(&unescape(&rest[..start]));
        let end = rest[start..].find("}}").ok_or("`{{` without `}}`")? + start;
        let expression = rest[start + 2..end].trim_matches(['-', ' ']);
        text.push_str(&evaluate(expression, value)?);
        rest = &rest[end + 2..];
    }
    text.push_str(&unescape(rest));
    Ok(text)
}

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn evaluate(expression: &str, value: &Value) -> Result<String, String> {
    if let Some(path) = expression.strip_prefix("json ") {
        return Ok(at(value, path.trim())?.to_string());
    }
    if let Some(operands) = expression.strip_prefix("index ")
        && let Some((path, key)) = operands.trim().split_once(' ')
    {
        let container = at(value, path)?;
        let found = match key.trim().strip_prefix('"') {
            Some(key) => container.get(key.trim_end_matches('"')),
            None => key
                .trim()
                .parse()
                .ok()
                .and_then(|at: usize| container.get(at)),
        };
        return Ok(found.map_or_else(String::new, shown));
    }
    if expression.starts_with('.') && !expression.contains([' ', '|']) {
        return at(value, expression).map(shown);
    }
    Err(format!(
        "`{{{{{expression}}}}}` is not supported: fields like `{{{{.ID}}}}`, `{{{{json .Config}}}}` and `{{{{index .Labels \"key\"}}}}` are"
    ))
}

/// The value at `path`, e.g. `.Config.Env`; `.` is all of it. Upper and lower case are one where
/// no field has the very name: Go's names and those in JSON differ in that.
fn at<'a>(value: &'a Value, path: &str) -> Result<&'a Value, String> {
    let fields = path
        .strip_prefix('.')
        .ok_or_else(|| format!("`{path}` is not a field: it begins with a dot"))?;
    let mut found = value;
    for field in fields.split('.').filter(|field| !field.is_empty()) {
        let similar = || {
            let all = found.as_object()?;
            let mut all = all.iter();
            all.find(|(name, _)| name.eq_ignore_ascii_case(field))
                .map(|(_, value)| value)
        };
        found = found
            .get(field)
            .or_else(similar)
            .ok_or_else(|| format!("there is no field `{field}`"))?;
    }
    Ok(found)
}

/// As Go's `%v` shows it.
fn shown(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => format!("[{}]", joined(all.iter().map(shown).collect())),
        Value::Object(all) => {
            let pairs = all
                .iter()
                .map(|(key, value)| format!("{key}:{}", shown(value)));
            format!("map[{}]", joined(pairs.collect()))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Lines up `rows` in columns, as many spaces as needed and three more between them.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `bytes` for people, in powers of 1000 as docker and podman show them: `13.1 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// How long ago something was: `3 minutes ago`.
pub fn ago(seconds: i64) -> String {
    const STEPS: [(i64, &str); 6] = [
        (31_536_000, "year"),
        (2_592_000, "month"),
        (604_800, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    let found = STEPS.iter().find(|(length, _)| seconds >= *length);
    match found {
        Some((length, unit)) => {
            let count = seconds / length;
            format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
        }
        None if seconds <= 1 => "just now".to_owned(),
        None => format!("{seconds} seconds ago"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ago, columns, fill, size};

    #[track_caller]
    fn check(template: &str, expected: Result<&str, &str>) {
        let value = json!({
            "ID": "12ab",
            "Size": 7,
            "Config": { "Env": ["A=1", "B=2"], "Labels": { "k.l": "v", "m": "w" } },
        });
        assert_eq!(
            fill(template, &value).as_deref().map_err(String::as_str),
            expected
        );
    }

    #[test]
    fn fields_are_filled_in() {
        check("{{.ID}}", Ok("12ab"));
        check("{{.Id}}", Ok("12ab"));
        check("table {{ .ID }}\\t<{{.ID}}>", Ok("12ab\t<12ab>"));
        check("{{.Config.Env}} {{.Size}}", Ok("[A=1 B=2] 7"));
        check("{{.Config.Labels}}", Ok("map[k.l:v m:w]"));
    }

    #[test]
    fn json_and_index_are_functions() {
        check("{{json .Config.Env}}", Ok(r#"["A=1","B=2"]"#));
        check(r#"{{index .Config.Labels "k.l"}}"#, Ok("v"));
        check(r#"{{index .Config.Labels "none"}}"#, Ok(""));
        check("{{index .Config.Env 1}}", Ok("B=2"));
    }

    #[test]
    fn what_cannot_be_filled_is_said() {
        check("{{.Colour}}", Err("there is no field `Colour`"));
        check("{{.ID.Length}}", Err("there is no field `Length`"));
        check(
            "{{range .Config.Env}}",
            Err(
                "`{{range .Config.Env}}` is not supported: fields like `{{.ID}}`, `{{json .Config}}` and `{{index .Labels \"key\"}}` are",
            ),
        );
        check("{{.ID", Err("`{{` without `}}`"));
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            [0, 999, 1000, 13_100_000, 774_000_000, 999_999].map(size),
            ["0 B", "999 B", "1.00 kB", "13.1 MB", "774 MB", "1.00 MB"]
        );
        assert_eq!(
            [0, 59, 60, 7200, 90_000].map(ago),
            [
                "just now",
                "59 seconds ago",
                "1 minute ago",
                "2 hours ago",
                "1 day ago"
            ]
        );
    }

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["A".into(), "B".into()],
            vec!["long".into(), "c".into()],
        ];
        assert_eq!(columns(&rows), "A      B\nlong   c\n");
    }
}
