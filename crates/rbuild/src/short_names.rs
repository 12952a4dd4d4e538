//! Which of several images does a short name mean? Who sits at a terminal is asked, once for each.
//!
//! Knows: how the question looks. Does not know: which images a name may mean, nor what happens
//! where nobody can be asked (`rbuild_registry::Registries`).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rbuild_registry::Target;

use crate::{report, terminal};

/// Says which of several images is meant, by its number.
pub type ShortNames = Box<dyn Fn(&[Target]) -> Option<usize> + Send + Sync>;

/// Asks on the terminal, and remembers the answers as long as this command lives.
pub fn asked() -> ShortNames {
    let known: Mutex<BTreeMap<Vec<String>, usize>> = Mutex::default();
    Box::new(move |targets| {
        let names = targets.iter().map(|target| target.name.to_string());
        let names: Vec<String> = names.collect();
        // One question at a time.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.get(&names) {
            return Some(*number);
        }
        let number = terminal::choose("Which image is meant?", &names)?;
        report::note(&format!(
            "`{}` it is; an alias in registries.conf saves the question",
            names[number]
        ));
        known.insert(names, number);
        Some(number)
    })
}
