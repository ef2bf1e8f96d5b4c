//! `appliance completion SHELL`: a completion script.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::ui::Ui;

/// Prints the completion script of a shell.
pub fn completion(shell: Shell, ui: &Ui) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "appliance", &mut script);
    if shell == Shell::Bash {
        script.extend_from_slice(BASH_FILES.as_bytes());
    }
    ui.result(&String::from_utf8_lossy(&script));
    Exit::Success
}

/// Where neither an option nor a verb was begun, the generated function offers options alone; without them bash falls
/// back to files, which is what a spec or a bundle is.
const BASH_FILES: &str = r#"
_appliance_or_files() {
    local word kept=()
    _appliance "$@"
    if [[ "${2}" != -* ]]; then
        for word in "${COMPREPLY[@]}"; do
            [[ "${word}" == -* ]] || kept+=("${word}")
        done
        COMPREPLY=("${kept[@]}")
    fi
}

complete -F _appliance_or_files -o bashdefault -o default appliance
"#;
