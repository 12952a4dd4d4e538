//! What planning a text gives, as text. The only lines that know the API.

use rbuild_dockerfile::{Diagnostic, Severity};
use rbuild_oci::{ImageConfig, Platform};
use rbuild_plan::{
    BaseImage, Choice, ContextKind, Entitlement, Extent, ImageRef, Inheritance, Inputs, Network,
    Planning, Survey, blame, dump, outline, plan, survey, targets,
};

/// Plans `dockerfile` with `settings`, the `#@` lines of a case.
pub fn result_of(settings: &[&str], dockerfile: &str) -> String {
    let mut out = String::new();
    let (file, diagnostics) = rbuild_dockerfile::parse(dockerfile);
    let errors = diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error);
    for diagnostic in errors {
        out.push_str(&format!("parser: {}\n", shown(dockerfile, diagnostic)));
    }
    let mut inputs = inputs(settings);
    loop {
        match plan(&file, dockerfile, &inputs) {
            Planning::Needs(images) => {
                for image in images {
                    out.push_str(&format!("needs {image}"));
                    if image.platform != inputs.platform {
                        out.push_str(&format!(" for {}", image.platform));
                    }
                    out.push('\n');
                    if settings.contains(&format!("missing {image}").as_str()) {
                        return out + &all_shown(dockerfile, &blame(&file, &inputs, &image));
                    }
                    inputs
                        .bases
                        .insert(image.clone(), base_image(settings, &image));
                }
            }
            Planning::Rejected(diagnostics) => return out + &all_shown(dockerfile, &diagnostics),
            Planning::Ready(mut plan) => {
                let warnings = std::mem::take(&mut plan.warnings);
                return out + &dump(&plan) + &all_shown(dockerfile, &warnings);
            }
        }
    }
}

/// What is known of `dockerfile` without images.
pub fn survey_of(settings: &[&str], dockerfile: &str) -> String {
    let (file, _) = rbuild_dockerfile::parse(dockerfile);
    let Survey { plan, found } = survey(&file, dockerfile, &inputs(settings));
    let plan = plan.map(|plan| dump(&plan)).unwrap_or_default();
    let nothing = if found.is_empty() {
        "nothing to say\n"
    } else {
        ""
    };
    plan + &all_shown(dockerfile, &found) + nothing
}

/// The targets of `dockerfile`, and what the one that is chosen takes.
pub fn outline_of(settings: &[&str], dockerfile: &str) -> String {
    let (file, _) = rbuild_dockerfile::parse(dockerfile);
    let mut out = String::new();
    let told = |text: &Option<String>| text.iter().map(|it| format!(": {it}")).collect::<String>();
    for target in targets(&file) {
        let default = if target.is_default { " (default)" } else { "" };
        let platform = target.platform.map(|it| format!(" for {it}"));
        out += &format!(
            "target {}{default}{}\nfrom {}{}\n",
            target.name,
            told(&target.description),
            target.base,
            platform.unwrap_or_default()
        );
    }
    let inputs = inputs(settings);
    let plan = survey(&file, dockerfile, &inputs).plan;
    let outline = outline(&file, &plan.expect("there is a target"), &inputs);
    out += &format!(
        "outline of {}{}\n",
        outline.name,
        told(&outline.description)
    );
    for arg in outline.args {
        let value = arg.value.map(|it| format!("={it}")).unwrap_or_default();
        out += &format!("arg {}{value}{}\n", arg.name, told(&arg.description));
    }
    for (what, requests) in [("secret", outline.secrets), ("ssh", outline.agents)] {
        for request in requests {
            let required = if request.required { " required" } else { "" };
            out += &format!("{what} {}{required}\n", request.id);
        }
    }
    for id in outline.caches {
        out += &format!("cache {id}\n");
    }
    out
}

fn network(name: &str) -> Network {
    let known = [("host", Network::Host), ("none", Network::None)];
    let found = known.iter().find(|(known, _)| *known == name);
    found.expect("a network").1
}

fn inputs(settings: &[&str]) -> Inputs {
    let mut inputs = Inputs {
        platform: Platform::new("linux", "amd64", None),
        build_platform: Platform::new("linux", "amd64", None),
        ..Inputs::default()
    };
    for setting in settings {
        let (what, value) = setting.split_once(' ').expect("a setting has a value");
        let pair = || {
            let (key, value) = value.split_once('=').expect("this setting is a pair");
            (key.to_owned(), value.to_owned())
        };
        match what {
            "build-arg" => inputs.build_args.extend([pair()]),
            "label" => inputs.labels.extend([pair()]),
            "target" => inputs.targets.push(value.to_owned()),
            "extent" => inputs.extent = Extent::All,
            "from" => inputs.from = Some(value.to_owned()),
            "platform" => {
                inputs.platform = value.parse().expect("a platform");
                inputs.choice = Choice::Asked;
            }
            "context" => inputs.contexts.extend([context(value)]),
            "env" => inputs.edits.env.push(pair()),
            "allow" => {
                let named = |it: &Entitlement| it.name() == value;
                inputs
                    .allowed
                    .extend(Entitlement::ALL.into_iter().filter(named));
            }
            "network" => inputs.network = network(value),
            "identity" => inputs.edits.identity = Some(pair()),
            "inherit-labels" => inputs.edits.labels_of_base = Inheritance::Dropped,
            "unsetenv" => inputs.edits.unsetenv.push(value.to_owned()),
            "unsetlabel" => inputs.edits.unsetlabel.push(value.to_owned()),
            "image" | "missing" => {}
            other => unreachable!("no setting `{other}`"),
        }
    }
    inputs
}

/// `NAME files`, `NAME image REFERENCE` or `NAME layout REFERENCE`.
fn context(text: &str) -> (String, ContextKind) {
    let (name, kind) = text.split_once(' ').expect("a context has a kind");
    let kind = match kind.split_once(' ') {
        None => ContextKind::Files,
        Some(("image", reference)) => ContextKind::Image(reference.to_owned()),
        Some((_, reference)) => ContextKind::Layout(reference.to_owned()),
    };
    (name.to_owned(), kind)
}

/// The image `name` as `#@ image` lines describe it.
fn base_image(settings: &[&str], ImageRef { name, platform }: &ImageRef) -> BaseImage {
    let mut image = ImageConfig {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        ..ImageConfig::default()
    };
    let config = &mut image.config;
    let lines = settings.iter().filter_map(|it| {
        it.strip_prefix("image ")?
            .strip_prefix(name.as_str())?
            .strip_prefix(' ')
    });
    for line in lines {
        let (what, value) = line.split_once(' ').expect("an image setting has a value");
        let words = || Some(value.split(' ').map(str::to_owned).collect());
        match what {
            "env" => config.env.push(value.to_owned()),
            "workdir" => config.working_dir = value.to_owned(),
            "user" => config.user = value.to_owned(),
            "cmd" => config.cmd = words(),
            "entrypoint" => config.entrypoint = words(),
            "shell" => config.shell = words(),
            "onbuild" => {
                let triggers = config.on_build.get_or_insert_default();
                triggers.push(value.replace("\\n", "\n"));
            }
            "label" => drop(config.labels.insert("base".to_owned(), value.to_owned())),
            "other" => drop(config.other.insert(value.to_owned(), true.into())),
            "arch" => image.architecture = value.to_owned(),
            other => unreachable!("no image setting `{other}`"),
        }
    }
    BaseImage {
        tree_key: format!("tree of {name}"),
        config: image,
    }
}

fn all_shown(text: &str, diagnostics: &[Diagnostic]) -> String {
    let lines = diagnostics.iter().map(|it| shown(text, it) + "\n");
    lines.collect()
}

fn shown(text: &str, diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let place = &text[diagnostic.span.clone()];
    let hint = diagnostic
        .hint
        .as_ref()
        .map(|hint| format!("\nhint: {hint}"));
    let message = &diagnostic.message;
    let rule = diagnostic.rule.map(|rule| format!("\nrule: {rule}"));
    format!(
        "{severity} at [{place}]: {message}{}{}",
        hint.unwrap_or_default(),
        rule.unwrap_or_default()
    )
}
