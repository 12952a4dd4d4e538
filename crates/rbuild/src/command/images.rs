//! `rbuild images`: what is in the store.

use std::{collections::BTreeMap, process::ExitCode};

use jiff::Timestamp;
use rbuild_export::{local_digest, local_index, rfc3339};
use rbuild_oci::{Digest, ImageConfig, ImageId, Name, Reference};
use rbuild_store::{ImageRecord, IndexRecord, Store};
use serde_json::{Value, json};

use crate::{
    cli::{Global, ImagesArgs},
    failure::Failure,
    image_filter::{Candidate, ImageFilter},
    report::print,
    settings,
    template::{ago, columns, fill, size},
};

/// Digits of a shortened id.
const SHORT: usize = 12;
const NONE: &str = "<none>";

/// One line of the list.
struct Row<'a> {
    /// `None` for an image without a name.
    name: Option<&'a Name>,
    /// All names of the image.
    names: Vec<&'a str>,
    /// Of an image: that of its configuration; of a list: of what it is in the store.
    id: Digest,
    kind: Kind,
    /// Of the manifest, or of the list.
    digest: Digest,
    /// Bytes of the layers' tars, or of the list.
    size: u64,
    labels: BTreeMap<String, String>,
    /// Seconds since 1970; `None` if the image does not say.
    created: Option<i64>,
}

/// What a line shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    /// A list of images for several platforms.
    List,
}

/// Lists images, the youngest first, then lists of images.
///
/// # Errors
/// If the store cannot be read, or a filter or the template is wrong.
pub fn execute(global: &Global, args: &ImagesArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(global)?;
    let filter = ImageFilter::parse(&args.filter, &store, &|config| created(&understood(config)))?;
    let images = store.images()?;
    let names = store.names()?;
    let indexes = store.indexes()?;
    let mut rows = rows(&images, &names);
    rows.extend(lists(&store, &indexes));
    if let Some(wanted) = &args.name {
        let wanted: Reference = wanted.parse()?;
        rows.retain(|row| row.name.is_some_and(|name| is_meant(&wanted, name)));
    }
    rows.retain(|row| filter.fits(&row.candidate(&row.id.hex())));
    if args.json || args.format.as_deref() == Some("json") {
        print(&format!("{:#}", listed(&rows)))?;
    } else if args.quiet {
        rows.dedup_by_key(|row| row.id);
        for row in &rows {
            print(&row.shown_id(args.no_trunc))?;
        }
    } else if let Some(template) = &args.format {
        let now = settings::now();
        for row in &rows {
            let fields = row.fields(args.no_trunc, now);
            print(&fill(template, &fields).map_err(Failure::message)?)?;
        }
    } else {
        table(&rows, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether `name` is one of those that `wanted` may stand for.
fn is_meant(wanted: &Reference, name: &Name) -> bool {
    let mut repositories = wanted.local_names().into_iter();
    repositories.any(|wanted| wanted.repository() == name.repository())
        && (wanted.tag.is_none() || wanted.tag.as_deref() == name.tag())
}

fn table(rows: &[Row<'_>], args: &ImagesArgs) -> Result<(), Failure> {
    const COLUMNS: [(&str, &str); 7] = [
        ("REPOSITORY", "Repository"),
        ("TAG", "Tag"),
        ("DIGEST", "Digest"),
        ("IMAGE ID", "ID"),
        ("CREATED", "Created"),
        ("SIZE", "Size"),
        ("HISTORY", "History"),
    ];
    let shown = || {
        let columns = COLUMNS.iter();
        columns.filter(|(_, field)| match *field {
            "Digest" => args.digests,
            "History" => args.history,
            _ => true,
        })
    };
    let mut lines: Vec<Vec<String>> = Vec::new();
    if !args.noheading {
        lines.push(shown().map(|(heading, _)| (*heading).to_owned()).collect());
    }
    let now = settings::now();
    for row in rows {
        let fields = row.fields(args.no_trunc, now);
        let cell = |field: &str| fields[field].as_str().unwrap_or_default().to_owned();
        lines.push(shown().map(|(_, field)| cell(field)).collect());
    }
    print(columns(&lines).trim_end())?;
    Ok(())
}

/// One row for each name, and one for each image without any.
fn rows<'a>(images: &'a [(ImageId, ImageRecord)], names: &'a [(Name, ImageId)]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (id, image) in images {
        let config = understood(&image.config);
        let named = names.iter().filter(|(_, target)| target == id);
        let named: Vec<&Name> = named.map(|(name, _)| name).collect();
        let all: Vec<&str> = named.iter().map(|name| name.as_str()).collect();
        let unnamed = named.is_empty().then_some(None);
        rows.extend(named.into_iter().map(Some).chain(unnamed).map(|name| Row {
            name,
            names: all.clone(),
            id: id.0,
            kind: Kind::Image,
            digest: local_digest(image).0,
            size: image.layers.iter().map(|layer| layer.size).sum(),
            labels: config.config.labels.clone(),
            created: created(&config),
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

/// One row for each list; one that lacks an image is left out, as damaged images are.
fn lists<'a>(store: &Store, indexes: &'a [(Name, IndexRecord)]) -> Vec<Row<'a>> {
    let row = |(name, index): &'a (Name, IndexRecord)| {
        let text = local_index(store, index).ok()?;
        let digest = Digest::of(text.as_bytes());
        Some(Row {
            name: Some(name),
            names: vec![name.as_str()],
            id: digest,
            kind: Kind::List,
            digest,
            size: text.len() as u64,
            labels: BTreeMap::new(),
            created: None,
        })
    };
    indexes.iter().filter_map(row).collect()
}

/// A configuration that is damaged says nothing.
fn understood(config: &str) -> ImageConfig {
    serde_json::from_str(config).unwrap_or_default()
}

fn created(config: &ImageConfig) -> Option<i64> {
    let time = config.created.as_ref()?.parse::<Timestamp>().ok()?;
    Some(time.as_second())
}

/// One object for each image, its fields named as podman names them.
fn listed(rows: &[Row<'_>]) -> Value {
    let mut images: Vec<Value> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if rows[..index].iter().any(|earlier| earlier.id == row.id) {
            continue;
        }
        let same = rows.iter().filter(|other| other.id == row.id);
        let names: Vec<&str> = same.filter_map(|row| Some(row.name?.as_str())).collect();
        let digest = row.digest.to_string();
        let repositories = names.iter().filter_map(|name| Name::parse(name));
        let digests: Vec<String> = repositories
            .map(|name| format!("{}@{digest}", name.repository()))
            .collect();
        let (created, size) = (row.created.unwrap_or(0), row.size);
        images.push(json!({
            "Id": row.id.hex(),
            "ParentId": "",
            "RepoTags": null,
            "RepoDigests": digests,
            "Size": size,
            "SharedSize": 0,
            "VirtualSize": size,
            "Labels": row.labels,
            "Containers": 0,
            "Dangling": names.is_empty(),
            "IsManifestList": row.kind == Kind::List,
            "Names": names,
            "Digest": digest,
            "History": names,
            "Created": created,
            "CreatedAt": rfc3339(created),
        }));
    }
    images.into()
}

impl Row<'_> {
    fn candidate<'b>(&'b self, id: &'b str) -> Candidate<'b> {
        Candidate {
            name: self.name,
            id,
            labels: &self.labels,
            created: self.created.unwrap_or(0),
        }
    }

    fn shown_id(&self, whole: bool) -> String {
        let hex = self.id.hex();
        match whole {
            true => format!("sha256:{hex}"),
            false => hex[..SHORT].to_owned(),
        }
    }

    /// What a template or a column can show.
    fn fields(&self, whole: bool, now: i64) -> Value {
        let name = self.name.map_or(NONE, Name::as_str);
        let (id, created) = (self.shown_id(whole), self.created);
        let since = created.map_or(NONE.to_owned(), |then| ago(now.saturating_sub(then)));
        json!({
            "Repository": self.name.map_or(NONE, Name::repository),
            "Tag": self.name.and_then(Name::tag).unwrap_or(NONE),
            "Name": name,
            "Names": name,
            "ID": id,
            "Digest": self.digest.to_string(),
            "Created": since,
            "CreatedSince": since,
            "CreatedAt": created.map_or(NONE.to_owned(), rfc3339),
            "Size": size(self.size),
            "History": self.names.join(", "),
            "Labels": self.labels,
        })
    }
}
