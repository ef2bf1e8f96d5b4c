//! Files that differ by architecture: `{arch}` in a path beside the spec, and programs that an architecture cannot run.

use crate::appliance::Arch;
use crate::check::World;
use crate::files_beside::{Beside, Head, Standing};
use crate::item::Item;
use crate::report::Report;
use crate::sections::Body;

/// The architectures that a body is built for, as far as they can be read.
pub(crate) fn arches(body: Body<'_>, world: &World<'_>) -> Vec<Arch> {
    let written = body.one("arch").into_iter().flat_map(|item| item.texts_from(0));
    let mut arches: Vec<Arch> = written.filter_map(|(text, _)| Arch::from_name(text)).collect();
    if arches.is_empty() {
        arches.push(world.host_arch);
    }
    arches.sort_unstable();
    arches.dedup();
    arches
}

/// The files beside a spec as one architecture takes them.
pub(crate) struct Of<'a>(pub Arch, pub &'a dyn Beside);

impl Beside for Of<'_> {
    fn standing(&self, path: &str) -> Standing {
        self.1.standing(&self.0.fill(path))
    }

    fn files_in(&self, folder: &str) -> Vec<String> {
        self.1.files_in(&self.0.fill(folder))
    }

    fn head(&self, path: &str) -> Option<Head> {
        self.1.head(&self.0.fill(path))
    }
}

/// Warns of each program that is put into a root of another processor than its own.
pub(crate) fn check(body: Body<'_>, arches: &[Arch], beside: &dyn Beside, report: &mut Report<'_>) {
    for item in body.all("file") {
        for arch in arches {
            foreign(item, *arch, arches, &Of(*arch, beside), report);
        }
    }
}

/// Of one line, the first program that this architecture cannot run.
fn foreign(item: &Item, arch: Arch, arches: &[Arch], beside: &dyn Beside, report: &mut Report<'_>) {
    let Some(from) = item.text("from") else { return };
    let files = match beside.standing(from) {
        Standing::File => vec![arch.fill(from)],
        Standing::Folder => beside.files_in(from).iter().map(|name| arch.fill(&format!("{from}/{name}"))).collect(),
        _ => return,
    };
    let mode = item.number("mode");
    let machine_of = |path: &String| {
        let head = beside.head(path)?;
        let runs = mode.map_or(head.can_run, |mode| mode & 0o111 != 0);
        machine(&head.bytes).filter(|_| runs).filter(|machine| !runs_on(*machine, arch))
    };
    let found = files.iter().find_map(|path| Some((path, machine_of(path)?)));
    let Some((path, machine)) = found else { return };
    let own = machine_name(machine);
    let message = format!("\"{path}\" is a program for {own}, and {} cannot run it", arch.name());
    let help = match (arches, from.contains(Arch::HOLE)) {
        (_, true) => format!("put one there that was built for {}", arch.name()),
        ([_], _) if Arch::from_name(&own).is_none() => format!("take one that was built for {}", arch.name()),
        ([_], _) => {
            let write = format!("or write the architecture that is meant: arch \"{own}\"");
            format!("take one that was built for {}, {write}", arch.name())
        }
        _ => format!(
            "`{hole}` in the path stands for the name of each architecture: from=\"{}\" with one file for each",
            with_hole(from),
            hole = Arch::HOLE
        ),
    };
    let label = format!("goes into the root for {} too", arch.name());
    let label = if arches.len() == 1 { format!("goes into the root for {}", arch.name()) } else { label };
    report.warning("foreign-program", item.prop_place("from"), message, label).help(help);
}

/// A path that names one file for each architecture, made of one that does not.
fn with_hole(from: &str) -> String {
    for arch in Arch::ALL {
        if from.contains(arch.name()) {
            return from.replace(arch.name(), Arch::HOLE);
        }
    }
    format!("{}-{}", from.trim_end_matches('/'), Arch::HOLE)
}

/// The processor that a program is for, where the bytes are those of one: `e_machine` of an executable or a
/// position-independent one (System V gABI, chapter 4, "ELF Header").
fn machine(head: &[u8]) -> Option<u16> {
    let number = |at: usize| -> Option<u16> {
        let pair = [*head.get(at)?, *head.get(at + 1)?];
        match head.get(5)? {
            1 => Some(u16::from_le_bytes(pair)),
            2 => Some(u16::from_be_bytes(pair)),
            _ => None,
        }
    };
    let is_program = head.starts_with(b"\x7fELF") && matches!(number(16)?, 2 | 3);
    if is_program { number(18) } else { None }
}

/// Whether a processor of an architecture runs programs of a machine; also the older ones that it may still know.
fn runs_on(machine: u16, arch: Arch) -> bool {
    match arch {
        Arch::Amd64 => [3, 62].contains(&machine),
        Arch::Arm64 => [40, 183].contains(&machine),
    }
}

/// What a machine is called.
fn machine_name(machine: u16) -> String {
    let known = [
        (3, "i386"),
        (8, "mips"),
        (20, "powerpc"),
        (21, "ppc64"),
        (22, "s390x"),
        (40, "arm"),
        (62, "amd64"),
        (183, "arm64"),
        (243, "riscv64"),
        (258, "loong64"),
    ];
    let found = known.iter().find(|(number, _)| *number == machine);
    found.map_or_else(|| format!("another processor (ELF machine {machine})"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_tell_their_processor() {
        let head = |order: u8, kind: [u8; 2], machine: [u8; 2]| {
            [&b"\x7fELF\x02"[..], &[order], &[0; 10], &kind, &machine].concat()
        };
        assert_eq!(machine(&head(1, [2, 0], [62, 0])), Some(62));
        assert_eq!(machine(&head(1, [3, 0], [183, 0])), Some(183));
        assert_eq!(machine(&head(2, [0, 2], [0, 22])), Some(22));
        // An object file is no program, and neither is a script or half a head.
        assert_eq!(machine(&head(1, [1, 0], [62, 0])), None);
        assert_eq!(machine(b"#!/bin/sh\n"), None);
        assert_eq!(machine(&head(1, [2, 0], [62, 0])[..18]), None);
        assert!(runs_on(3, Arch::Amd64) && runs_on(40, Arch::Arm64) && !runs_on(62, Arch::Arm64));
        assert_eq!(machine_name(9), "another processor (ELF machine 9)");
        assert_eq!(with_hole("bin/tool-amd64"), "bin/tool-{arch}");
        assert_eq!(with_hole("bin/"), "bin-{arch}");
    }
}
