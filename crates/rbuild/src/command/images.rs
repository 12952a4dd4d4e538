//! `rbuild images`: what is in the store.

use std::{path::Path, process::ExitCode};

use jiff::Timestamp;
use rbuild_export::local_digest;
use rbuild_oci::{ImageConfig, ImageId, Name, Reference};
use rbuild_store::ImageRecord;

use crate::{
    cli::ImagesArgs,
    failure::Failure,
    report::print,
    settings,
    template::{ago, columns, fill, size},
};

/// Digits of a shortened id.
const SHORT: usize = 12;

/// One line of the list.
struct Row<'a> {
    /// `None` for an image without a name.
    name: Option<&'a Name>,
    id: ImageId,
    image: &'a ImageRecord,
    /// Seconds since 1970; `None` if the image does not say.
    created: Option<i64>,
}

/// Lists images, the youngest first.
///
/// # Errors
/// If the store cannot be read or the template is wrong.
pub fn execute(root: Option<&Path>, args: &ImagesArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(root)?;
    let images = store.images()?;
    let names = store.names()?;
    let mut rows = rows(&images, &names);
    if let Some(wanted) = &args.name {
        let wanted: Reference = wanted.parse()?;
        let repositories: Vec<String> = wanted
            .local_names()
            .iter()
            .map(|name| name.repository().to_owned())
            .collect();
        rows.retain(|row| {
            row.name.is_some_and(|name| {
                repositories
                    .iter()
                    .any(|repository| repository == name.repository())
                    && (wanted.tag.is_none() || wanted.tag.as_deref() == name.tag())
            })
        });
    }
    let now = settings::now();
    let field = |row: &Row<'_>, name: &str| row.field(name, args.no_trunc, now);
    if args.quiet {
        rows.dedup_by_key(|row| row.id);
        for row in &rows {
            print(&field(row, "ID").expect("it is a field"))?;
        }
    } else if let Some(template) = &args.format {
        for row in &rows {
            print(&fill(template, &|name| field(row, name)).map_err(Failure::message)?)?;
        }
    } else {
        table(&rows, args.noheading, &field)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(
    rows: &[Row<'_>],
    noheading: bool,
    field: &dyn Fn(&Row<'_>, &str) -> Option<String>,
) -> Result<(), Failure> {
    const COLUMNS: [(&str, &str); 5] = [
        ("REPOSITORY", "Repository"),
        ("TAG", "Tag"),
        ("IMAGE ID", "ID"),
        ("CREATED", "Created"),
        ("SIZE", "Size"),
    ];
    let headings = COLUMNS.map(|(heading, _)| heading.to_owned()).to_vec();
    let cells = |row: &Row<'_>| {
        COLUMNS
            .iter()
            .map(|(_, name)| field(row, name).expect("it is a field"))
            .collect()
    };
    let mut lines: Vec<Vec<String>> = if noheading {
        Vec::new()
    } else {
        vec![headings]
    };
    lines.extend(rows.iter().map(cells));
    print(columns(&lines).trim_end())?;
    Ok(())
}

/// One row for each name, and one for each image without any.
fn rows<'a>(images: &'a [(ImageId, ImageRecord)], names: &'a [(Name, ImageId)]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (id, image) in images {
        let created = serde_json::from_str::<ImageConfig>(&image.config)
            .ok()
            .and_then(|config| config.created);
        let created = created
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map(Timestamp::as_second);
        let mut named = names
            .iter()
            .filter(|(_, target)| target == id)
            .map(|(name, _)| Some(name))
            .peekable();
        let unnamed = named.peek().is_none().then_some(None);
        rows.extend(named.chain(unnamed).map(|name| Row {
            name,
            id: *id,
            image,
            created,
        }));
    }
    rows.sort_by(|a, b| {
        b.created
            .cmp(&a.created)
            .then(a.id.cmp(&b.id))
            .then(a.name.cmp(&b.name))
    });
    rows
}

impl Row<'_> {
    /// The value of a template's field; `None` if there is no such field.
    fn field(&self, field: &str, whole: bool, now: i64) -> Option<String> {
        const NONE: &str = "<none>";
        let hex = self.id.0.hex();
        Some(match field {
            "Repository" => self.name.map_or(NONE, Name::repository).to_owned(),
            "Tag" => self.name.and_then(Name::tag).unwrap_or(NONE).to_owned(),
            "Name" | "Names" => self.name.map_or(NONE, Name::as_str).to_owned(),
            "ID" | "Id" if whole => format!("sha256:{hex}"),
            "ID" | "Id" => hex[..SHORT].to_owned(),
            "Digest" => local_digest(self.image).to_string(),
            "Created" | "CreatedSince" => self
                .created
                .map_or(NONE.to_owned(), |then| ago(now.saturating_sub(then))),
            "CreatedAt" => self.created.map_or(NONE.to_owned(), rbuild_export::rfc3339),
            "Size" => size(self.image.layers.iter().map(|layer| layer.size).sum()),
            _ => return None,
        })
    }
}
