//! Programs on this machine.

use std::path::{Path, PathBuf};

/// Where Debian puts the programs that are not for everybody's path.
const ELSEWHERE: &str = "/usr/lib/postgresql";

/// Whether a missing program is an error.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, and no setting")]
pub(crate) fn are_required() -> bool {
    std::env::var("TRELLIS_TEST_SERVERS").is_ok_and(|value| value == "require")
}

/// Finds a program, and says what is missed without it.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to see it")]
pub(crate) fn find(name: &str, package: &str) -> Option<PathBuf> {
    let found = folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let missing = format!("{name} is not on this machine (Debian's package {package} has it)");
        assert!(!are_required(), "{missing}");
        eprintln!("skipped: {missing}");
    }
    found
}

fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(ELSEWHERE)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    folders.push(Path::new("/usr/sbin").to_owned());
    folders
}
