//! What a text is that is read as KDL, a spec or a base image: the words that messages about its syntax need of it.

/// What a text describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// An appliance, or a fragment of one.
    #[default]
    Spec,
    /// A base image, in its `base.kdl`.
    BaseImage,
}

impl Language {
    /// What such a text is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spec => "a spec",
            Self::BaseImage => "a base image",
        }
    }

    /// Its first line.
    pub(crate) fn begins(self) -> &'static str {
        match self {
            Self::Spec => "appliance \"my-app\" {",
            Self::BaseImage => "base \"mine\" family=\"deb\" {",
        }
    }

    /// A line that has a block.
    pub(crate) fn block(self) -> &'static str {
        match self {
            Self::Spec => "service \"web\" {",
            Self::BaseImage => "archive \"mine\" {",
        }
    }

    /// How a line is made.
    pub(crate) fn line_help(self) -> String {
        let example = match self {
            Self::Spec => "service \"web\" user=\"www\" { … }",
            Self::BaseImage => "release \"stable\" version=\"1\" { … }",
        };
        format!("a line is a name, values, name=value pairs and perhaps a {{ block }}: `{example}`")
    }

    /// What to do about braces that nest too deep.
    pub(crate) fn too_deep_help(self) -> &'static str {
        match self {
            Self::Spec => "is a `}` missing above? Such a text belongs into a file beside the spec",
            Self::BaseImage => "is a `}` missing above?",
        }
    }

    /// What to do about a text that is too large.
    pub(crate) fn too_large_help(self) -> &'static str {
        match self {
            Self::Spec => {
                "move large contents into files beside the spec and take them in with `file \"/path\" from=\"…\"`"
            }
            Self::BaseImage => "the keys of a base image are files in `keys/`, and all else is short",
        }
    }

    /// What to do about a text with too many words.
    pub(crate) fn too_many_help(self) -> &'static str {
        match self {
            Self::Spec => "take many files in as one folder: file \"/path\" from=\"folder/\"",
            Self::BaseImage => self.too_large_help(),
        }
    }
}
