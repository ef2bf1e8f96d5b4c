//! Who vouches for what packages come from: the keys of the spec's own repositories, and what a user is told where a key
//! does not fit.

use std::fs;
use std::path::Path;

use assemble::Mistake;
use spec::Written;
use spec::appliance::Repository;
use spec::base::{BaseImage, Family};
use store::{CatalogFetchError, Distrust, check_key};

use crate::catalogs::archive_name;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::spec_file::SpecFile;

/// The key files of a spec's repositories that cannot be keys of this family.
pub fn unusable_keys(spec: &SpecFile, family: Family) -> Vec<Mistake> {
    spec.appliance()
        .repositories
        .iter()
        .filter_map(|repository| key(spec, repository, family).err().map(|mistake| *mistake))
        .collect()
}

/// The key file of a repository.
///
/// # Errors
/// When it cannot be read, or holds no key of this family.
pub fn key(spec: &SpecFile, repository: &Repository, family: Family) -> Result<Vec<u8>, Box<Mistake>> {
    let wrong = |what: String, help: &str| {
        Box::new(Mistake {
            at: Written::Key(repository.url.clone()),
            code: "key-unusable",
            message: format!("{} is no key of the repository: {what}", spec.folder().join(&repository.key).display()),
            label: "not a key",
            help: help.to_owned(),
        })
    };
    let read = fs::read(spec.folder().join(&repository.key));
    let bytes = read.map_err(|error| wrong(error.to_string(), "make it readable, or correct the path"))?;
    let fetch = "get the public key that the owner of the repository publishes, and name its file with `key=`";
    check_key(family, &bytes).map_err(|what| wrong(what, fetch))?;
    Ok(bytes)
}

/// What a user is told of an archive that is not trusted: of a repository of the spec at its `key=`, of an archive of the
/// base image with what holds its keys.
pub fn refused(spec: &SpecFile, base: &BaseImage, error: CatalogFetchError) -> Failure {
    let Some((archive, why)) = error.distrust() else { return Failure::new(Exit::Fetch, error) };
    let own = spec.appliance().repositories.iter().find(|repository| archive_name(repository) == archive);
    let Some(repository) = own else {
        let help = of_base(base, &why);
        return Failure::new(Exit::Fetch, error).help(help);
    };
    let mistake = Mistake {
        at: Written::Key(repository.url.clone()),
        code: "repository-untrusted",
        message: format!("nothing can be taken from this repository: failed to {}", store::in_one_line(&error)),
        label: "this key does not vouch for it",
        help: of_repository(repository, &why),
    };
    spec.mistakes(Exit::Fetch, &[mistake])
}

fn of_repository(repository: &Repository, why: &Distrust) -> String {
    let key = repository.key.as_str();
    let beside = |name: &str| Path::new(key).with_file_name(name).display().to_string();
    match why {
        Distrust::Unsigned => {
            "correct the address; a repository that nobody signs cannot be used: its owner has to sign it".to_owned()
        }
        Distrust::UnknownKey { wanted } => {
            format!("if you trust it, put {wanted} beside the spec and name that file with `key=` in place of {key}")
        }
        Distrust::OtherName { name, .. } => format!("rename {key} to {0}, and write key=\"{0}\"", beside(name)),
        Distrust::NotByKey { .. } => format!(
            "get {key} anew from the owner of the repository; where it is right, what the repository gives was changed"
        ),
        Distrust::Outdated => format!("get the repository's newer key from its owner, and name it in place of {key}"),
        Distrust::Weak => "the owner of the repository has to sign it with a stronger key".to_owned(),
        Distrust::NoKey { .. } => format!("put the repository's public key into {key}"),
    }
}

fn of_base(base: &BaseImage, why: &Distrust) -> String {
    let own = places::base_images().join(&base.name);
    let is_own = own.join("base.kdl").is_file();
    let (name, keys) = (&base.name, own.join("keys"));
    let elsewhere = format!(
        "is this a mirror of {name}? a repository of somebody else is `repository \"URL\" key=\"FILE\"` in the spec, or a base of your own"
    );
    match why {
        Distrust::UnknownKey { wanted } if is_own => {
            format!("if you trust it, put {wanted} into {} and name it in base.kdl: key \"keys/FILE\"", keys.display())
        }
        Distrust::OtherName { file, name } if is_own => {
            format!("rename {0}/{file} to {name}, and write key \"keys/{name}\" into base.kdl", keys.display())
        }
        Distrust::NotByKey { key } if is_own => format!(
            "get the key {key} anew from the owner of the archive and put it into {}; where it is right, the mirror changed what it gives",
            keys.display()
        ),
        Distrust::NoKey { file } if is_own => {
            format!("put the archive's public key into {}", keys.join(file).display())
        }
        Distrust::Outdated if is_own => format!("put the archive's newer key into {}", keys.display()),
        Distrust::Outdated => {
            format!("a newer version of this program knows newer keys; a base of your own in {} too", own.display())
        }
        Distrust::NotByKey { .. } => {
            format!("the mirror changed what it gives, or is none of {name}: name another one with --mirror")
        }
        Distrust::Weak => "the owner of the archive has to sign it with a stronger key".to_owned(),
        _ => elsewhere,
    }
}
