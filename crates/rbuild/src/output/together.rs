//! Images that go to one place together: those for several platforms, and one with what is said of
//! it.
//!
//! Knows: that an index lists them, and that their files are side by side.
//! Does not know: the words of an index, nor which images there are.
//!
//! Spec: cli.md 2.7, 2.8.

use rbuild_export::{
    Attestation, AttestedFiles, ExportedIndex, Images, Replica, Split, Tagged, attested, export,
    export_listed, merged, write_archive,
};
use rbuild_oci::{Descriptor, Location};
use rbuild_store::ImageRecord;
use rbuild_sys::Dir;

use super::{
    Built, Kind, Made, Output, Part,
    write::{called, destinations},
};
use crate::{
    destination::{in_a_layout, refer, send_index},
    failure::Failure,
    image_list,
    target::Target,
};

/// An image and what is said of it.
pub(super) struct Said<'a> {
    pub made: &'a Made<'a>,
    pub record: ImageRecord,
    pub said: Vec<Attestation>,
}

impl Output {
    /// Writes `all`, of which there are several or something is said.
    pub(super) fn write_together(
        &self,
        all: &[Said<'_>],
        built: Built<'_>,
    ) -> Result<Option<Descriptor>, Failure> {
        let (place, line) = (built.ends.place(), self.line(built.ends));
        match &self.kind {
            Kind::Names(names) => {
                let mut list = image_list::list(place.store, built.images)?;
                image_list::describe(&mut list, built.images, &self.remarks);
                for one in all {
                    place.session.put_image(&self.remarked(one))?;
                }
                image_list::call(place.session, &list, names)?;
                Ok(None)
            }
            Kind::Places(places) => {
                let index = self.index(all, built)?;
                for to in destinations(places, built.names)? {
                    let to = self.tagged(to, index.descriptor.digest);
                    send_index((place, line), &index, &to, Images::Included)?;
                    if is_said(all) {
                        refer((place, line), &index, &to)?;
                    }
                }
                Ok(Some(index.descriptor))
            }
            Kind::OciArchive(target, tag) => {
                let index = self.index(all, built)?;
                let tagged = [Tagged {
                    what: (&index).into(),
                    tag: called(tag.as_deref(), built.names),
                }];
                target.write(&mut |out| Ok(write_archive(place, &tagged, out)?))?;
                Ok(Some(index.descriptor))
            }
            Kind::Layout(to) => {
                let to = Location::Layout(to.clone());
                let index = self.index(all, built)?;
                send_index((place, line), &index, &to, Images::Included)?;
                Ok(Some(index.descriptor))
            }
            Kind::Local(path, others) => {
                let to = built.ends.replica(path, *others)?;
                self.write_directories(&to, all, built).map(|()| None)
            }
            Kind::Tar(target) => match all {
                [one] if !self.is_split(1) => write_tar(target, one, built).map(|()| None),
                all => write_split(target, all, built).map(|()| None),
            },
            Kind::DockerArchive(..) | Kind::Directory(_) => self.refuse_several().map(|()| None),
        }
    }

    /// The files of each image, and what is said of them, in a directory of its own if they are split.
    fn write_directories(
        &self,
        to: &Replica,
        all: &[Said<'_>],
        built: Built<'_>,
    ) -> Result<(), Failure> {
        let platforms: Vec<_> = all.iter().map(|one| &one.made.platform).collect();
        self.write_parts(to, &platforms, |number, to| {
            let one = &all[number];
            let tree = merged(built.ends.store, &one.record.layer_ids(), built.ends.empty)?;
            Ok(one.files(&tree, built)?.write_to(to)?)
        })
    }

    /// The index of `all`. Only OCI's has a place for what is said.
    fn index(&self, all: &[Said<'_>], built: Built<'_>) -> Result<ExportedIndex, Failure> {
        let place = built.ends.place();
        let is_layout = matches!(self.kind, Kind::OciArchive(..) | Kind::Layout(_));
        let looks = match is_layout || is_said(all) {
            true => in_a_layout(self.looks)?,
            false => self.looks,
        };
        let records: Vec<ImageRecord> = all.iter().map(|one| self.remarked(one)).collect();
        let index = match is_said(all) {
            false => {
                let list = image_list::list(place.store, built.images)?;
                export_listed(place, (&list, &records), looks)?
            }
            true => {
                let mut exported = Vec::with_capacity(all.len());
                for (one, record) in all.iter().zip(&records) {
                    exported.push((export(place, record, looks)?, one.said.clone()));
                }
                attested(place, exported, built.names)?
            }
        };
        let platforms = all.iter().map(|one| &one.made.platform);
        let entries = platforms.map(|platform| self.remarks.of(Part::Entry, platform));
        let own = self.remarks.of(Part::Index, &all[0].made.platform);
        let mut index = index.annotated(&own, &entries.collect::<Vec<_>>());
        if is_layout {
            let said = self.remarks.of(Part::IndexEntry, &all[0].made.platform);
            index.descriptor.annotations.extend(said);
        }
        Ok(index)
    }
}

/// Whether anything is: of one image as much as of the others.
fn is_said(all: &[Said<'_>]) -> bool {
    all.iter().any(|one| !one.said.is_empty())
}

/// The files of an image, and what is said of them, in a tar.
fn write_tar(target: &Target, one: &Said<'_>, built: Built<'_>) -> Result<(), Failure> {
    let tree = merged(built.ends.store, &one.record.layer_ids(), built.ends.empty)?;
    let files = one.files(&tree, built)?;
    target.write(&mut |out| Ok(files.write_tar(out)?))
}

/// The same of several, in a directory for each.
fn write_split(target: &Target, all: &[Said<'_>], built: Built<'_>) -> Result<(), Failure> {
    let split = Split::new(built.ends.session)?;
    for one in all {
        let tree = merged(built.ends.store, &one.record.layer_ids(), built.ends.empty)?;
        split.add(&one.made.platform, &one.files(&tree, built)?)?;
    }
    target.write(&mut |out| Ok(split.write_tar(out)?))
}

impl Said<'_> {
    fn files<'t>(&self, tree: &'t Dir, built: Built<'_>) -> Result<AttestedFiles<'t>, Failure> {
        let (session, time) = (built.ends.session, self.made.saying.time);
        Ok(AttestedFiles::new(session, tree, &self.said, time)?)
    }
}
