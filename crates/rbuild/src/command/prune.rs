//! `rbuild prune`: what no image needs goes.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use rbuild_store::{Budget, Cache, Label, Measure, Object, Policy, decide, dump};

use crate::{
    amount,
    cli::{Global, PruneArgs},
    failure::Failure,
    report::{note, print},
    settings,
    template::size,
};

/// Deletes, after asking on a terminal, and says how much.
///
/// # Errors
/// If an amount or filter is not one, or something cannot be deleted.
pub fn execute(global: &Global, args: &PruneArgs) -> Result<ExitCode, Failure> {
    let policy = policy(args, settings::now())?;
    if !args.dry_run && !args.force && io::stdin().is_terminal() && !is_wanted(args)? {
        return Ok(ExitCode::SUCCESS);
    }
    // Layers have files of other ids.
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    if args.dry_run {
        let victims = decide(&store.survey(Measure::Sizes)?, &policy);
        let total = victims.iter().map(|victim| victim.size).sum();
        print(&format!("{}would free: {}", dump(&victims), size(total)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(gone) = store.prune(&policy)? else {
        note("another rbuild is pruning this store");
        return Ok(ExitCode::SUCCESS);
    };
    for victim in &gone {
        if let Object::Image(id) = &victim.object {
            print(&format!("Deleted: {}", id.0.hex()))?;
        }
    }
    let total = gone.iter().map(|victim| victim.size).sum();
    print(&format!("Total reclaimed space: {}", size(total)))?;
    Ok(ExitCode::SUCCESS)
}

fn is_wanted(args: &PruneArgs) -> Result<bool, Failure> {
    let what = if args.all {
        "all images without a name and all results of build steps"
    } else {
        "all images without a name and all results of build steps that no image needs"
    };
    let mut out = io::stderr().lock();
    write!(out, "This deletes {what}.\nGo on? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn policy(args: &PruneArgs, now: i64) -> Result<Policy, Failure> {
    let mut policy = Policy {
        cache: if args.all { Cache::All } else { Cache::Unused },
        now,
        ..Policy::default()
    };
    if let Some(text) = &args.keep_duration {
        policy.keep_seconds =
            amount::seconds(text).ok_or_else(|| not_a("--keep-duration", text, "24h or 7d"))?;
    }
    for filter in &args.filter {
        if let Some(text) = filter.strip_prefix("until=") {
            let until = amount::seconds_ago(text, now);
            let until = until.ok_or_else(|| not_a("--filter until", text, "24h or a past time"))?;
            policy.keep_seconds = policy.keep_seconds.max(until);
        } else {
            let wrong = || not_a("--filter", filter, "until=24h or label=KEY=VALUE");
            policy.labels.push(label(filter).ok_or_else(wrong)?);
        }
    }
    let amount_of = |flag: &str, text: &Option<String>| {
        let parse =
            |text: &String| amount::bytes(text).ok_or_else(|| not_a(flag, text, "500MB or 10GiB"));
        text.as_ref().map(parse).transpose()
    };
    let used = amount_of("--max-used-space", &args.max_used_space)?;
    let free = amount_of("--min-free-space", &args.min_free_space)?;
    policy.budget = (used.is_some() || free.is_some()).then(|| Budget {
        used: used.unwrap_or(u64::MAX),
        free: free.unwrap_or(0),
    });
    Ok(policy)
}

/// `label=KEY[=VALUE]` or `label!=KEY[=VALUE]`.
fn label(filter: &str) -> Option<Label> {
    let (wanted, text) = match filter.strip_prefix("label=") {
        Some(text) => (true, text),
        None => (false, filter.strip_prefix("label!=")?),
    };
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    let key = key.to_owned();
    Some(Label { key, value, wanted })
}

fn not_a(flag: &str, text: &str, example: &str) -> Failure {
    Failure::message(format!("{flag} cannot be `{text}`"))
        .with_hint(format!("write something like {example}"))
        .with_status(125)
}
