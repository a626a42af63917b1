//! The dashboard.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    promql::Known,
    rules::check_text,
    tools::{read, root},
};

const ROWS: [&str; 7] =
    ["Health", "Flow", "Steps", "Compensation", "Participants", "Engine", "Process"];

#[derive(Deserialize)]
struct Dashboard {
    panels: Vec<Panel>,
    templating: Templating,
}

#[derive(Deserialize)]
struct Templating {
    list: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    #[serde(default)]
    query: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Panel {
    id: u32,
    title: String,
    #[serde(rename = "type")]
    kind: String,
    grid_pos: Place,
    datasource: Option<Value>,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    field_config: Value,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Place {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    expr: String,
    ref_id: String,
    #[serde(default)]
    legend_format: String,
    datasource: Option<Value>,
}

/// A query of a panel, its variables filled in.
pub(crate) struct Query {
    pub(crate) panel: String,
    pub(crate) expression: String,
    legend: String,
}

fn dashboard() -> Dashboard {
    serde_json::from_str(&read(&root().join("ops/grafana/sagamesh.json"))).unwrap()
}

/// Every query, for all definitions and participants.
pub(crate) fn queries() -> Vec<Query> {
    let dashboard = dashboard();
    let panels = dashboard.panels.iter();
    panels
        .flat_map(|panel| panel.targets.iter().map(move |target| (panel, target)))
        .map(|(panel, target)| Query {
            panel: panel.title.clone(),
            expression: filled_in(&target.expr),
            legend: target.legend_format.clone(),
        })
        .collect()
}

fn filled_in(expression: &str) -> String {
    let values = [
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
        ("$definition", ".*"),
        ("$participant", ".*"),
    ];
    values.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// What queries, legends and variables ask for that is not known.
pub(crate) fn check(known: &Known) -> Vec<String> {
    let of_query = |Query { panel, expression, legend }: &Query| {
        let labels = known.labels_of(expression)?;
        check_text(legend, "", &labels).map_err(|why| format!("{panel}: {why}"))
    };
    let of_variable = |variable: &Variable| {
        let query = variable.query["query"].as_str()?;
        let (metric, label) =
            query.strip_prefix("label_values(")?.strip_suffix(')')?.split_once(", ")?;
        known.labels_of(&format!("sum by ({label}) ({metric})")).err()
    };
    let queries = queries().iter().filter_map(|query| of_query(query).err()).collect::<Vec<_>>();
    let variables = dashboard().templating.list;
    queries.into_iter().chain(variables.iter().filter_map(of_variable)).collect()
}

#[test]
fn every_panel_has_an_id_a_place_a_unit_and_the_chosen_data_source() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in &dashboard.panels {
        let title = &panel.title;
        assert!(ids.insert(panel.id), "{title}: its id is another panel's");
        let Place { x, y, w, h } = panel.grid_pos;
        assert!(w > 0 && x + w <= 24, "{title}: it is not within the 24 columns");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title}: it lies on another panel");
        }
        if panel.kind == "row" {
            continue;
        }
        assert!(!panel.description.is_empty(), "{title}: it does not say what it shows");
        let unit = panel.field_config["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}: it has no unit");
        let sources = panel.targets.iter().map(|target| &target.datasource);
        for source in sources.chain([&panel.datasource]) {
            let uid = source.as_ref().and_then(|source| source["uid"].as_str());
            assert_eq!(uid, Some("${datasource}"), "{title}");
        }
        let names: BTreeSet<_> = panel.targets.iter().map(|target| &target.ref_id).collect();
        assert_eq!(names.len(), panel.targets.len(), "{title}: two queries have one name");
    }
}

#[test]
fn the_dashboard_has_its_rows_and_its_variables() {
    let dashboard = dashboard();
    let rows = dashboard.panels.iter().filter(|panel| panel.kind == "row");
    assert_eq!(rows.map(|panel| panel.title.as_str()).collect::<Vec<_>>(), ROWS);
    let variables: Vec<_> =
        dashboard.templating.list.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(variables, ["datasource", "definition", "participant", "runbooks", "traces"]);
}
