//! What a build would do, as lines for people or as JSON (docs/formats.md).
//!
//! Knows: the words. Does not know: how it was found out.

use std::process::ExitCode;

use rbuild_engine::{Doubt, Forecast};
use rbuild_plan::{Plan, StepId};
use serde_json::{Map, Value, json};

use crate::{cli::CallFormat, failure::Failure, progress::labels, report};

/// What would happen to each step of a plan.
pub type Foretold<'a> = (&'a Plan, Vec<Forecast>);

/// Prints what is `foretold` for each platform; there is at least one.
///
/// # Errors
/// If nobody reads.
pub fn print(foretold: &[Foretold<'_>], format: CallFormat) -> Result<ExitCode, Failure> {
    let text = match format {
        CallFormat::Json => {
            let object = object(foretold);
            serde_json::to_string_pretty(&object).expect("JSON values can be written")
        }
        CallFormat::Text => lines(foretold),
    };
    report::print(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// One platform is a plan, several are a list of plans.
fn object(foretold: &[Foretold<'_>]) -> Value {
    match foretold {
        [only] => json!({ "steps": steps(only) }),
        all => {
            let of = |foretold: &Foretold<'_>| {
                let platform = foretold.0.platform().to_string();
                json!({ "platform": platform, "steps": steps(foretold) })
            };
            json!({ "platforms": all.iter().map(of).collect::<Vec<_>>() })
        }
    }
}

fn steps((plan, forecasts): &Foretold<'_>) -> Vec<Value> {
    let (labels, _) = labels(plan);
    let ids = (0..).map(StepId).zip(forecasts);
    ids.map(|(id, it)| step((plan, id), it, &labels)).collect()
}

fn lines(foretold: &[Foretold<'_>]) -> String {
    let mut lines = String::new();
    for (plan, forecasts) in foretold {
        if foretold.len() > 1 {
            lines.push_str(&format!("for {}\n", plan.platform()));
        }
        let (labels, stages) = labels(plan);
        for (id, forecast) in (0..).map(StepId).zip(forecasts) {
            if let Some(stage) = stages.get(&id) {
                lines.push_str(&format!("{stage}\n"));
            }
            let why = why(forecast, &labels);
            let why = why.map_or_else(String::new, |why| format!("  ({why})"));
            let (label, title) = (&labels[id.0 as usize], &plan.step(id).title);
            lines.push_str(&format!("{:<7} {label} {title}{why}\n", word(forecast)));
        }
    }
    lines
}

fn step((plan, id): (&Plan, StepId), forecast: &Forecast, labels: &[String]) -> Value {
    let step = plan.step(id);
    let stage = plan.stage(step.stage);
    let needs: Vec<u32> = plan.needs(id).into_iter().map(|id| id.0).collect();
    let mut object = Map::new();
    let mut add = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    add("id", json!(id.0));
    add("stage", json!(stage.index));
    add("stageName", json!(stage.name));
    add("instruction", json!(step.title));
    add("needs", json!(needs));
    add("forecast", json!(word(forecast)));
    if let Some(why) = why(forecast, labels) {
        add("why", json!(why));
    }
    if let Forecast::Executed(reason) = forecast {
        add("reason", json!(reason));
    }
    Value::Object(object)
}

const fn word(forecast: &Forecast) -> &'static str {
    match forecast {
        Forecast::Cached => "cached",
        Forecast::Executed(_) => "run",
        Forecast::Unknown(_) => "unknown",
    }
}

fn why(forecast: &Forecast, labels: &[String]) -> Option<String> {
    match forecast {
        Forecast::Cached => None,
        Forecast::Executed(reason) => Some(reason.to_string()),
        Forecast::Unknown(Doubt::Base(name)) => Some(format!("base {name} is not here")),
        Forecast::Unknown(Doubt::Files(step)) => {
            Some(format!("depends on what {} makes", labels[step.0 as usize]))
        }
    }
}
