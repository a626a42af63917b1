//! Rules and panels beside the catalogue of what the binary exports.

use clock::Clock;
use metrics::Kind;
use sagamesh::mesh::{self, Config, Database, Listen};

use crate::{
    dashboard,
    promql::{Known, Labels},
    rules,
};

/// What Prometheus itself adds to each series that it scrapes.
const OF_THE_TARGET: [&str; 2] = ["job", "instance"];

/// What a mesh exports, what the rules record of it, and what Prometheus knows by itself.
async fn known() -> Known {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        database: Database { folder: folder.path().to_owned() },
        listen: Listen { port_base: 0, ..Listen::default() },
        ..Config::default()
    };
    let mesh = mesh::start(config, Clock::system()).await.unwrap();
    let mut known = Known::default();
    for metric in mesh.into_process().metrics().catalogue() {
        let labels = of_target(&metric.labels);
        match metric.kind {
            Kind::Counter | Kind::Gauge => known.add(metric.name, labels),
            Kind::Histogram => {
                let bound = Labels::from(["le".to_owned()]);
                known.add(&format!("{}_bucket", metric.name), &labels | &bound);
                known.add(&format!("{}_sum", metric.name), labels.clone());
                known.add(&format!("{}_count", metric.name), labels);
            }
        }
    }
    known.add("up", of_target(&[]));
    rules::add_recorded(&mut known).unwrap();
    rules::add_alerts(&mut known).unwrap();
    known
}

fn of_target(labels: &[&str]) -> Labels {
    labels.iter().chain(&OF_THE_TARGET).map(|label| (*label).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_a_rule_a_unit_test_or_a_panel_asks_for_what_the_binary_exports() {
    let known = known().await;
    let wrong = [
        rules::check_rules(&known),
        rules::check_unit_test_series(&known),
        dashboard::check(&known),
    ];
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
