//! `appliance new NAME`: a folder with a spec that builds and teaches.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use spec::{Diagnostic, Template, World};

use crate::base_images::BaseImages;
use crate::cli::New;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::host_arch;
use crate::ui::Ui;

/// Makes the folder from a template.
pub fn new(args: &New, ui: &Ui) -> Result<Exit, Failure> {
    let folder = Path::new(&args.name);
    let Some(name) = folder.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Err(Failure::new(
            Exit::Usage,
            format!("make {:?}: an appliance has a name, and a folder of that name", args.name),
        )
        .help("name one that is not there yet: appliance new my-app"));
    };
    let templates = spec::templates();
    let Some(template) = templates.iter().find(|template| template.name == args.template) else {
        let names: Vec<&str> = templates.iter().map(|template| template.name).collect();
        return Err(Failure::new(Exit::Usage, format!("find the template {:?}", args.template))
            .help(format!("there is {}", names.join(", "))));
    };
    let bases = BaseImages::of_host(ui);
    let text = match &args.base {
        None => template.fill(&name),
        Some(base) => fill_on(template, &name, base, &bases)?,
    };
    valid(&name, &text, &bases)?;
    let cannot = |error| Failure::doing(Exit::Failure, format!("make {}", folder.display()), error);
    fs::create_dir(folder).map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => cannot(error).help("make the folder around it first"),
        std::io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::Failure, format!("make {}: something of this name is there", folder.display()))
                .help("choose another name, or remove it")
        }
        _ => cannot(error),
    })?;
    let spec = folder.join("appliance.kdl");
    fs::write(&spec, text).map_err(cannot)?;
    if ui.json {
        ui.json(&json!({ "ok": true, "spec": spec }));
    }
    ui.note(format!("made {}; next:", spec.display()));
    for (verb, what) in [
        ("check", "every mistake at once, after each change"),
        ("run", "build what is not built yet, and run it; Ctrl-C stops it"),
        ("build", "only build, into out/ beside the spec"),
    ] {
        let command = format!("appliance {verb} {}", folder.display());
        ui.note(format!("  {command:width$}  {what}", width = "appliance check ".len() + args.name.len()));
    }
    Ok(Exit::Success)
}

/// The template on the default release of a base.
fn fill_on(template: &Template, name: &str, base: &str, bases: &BaseImages) -> Result<String, Failure> {
    if let Some(broken) = bases.broken([base]) {
        return Err(broken);
    }
    let image = bases.all.iter().filter(|image| image.name == base).max_by_key(|image| image.is_default);
    let image = image.ok_or_else(|| {
        let names: Vec<&str> = bases.names().into_iter().collect();
        let help = match base {
            "oci" => "write it into the spec that is made: base \"oci\" \"docker.io/library/debian:12\"".to_owned(),
            "scratch" => {
                "write it into the spec that is made: base \"scratch\"; it has no shell for a template".to_owned()
            }
            _ => format!("there is {}", names.join(", ")),
        };
        Failure::new(Exit::Usage, format!("find the base {base:?} for a template")).help(help)
    })?;
    template.fill_on(name, image).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("put the template {:?} on {base}: its packages are those of its own base", template.name),
        )
        .help("take `--template minimal`, and name packages of this base in it")
    })
}

/// A name that the language does not take is told before anything is made.
fn valid(name: &str, text: &str, bases: &BaseImages) -> Result<(), Failure> {
    let rejected = |found: Vec<Diagnostic>| {
        let why = found.into_iter().find(Diagnostic::is_error).map(|found| found.message).unwrap_or_default();
        Failure::doing(Exit::Usage, format!("call an appliance {name:?}"), why)
            .help("the last part of NAME is the appliance's name and its folder: appliance new my-app")
    };
    let nothing: BTreeMap<String, String> = BTreeMap::new();
    let spec =
        spec::parse_bytes("appliance.kdl", text.as_bytes(), &nothing).map_err(|text| rejected(text.diagnostics))?;
    if let Some(broken) = bases.broken(spec.base_names().iter().map(String::as_str)) {
        return Err(broken);
    }
    let world = World { bases: &bases.all, host_arch: host_arch()?, allow_outside: false };
    spec::check(&spec, &world).map(drop).map_err(rejected)
}
