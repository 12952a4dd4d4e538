//! A cached build in a store with very many images and cache records, and in one without.
//!
//! The peers are left out: their stores cannot be filled from outside.

use rbuild_testkit::{Base, crowd};

use super::builder::{Builder, Storage};
use super::measure::measure;
use super::report::Row;
use super::workload::{Scale, three_stages};
use super::{Course, Phase, interleaved};
use crate::bases;
use crate::error::{Error, run};

/// Of the rows, the context and the image.
const NAME: &str = "crowded-store";

/// The two rows, if they are wanted.
pub fn rows(course: &Course<'_>) -> Result<Vec<Row>, Error> {
    if !course.is_wanted(NAME) {
        return Ok(Vec::new());
    }
    let (images, records) = match course.scale {
        Scale::Full => (10_000, 100_000),
        Scale::Small => (1000, 10_000),
    };
    let surroundings = course.surroundings;
    three_stages(&surroundings.scratch, NAME, course.scale)?;
    let stores = [Storage::Usual, Storage::Apart].map(|it| (Builder::Rbuild, it));
    surroundings.forget(Builder::Rbuild)?;
    let base = bases::ensure(Base::Busybox)?;
    surroundings.import(stores[1], Base::Busybox, &base)?;
    for store in stores {
        run(&mut surroundings.build_in(store, NAME, Phase::Cached))?;
    }
    let full = surroundings.store(Builder::Rbuild, Storage::Apart);
    crowd(&surroundings.account, &full, (images, records))?;
    eprintln!("{NAME}");
    let names = vec![
        "rbuild".to_owned(),
        format!("rbuild, {images} images and {records} records"),
    ];
    let what = (NAME.to_owned(), Phase::Cached.name());
    let rows = interleaved(what, names, course.rounds, |turn, _| {
        measure(&mut surroundings.build_in(stores[turn], NAME, Phase::Cached))
    });
    surroundings.forget(Builder::Rbuild)?;
    rows
}
