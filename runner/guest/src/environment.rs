//! What a process of the appliance finds in its environment.

use std::collections::BTreeMap;

use bundle::boot::MACHINE_ENV;
use bundle::guest::{
    CHANNEL_END_ENV, CHANNEL_FD_ENV, DEFAULT_PATH, GROUP_FILES_ENV, MEMORY_LIMIT_ENV, SINGLE_ID_ENV, User,
};

/// The environment of one process, later sources winning: the image's settings, what the engine gave to the
/// guest, who it runs as, the service's own.
pub fn compose(
    image: &BTreeMap<String, String>,
    engine: &BTreeMap<String, String>,
    user: &User,
    own: &BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let mut env = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    env.extend(image.clone());
    env.extend(engine.clone());
    for name in [CHANNEL_FD_ENV, CHANNEL_END_ENV, SINGLE_ID_ENV, MACHINE_ENV, GROUP_FILES_ENV, MEMORY_LIMIT_ENV] {
        env.remove(name);
    }
    env.insert("HOME".to_owned(), user.home.clone());
    env.insert("USER".to_owned(), user.name.clone());
    env.insert("LOGNAME".to_owned(), user.name.clone());
    env.extend(own.clone());
    env.into_iter().collect()
}

/// The guest's own environment, as far as it is text.
pub fn own() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_win() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let user = User { name: "luna".into(), uid: 1, gid: 1, groups: vec![], home: "/home/luna".into() };
        let image = map(&[("A", "image"), ("B", "image"), ("C", "image")]);
        let engine = map(&[("B", "engine"), ("C", "engine"), ("HOME", "/root"), (CHANNEL_FD_ENV, "3")]);
        let env = compose(&image, &engine, &user, &map(&[("C", "service")]));
        let expected = [
            ("A", "image"),
            ("B", "engine"),
            ("C", "service"),
            ("HOME", "/home/luna"),
            ("LOGNAME", "luna"),
            ("PATH", DEFAULT_PATH),
            ("USER", "luna"),
        ];
        assert_eq!(env, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
}
