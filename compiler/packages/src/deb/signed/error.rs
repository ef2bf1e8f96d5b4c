//! Why a signed release is refused, in words that say what to do next.

use spec::appliance::Arch;

use crate::date::format_utc;
use crate::deb::release::ReleaseTextError;

/// Why a signed release is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Larger than any release.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// No signature at all; perhaps a login page.
    #[error("it has no signature: it starts with `{begins}`")]
    NotSigned {
        /// Its first line.
        begins: String,
    },
    /// A signed message that cannot be read, cut short for instance.
    #[error("its signature cannot be read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// A configured key file that is none.
    #[error("the key file {name} cannot be read: {reason}")]
    UnreadableKey {
        /// The file's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Signed, but by nobody who is trusted.
    #[error("it is signed by {}, and {} may sign it", signers.join(" and "), only(trusted))]
    UnknownKey {
        /// Fingerprints or ids of the keys that it names.
        signers: Vec<String>,
        /// Fingerprints of the configured keys; none where no key is configured.
        trusted: Vec<String>,
    },
    /// The text is not the one that was signed.
    #[error("it was changed after the key {key} signed it")]
    Tampered {
        /// Fingerprint.
        key: String,
    },
    /// A digest that can be forged.
    #[error("the key {key} signed it with {hash}, which is too weak; SHA-256 or better is needed")]
    WeakHash {
        /// Fingerprint.
        key: String,
        /// The digest's name.
        hash: String,
    },
    /// The key had expired when it signed.
    #[error("the key {key} expired at {}, before it signed", format_utc(*at_secs))]
    KeyExpired {
        /// Fingerprint.
        key: String,
        /// When, in seconds since 1970.
        at_secs: i64,
    },
    /// The owner took the key back.
    #[error("the key {key} is revoked")]
    KeyRevoked {
        /// Fingerprint.
        key: String,
    },
    /// The key may not sign, or nothing says that it belongs to the configured one.
    #[error("the key {key} cannot vouch for it: {reason}")]
    KeyUnusable {
        /// Fingerprint.
        key: String,
        /// Why not.
        reason: String,
    },
    /// The signature itself has run out.
    #[error("the signature of the key {key} expired at {}", format_utc(*at_secs))]
    SignatureExpired {
        /// Fingerprint.
        key: String,
        /// When, in seconds since 1970.
        at_secs: i64,
    },
    /// Signed later than now.
    #[error("the key {key} signed it at {}, which is in the future: is the clock right?", format_utc(*at_secs))]
    SignatureFromTheFuture {
        /// Fingerprint.
        key: String,
        /// When, in seconds since 1970.
        at_secs: i64,
    },
    /// The signed text is no release.
    #[error("its signed text cannot be read")]
    Text(#[source] ReleaseTextError),
    /// Another suite.
    #[error("it is the release of {suite} ({codename}), not of {expected}")]
    WrongSuite {
        /// What was asked for.
        expected: String,
        /// The suite that it says.
        suite: String,
        /// The codename that it says.
        codename: String,
    },
    /// Another codename.
    #[error("it is the release of `{stated}`, and the base image expects `{expected}`")]
    WrongCodename {
        /// What was asked for.
        expected: String,
        /// What it says.
        stated: String,
    },
    /// A component that it does not have.
    #[error("it has no component `{component}`, only {}", there.join(", "))]
    NoComponent {
        /// What was asked for.
        component: String,
        /// What it has.
        there: Vec<String>,
    },
    /// An architecture that it does not have.
    #[error("it has no architecture {}, only {}", arch.name(), there.join(", "))]
    NoArchitecture {
        /// What was asked for.
        arch: Arch,
        /// What it has.
        there: Vec<String>,
    },
    /// Made later than now.
    #[error("it was made at {}, and now is {}: is the clock right?", format_utc(*date_secs), format_utc(*now_secs))]
    FromTheFuture {
        /// Its date, in seconds since 1970.
        date_secs: i64,
        /// The time now, in seconds since 1970.
        now_secs: i64,
    },
    /// Past the time until which the archive vouches for it.
    #[error("it was valid until {}, and now is {}: the mirror is stale", format_utc(*until_secs), format_utc(*now_secs))]
    Stale {
        /// Its end, in seconds since 1970.
        until_secs: i64,
        /// The time now, in seconds since 1970.
        now_secs: i64,
    },
    /// Older than one that was seen before.
    #[error(
        "it was made at {}, before the one of {} that was accepted earlier: an old release is played back",
        format_utc(*date_secs),
        format_utc(*previous_secs)
    )]
    Replayed {
        /// Its date, in seconds since 1970.
        date_secs: i64,
        /// Date of the one seen before, in seconds since 1970.
        previous_secs: i64,
    },
}

fn only(trusted: &[String]) -> String {
    if trusted.is_empty() { "no key at all".to_owned() } else { format!("only {}", trusted.join(" or ")) }
}
