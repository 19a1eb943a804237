//! The shape of the house, which nobody changes by accident.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

const SERVICES: [&str; 6] = ["gateway", "inventory", "order", "payment", "recommendation", "user"];

#[test]
fn services_know_crates_and_never_one_another() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let from = room(package.manifest_path.as_std_path());
        for dependency in &package.dependencies {
            let Some(path) = &dependency.path else { continue };
            let manifest = path.join("Cargo.toml");
            let to = room(manifest.as_std_path());
            let allowed = from == ("services", "trellis") || to.0 == "crates";
            assert!(allowed, "{}/{} must not depend on {}/{}", from.0, from.1, to.0, to.1);
        }
    }
}

#[test]
fn every_package_is_named_after_its_folder() {
    for package in metadata().workspace_packages() {
        let (_, folder) = room(package.manifest_path.as_std_path());
        assert_eq!(package.name.as_str(), format!("trellis-{folder}"));
    }
}

#[test]
fn every_service_has_the_same_rooms() {
    for service in SERVICES {
        let folder = root().join("services").join(service);
        let mut rooms = vec!["src/lib.rs", "src/api.rs", "src/error.rs"];
        // The gateway keeps nothing, so it has no store and no domain.
        if service != "gateway" {
            let kept = [
                "src/domain.rs",
                "src/store.rs",
                "src/store/sqlite.rs",
                "src/store/postgres.rs",
                "migrations/sqlite",
                "migrations/postgres",
                "tests/it",
            ];
            rooms.extend(kept);
        }
        for room in rooms {
            assert!(folder.join(room).exists(), "services/{service} has no {room}");
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let mut lengths: Vec<(usize, PathBuf)> = sources()
        .into_iter()
        .map(|path| (std::fs::read_to_string(&path).unwrap().lines().count(), path))
        .collect();
    lengths.sort();
    let at = |percent: usize| lengths[lengths.len() * percent / 100].0;

    let (longest, path) = lengths.last().unwrap();
    assert!(*longest <= 500, "{} has {longest} lines", path.display());
    assert!(at(90) <= 300, "one file in ten has more than 300 lines: {}", at(90));
    assert!(at(50) <= 150, "the median file has {} lines", at(50));
}

#[test]
fn modules_are_files_of_their_own_name() {
    for path in sources() {
        assert!(!path.ends_with("mod.rs"), "{} should be named after its module", path.display());
    }
}

#[test]
fn every_client_and_server_limits_its_messages() {
    let mut found = 0;
    for path in
        sources().iter().filter(|path| path.components().any(|part| part.as_os_str() == "src"))
    {
        let text = std::fs::read_to_string(path).unwrap();
        let count = |names: &[&str]| names.iter().map(|name| text.matches(name).count()).sum();
        let made: usize = count(&["ServiceClient::new(", "ServiceServer::new("]);
        if made == 0 {
            continue;
        }
        // What is not ours sets both limits by hand.
        let limited: usize =
            count(&[".bounded()", ".at_the_edge()", ".max_encoding_message_size("]);
        assert_eq!(made, limited, "{} makes clients or servers without limits", path.display());
        found += made;
    }
    assert!(17 <= found, "only {found} are found");
}

#[test]
fn nothing_is_left_for_later() {
    // Spelt so that this file does not find itself.
    let marks = [["to", "do!("], ["unimple", "mented!("], ["#[ig", "nore"], ["FIX", "ME"]];
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        for mark in marks {
            let mark = mark.concat();
            assert!(!text.contains(&mark), "{} contains {mark}", path.display());
        }
    }
}

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps().other_options(["--offline".to_owned()]);
    command.exec().unwrap()
}

/// The wing and the folder of a manifest: `("crates", "api")`.
fn room(manifest: &Path) -> (&str, &str) {
    let mut parts = manifest.parent().unwrap().components().rev();
    let folder = parts.next().unwrap().as_os_str().to_str().unwrap();
    let wing = parts.next().unwrap().as_os_str().to_str().unwrap();
    (wing, folder)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn sources() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join("crates"), root().join("services")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(path);
            }
        }
    }
    found
}
