//! Why there is no plan.

/// Why there is no plan. The path is that of the spec, relative to its folder.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The spec names a seccomp profile, but its text was not given.
    #[error("use the seccomp profile {path}: its text is missing")]
    MissingProfile {
        /// The profile's path.
        path: String,
    },
    /// The seccomp profile is not JSON.
    #[error("use the seccomp profile {path}: it is not JSON")]
    ProfileSyntax {
        /// The profile's path.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The seccomp profile is JSON, but not a profile.
    #[error("use the seccomp profile {path}: it has no \"defaultAction\", as OCI runtime profiles have")]
    NotAProfile {
        /// The profile's path.
        path: String,
    },
}
