//! Page tokens that were made elsewhere, or by nobody.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::Cell;

use facade::page::Page;
use proptest::{prelude::*, test_runner::TestRunner};

/// The cursors that the services' lists have.
type Cursor = (String, u32);

fn token(list: &str, cursor: &Cursor) -> String {
    let page = Page::<Cursor>::read(1, "", &[list]).unwrap();
    page.cut(vec![0, 1], |entry: i64| (cursor.clone(), entry)).1
}

#[test]
fn a_token_is_read_as_it_was_made_and_no_damage_makes_a_panic_or_opens_another_list() {
    let characters = "[A-Za-z0-9_=+/ -]{0,6}";
    let strategy =
        (".{0,20}", any::<u32>(), any::<prop::sample::Index>(), 0_usize..9, characters, 0_usize..3);
    let (read, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 5_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&strategy, |(name, number, at, taken, put, times)| {
        let cursor = (name, number);
        let sound = token("tea", &cursor);
        prop_assert_eq!(Page::read(1, &sound, &["tea"]).unwrap().cursor, Some(cursor));
        prop_assert!(Page::<Cursor>::read(1, &sound, &["milk"]).is_err());
        prop_assert!(Page::<Cursor>::read(1, &sound, &["tea", ""]).is_err());
        let mut damaged = sound.clone();
        let from = at.index(sound.len());
        damaged.replace_range(from..(from + taken).min(sound.len()), &put.repeat(times));
        match Page::<Cursor>::read(1, &damaged, &["tea"]) {
            Ok(_) => read.set(read.get() + 1),
            Err(_) => refused.set(refused.get() + 1),
        }
        // A changed token may become another cursor, but never a token of another list.
        prop_assert!(damaged.is_empty() || Page::<Cursor>::read(1, &damaged, &["milk"]).is_err());
        // Read as the type of another list, it is refused or read, and never panics.
        let _ = Page::<i64>::read(1, &damaged, &["tea"]);
        let _ = Page::<String>::read(1, &damaged, &["tea"]);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("damaged tokens: {} read, {} refused", read.get(), refused.get());
    assert!(
        read.get() > 50 && refused.get() > 500,
        "{} read, {} refused",
        read.get(),
        refused.get()
    );
}

#[test]
fn tokens_that_nest_or_have_no_end_are_refused() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    for text in
        ["[".repeat(100_000), "{\"a\":".repeat(10_000), "9".repeat(100_000), "[\"a\",".to_owned()]
    {
        let token = URL_SAFE_NO_PAD.encode(text);
        assert!(Page::<Cursor>::read(1, &token, &["tea"]).is_err());
        assert!(Page::<i64>::read(1, &token, &["tea"]).is_err());
    }
}
