//! What the guest is told: services with numeric ids, looked up in the finished tree, and their programs checked.

use bundle::guest::{Probe, Ready, Restart, SCHEMA, SETTINGS_PATH, Service, Settings, User};
use spec::{Appliance, appliance};
use tree::{Kind, TreePath};

use crate::accounts::{Accounts, nearest};
use crate::error::AssembleError;
use crate::files::Files;

/// Where a program without a slash is looked for, in order; the guest's own default.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Makes the settings of an appliance over its tree and writes them to their fixed place.
pub(crate) fn write_settings(
    files: &mut Files<'_>,
    appliance: &Appliance,
) -> Result<(Settings, TreePath), AssembleError> {
    let problem = |doing| move |source| AssembleError::Path { doing, path: SETTINGS_PATH.to_owned(), source };
    let accounts = Accounts::load(files).map_err(problem("look up the users of"))?;
    let services: Result<Vec<_>, _> =
        appliance.services.iter().map(|service| settle(files, &accounts, service)).collect();
    let settings = Settings {
        schema: SCHEMA,
        hostname: appliance.hostname.clone(),
        env: appliance.env.clone(),
        services: services?,
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

fn settle(files: &Files<'_>, accounts: &Accounts, service: &appliance::Service) -> Result<Service, AssembleError> {
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

fn user(accounts: &Accounts, service: &appliance::Service) -> Result<User, AssembleError> {
    let name = &service.user;
    let (Some(uid), Some(gid)) = (accounts.uid(name), accounts.primary_gid(name)) else {
        // A root without packages has no accounts, but root is root everywhere.
        if name == "root" {
            return Ok(User { name: name.clone(), uid: 0, gid: 0, groups: Vec::new(), home: "/root".to_owned() });
        }
        let near = nearest(name, accounts.user_names());
        return Err(AssembleError::NoUser {
            doing: format!("prepare service {:?}", service.name),
            user: name.clone(),
            near,
        });
    };
    let home = accounts.home(name).unwrap_or("/").to_owned();
    let groups = accounts.groups_of(name).into_iter().filter(|group| *group != gid).collect();
    Ok(User { name: name.clone(), uid, gid, groups, home })
}

/// The absolute path of a service's program, which must be an executable file of the tree.
fn find_program(files: &Files<'_>, service: &str, program: &str) -> Result<String, AssembleError> {
    let error =
        |what: String| AssembleError::NoProgram { service: service.to_owned(), program: program.to_owned(), what };
    if !program.contains('/') {
        let found =
            PATH.iter().map(|folder| format!("{folder}/{program}")).find(|path| is_program(files, path) == Some(true));
        return found.ok_or_else(|| error(format!("in no folder of the search path{}", hint(files, program))));
    }
    match is_program(files, program) {
        Some(true) => Ok(program.to_owned()),
        Some(false) => Err(error("not an executable file".to_owned())),
        None => Err(error(format!("not in the image{}", hint(files, program)))),
    }
}

/// Whether an entry can be started; `None` when there is none.
fn is_program(files: &Files<'_>, path: &str) -> Option<bool> {
    files.stat(path).map(|node| matches!(node.kind, Kind::File(_)) && node.meta.mode & 0o111 != 0)
}

/// Where a program of the same or nearly the same name stands, in words.
fn hint(files: &Files<'_>, program: &str) -> String {
    let base = program.rsplit('/').next().unwrap_or(program);
    let programs = || {
        files
            .tree()
            .iter()
            .filter(|(_, _, node)| matches!(node.kind, Kind::File(_) | Kind::Symlink(_)) && node.meta.mode & 0o111 != 0)
    };
    if let Some((path, _, _)) = programs()
        .find(|(path, _, _)| path.name() == base.as_bytes() && is_program(files, &path.display()) == Some(true))
    {
        return format!("; {base} is at {path}");
    }
    let names: Vec<String> = PATH.iter().flat_map(|folder| files.names_in(folder)).collect();
    match nearest(base, names.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean {near}?"),
        None => format!("; is the package that brings {base} in `packages`?"),
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
        let got = find_program(&files, "web", program).map_err(|error| error.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), want);
    }

    #[test]
    fn a_program_is_found_or_the_error_says_where_it_is() {
        check("darkhttpd", Ok("/usr/bin/darkhttpd"));
        check("/bin/darkhttpd", Ok("/bin/darkhttpd"));
        check(
            "/sbin/darkhttpd",
            Err(
                "prepare service \"web\": its program /sbin/darkhttpd is not in the image; darkhttpd is at /usr/bin/darkhttpd",
            ),
        );
        check(
            "darkhtpd",
            Err(
                "prepare service \"web\": its program darkhtpd is in no folder of the search path; did you mean darkhttpd?",
            ),
        );
        check("/usr/bin/data", Err("prepare service \"web\": its program /usr/bin/data is not an executable file"));
        check(
            "nginx",
            Err(
                "prepare service \"web\": its program nginx is in no folder of the search path; is the package that brings nginx in `packages`?",
            ),
        );
    }
}
