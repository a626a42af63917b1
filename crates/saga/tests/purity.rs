//! The engine leans on nothing that could tell the time, draw a number or reach the outside. Its own `clippy.toml`
//! forbids what the standard library has of that.

#[test]
fn the_engine_depends_on_nothing_that_could_make_two_replays_differ() {
    let manifest = include_str!("../Cargo.toml");
    let dependencies = manifest.split("\n[dependencies]\n").nth(1).expect("it has dependencies");
    let names: Vec<&str> = dependencies
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
        .collect();
    assert_eq!(names, ["bytes", "thiserror"]);
}
