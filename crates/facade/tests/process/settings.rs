//! Where settings come from, which counts over which, and what is said of wrong ones.

use std::path::{Path, PathBuf};

use facade::config::{Loaded, Service, Sources};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn sources(file: Option<&Path>, variables: &[(&str, &str)]) -> Sources {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Sources { file: file.map(Path::to_owned), variables: variables.collect(), flags: Vec::new() }
}

fn load(sources: &Sources) -> Result<Loaded<Service>, String> {
    sources.load(&Service::default())
}

fn origin<'a>(loaded: &'a Loaded<Service>, path: &str) -> (&'a str, &'a str) {
    let found = loaded.settings.iter().find(|setting| setting.path == path).expect(path);
    (&found.value, &found.origin)
}

const FOLDER: &str = "database.folder";

#[test]
fn a_flag_counts_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let files = Files::new();
    let file = files.write("stock.yaml", "database: {folder: /from-file}\n");
    let variable = [("SAGAMESH__DATABASE__FOLDER", "/from-variable")];

    let loaded = load(&sources(None, &[])).unwrap();
    assert_eq!(origin(&loaded, FOLDER), ("./data", "default"));
    let loaded = load(&sources(Some(&file), &[])).unwrap();
    assert_eq!(origin(&loaded, FOLDER), ("/from-file", file.to_str().unwrap()));
    let loaded = load(&sources(Some(&file), &variable)).unwrap();
    assert_eq!(origin(&loaded, FOLDER), ("/from-variable", "SAGAMESH__DATABASE__FOLDER"));
    let with_flag = sources(Some(&file), &variable).with_flag("--data", FOLDER, Some("/from-flag"));
    let loaded = load(&with_flag).unwrap();
    assert_eq!(origin(&loaded, FOLDER), ("/from-flag", "--data"));
    assert_eq!(loaded.config.database.folder, Path::new("/from-flag"));
    assert_eq!(origin(&loaded, "log.filter"), ("info", "default"), "the others stay as they are");
}

#[test]
fn a_variable_may_name_a_file_and_what_came_from_it_is_not_shown() {
    let files = Files::new();
    let secret = files.write("filter", "debug\n");
    let variable = [("SAGAMESH__LOG__FILTER_FILE", secret.to_str().unwrap())];
    let loaded = load(&sources(None, &variable)).unwrap();
    assert_eq!(loaded.config.log.filter, "debug");
    let (value, origin) = origin(&loaded, "log.filter");
    assert_eq!(value, "(hidden)");
    assert!(origin.contains("SAGAMESH__LOG__FILTER_FILE"), "{origin}");
}

#[test]
fn variables_of_others_are_left_alone() {
    let others = [("PATH", "/bin"), ("SAGAMESH_SERVER", "x"), ("SAGAMESH", "x")];
    load(&sources(None, &others)).unwrap();
}

#[test]
fn settings_of_earlier_versions_are_read_and_told_of() {
    let files = Files::new();
    let text = "listen: 127.0.0.1:9\ndata: /somewhere\nkeep_inbox: 90d\n";
    let loaded = load(&sources(Some(&files.write("old.yaml", text)), &[])).unwrap();
    assert_eq!(loaded.config.listen.grpc.port(), 9);
    assert_eq!(loaded.config.database.folder, Path::new("/somewhere"));
    assert_eq!(loaded.config.retention.keep_inbox.unwrap().to_string(), "90d");
    assert_eq!(loaded.warnings.len(), 3);
    assert!(loaded.warnings[0].contains("data is database.folder now"), "{:?}", loaded.warnings);
}

#[test]
fn an_empty_file_and_an_empty_group_say_nothing() {
    let files = Files::new();
    for text in ["", "# nothing\n", "database:\nlog: {}\n"] {
        let loaded = load(&sources(Some(&files.write("empty.yaml", text)), &[])).unwrap();
        assert_eq!(loaded.config, Service::default(), "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_told_by_the_settings_name_and_where_it_came_from() {
    let files = Files::new();
    let in_file = [
        ("limits: {connections: {max: 0}}", "limits.connections.max ("),
        ("limits: {connections: {max: many}}", "limits.connections.max ("),
        ("limits: {connections: {max: -1}}", "limits.connections.max ("),
        (
            "limits: {connections: {handshake_timeout: 10}}",
            "limits.connections.handshake_timeout (",
        ),
        (
            "limits: {connections: {handshake_timeout: 0s}}",
            "limits.connections.handshake_timeout (",
        ),
        ("retention: {keep_inbox: 1s}", "retention.keep_inbox ("),
        ("listen: {grpc: nowhere}", "listen.grpc ("),
        ("listen: {grpc: [1, 2]}", "listen.grpc ("),
        ("listen: []", "listen.grpc ("),
        ("log: {calls: some}", "log.calls ("),
        ("log: {filter: 'a=b=c'}", "log.filter ("),
        ("loog: {}", "loog ("),
        ("database: {foldr: x}", "database.foldr ("),
    ];
    for (text, named) in in_file {
        let file = files.write("wrong.yaml", text);
        let why = load(&sources(Some(&file), &[])).expect_err(text);
        assert!(why.starts_with(named), "{text}: {why}");
        assert!(why.contains("wrong.yaml"), "{text}: {why}");
        assert_eq!(why.lines().count(), 1, "{text}: {why}");
    }
}

#[test]
fn what_is_wrong_in_the_environment_names_the_variable() {
    let wrong = [
        ("SAGAMESH__LIMITS__CONNECTIONS__MAX", "many", "limits.connections.max (SAGAMESH__"),
        ("SAGAMESH__LIMTS__MAX", "1", "limts (SAGAMESH__LIMTS__MAX)"),
        ("SAGAMESH__LISTEN__GRPC__PORT", "1", "listen.grpc.port (SAGAMESH__"),
        ("SAGAMESH__LOG__FILTER", "[", "log.filter (SAGAMESH__LOG__FILTER)"),
        ("SAGAMESH__LOG__FILTER_FILE", "/no/such/file", "log.filter (SAGAMESH__LOG__FILTER_FILE)"),
        ("SAGAMESH__", "1", " (SAGAMESH__)"),
    ];
    for (name, value, told) in wrong {
        let why = load(&sources(None, &[(name, value)])).expect_err(name);
        assert!(why.starts_with(told), "{name}: {why}");
    }
}

#[test]
fn a_file_that_is_away_or_no_yaml_is_told_with_its_place() {
    let files = Files::new();
    let away = files.0.path().join("away.yaml");
    let why = load(&sources(Some(&away), &[])).unwrap_err();
    assert!(why.contains("away.yaml") && why.contains("--help"), "{why}");
    for text in ["[]", "text", "a: [", "log: {filter: a, filter: b}", "\u{0}"] {
        let file = files.write("broken.yaml", text);
        let why = load(&sources(Some(&file), &[])).expect_err(text);
        assert!(why.contains("broken.yaml"), "{text:?}: {why}");
    }
}

#[test]
fn a_budget_that_is_larger_than_the_one_it_is_part_of_is_told_with_both_names() {
    let wrong = [
        ("SAGAMESH__LIMITS__REQUESTS__BYTES", "limits.requests.bytes_per_connection"),
        ("SAGAMESH__LIMITS__REQUESTS__BYTES_PER_CONNECTION", "limits.requests.max_size"),
        ("SAGAMESH__LIMITS__RESPONSES__BYTES", "limits.responses.bytes_per_connection"),
    ];
    for (variable, setting) in wrong {
        let told = load(&sources(None, &[(variable, "1000")])).unwrap_err();
        assert!(told.contains(setting) && told.contains("which is 1000"), "{variable}: {told}");
    }
    for variable in ["REQUESTS__MAX_FIELDS", "REQUESTS__MAX_SIZE", "RESPONSES__BYTES"] {
        let variable = format!("SAGAMESH__LIMITS__{variable}");
        let told = load(&sources(None, &[(&variable, "0")])).unwrap_err();
        assert!(told.contains("limits.re") && told.contains(&variable), "{told}");
    }
}
