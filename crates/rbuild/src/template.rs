//! `--format '{{.Field}}'`: the part of Go's templates that people use with lists.

use std::fmt::Write;

/// Fills `template` with the values that `field` gives.
///
/// `\t` and `\n` written as two characters mean tab and newline; a leading `table ` is dropped,
/// as podman does.
///
/// # Errors
/// What is wrong with the template, as text for the user.
pub fn fill(template: &str, field: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template.strip_prefix("table ").unwrap_or(template);
    while let Some(start) = rest.find("{{") {
        text.push_str(&rest[..start]);
        let end = rest[start..].find("}}").ok_or("`{{` without `}}`")? + start;
        let expression = rest[start + 2..end].trim();
        text.push_str(&evaluate(expression, field)?);
        rest = &rest[end + 2..];
    }
    text.push_str(rest);
    Ok(text.replace("\\t", "\t").replace("\\n", "\n"))
}

fn evaluate(expression: &str, field: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let name = expression.strip_prefix('.').ok_or_else(|| {
        format!("`{{{{{expression}}}}}` is not supported: only fields like `{{{{.ID}}}}` are")
    })?;
    field(name).ok_or_else(|| format!("there is no field `{name}`"))
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
    use super::{ago, columns, fill, size};

    #[track_caller]
    fn check(template: &str, expected: Result<&str, &str>) {
        let field = |name: &str| (name == "ID").then(|| "12ab".to_owned());
        assert_eq!(
            fill(template, &field).as_deref().map_err(String::as_str),
            expected
        );
    }

    #[test]
    fn fields_are_filled_in() {
        check("{{.ID}}", Ok("12ab"));
        check("table {{ .ID }}\\t<{{.ID}}>", Ok("12ab\t<12ab>"));
    }

    #[test]
    fn what_cannot_be_filled_is_said() {
        check("{{.Id}}", Err("there is no field `Id`"));
        check(
            "{{json .}}",
            Err("`{{json .}}` is not supported: only fields like `{{.ID}}` are"),
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
