//! The spec language: text → [`Spec`] (as written, with spans) → [`Appliance`] (what was meant). Everything that
//! is wrong comes back as [`Diagnostic`] values. It reads no file: texts, fragments and base images are arguments.

pub mod appliance;
pub mod base;
mod base_image;
mod check;
mod diagnostic;
mod explain;
mod files_beside;
mod format;
mod hints;
mod image_reference;
mod item;
mod lexer;
mod merge;
mod naming;
mod origin;
mod reference;
mod report;
mod rules;
mod sections;
mod shape;
mod source;
mod spec;
mod suggest;
mod syntax;
mod table;
mod templates;
mod units;
mod unread;
mod value;

pub use appliance::Appliance;
pub use base_image::{KeyFile, builtin_bases, read_base};
pub use check::{Checked, World, check, check_rest};
pub use diagnostic::{CODES, Diagnostic, Label, Severity, Span, plain, settle};
pub use explain::explain;
pub use files_beside::{Standing, file_problems};
pub use format::format;
pub use hints::MAX_DEPTH;
pub use image_reference::{ImageReference, LocalImage, ReferenceProblem, RegistryReference};
pub use reference::reference;
pub use source::{Source, Sources};
pub use spec::{Fragments, Rejected, Spec, parse, parse_bytes};
pub use suggest::nearest;
pub use syntax::MAX_SOURCE_BYTES;
pub use templates::{Template, templates};
