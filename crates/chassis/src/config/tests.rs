//! Settings as one writes them, rightly and wrongly.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    listen: SocketAddr,
    data_dir: String,
    admin_token: Option<String>,
    weights: Vec<u32>,
    user: User,
    peers: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct User {
    database: String,
    max_in_flight: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".parse().unwrap(),
            data_dir: "./trellis-data".to_owned(),
            admin_token: None,
            weights: Vec::new(),
            user: User::default(),
            peers: BTreeMap::new(),
        }
    }
}

fn settings(file: &str, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
    let file = parse("shop.toml".to_owned(), file)?;
    let variables: Vec<_> = variables
        .iter()
        .filter(|(name, _)| variable::is_setting(name))
        .filter_map(|(name, value)| Variable::new(name, value, &["user", "peers"]))
        .collect();
    merge(Some(&file), &variables)
}

fn complaint(file: &str, variables: &[(&str, &str)]) -> String {
    format!("{:#}", settings(file, variables).unwrap_err())
}

#[test]
fn without_a_word_the_defaults_hold() {
    assert_eq!(settings("", &[]).unwrap(), Settings::default());
}

#[test]
fn a_variable_beats_the_file_and_the_file_beats_the_default() {
    let file = "data_dir = '/file'\n[user]\ndatabase = 'sqlite:file.db'\nmax_in_flight = 5";
    let variables = [("TRELLIS_USER_DATABASE", "sqlite:variable.db")];

    let settings = settings(file, &variables).unwrap();

    assert_eq!(settings.data_dir, "/file");
    assert_eq!(settings.user.database, "sqlite:variable.db");
    assert_eq!(settings.user.max_in_flight, 5);
}

#[test]
fn variables_are_addresses_numbers_lists_and_entries_of_sections() {
    let settings = settings(
        "",
        &[
            ("TRELLIS_LISTEN", "0.0.0.0:80"),
            ("TRELLIS_WEIGHTS", "[1, 2]"),
            ("TRELLIS_USER_MAX_IN_FLIGHT", "7"),
            ("TRELLIS_PEERS_USER", "http://user:8080"),
        ],
    )
    .unwrap();

    assert_eq!(settings.listen, "0.0.0.0:80".parse().unwrap());
    assert_eq!(settings.weights, [1, 2]);
    assert_eq!(settings.user.max_in_flight, 7);
    assert_eq!(settings.peers["user"], "http://user:8080");
}

#[test]
fn a_text_may_look_like_a_number_or_a_list() {
    let variables = [("TRELLIS_ADMIN_TOKEN", "0123"), ("TRELLIS_DATA_DIR", "[x]")];

    let settings = settings("", &variables).unwrap();

    assert_eq!(settings.admin_token.as_deref(), Some("0123"));
    assert_eq!(settings.data_dir, "[x]");
}

#[test]
fn empty_and_foreign_variables_change_nothing() {
    let variables = [
        ("TRELLIS_LISTEN", ""),
        ("TRELLIS_CONFIG", "x.toml"),
        ("TRELLIS_LOG", "debug"),
        ("TRELLIS_TEST_SERVERS", "require"),
        ("PATH", "/bin"),
    ];

    assert_eq!(settings("", &variables).unwrap(), Settings::default());
}

#[test]
fn an_unknown_variable_is_named_as_it_was_written() {
    assert_eq!(
        complaint("", &[("TRELLIS_LISTN", "1")]),
        "unknown setting listn in the variable TRELLIS_LISTN: did you mean listen?"
    );
    assert_eq!(
        complaint("", &[("TRELLIS_USER_DATABSE", "1")]),
        "unknown setting user.databse in the variable TRELLIS_USER_DATABSE: did you mean database?"
    );
}

#[test]
fn an_unknown_key_in_the_file_is_named_with_what_is_known() {
    assert_eq!(
        complaint("[user]\ncolour = 1", &[]),
        "unknown setting user.colour in shop.toml: known are database, max_in_flight"
    );
}

#[test]
fn a_bad_value_is_not_repeated() {
    assert_eq!(
        complaint("", &[("TRELLIS_USER_MAX_IN_FLIGHT", "many")]),
        "the setting user.max_in_flight in the variable TRELLIS_USER_MAX_IN_FLIGHT must be u32"
    );
}

#[test]
fn an_address_that_is_none_is_named() {
    let complaint = complaint("listen = 'here'", &[]);

    assert!(complaint.contains("listen in shop.toml"), "{complaint}");
}

#[test]
fn broken_toml_is_pointed_at() {
    let complaint = complaint("listen = ", &[]);

    assert!(complaint.contains("shop.toml is not valid TOML"), "{complaint}");
    assert!(complaint.contains("line 1"), "{complaint}");
}

#[test]
fn a_named_file_must_exist() {
    let missing = Path::new("/nowhere/shop.toml");

    let complaint = format!("{:#}", load::<Settings>(Some(missing), &[]).unwrap_err());

    assert!(complaint.contains("/nowhere/shop.toml"), "{complaint}");
}
