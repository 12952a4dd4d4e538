//! Which step of an earlier Dockerfile a step is compared with.

use std::collections::BTreeMap;

use super::Ledger;
use crate::account::{Account, Parent};
use crate::graph::{Plan, StepId};
use crate::inputs::{Inputs, Planning};

fn planned(dockerfile: &str) -> Plan {
    let (file, _) = rbuild_dockerfile::parse(dockerfile);
    match crate::plan(&file, dockerfile, &Inputs::default()) {
        Planning::Ready(plan) => *plan,
        other => unreachable!("{other:?}"),
    }
}

/// Builds all of `dockerfile`.
fn built(ledger: &Ledger, dockerfile: &str) -> Ledger {
    let plan = planned(dockerfile);
    let account = |step| Account::of(step, Parent::default(), Vec::new());
    let executed: BTreeMap<StepId, Account> = (0..)
        .map(StepId)
        .zip(plan.steps.iter().map(account))
        .collect();
    ledger.after(&plan, &executed)
}

/// Builds `first`; for each step of `second`, what it is compared with.
#[track_caller]
fn check(first: &str, second: &str, expected: &[&str]) {
    let ledger = built(&Ledger::default(), first);
    let plan = planned(second);
    let nearest = |id| {
        ledger
            .nearest(&plan, id)
            .map_or("-", |account| account.title.as_str())
    };
    let found: Vec<&str> = (0..)
        .map(StepId)
        .take(plan.steps.len())
        .map(nearest)
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_step_is_compared_with_the_same_instruction() {
    check(
        "FROM scratch\nRUN a\nRUN b\n",
        "FROM scratch\nRUN a\nRUN b\n",
        &["RUN a", "RUN b"],
    );
    check(
        "FROM scratch\nRUN a\nRUN b\n",
        "FROM scratch\nRUN new\nRUN a\nRUN b\n",
        &["-", "RUN a", "RUN b"],
    );
    check(
        "FROM scratch\nRUN a\nRUN b\n",
        "FROM scratch\nRUN b\n",
        &["RUN b"],
    );
}

#[test]
fn else_with_the_one_that_was_in_its_place() {
    check(
        "FROM scratch\nRUN a\nRUN b\n",
        "FROM scratch\nRUN x\nRUN b\n",
        &["RUN a", "RUN b"],
    );
    check(
        "FROM scratch\nRUN a\n",
        "FROM scratch\nRUN a\nRUN b\n",
        &["RUN a", "-"],
    );
}

#[test]
fn stages_are_told_apart_by_name_or_number() {
    let two = "FROM scratch AS a\nRUN a\nFROM scratch\nCOPY --from=a / /\n";
    check(two, "FROM scratch\nRUN a\n", &["-"]);
    check(two, "FROM scratch AS a\nRUN x\n", &["RUN a"]);
}

#[test]
fn what_was_not_executed_now_is_remembered_from_before() {
    let ledger = built(
        &Ledger::default(),
        "FROM scratch AS a\nRUN a\nFROM a AS b\nRUN b\n",
    );
    let other = "FROM scratch AS a\nRUN new\nRUN a\n";
    let ledger = ledger.after(&planned(other), &BTreeMap::new());
    let plan = planned("FROM scratch AS a\nRUN a\n");
    assert!(ledger.nearest(&plan, StepId(0)).is_some());
    let plan = planned("FROM scratch AS b\nRUN b\n");
    assert!(ledger.nearest(&plan, StepId(0)).is_some());
}
