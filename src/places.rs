//! Where this program keeps things on this host, by the XDG base directory specification.

use std::env;
use std::path::{Path, PathBuf};

/// The folder that everything may be rebuilt from the network from: `$APPLIANCE_CACHE`, else below the user's cache folder.
pub fn cache() -> PathBuf {
    from_env("APPLIANCE_CACHE").unwrap_or_else(|| below("XDG_CACHE_HOME", ".cache").join("appliance"))
}

/// The folder of what outlives an instance: volumes.
pub fn data() -> PathBuf {
    from_env("APPLIANCE_DATA").unwrap_or_else(|| below("XDG_DATA_HOME", ".local/share").join("appliance"))
}

/// The folder of running instances, which a restart of the host empties.
pub fn state() -> PathBuf {
    if let Some(path) = from_env("APPLIANCE_STATE") {
        return path;
    }
    match from_env("XDG_RUNTIME_DIR") {
        Some(folder) => folder.join("appliance"),
        None if nix::unistd::Uid::effective().is_root() => PathBuf::from("/run/appliance"),
        None => env::temp_dir().join(format!("appliance-{}", nix::unistd::Uid::effective())),
    }
}

/// The user's settings file, which need not exist.
pub fn config_file() -> PathBuf {
    below("XDG_CONFIG_HOME", ".config").join("appliance/config.kdl")
}

/// The folder of the user's own base images, which need not exist: `NAME/base.kdl` with `NAME/keys/`.
pub fn base_images() -> PathBuf {
    from_env("APPLIANCE_BASE_IMAGES")
        .unwrap_or_else(|| below("XDG_CONFIG_HOME", ".config").join("appliance/base-images"))
}

/// Whether the user says where that folder is.
pub fn names_base_images() -> bool {
    from_env("APPLIANCE_BASE_IMAGES").is_some()
}

/// Where the guest binary for an architecture may be, the first place first: `$APPLIANCE_GUEST_DIR`, beside this program,
/// or where a package puts it.
pub fn guest(arch: &str) -> Vec<PathBuf> {
    let name = format!("appliance-guest-{arch}");
    let own = env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let beside = own.into_iter().flat_map(|folder| {
        let prefix = folder.parent().map(|prefix| prefix.join("lib/appliance"));
        [Some(folder), prefix].into_iter().flatten()
    });
    from_env("APPLIANCE_GUEST_DIR").into_iter().chain(beside).map(|folder| folder.join(&name)).collect()
}

/// Files with credentials for registries, as podman, skopeo and docker share them (containers-auth.json(5)):
/// `$REGISTRY_AUTH_FILE` alone where it is set, else those that a login may have written, which need not exist.
pub fn registry_auth_files() -> Vec<PathBuf> {
    if let Some(only) = from_env("REGISTRY_AUTH_FILE") {
        return vec![only];
    }
    let runtime = from_env("XDG_RUNTIME_DIR").map(|folder| folder.join("containers"));
    let docker = from_env("DOCKER_CONFIG").unwrap_or_else(|| below("HOME", "/").join(".docker"));
    vec![
        runtime
            .unwrap_or_else(|| PathBuf::from(format!("/run/containers/{}", nix::unistd::Uid::effective())))
            .join("auth.json"),
        below("XDG_CONFIG_HOME", ".config").join("containers/auth.json"),
        docker.join("config.json"),
    ]
}

/// Folders with certificates for single registries, the first that has one for a registry counts
/// (containers-certs.d(5)): the user's own, then those of this host.
pub fn registry_certificates() -> Vec<PathBuf> {
    let own = below("HOME", "/").join(".config/containers/certs.d");
    vec![own, PathBuf::from("/etc/containers/certs.d"), PathBuf::from("/etc/docker/certs.d")]
}

/// What a spec is called where nothing else is said.
pub const SPEC_NAME: &str = "appliance.kdl";

/// The path of the spec that the user means: the file itself, or `appliance.kdl` in the folder.
pub fn spec(path: &Path) -> PathBuf {
    // A folder that has the name of a spec is none, and holds none.
    if path.is_dir() && !path.ends_with(SPEC_NAME) { path.join(SPEC_NAME) } else { path.to_owned() }
}

fn from_env(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn below(variable: &str, fallback: &str) -> PathBuf {
    from_env(variable)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| from_env("HOME").unwrap_or_else(|| PathBuf::from("/")).join(fallback))
}
