//! The folder.

use std::os::unix::fs::{PermissionsExt, symlink};

use proto::saga::v1::DefinitionState;

use crate::test_node::{Wiring, definition};

/// With the descriptors beside it, so that no participant is asked.
fn described(name: &str, version: u32) -> String {
    format!("descriptors: [work.proto]\n{}", definition(name, version))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_with_files_that_are_no_definitions_and_each_is_shown_with_its_problem() {
    let wiring = Wiring::new();
    let sagas = wiring.sagas();
    wiring.write("a-good.yaml", described("good", 1));
    wiring.write("typo.yaml", described("typo", 1).replace("request.id", "reqest.id"));
    wiring.write("empty.yaml", "");
    wiring.write("no-yaml.yaml", "saga: [unclosed");
    wiring.write("no-text.yaml", b"saga: \xff\xfe");
    wiring.write("same-version.yaml", described("good", 1) + "# another content\n");
    wiring.write("nobody.yaml", described("nobody", 1).replace("work.v1.Work", "other.v1.Other"));
    wiring.write("no-number.yaml", described("no-number", 1).replace("version: 1", "version: one"));
    std::fs::create_dir(sagas.join("folder.yaml")).unwrap();
    symlink("loop-b.yaml", sagas.join("loop-a.yaml")).unwrap();
    symlink("loop-a.yaml", sagas.join("loop-b.yaml")).unwrap();
    symlink("nowhere", sagas.join("dangling.yaml")).unwrap();
    symlink("/dev/zero", sagas.join("device.yaml")).unwrap();
    let huge = std::fs::File::create(sagas.join("huge.yaml")).unwrap();
    huge.set_len(100 << 20).unwrap();
    std::fs::write(sagas.join(".hidden.yaml"), "an editor's").unwrap();
    std::fs::write(sagas.join("secret.yaml"), described("secret", 1)).unwrap();
    std::fs::set_permissions(sagas.join("secret.yaml"), PermissionsExt::from_mode(0o000)).unwrap();

    let mut node = wiring.start().await;
    let listed = node.listed().await;
    let refused = |file: &str| {
        let found = listed.iter().find(|one| one.file.ends_with(file));
        let found = found.unwrap_or_else(|| panic!("{file} is not in {listed:#?}"));
        assert_eq!(found.state(), DefinitionState::Refused, "{found:#?}");
        let [problem] = &found.problems[..] else { panic!("{found:#?}") };
        assert!(!problem.cure.is_empty() && problem.file.ends_with(file), "{problem:?}");
        (problem.line, problem.what.clone())
    };
    for (file, line, what) in [
        ("typo.yaml", 7, "reqest"),
        ("empty.yaml", 1, "the file is empty"),
        ("no-yaml.yaml", 1, "not YAML"),
        ("no-text.yaml", 1, "byte 7 is no UTF-8"),
        ("same-version.yaml", 3, "registered with another content"),
        ("nobody.yaml", 6, "no participant is configured for other.v1.Other"),
        ("no-number.yaml", 3, "`one` is no version"),
        ("folder.yaml", 1, "no regular file"),
        ("loop-a.yaml", 1, "cannot read it"),
        ("loop-b.yaml", 1, "cannot read it"),
        ("dangling.yaml", 1, "cannot read it"),
        ("device.yaml", 1, "no regular file"),
        ("huge.yaml", 1, "more than 524288 bytes"),
    ] {
        let (at, told) = refused(file);
        assert!(at == line && told.contains(what), "{file}:{at}: {told}");
    }
    assert!(!listed.iter().any(|one| one.file.ends_with(".hidden.yaml")));
    // Whoever may read everything finds nothing wrong with it.
    assert!(listed.iter().any(|one| one.file.ends_with("secret.yaml")));

    node.start_work().await;
    let (saga_id, _) = node.start("good", 0, "k").await.unwrap();
    node.succeeds(&saga_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_folder_it_can_list_starts_and_says_so_until_it_is_there() {
    let wiring = Wiring::new();
    let (sagas, away) = (wiring.sagas(), wiring.folder.path().join("away"));
    wiring.write("good.yaml", described("good", 1));
    std::fs::rename(&sagas, &away).unwrap();
    let node = wiring.start().await;
    let told = node.stands("sagas", DefinitionState::Refused).await;
    assert!(told.problems[0].what.contains("cannot be listed"), "{told:?}");

    std::fs::rename(&away, &sagas).unwrap();
    node.stands("good.yaml", DefinitionState::Registered).await;
    assert!(node.listed().await.iter().all(|one| one.problems.is_empty()));

    // What was registered stays where the folder goes away.
    std::fs::rename(&sagas, &away).unwrap();
    node.stands("sagas", DefinitionState::Refused).await;
    node.start("good", 0, "k").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_while_the_node_runs_is_registered_and_one_that_goes_leaves_its_definition()
 {
    let node = Wiring::new().start().await;
    assert!(node.listed().await.is_empty());
    node.write("late.yaml", described("late", 1));
    node.stands("late.yaml", DefinitionState::Registered).await;
    node.remove("late.yaml");
    node.write("later.yaml", described("later", 1));
    node.stands("later.yaml", DefinitionState::Registered).await;
    node.start("late", 0, "k").await.unwrap();
    let node = node.stop().await.start().await;
    assert!(node.start("late", 0, "k").await.unwrap().1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_mended_is_registered_and_a_changed_version_says_which_is_next() {
    let wiring = Wiring::new();
    wiring.write("work.yaml", described("work", 1).replace("steps:", "stebs:"));
    let node = wiring.start().await;
    node.stands("work.yaml", DefinitionState::Refused).await;
    node.write("work.yaml", described("work", 1));
    node.stands("work.yaml", DefinitionState::Registered).await;

    node.write("work.yaml", described("work", 1) + "# changed\n");
    let refused = node.stands("work.yaml", DefinitionState::Refused).await;
    assert_eq!(refused.problems[0].cure, "give this one the version 2");
    assert_eq!((refused.name.as_str(), refused.version), ("work", 1));
    node.start("work", 0, "k").await.unwrap();

    node.write("work.yaml", described("work", 2) + "# changed\n");
    node.wait(async || node.start("work", 2, "k-2").await.ok()).await;
    assert!(node.listed().await.iter().all(|one| one.problems.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_config_map_that_is_exchanged_is_noticed() {
    let wiring = Wiring::new();
    let sagas = wiring.sagas();
    for (folder, version) in [("..1", 1), ("..2", 2)] {
        std::fs::create_dir(sagas.join(folder)).unwrap();
        std::fs::write(sagas.join(folder).join("work.yaml"), described("work", version)).unwrap();
    }
    symlink("..1", sagas.join("..data")).unwrap();
    symlink("..data/work.yaml", sagas.join("work.yaml")).unwrap();
    let node = wiring.start().await;
    node.start("work", 1, "k").await.unwrap();

    symlink("..2", sagas.join("..next")).unwrap();
    std::fs::rename(sagas.join("..next"), sagas.join("..data")).unwrap();
    node.wait(async || node.start("work", 2, "k-2").await.ok()).await;
}
