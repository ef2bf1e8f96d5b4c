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
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script.push_str(BASH_FILES),
        Shell::Fish => script.push_str(FISH_INSTANCES),
        // The generator has no words for such an argument, so that its own are put in their place.
        Shell::Zsh => {
            for argument in ["instance --", "instances --"] {
                script = with_instances(&script, argument);
            }
            script = script.replacen("\n_appliance() {", &format!("\n{ZSH_INSTANCES}\n_appliance() {{"), 1);
        }
        _ => {}
    }
    ui.result(&script);
    Exit::Success
}

/// Gives every argument of this name the names of instances, in a script for zsh.
fn with_instances(script: &str, argument: &str) -> String {
    let line = |line: &str| {
        let is_one = line.contains(argument) && line.contains(":_default'");
        if is_one { line.replace(":_default'", ":_appliance_instances'") } else { line.to_owned() }
    };
    script.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Names of instances, for zsh.
const ZSH_INSTANCES: &str = r#"_appliance_instances() {
    local names=(${(f)"$(appliance ps --all --names 2>/dev/null)"})
    compadd -a names
}
"#;

/// Names of instances, for fish.
const FISH_INSTANCES: &str = r#"complete -c appliance -n "__fish_seen_subcommand_from exec logs ls watch stop kill wait rm port stats pause resume open" -f -a "(appliance ps --all --names 2>/dev/null)"
"#;

/// Verbs that take instances get their names. Where neither an option nor a verb was begun, the generated function offers options alone; without them bash falls
/// back to files, which is what a spec or a bundle is.
const BASH_FILES: &str = r#"
_appliance_or_files() {
    local word kept=()
    case "${COMP_WORDS[1]}" in
        exec|logs|ls|watch|stop|kill|wait|rm|port|stats|pause|resume|open)
            if [[ "${2}" != -* ]]; then
                COMPREPLY=($(compgen -W "$(appliance ps --all --names 2>/dev/null)" -- "${2}"))
                return
            fi
            ;;
    esac
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
