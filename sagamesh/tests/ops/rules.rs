//! The rule files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
};

use serde::Deserialize;

use crate::{
    promql::{Known, Labels, has},
    tools::{files, read, root, tool},
};

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// A recording or an alert.
#[derive(Deserialize)]
pub(crate) struct Rule {
    record: Option<String>,
    pub(crate) alert: Option<String>,
    pub(crate) expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Series that a unit test gives, and what must come of them.
#[derive(Deserialize)]
struct UnitTests {
    tests: Vec<UnitTest>,
}

#[derive(Deserialize)]
struct UnitTest {
    input_series: Vec<Input>,
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct Input {
    series: String,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<serde_json::Value>,
}

/// The recordings, then the alerts, as Prometheus reads them.
pub(crate) fn rules() -> Vec<Rule> {
    let files = ["recordings.yaml", "alerts.yaml"].map(|name| rule_folder().join(name));
    let files = files.map(|path| serde_saphyr::from_str::<RuleFile>(&read(&path)).unwrap());
    files.into_iter().flat_map(|file| file.groups).flat_map(|group| group.rules).collect()
}

pub(crate) fn rule_folder() -> PathBuf {
    root().join("ops/prometheus")
}

impl Rule {
    /// The labels of what is recorded, or of the alert.
    fn labels(&self, known: &Known) -> Result<Labels, String> {
        let mut labels = known.labels_of(&self.expr)?;
        labels.extend(self.labels.keys().cloned());
        Ok(labels)
    }
}

/// Adds what the rules record to what is known.
pub(crate) fn add_recorded(known: &mut Known) -> Result<(), String> {
    for rule in rules() {
        if let Some(name) = &rule.record {
            known.add(name, rule.labels(known)?);
        }
    }
    Ok(())
}

/// Adds the alerts, which Prometheus keeps as series.
pub(crate) fn add_alerts(known: &mut Known) -> Result<(), String> {
    let mut labels = Labels::from(["alertname".to_owned(), "alertstate".to_owned()]);
    for rule in rules().iter().filter(|rule| rule.alert.is_some()) {
        labels.extend(rule.labels(known)?);
    }
    known.add("ALERTS", labels);
    Ok(())
}

fn unit_tests() -> Vec<UnitTest> {
    let files = files(&rule_folder().join("tests"), "yaml");
    let read = |path: &PathBuf| serde_saphyr::from_str::<UnitTests>(&read(path)).unwrap();
    files.iter().flat_map(|path| read(path).tests).collect()
}

/// Runs a tool of Prometheus, and shows what it says where it fails.
fn run(name: &str, arguments: &[&str], paths: &[PathBuf]) {
    let program = tool(name).unwrap_or_else(|missing| panic!("{missing}"));
    let output = Command::new(program).args(arguments).args(paths).output().unwrap();
    let told =
        [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    assert!(output.status.success(), "{name} {arguments:?}: {}", told.join("\n"));
}

#[test]
fn prometheus_takes_the_rules_and_the_configs() {
    run("promtool", &["check", "rules"], &files(&rule_folder(), "yaml"));
    run("promtool", &["check", "config"], &files(&rule_folder(), "yml"));
    run("amtool", &["check-config"], &[root().join("ops/alertmanager.yml")]);
}

#[test]
fn the_rules_give_what_their_unit_tests_say() {
    run("promtool", &["test", "rules"], &files(&rule_folder().join("tests"), "yaml"));
}

#[test]
fn every_alert_has_series_that_make_it_fire_and_series_that_do_not() {
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for case in unit_tests().into_iter().flat_map(|test| test.alert_rule_test) {
        let seen = if case.exp_alerts.is_empty() { &mut quiet } else { &mut fires };
        seen.insert(case.alertname);
    }
    let alerts: BTreeSet<_> = rules().into_iter().filter_map(|rule| rule.alert).collect();
    assert_eq!((&fires, &quiet), (&alerts, &alerts));
}

/// What is wrong with the series of the unit tests: a test of a rule would go on passing when a metric has got another name.
pub(crate) fn check_unit_test_series(known: &Known) -> Vec<String> {
    let series = unit_tests().into_iter().flat_map(|test| test.input_series);
    series.filter_map(|input| known.labels_of(&input.series).err()).collect()
}

/// What the rules ask for that is not known, and what alerts say of labels that they do not have.
pub(crate) fn check_rules(known: &Known) -> Vec<String> {
    let check = |rule: &Rule| {
        let labels = rule.labels(known)?;
        rule.annotations.values().try_for_each(|text| check_text(text, "$labels.", &labels))
    };
    rules().iter().filter_map(|rule| check(rule).err()).collect()
}

/// Every label that a template names, behind `prefix`, is there.
pub(crate) fn check_text(text: &str, prefix: &str, labels: &Labels) -> Result<(), String> {
    let named = text.split("{{").skip(1).filter_map(|part| part.split("}}").next());
    let named = named.filter_map(|template| template.trim().strip_prefix(prefix));
    for label in named {
        let label: String =
            label.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        has(labels, &label).map_err(|why| format!("{why}: {text}"))?;
    }
    Ok(())
}

#[test]
fn every_alert_has_a_severity_a_sentence_a_runbook_of_its_own_and_a_row_in_the_document() {
    let mut runbooks = BTreeSet::new();
    let document = read(&root().join("docs/observe.md"));
    for rule in rules() {
        let Some(alert) = &rule.alert else { continue };
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("critical" | "warning" | "info")), "{alert}: {severity:?}");
        for annotation in ["summary", "description"] {
            let text = rule.annotations.get(annotation).map_or("", String::as_str);
            assert!(text.ends_with('.'), "{alert}: the {annotation} is no sentence: {text}");
        }
        let row = format!("| [{alert}](runbooks/{alert}.md) | ");
        let row = document.lines().find(|line| line.starts_with(&row));
        assert!(
            row.is_some_and(|row| row.ends_with(&format!("| {} |", severity.unwrap()))),
            "{alert}: {row:?}"
        );
        let runbook = format!("docs/runbooks/{alert}.md");
        assert_eq!(rule.annotations.get("runbook_url"), Some(&runbook));
        check_runbook(alert, &read(&root().join(&runbook)));
        runbooks.insert(root().join(runbook));
    }
    let found: BTreeSet<_> = files(&root().join("docs/runbooks"), "md").into_iter().collect();
    assert_eq!(found, runbooks, "a runbook is missing, or is of no alert");
}

fn check_runbook(alert: &str, text: &str) {
    let mut parts = vec![format!("# {alert}\n")];
    parts.extend(["What it means", "Look", "Mend", "Silence"].map(|part| format!("\n## {part}\n")));
    let found: Vec<_> = parts.iter().map(|part| text.find(part.as_str())).collect();
    assert!(
        found.is_sorted() && !found.contains(&None),
        "{alert}: its runbook lacks one of {parts:?}"
    );
    assert!(text.contains("```console\n$ "), "{alert}: its runbook has no command");
}
