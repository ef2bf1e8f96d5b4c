//! The command line: verbs, their arguments and their help.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::cli_instances::{Cp, Exec, Kill, Logs, Ls, Many, One, Open, Port, Ps, Rm, Stop, Watch};

/// Compile one spec into images and launch plans, the same bytes on every machine, and run them.
#[derive(Debug, Parser)]
#[command(name = "appliance", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// What every verb takes.
    #[command(flatten)]
    pub common: Common,
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colour: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Color,
    /// Say more; on `build`, print the script ledger
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but errors and warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start a new spec from a template
    New(New),
    /// Check a spec and show every mistake in it; `-` is standard input
    ///
    /// Nobody is asked: whether an archive has the packages, or a registry the image, is found out by `lock` and `build`.
    Check(SpecArgs),
    /// Show a spec fully expanded, with where each value comes from; `-` is standard input
    Explain(SpecArgs),
    /// Format a spec; `-` goes from standard input to standard output
    Fmt(Fmt),
    /// Choose exact packages and write the lock
    Lock(Lock),
    /// Build a bundle: OCI image, disks and plan
    Build(Build),
    /// Build if needed, then run; Ctrl-C stops
    Run(Run),
    /// List what runs
    Ps(Ps),
    /// Show what an instance printed that was started with `run -d`, the last MiB of it
    Logs(Logs),
    /// Run a command in an instance
    Exec(Exec),
    /// Copy files and folders into an instance or out of it
    Cp(Cp),
    /// List files and folders of an instance
    Ls(Ls),
    /// Tell what happens to a file or a folder of an instance, one change a line; Ctrl-C ends
    Watch(Watch),
    /// Stop instances in order, and wait until nothing is left of them
    Stop(Stop),
    /// End instances at once, or send them a signal
    Kill(Kill),
    /// Wait until instances have ended; the exit code is that of the last
    Wait(Many),
    /// Forget instances that have ended: how they did, and what they printed
    Rm(Rm),
    /// Show at which addresses of this host the ports of an instance are
    Port(Port),
    /// Show what instances use
    Stats(Many),
    /// Let everything in an instance stand still
    Pause(One),
    /// Let a paused instance go on
    Resume(One),
    /// Show what an instance has to show, in this host's browser
    Open(Open),
    /// Show how a bundle would run on this host, item by item
    Plan(Plan),
    /// Show, check and clean the cache
    Store(Store),
    /// Show and remove volumes, which outlive the appliances that use them
    Volume(Volume),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// A spec to read.
#[derive(Debug, Clone, Args)]
pub struct SpecArgs {
    /// The spec, or a folder that holds an appliance.kdl
    #[arg(default_value = "appliance.kdl", value_name = "SPEC", value_hint = ValueHint::AnyPath)]
    pub spec: PathBuf,
    /// Let `from=` name files outside the spec's folder
    #[arg(long)]
    pub allow_outside: bool,
}

/// `new`.
#[derive(Debug, Args)]
pub struct New {
    /// The appliance's name; also the folder that is made
    pub name: String,
    /// The template to start from
    #[arg(long, short, default_value = "minimal", value_name = "NAME", value_parser = template_names())]
    pub template: String,
    /// The base to stand on; another one than the template's own is possible for `minimal`
    #[arg(long, value_name = "NAME")]
    pub base: Option<String>,
}

/// `fmt`.
#[derive(Debug, Args)]
pub struct Fmt {
    /// The specs
    #[arg(default_value = "appliance.kdl", value_name = "SPEC", value_hint = ValueHint::AnyPath)]
    pub specs: Vec<PathBuf>,
    /// Change nothing; fail if something would change
    #[arg(long)]
    pub check: bool,
}

/// Where packages come from.
#[derive(Debug, Clone, Args)]
pub struct Sources {
    /// A mirror to ask before all others, which are asked where it fails: a URL, or ARCHIVE=URL for one archive (debian,
    /// debian-security)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = crate::mirror::written)]
    #[arg(env = "APPLIANCE_MIRROR", hide_env_values = true, value_delimiter = ' ')]
    pub mirror: Vec<String>,
    /// Use only what the cache holds
    #[arg(long)]
    pub offline: bool,
}

/// `lock`.
#[derive(Debug, Args)]
pub struct Lock {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Move these packages to their newest versions; without names, all. `base` is what the tag of an image means
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub update: Option<Vec<String>>,
    /// Where packages come from.
    #[command(flatten)]
    pub sources: Sources,
}

/// `build`.
#[derive(Debug, Clone, Args)]
pub struct Build {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The bundle folder [default: out/ beside the spec]
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// Fail instead of changing the lock
    #[arg(long)]
    pub locked: bool,
    /// Where packages come from.
    #[command(flatten)]
    pub sources: Sources,
    /// What to do with maintainer scripts, above all with one that is not understood
    #[arg(long, value_name = "POLICY", default_value = "auto")]
    pub scripts: Scripts,
    /// The same as --scripts strict
    #[arg(long)]
    pub strict: bool,
    /// What disks are signed with.
    #[command(flatten)]
    pub secure_boot: SecureBoot,
}

/// What disks are signed with for Secure Boot.
#[derive(Debug, Clone, Default, Args)]
pub struct SecureBoot {
    /// Sign what firmware starts with this RSA key (PEM), for Secure Boot
    #[arg(long, value_name = "FILE", requires = "secure_boot_cert", value_hint = ValueHint::FilePath)]
    pub secure_boot_key: Option<PathBuf>,
    /// The certificate of that key (PEM), which the machine's firmware must know
    #[arg(long, value_name = "FILE", requires = "secure_boot_key", value_hint = ValueHint::FilePath)]
    pub secure_boot_cert: Option<PathBuf>,
}

/// What to do with maintainer scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scripts {
    /// Emulate what is understood and run the rest in the sandbox
    Auto,
    /// Refuse what is not understood
    EmulateOnly,
    /// Refuse that, and also what is left to the first boot
    Strict,
    /// Emulate nothing and run every script in the sandbox: what emulation is compared with
    Run,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// A spec, or a bundle folder
    #[arg(default_value = "appliance.kdl", value_name = "SPEC|BUNDLE", value_hint = ValueHint::AnyPath)]
    pub what: PathBuf,
    /// Run this instead of the services; its exit code becomes ours
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandName)]
    pub command: Vec<String>,
    /// Reach a declared port at this port of the host: PORT=HOSTPORT or HOSTPORT:PORT, or PORT for the same number
    #[arg(long, short, value_name = "PORT[=HOSTPORT]")]
    pub port: Vec<String>,
    /// Run the COMMAND as this user of the appliance, by name or number. Without it the COMMAND is root, but root without
    /// its powers: use it to see what belongs to a service, such as its data
    #[arg(long, short, value_name = "USER[:GROUP]", requires = "command")]
    pub user: Option<String>,
    /// Leave it running and come back as soon as it is ready
    #[arg(long, short)]
    pub detach: bool,
    /// Name the instance [default: after its appliance]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Run it as a machine of its own, by QEMU: the bundle must have a `microvm` or a disk
    #[arg(long)]
    pub vm: bool,
    /// Let `from=` name files outside the spec's folder
    #[arg(long)]
    pub allow_outside: bool,
    /// Where packages come from.
    #[command(flatten)]
    pub sources: Sources,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// A bundle folder, or a spec that was built, or its folder
    #[arg(default_value = ".", value_name = "SPEC|BUNDLE", value_hint = ValueHint::AnyPath)]
    pub what: PathBuf,
    /// Print the OCI runtime configuration instead
    #[arg(long, conflicts_with = "vm")]
    pub oci: bool,
    /// Show it as a machine of its own
    #[arg(long)]
    pub vm: bool,
}

/// `store`.
#[derive(Debug, Args)]
pub struct Store {
    /// What to do.
    #[command(subcommand)]
    pub verb: StoreVerb,
}

/// The verbs of `store`.
#[derive(Debug, Subcommand)]
pub enum StoreVerb {
    /// Show what the cache holds
    Usage,
    /// Remove what no build needed for a while
    #[command(visible_alias = "gc")]
    Clean {
        /// Keep what was used in the last days; 0 removes all that no running build needs
        #[arg(long, default_value = "30", value_name = "DAYS", value_parser = days)]
        older_than: u32,
    },
    /// Read everything again and remove what is damaged
    Verify,
    /// Print where the cache is
    Path,
}

/// `volume`.
#[derive(Debug, Args)]
pub struct Volume {
    /// What to do.
    #[command(subcommand)]
    pub verb: VolumeVerb,
}

/// Who has a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VolumeKind {
    /// Containers: it is a folder.
    Container,
    /// Machines: it is a disk.
    Machine,
}

/// The verbs of `volume`.
#[derive(Debug, Subcommand)]
pub enum VolumeVerb {
    /// List volumes: name, whether containers or machines have it, size, folder, and what uses it
    #[command(visible_alias = "list")]
    Ls,
    /// Remove volumes with all that is in them; refused while their appliance is running
    #[command(visible_alias = "remove")]
    Rm {
        /// APPLIANCE/VOLUME, as `volume ls` has it: that of containers and that of machines
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Remove all volumes of appliances: each NAME is an appliance
        #[arg(long)]
        all: bool,
        /// Only those that containers have, or only those that machines have
        #[arg(long, value_name = "KIND")]
        kind: Option<VolumeKind>,
    },
}

fn days(text: &str) -> Result<u32, &'static str> {
    text.strip_suffix('d').unwrap_or(text).parse().map_err(|_| "write a number of days, such as 30; 0 means all")
}

fn template_names() -> PossibleValuesParser {
    spec::templates().iter().map(|template| template.name).collect::<Vec<_>>().into()
}
