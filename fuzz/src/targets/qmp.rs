//! What QEMU says to the supervisor of a machine.

use engine::QmpLines;

/// Takes the bytes at once and one by one, which must mean the same.
pub fn qmp(data: &[u8]) -> bool {
    let at_once = QmpLines::default().push(data);
    let mut lines = QmpLines::default();
    let one_by_one: Result<Vec<_>, String> = data
        .chunks(1)
        .try_fold(Vec::new(), |mut all, byte| lines.push(byte).map(|more| all.extend(more)).map(|()| all));
    if let (Ok(at_once), Ok(one_by_one)) = (&at_once, &one_by_one) {
        assert_eq!(at_once, one_by_one);
    }
    at_once.is_ok_and(|said| !said.is_empty())
}
