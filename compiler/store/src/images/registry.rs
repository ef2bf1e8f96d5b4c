//! Images from registries (OCI distribution specification 1.1, "Pull"): a tag to its digest, and blobs into the store.
//!
//! Mirrors are asked first, then the registry itself. At each place the manifest opens the way: it tells how the place
//! wants to be authorised. Blobs then come several at once, resumed and verified like packages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use formats::oci::MAX_DOCUMENT_BYTES;
use packages::{ArchiveDigest, Sha256};
use spec::RegistryReference;

use super::authorization::{Asking, answer};
use super::credentials::{self, Credential};
use super::{ImageError, ImageRequest, RegistryError, Wanted};
use crate::disk::DiskError;
use crate::network::{Answer, BadCertificates, Job, Question, is_on_this_machine};
use crate::{FetchError, Progress, Store, TransferError, Unit};

/// What manifests and indexes may be (OCI image specification, and Docker's own types from before it).
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json";

/// Docker Hub's name in references, and the host that is it.
const HUB: (&str, &str) = ("docker.io", "https://registry-1.docker.io");

/// Blobs that are locked and fetched at once, each by an open file.
const BATCH: usize = 64;

/// One place that may have the image.
pub(super) struct Place {
    /// `SCHEME://HOST[/PATH]`, without a slash at the end.
    root: String,
    /// The repository there, which mirrors may have below a folder of their own.
    pub(super) repository: String,
    credential: Option<Credential>,
    /// Whether it is the registry itself, whose word is final.
    is_registry: bool,
}

impl Store {
    /// The digest of a tag: of the bytes that the first place that has it gives for it; they are kept.
    pub(super) fn resolve_in_registry(
        &self,
        request: &ImageRequest<'_>,
        reference: &RegistryReference,
    ) -> Result<Sha256, ImageError> {
        let tag = reference.tag.as_deref().unwrap_or("latest");
        let (_, bytes) = self.first_place(request, reference, |place| self.manifest(place, tag, None))?;
        Ok(self.place_document(&bytes)?)
    }

    /// Fetches blobs into the store.
    pub(super) fn pull(
        &self,
        request: &ImageRequest<'_>,
        reference: &RegistryReference,
        missing: &[Wanted],
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        let total = missing.iter().filter_map(|wanted| wanted.size_bytes).sum();
        progress.begin("pull the base image", Unit::Bytes, total);
        let mut disk = None;
        let pulled = self.first_place(request, reference, |place| {
            for batch in missing.chunks(BATCH) {
                match self.pull_batch(place, batch, progress) {
                    Ok(()) => {}
                    Err(PullError::Place(error)) => return Err(error),
                    // Another place cannot help a full disk.
                    Err(PullError::Disk(error)) => {
                        disk = Some(error);
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        match disk {
            Some(error) => Err(error.into()),
            None => pulled,
        }
    }

    fn first_place<T>(
        &self,
        request: &ImageRequest<'_>,
        reference: &RegistryReference,
        mut work: impl FnMut(&Place) -> Result<T, RegistryError>,
    ) -> Result<T, ImageError> {
        let mut tried = Vec::new();
        let roots = roots(reference, request.mirrors);
        let last = roots.last().map(|(root, _)| root.clone()).unwrap_or_default();
        for (root, repository) in roots {
            let credential = credentials::find(request.auth_files, &account(&root, reference), &repository);
            let is_registry = host_of(&root) == host_of(&last);
            let place = |credential| Place { root: root.clone(), repository, credential, is_registry };
            let trusted = self.trust(&root, request.certificates);
            let done = trusted.and(credential).and_then(|credential| work(&place(credential)));
            match done {
                Ok(done) => return Ok(done),
                Err(error) => {
                    // This machine is asked a second time only where it may have wanted TLS.
                    let is_plain = root == format!("http://{}", reference.registry);
                    let is_enough = is_plain && !wants_tls(&error);
                    // So does who speaks TLS answer what is none; what is said over TLS counts.
                    let is_no_word = matches!(error, RegistryError::Status { status: 400, .. });
                    if !(is_plain && reference.scheme.is_none() && is_no_word) {
                        tried.push((root, error));
                    }
                    if is_enough {
                        break;
                    }
                }
            }
        }
        Err(ImageError::Pull { reference: request.reference.to_string(), tried })
    }

    /// Takes note of who else vouches for a place that is spoken to over TLS.
    fn trust(&self, root: &str, folders: &[PathBuf]) -> Result<(), RegistryError> {
        let Some(host) = root.strip_prefix("https://").map(|_| host_of(root)) else { return Ok(()) };
        let bad = |BadCertificates { path, what }| RegistryError::Certificates { host: host.to_owned(), path, what };
        self.network.trust(host, folders).map_err(bad)
    }

    /// Gets a manifest by tag or digest; gives also the authorisation that opened the way.
    fn manifest(
        &self,
        place: &Place,
        name: &str,
        expected: Option<Sha256>,
    ) -> Result<(Option<String>, Vec<u8>), RegistryError> {
        let mut question = Question {
            url: place.manifest_url(name),
            headers: vec![("accept", ACCEPT.to_owned())],
            form: None,
            limit_bytes: MAX_DOCUMENT_BYTES,
        };
        let mut authorization = None;
        let mut answered = self.network.ask(&question)?;
        if answered.status == 401 {
            authorization = self.authorize(place, &answered.challenges)?;
            question.headers.extend(authorization.clone().map(|value| ("authorization", value)));
            answered = self.network.ask(&question)?;
        }
        if answered.status == 404 && expected.is_none() && place.is_registry {
            return Err(self.missing(place, name, &answered, authorization));
        }
        let bytes = place.accept(answered, name, authorization.is_some() && place.credential.is_some())?;
        let found = Sha256::of(&bytes);
        match expected.filter(|expected| *expected != found) {
            Some(expected) => {
                let [found, expected] = [found, expected].map(|digest| format!("sha256:{digest}"));
                Err(RegistryError::Digest { host: place.host().to_owned(), found, expected })
            }
            None => Ok((authorization, bytes)),
        }
    }

    fn authorize(&self, place: &Place, challenges: &[String]) -> Result<Option<String>, RegistryError> {
        let asking = Asking {
            host: place.host(),
            repository: &place.repository,
            plain_http: place.root.starts_with("http://"),
            credential: place.credential.as_ref(),
        };
        answer(&self.network, challenges, asking)
    }

    fn pull_batch(&self, place: &Place, batch: &[Wanted], progress: &dyn Progress) -> Result<(), PullError> {
        // Locks are taken in one order by everyone, so that two builds never wait for each other in a circle.
        let locks = batch.iter().map(|wanted| self.folders.lock_key("images", &wanted.sha256.to_string()));
        let _locks = locks.collect::<Result<Vec<_>, _>>()?;
        let mut missing: Vec<Wanted> = batch.iter().filter(|wanted| !self.is_here(wanted)).copied().collect();
        let mut authorization = self.way_in(place, &missing)?;
        for last in [false, true] {
            missing.retain(|wanted| !self.is_here(wanted));
            let jobs: Vec<Job> =
                missing.iter().map(|wanted| self.blob_job(place, wanted, authorization.as_deref())).collect();
            let mut refused = None;
            for ((wanted, job), result) in missing.iter().zip(&jobs).zip(self.network.fetch(&jobs, progress)) {
                match result {
                    Ok(_) => self.place_blob(&job.partial, wanted.sha256)?,
                    Err(error) => _ = refused.get_or_insert((job.what.clone(), error)),
                }
            }
            let Some((what, error)) = refused else { return Ok(()) };
            // A token lives for minutes; a large image may take longer.
            if last || !is_unauthorized(&error) {
                return Err(PullError::of(error, &what));
            }
            authorization = self.way_in(place, &missing)?;
        }
        Ok(())
    }

    /// The authorisation that blobs of this repository need, found by asking for one of them.
    fn way_in(&self, place: &Place, missing: &[Wanted]) -> Result<Option<String>, PullError> {
        let Some(first) = missing.first() else { return Ok(None) };
        let url = place.url(first);
        // One byte is enough to be asked for authorisation; many servers answer HEAD in other ways.
        let headers = vec![("accept", ACCEPT.to_owned()), ("range", "bytes=0-0".to_owned())];
        let question = Question { url, headers, form: None, limit_bytes: 0 };
        match self.network.ask(&question) {
            Ok(answered) if answered.status == 401 => Ok(self.authorize(place, &answered.challenges)?),
            // The transfer itself will tell what else is wrong.
            Ok(_) | Err(TransferError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(PullError::Place(error.into())),
        }
    }

    fn blob_job(&self, place: &Place, wanted: &Wanted, authorization: Option<&str>) -> Job {
        let mut headers = vec![("accept", if wanted.is_manifest { ACCEPT } else { "*/*" }.to_owned())];
        headers.extend(authorization.map(|value| ("authorization", value.to_owned())));
        Job {
            what: match wanted.is_manifest {
                true => format!("image {}@sha256:{}", place.repository, wanted.sha256),
                false => format!("blob sha256:{} of {}", wanted.sha256, place.repository),
            },
            urls: vec![place.url(wanted)],
            partial: self.folders.path("partial", format!("image-{}", wanted.sha256)),
            size_bytes: wanted.size_bytes,
            limit_bytes: wanted.size_bytes.unwrap_or(MAX_DOCUMENT_BYTES),
            digest: Some(ArchiveDigest::Sha256(wanted.sha256)),
            headers,
            copy: None,
        }
    }
}

impl Place {
    pub(super) fn host(&self) -> &str {
        host_of(&self.root)
    }

    fn manifest_url(&self, name: &str) -> String {
        self.url_of(&format!("manifests/{name}"))
    }

    /// The URL of what this names below the repository.
    pub(super) fn url_of(&self, below: &str) -> String {
        format!("{}/v2/{}/{below}", self.root, self.repository)
    }

    fn url(&self, wanted: &Wanted) -> String {
        let digest = format!("sha256:{}", wanted.sha256);
        match wanted.is_manifest {
            true => self.manifest_url(&digest),
            false => self.url_of(&format!("blobs/{digest}")),
        }
    }

    fn accept(&self, answer: Answer, name: &str, with_credentials: bool) -> Result<Vec<u8>, RegistryError> {
        let host = self.host().to_owned();
        match answer.status {
            200..=299 if answer.content_type == "text/html" => Err(RegistryError::WebPage { host }),
            200..=299 => Ok(answer.body),
            401 | 403 => Err(RegistryError::Refused { host, with_credentials }),
            404 => Err(RegistryError::Missing { host, what: format!("image {}:{name}", self.repository) }),
            status => Err(RegistryError::Status { host, status, retry_secs: answer.retry_secs }),
        }
    }
}

/// Why a place did not give blobs: the place's fault, or this machine's disk.
enum PullError {
    Place(RegistryError),
    Disk(DiskError),
}

impl PullError {
    fn of(error: FetchError, what: &str) -> Self {
        match error.tried.into_iter().next_back() {
            Some((_, TransferError::Disk(error))) => Self::Disk(error),
            Some((_, error)) => Self::Place(RegistryError::of(error, what)),
            None => Self::Place(TransferError::Url(what.to_owned()).into()),
        }
    }
}

impl From<DiskError> for PullError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<RegistryError> for PullError {
    fn from(error: RegistryError) -> Self {
        Self::Place(error)
    }
}

/// Whether a place that was spoken to without TLS may be one that wants it.
fn wants_tls(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Transfer(TransferError::Connection { .. }) | RegistryError::Status { status: 400, .. }
    )
}

fn is_unauthorized(error: &FetchError) -> bool {
    error.tried.iter().any(|(_, error)| matches!(error, TransferError::Status { status: 401, .. }))
}

/// The places to ask, in order. Without TLS only this machine is spoken to, or what the reference or a mirror's URL says;
/// a scheme that the reference names is the only one. With each comes the name of the repository there.
fn roots(reference: &RegistryReference, mirrors: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    let (registry, repository) = (reference.registry.as_str(), reference.repository.as_str());
    let mirrors = mirrors.get(registry).into_iter().flatten().map(|url| {
        let url = url.trim_end_matches('/');
        // What follows the interface's own folder is a folder of repositories.
        match url.split_once("/v2/") {
            Some((root, below)) => (root.to_owned(), format!("{below}/{repository}")),
            None => (url.strip_suffix("/v2").unwrap_or(url).to_owned(), repository.to_owned()),
        }
    });
    let own = match (registry, reference.scheme) {
        (name, _) if name == HUB.0 || name == "index.docker.io" => vec![HUB.1.to_owned()],
        (_, Some(scheme)) => vec![format!("{}{registry}", scheme.prefix())],
        _ if is_on_this_machine(registry) => vec![format!("http://{registry}"), format!("https://{registry}")],
        _ => vec![format!("https://{registry}")],
    };
    mirrors.chain(own.into_iter().map(|root| (root, repository.to_owned()))).collect()
}

/// Under which name the credentials of a place stand: the registry's own, or that of a mirror's host.
fn account(root: &str, reference: &RegistryReference) -> String {
    if root == HUB.1 {
        HUB.0.to_owned()
    } else if host_of(root) == reference.registry {
        reference.registry.clone()
    } else {
        host_of(root).to_owned()
    }
}

fn host_of(root: &str) -> &str {
    let rest = root.split_once("://").map_or(root, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, mirrors: &[&str], want: &[&str]) {
        let Ok(spec::ImageReference::Registry(reference)) = spec::ImageReference::parse(reference) else { panic!() };
        let mirrors = [(reference.registry.clone(), mirrors.iter().map(|&url| url.to_owned()).collect())].into();
        let places: Vec<String> =
            roots(&reference, &mirrors).into_iter().map(|(root, repository)| format!("{root} {repository}")).collect();
        let repository = &reference.repository;
        let want: Vec<String> = want
            .iter()
            .map(|one| if one.contains(' ') { (*one).to_owned() } else { format!("{one} {repository}") })
            .collect();
        assert_eq!(places, want);
    }

    #[test]
    fn only_this_machine_and_what_is_said_so_is_spoken_to_without_tls() {
        check("quay.io/a/b", &[], &["https://quay.io"]);
        check(
            "docker.io/library/debian",
            &["http://mirror:5000/"],
            &["http://mirror:5000", "https://registry-1.docker.io"],
        );
        check(
            "docker.io/library/debian",
            &["https://m.example.org/v2/hub/"],
            &["https://m.example.org hub/library/debian", "https://registry-1.docker.io"],
        );
        check("localhost:5000/a", &[], &["http://localhost:5000", "https://localhost:5000"]);
        check("127.0.0.2:5000/a", &[], &["http://127.0.0.2:5000", "https://127.0.0.2:5000"]);
        check("[::1]:5000/a", &[], &["http://[::1]:5000", "https://[::1]:5000"]);
        check("http://10.0.0.1/a", &[], &["http://10.0.0.1"]);
        check("http://localhost:5000/a", &[], &["http://localhost:5000"]);
        check("https://localhost:5000/a", &[], &["https://localhost:5000"]);
        check(
            "localhost.example.org/a",
            &["https://m.example.org/v2/"],
            &["https://m.example.org", "https://localhost.example.org"],
        );
    }
}
