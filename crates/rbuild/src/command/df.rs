//! `rbuild df`: what the store's disk space is used for. The sizes add up to what `du` says.

use std::process::ExitCode;

use rbuild_store::{Measure, Object, Policy, Survey, Usage, decide};
use serde_json::{Value, json};

use crate::{
    cli::{DfArgs, DfFormat, Global},
    failure::Failure,
    report::print,
    settings,
    template::{ago, columns, size},
};

/// One line: an entry of the store's directory.
struct Row {
    name: String,
    /// How many objects are in there; `None` if nobody counts them.
    count: Option<usize>,
    size: u64,
    /// Bytes that `rbuild prune` would free.
    reclaimable: u64,
}

/// Prints sizes.
///
/// # Errors
/// If the store cannot be read.
pub fn execute(global: &Global, args: &DfArgs) -> Result<ExitCode, Failure> {
    // Layers have directories that only their owners may look into.
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let survey = store.survey(Measure::Sizes)?;
    let usage = store.usage()?;
    let now = settings::now();
    let rows = rows(&survey, &usage, now);
    match args.format {
        DfFormat::Table => {
            print(table(&rows, usage.total()).trim_end())?;
            if args.verbose {
                print("")?;
                print(columns(&objects(&survey, now)).trim_end())?;
            }
        }
        DfFormat::Json => {
            let mut all = json!({ "Total": usage.total(), "Parts": rows.iter().map(value).collect::<Vec<_>>() });
            if args.verbose {
                all["Objects"] = sizes(&survey).into_iter().map(object_value).collect();
            }
            print(&format!("{all:#}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(survey: &Survey, usage: &Usage, now: i64) -> Vec<Row> {
    let victims = decide(
        survey,
        &Policy {
            now,
            ..Policy::default()
        },
    );
    let parts = usage.parts.iter().map(|part| {
        let here = |object: &Object| place(object) == part.name;
        let freed = victims.iter().filter(|victim| here(&victim.object));
        let reclaimable = match part.name.as_str() {
            "trash" => part.size,
            _ => freed.map(|victim| victim.size).sum(),
        };
        let count = match part.name.as_str() {
            "images" => Some(survey.images.len()),
            "cache" => Some(survey.records.len()),
            "notes" => Some(survey.notes.len()),
            "layers" => Some(survey.layers.len()),
            "blobs" => Some(survey.blobs.len()),
            _ => None,
        };
        Row {
            name: part.name.clone(),
            count,
            size: part.size,
            reclaimable,
        }
    });
    let own = Row {
        name: ".".to_owned(),
        count: None,
        size: usage.own,
        reclaimable: 0,
    };
    let mut rows: Vec<Row> = parts.chain([own]).collect();
    rows.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    rows
}

/// The entry of the store's directory that `object` is in.
fn place(object: &Object) -> &'static str {
    match object {
        Object::Image(_) => "images",
        Object::Record(_) => "cache",
        Object::Note(..) => "notes",
        Object::Layer(_) => "layers",
        Object::Blob(_) => "blobs",
    }
}

fn table(rows: &[Row], total: u64) -> String {
    let line = |row: &Row| {
        vec![
            row.name.clone(),
            row.count.map_or(String::new(), |count| count.to_string()),
            size(row.size),
            size(row.reclaimable),
        ]
    };
    let mut lines = vec![
        ["TYPE", "TOTAL", "SIZE", "RECLAIMABLE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    lines.extend(rows.iter().map(line));
    let reclaimable = rows.iter().map(|row| row.reclaimable).sum();
    lines.push(vec![
        "all".to_owned(),
        String::new(),
        size(total),
        size(reclaimable),
    ]);
    columns(&lines)
}

fn value(row: &Row) -> Value {
    json!({
        "Type": row.name,
        "Total": row.count,
        "Size": row.size,
        "Reclaimable": row.reclaimable,
    })
}

/// Every object with its size and its last use, the largest first.
fn sizes(survey: &Survey) -> Vec<(Object, u64, i64)> {
    let entry = |object, usage: rbuild_store::Use| (object, usage.size, usage.last);
    let images = survey.images.iter();
    let images = images.map(|(id, it)| entry(Object::Image(*id), it.usage));
    let layers = survey.layers.iter();
    let layers = layers.map(|(id, it)| entry(Object::Layer(*id), it.usage));
    let blobs = survey.blobs.iter();
    let blobs = blobs.map(|(digest, it)| entry(Object::Blob(*digest), *it));
    let records = survey.records.iter();
    let records = records.map(|(key, it)| entry(Object::Record(*key), it.usage));
    let notes = survey.notes.iter();
    let notes = notes.map(|((kind, key), it)| entry(Object::Note(kind.clone(), *key), it.usage));
    let mut all: Vec<_> = images.chain(layers).chain(blobs).collect();
    all.extend(records.chain(notes));
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

fn objects(survey: &Survey, now: i64) -> Vec<Vec<String>> {
    let mut lines = vec![["OBJECT", "SIZE", "LAST USED"].map(str::to_owned).to_vec()];
    let line = |(object, bytes, last): (Object, u64, i64)| {
        vec![
            object.to_string(),
            size(bytes),
            ago(now.saturating_sub(last)),
        ]
    };
    lines.extend(sizes(survey).into_iter().map(line));
    lines
}

fn object_value((object, bytes, last): (Object, u64, i64)) -> Value {
    json!({ "Object": object.to_string(), "Size": bytes, "LastUsed": last })
}
