//! A signed release (`InRelease`): bytes and trusted keys in, a [`Release`] that one of them vouches for out.
//!
//! Trust comes from the keys that are handed in and from nothing else. What is read is exactly the text that the
//! signature covers. Fetching it, and remembering the date of the last one, is the caller's part.

mod cleartext;
mod error;
mod keyring;
mod signature;

use spec::appliance::Arch;

use crate::Sha256;
use crate::deb::release::{Release, parse_release};

use cleartext::Cleartext;
pub use error::ReleaseError;
use keyring::Keyring;
pub use keyring::check_key;

/// The largest signed release that is read. Debian's largest is 200 kB.
const MAX_RELEASE_BYTES: usize = 16 << 20;

/// How far a date may lie in the future, for clocks that are a little off.
const CLOCK_SLACK_SECS: i64 = 24 * 3600;

/// What a release must be.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The suite asked for, as in `dists/SUITE`: the release must state it as its suite or codename.
    pub suite: &'a str,
    /// The codename that the release must state, where one is known.
    pub codename: Option<&'a str>,
    /// Components that it must have.
    pub components: &'a [String],
    /// Architectures that it must have.
    pub arches: &'a [Arch],
    /// The time now, in seconds since 1970.
    pub now_secs: i64,
    /// Date of the last release of this suite that was accepted; an older one is a replay.
    pub previous_date_secs: Option<i64>,
}

/// Verifies a signed release and reads it.
///
/// `keys` are OpenPGP key files, binary or armoured, with their names. One good signature by one of them is enough.
///
/// # Errors
/// When no configured key vouches for the text, or the text is not the release that is expected.
pub fn verify_inrelease(
    bytes: &[u8],
    keys: &[(String, Vec<u8>)],
    expect: &Expectation<'_>,
) -> Result<Release, ReleaseError> {
    let message = read_message(bytes)?;
    let keyring = Keyring::read(keys)?;
    let signatures = signature::read(message.armour)?;
    let key = signature::verify(&signatures, &message.text, &keyring, expect.now_secs)?;
    let release = parse_release(message.text.as_bytes()).map_err(ReleaseError::Text)?;
    let release = Release { key, sha256: Sha256::of(bytes), ..release };
    check_identity(&release, expect)?;
    check_time(&release, expect)?;
    Ok(release)
}

fn read_message(bytes: &[u8]) -> Result<Cleartext<'_>, ReleaseError> {
    if bytes.len() > MAX_RELEASE_BYTES {
        return Err(ReleaseError::TooLarge { limit: MAX_RELEASE_BYTES });
    }
    if !cleartext::is_cleartext(bytes) {
        let start = String::from_utf8_lossy(bytes.get(..60).unwrap_or(bytes)).into_owned();
        return Err(ReleaseError::NotSigned { begins: start.lines().next().unwrap_or_default().to_owned() });
    }
    let malformed = |reason: &str| ReleaseError::Malformed { reason: reason.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
    cleartext::split(text).map_err(malformed)
}

fn check_identity(release: &Release, expect: &Expectation<'_>) -> Result<(), ReleaseError> {
    if ![&release.suite, &release.codename].iter().any(|stated| *stated == expect.suite) {
        let (suite, codename) = (release.suite.clone(), release.codename.clone());
        return Err(ReleaseError::WrongSuite { expected: expect.suite.to_owned(), suite, codename });
    }
    if let Some(expected) = expect.codename.filter(|codename| *codename != release.codename) {
        let (expected, stated) = (expected.to_owned(), release.codename.clone());
        return Err(ReleaseError::WrongCodename { expected, stated });
    }
    let missing = expect.components.iter().find(|c| !release.components.is_empty() && !release.components.contains(c));
    if let Some(component) = missing {
        let there = release.components.clone();
        return Err(ReleaseError::NoComponent { component: component.clone(), there });
    }
    let has = |arch: &Arch| release.architectures.iter().any(|a| a == arch.name());
    match expect.arches.iter().find(|arch| !has(arch)) {
        Some(arch) => Err(ReleaseError::NoArchitecture { arch: *arch, there: release.architectures.clone() }),
        None => Ok(()),
    }
}

fn check_time(release: &Release, expect: &Expectation<'_>) -> Result<(), ReleaseError> {
    let (date_secs, now_secs) = (release.date_secs, expect.now_secs);
    if date_secs > now_secs + CLOCK_SLACK_SECS {
        return Err(ReleaseError::FromTheFuture { date_secs, now_secs });
    }
    if let Some(until_secs) = release.valid_until_secs.filter(|until| *until < now_secs) {
        return Err(ReleaseError::Stale { until_secs, now_secs });
    }
    match expect.previous_date_secs.filter(|previous| *previous > date_secs) {
        Some(previous_secs) => Err(ReleaseError::Replayed { date_secs, previous_secs }),
        None => Ok(()),
    }
}
