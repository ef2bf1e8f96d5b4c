//! What the guest is told: services with numeric ids, looked up in the finished tree, and their programs checked.

use bundle::guest::{Probe, Ready, Restart, SCHEMA, SETTINGS_PATH, Service, Settings, User};
use spec::{Appliance, Written, appliance};
use tree::{Kind, Node, TreePath};

use crate::accounts::Accounts;
use crate::entries::no_user;
use crate::error::AssembleError;
use crate::files::Files;
use crate::mistake::Mistake;

/// Where a program without a slash is looked for, in order; the guest's own default.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Makes the settings of an appliance over its tree and writes them to their fixed place.
pub(crate) fn write_settings(
    files: &mut Files<'_>,
    appliance: &Appliance,
) -> Result<(Settings, TreePath), AssembleError> {
    let problem = |doing| move |source| AssembleError::Path { doing, path: SETTINGS_PATH.to_owned(), source };
    let accounts = Accounts::load(files).map_err(problem("look up the users of"))?;
    let (mut services, mut mistakes) = (Vec::new(), Vec::new());
    for service in &appliance.services {
        match settle(files, &accounts, service) {
            Ok(service) => services.push(service),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    AssembleError::of(mistakes)?;
    let settings = Settings {
        schema: SCHEMA,
        hostname: appliance.hostname.clone(),
        env: appliance.env.clone(),
        services,
        main: appliance.main_service.clone(),
        tools: appliance.tools.clone(),
        capabilities: appliance.isolation.capabilities.clone(),
    };
    let mut json = serde_json::to_vec_pretty(&settings).expect("strings, numbers and maps with string keys are JSON");
    json.push(b'\n');
    let node = files.stamped(tree::Node::file(0o644, json));
    let place = files.put(SETTINGS_PATH, node).map_err(problem("write"))?;
    Ok((settings, place))
}

fn settle(files: &Files<'_>, accounts: &Accounts, service: &appliance::Service) -> Result<Service, Box<Mistake>> {
    let (program, rest) = service.run.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    let program = find_program(files, &service.name, program)?;
    Ok(Service {
        name: service.name.clone(),
        args: std::iter::once(program).chain(rest.iter().cloned()).collect(),
        env: service.env.clone(),
        user: user(accounts, service)?,
        after: service.after.clone(),
        restart: match service.restart {
            appliance::Restart::Never => Restart::Never,
            appliance::Restart::OnFailure => Restart::OnFailure,
            appliance::Restart::Always => Restart::Always,
        },
        restart_delay_ms: service.restart_delay_ms,
        ready: service.ready.as_ref().map(ready),
        stop_grace_ms: service.stop_grace_ms,
    })
}

fn ready(ready: &appliance::Ready) -> Ready {
    let probe = match &ready.probe {
        appliance::Probe::Http(url) => Probe::Http(url.clone()),
        appliance::Probe::Tcp(address) => Probe::Tcp(address.clone()),
        appliance::Probe::File(path) => Probe::File(path.clone()),
        appliance::Probe::Exec(args) => Probe::Exec(args.clone()),
    };
    Ready { probe, within_ms: ready.within_ms }
}

fn user(accounts: &Accounts, service: &appliance::Service) -> Result<User, Box<Mistake>> {
    let name = &service.user;
    let (Some(uid), Some(gid)) = (accounts.uid(name), accounts.primary_gid(name)) else {
        // A root without packages has no accounts, but root is root everywhere.
        if name == "root" {
            return Ok(User { name: name.clone(), uid: 0, gid: 0, groups: Vec::new(), home: "/root".to_owned() });
        }
        return Err(Box::new(no_user(Written::ServiceUser(service.name.clone()), name, accounts)));
    };
    let home = accounts.home(name).unwrap_or("/").to_owned();
    let groups = accounts.groups_of(name).into_iter().filter(|group| *group != gid).collect();
    Ok(User { name: name.clone(), uid, gid, groups, home })
}

/// The absolute path of a service's program, which must be an executable file of the tree.
fn find_program(files: &Files<'_>, service: &str, program: &str) -> Result<String, Box<Mistake>> {
    let mistake = |what: &str, help: String| {
        let message = format!("the program \"{program}\" of service \"{service}\" {what}");
        let at = Written::Program(service.to_owned());
        Box::new(Mistake { at, code: "unknown-program", message, label: "cannot be started", help })
    };
    if !program.contains('/') {
        let found =
            PATH.iter().map(|folder| format!("{folder}/{program}")).find(|path| is_program(files, path) == Some(true));
        return found.ok_or_else(|| {
            let folders = format!("is in no folder of the search path, which is {}", PATH.join(":"));
            mistake(&folders, hint(files, program))
        });
    }
    match is_program(files, program) {
        Some(true) => Ok(program.to_owned()),
        Some(false) if files.stat(program).is_some_and(Node::is_dir) => {
            Err(mistake("is a folder", format!("name the program in it: \"{program}/NAME\"")))
        }
        Some(false) => {
            let help =
                "a file of the spec is made executable with mode=\"0755\" on its `file` line, or beside the spec";
            Err(mistake("is not executable", help.to_owned()))
        }
        None => Err(mistake("is not in the image", hint(files, program))),
    }
}

/// Whether an entry can be started; `None` when there is none.
fn is_program(files: &Files<'_>, path: &str) -> Option<bool> {
    files.stat(path).map(|node| matches!(node.kind, Kind::File(_)) && node.meta.mode & 0o111 != 0)
}

/// What to write instead: where a program of the same or nearly the same name stands.
fn hint(files: &Files<'_>, program: &str) -> String {
    let (folder, base) = program.rsplit_once('/').unwrap_or(("", program));
    let programs = || {
        files
            .tree()
            .iter()
            .filter(|(_, _, node)| matches!(node.kind, Kind::File(_) | Kind::Symlink(_)) && node.meta.mode & 0o111 != 0)
    };
    if let Some((path, _, _)) = programs()
        .find(|(path, _, _)| path.name() == base.as_bytes() && is_program(files, &path.display()) == Some(true))
    {
        return format!("{base} is at \"{path}\"");
    }
    // Its own folder first: nothing else is so likely to be meant.
    let near = |folder: &str| {
        let names = files.names_in(folder);
        let names = names.iter().filter(|name| is_program(files, &format!("{folder}/{name}")) == Some(true));
        Some(format!("{folder}/{}", spec::nearest(base, names.map(String::as_str))?))
    };
    let folders = std::iter::once(folder).filter(|folder| !folder.is_empty()).chain(PATH);
    match folders.into_iter().find_map(near) {
        Some(path) if folder.is_empty() => {
            format!("did you mean \"{}\"?", path.rsplit('/').next().unwrap_or(&path))
        }
        Some(path) => format!("did you mean \"{path}\"?"),
        None => format!("is the package that brings {base} in `packages`, or its `file` line in the spec?"),
    }
}

#[cfg(test)]
mod tests {
    use tree::{NoBlobs, Tree};

    use super::*;

    fn check(program: &str, want: Result<&str, &str>) {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 7 };
        files.write("/usr/bin/darkhttpd", 0o755, "").unwrap();
        files.write("/usr/bin/data", 0o644, "").unwrap();
        files.link("/bin", "usr/bin").unwrap();
        files.write("/opt/app/start.sh", 0o755, "").unwrap();
        let told = |mistake: Box<Mistake>| format!("{:?}: {} ({})", mistake.at, mistake.message, mistake.help);
        let got = find_program(&files, "web", program).map_err(told);
        let prefix = format!("Program(\"web\"): the program {program:?} of service \"web\" ");
        let got = got.as_deref().map_err(|text| text.strip_prefix(&prefix).unwrap_or(text));
        assert_eq!(got, want);
    }

    #[test]
    fn a_program_is_found_or_the_error_says_where_it_is() {
        check("darkhttpd", Ok("/usr/bin/darkhttpd"));
        check("/bin/darkhttpd", Ok("/bin/darkhttpd"));
        check("/sbin/darkhttpd", Err("is not in the image (darkhttpd is at \"/usr/bin/darkhttpd\")"));
        check("/bin/darkhtpd", Err("is not in the image (did you mean \"/bin/darkhttpd\"?)"));
        check("/opt/app/strat.sh", Err("is not in the image (did you mean \"/opt/app/start.sh\"?)"));
        check("/opt/app", Err("is a folder (name the program in it: \"/opt/app/NAME\")"));
        let path = "is in no folder of the search path, which is \
                    /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        check("darkhtpd", Err(&format!("{path} (did you mean \"darkhttpd\"?)")));
        check(
            "/usr/bin/data",
            Err("is not executable (a file of the spec is made executable with mode=\"0755\" on its `file` line, or \
                 beside the spec)"),
        );
        check(
            "nginx",
            Err(&format!("{path} (is the package that brings nginx in `packages`, or its `file` line in the spec?)")),
        );
    }
}
