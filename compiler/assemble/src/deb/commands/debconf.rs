//! debconf without a person: every question keeps its template's default unless a script sets it (debconf-devel(7)).
//!
//! The shell library `confmodule` is replaced by functions that call [`NAME`], a command that exists only here.

use super::{Call, Unknown};

/// The command that the replaced library calls; no program has this name.
pub(super) const NAME: &str = "appliance-debconf";

/// Where scripts source the library.
pub(super) const LIBRARY: &str = "/usr/share/debconf/confmodule";

/// The library: the protocol's commands as functions that leave the answer's text in `RET`.
pub(super) const FUNCTIONS: &str = r#"
DEBIAN_HAS_FRONTEND=1
export DEBIAN_HAS_FRONTEND
_db_cmd() { RET="$(appliance-debconf "$@")"; }
db_capb() { _db_cmd CAPB "$@"; }
db_set() { _db_cmd SET "$@"; }
db_reset() { _db_cmd RESET "$@"; }
db_title() { _db_cmd TITLE "$@"; }
db_settitle() { _db_cmd TITLE "$@"; }
db_info() { _db_cmd TITLE "$@"; }
db_input() { _db_cmd INPUT "$@"; }
db_beginblock() { _db_cmd TITLE; }
db_endblock() { _db_cmd TITLE; }
db_go() { _db_cmd GO; }
db_get() { _db_cmd GET "$@"; }
db_register() { _db_cmd REGISTER "$@"; }
db_unregister() { _db_cmd UNREGISTER "$@"; }
db_subst() { _db_cmd SUBST "$@"; }
db_fset() { _db_cmd FSET "$@"; }
db_fget() { _db_cmd FGET "$@"; }
db_purge() { _db_cmd PURGE; }
db_metaget() { _db_cmd METAGET "$@"; }
db_version() { _db_cmd VERSION "$@"; }
db_clear() { _db_cmd TITLE; }
db_x_loadtemplatefile() { _db_cmd LOAD "$@"; }
db_progress() { _db_cmd TITLE; }
db_stop() { return 0; }
"#;

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let words: Vec<String> = call.args.to_vec();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["GO" | "TITLE" | "PURGE" | "CAPB" | "REGISTER" | "UNREGISTER", ..] => Ok(0),
        ["VERSION", ..] => say(call, "2.0"),
        // Nobody is asked: 30 is "question skipped".
        ["INPUT", _, name] if call.system.questions.contains_key(*name) => Ok(30),
        [verb @ ("GET" | "SET" | "RESET" | "FGET" | "FSET" | "METAGET" | "SUBST"), name, rest @ ..] => {
            question(call, verb, name, rest)
        }
        ["INPUT", _, name] => no_question(call, name),
        _ => call.unknown("this use of debconf is not understood"),
    }
}

fn question(call: &mut Call<'_, '_>, verb: &str, name: &str, rest: &[&str]) -> Result<i32, Unknown> {
    let Some(question) = call.system.questions.get_mut(name) else { return no_question(call, name) };
    let answer = match (verb, rest) {
        ("GET", []) => question.value.clone(),
        ("SET", value) => {
            question.value = value.join(" ");
            "value set".to_owned()
        }
        ("RESET", []) => {
            question.value = question.fields.get("default").cloned().unwrap_or_default();
            question.seen = false;
            String::new()
        }
        ("FSET", ["seen", value]) => {
            question.seen = *value == "true";
            (*value).to_owned()
        }
        ("SUBST", [key, value @ ..]) => {
            question.substitutions.insert((*key).to_owned(), value.join(" "));
            String::new()
        }
        ("FGET", ["seen"]) => question.seen.to_string(),
        ("METAGET", [field]) => match question.fields.get(&field.to_lowercase()) {
            Some(value) => question
                .substitutions
                .iter()
                .fold(value.clone(), |text, (key, value)| text.replace(&format!("${{{key}}}"), value)),
            None => return say_fail(call, 10, &format!("{field} does not exist")),
        },
        _ => return call.unknown("this use of debconf is not understood"),
    };
    say(call, &answer)
}

fn no_question(call: &mut Call<'_, '_>, name: &str) -> Result<i32, Unknown> {
    say_fail(call, 10, &format!("{name} doesn't exist"))
}

fn say(call: &mut Call<'_, '_>, answer: &str) -> Result<i32, Unknown> {
    call.out.push_str(answer);
    Ok(0)
}

fn say_fail(call: &mut Call<'_, '_>, status: i32, answer: &str) -> Result<i32, Unknown> {
    call.out.push_str(answer);
    Ok(status)
}
