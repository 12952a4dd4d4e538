//! The table of contents: one entry for each member of the archive. Pure.
//!
//! A reader of single files takes it in place of the headers, so it has all that they say.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rbuild_oci::Digest;
use serde::Serialize;

use crate::{archive::Member, header::Type};

/// 0001-01-01, in seconds since 1970: what reads the table knows no earlier year.
const YEAR_1: i64 = -62_135_596_800;

/// The content of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pub digest: Digest,
    /// Of its first frame in the blob.
    pub offset: u64,
    /// Of what follows its last frame.
    pub end: u64,
}

/// The table; `None` if it cannot say what some member is.
pub(super) struct Toc(Option<Vec<Entry>>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: u32,
    entries: &'a [Entry],
    tar_split_digest: Digest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    /// RFC 3339.
    modtime: String,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    end_offset: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for Toc {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Toc {
    /// Adds `member`, which has `content` unless it is empty.
    pub(super) fn add(&mut self, member: &Member, content: Option<Content>) {
        match (&mut self.0, entry(member, content)) {
            (Some(entries), Some(entry)) => entries.push(entry),
            (table, _) => *table = None,
        }
    }

    /// There is a member that cannot be told of.
    pub(super) fn refuse(&mut self) {
        self.0 = None;
    }

    /// The table as text, with the digest of tar-split's data.
    pub(super) fn text(&self, tar_split_digest: Digest) -> Option<Vec<u8>> {
        let document = Document {
            version: 1,
            entries: self.0.as_ref()?,
            tar_split_digest,
        };
        Some(serde_json::to_vec(&document).expect("the table has string keys"))
    }
}

/// `None` if JSON, or what reads it, cannot say what `member` is.
fn entry(member: &Member, content: Option<Content>) -> Option<Entry> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let seconds = Some(member.mtime.seconds).filter(|seconds| *seconds >= YEAR_1)?;
    let nanoseconds = i32::try_from(member.mtime.nanoseconds).ok()?;
    let xattrs = member.xattrs.iter();
    let xattrs = xattrs.map(|(key, value)| Some((text(key)?, STANDARD.encode(value))));
    let is_device = matches!(member.kind, Type::CharDevice | Type::BlockDevice);
    let (major, minor) = if is_device { member.rdev } else { (0, 0) };
    Some(Entry {
        kind: kind(member.kind),
        name: text(&member.path)?,
        link_name: match member.kind {
            Type::HardLink | Type::Symlink => text(&member.link)?,
            _ => String::new(),
        },
        mode: member.mode.into(),
        size: member.size,
        uid: member.uid,
        gid: member.gid,
        modtime: Timestamp::new(seconds, nanoseconds).ok()?.to_string(),
        dev_major: major.into(),
        dev_minor: minor.into(),
        xattrs: xattrs.collect::<Option<_>>()?,
        digest: content.map(|it| it.digest),
        offset: content.map_or(0, |it| it.offset),
        end_offset: content.map_or(0, |it| it.end),
    })
}

fn kind(kind: Type) -> &'static str {
    match kind {
        Type::File => "reg",
        Type::HardLink => "hardlink",
        Type::Symlink => "symlink",
        Type::CharDevice => "char",
        Type::BlockDevice => "block",
        Type::Directory => "dir",
        Type::Fifo => "fifo",
    }
}
