//! Definition files.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use definition::{Descriptors, Draft, Identity, Problem};
use proptest::{prelude::*, test_runner::TestRunner};

use stage::damage::{Change, changes, config, in_time};

pub(crate) const SHIPPED: [&str; 2] = [
    include_str!("../../../../sagamesh/definitions/place-order.yaml"),
    include_str!("../../../../sagamesh/definitions/cancel-order.yaml"),
];

pub(crate) static DESCRIPTORS: LazyLock<Descriptors> = LazyLock::new(|| {
    let mut descriptors = Descriptors::new();
    descriptors.add_pool(proto::descriptors().clone());
    descriptors
});

/// What definitions are made of, and what they must not be made of.
fn pieces() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "  - step: again\n    call: sagamesh.stock.v1.StockService/Quote\n",
        "    after: []\n",
        "    after: [quote, nothing]\n",
        "    pivot: true\n",
        "    pivot: false\n",
        "    when: \"true\"\n",
        "    undo: sagamesh.order.v1.OrderService/CancelOrder\n",
        "    timeout: 0s\n",
        "    timeout: 99999999999999999h\n",
        "    timeout: -1s\n",
        "    retry: { attempts: 0, base: 1ms, cap: 0s }\n",
        "    retry: { attempts: 4294967296 }\n",
        "    answers: { UNKNOWN: done }\n",
        "version: 0\n",
        "version: 4294967296\n",
        "version: 1\n",
        "saga: place-order\n",
        "deadline: 30s\n",
        "serves: sagamesh.saga.v1.SagaService/WatchSaga\n",
        "&a ",
        "*a",
        "!!map ",
        "? ",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "|\n",
        ">-\n",
        "---\n",
        "...\n",
        "%YAML 9\n",
        "\t",
        "\u{feff}",
        "\u{0}",
        "\u{2028}",
        "'",
        "\"",
        "\\",
        "#",
        "\r\n",
        "<<: ",
        "~",
        "ä",
        "quote",
        "create_order",
        "request.points > 0",
        "saga.reason",
        "0x1F",
        ".inf",
        "9223372036854775808",
    ]);
    prop_oneof![3 => words.prop_map(str::to_owned), 1 => "[ -~\n]{0,8}"]
}

fn damaged() -> impl Strategy<Value = String> {
    let lines = proptest::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>()));
    (prop::sample::select(SHIPPED.to_vec()), changes(pieces()), lines).prop_map(
        |(source, changes, swapped): (&str, Vec<Change<String>>, _)| {
            let mut lines: Vec<&str> = source.lines().collect();
            if let Some((one, other)) = swapped {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
            }
            let mut text = lines.join("\n");
            changes.iter().for_each(|change| change.to_text(&mut text));
            text
        },
    )
}

fn assert_told(problems: &[Problem]) {
    assert!(!problems.is_empty(), "it was refused without a word");
    for problem in problems {
        assert!(!problem.cure.is_empty(), "{problem}");
    }
}

#[test]
fn no_damage_to_a_shipped_definition_makes_it_panic_or_take_long() {
    let seen = Mutex::new(BTreeMap::<&str, u32>::new());
    let count =
        |what| *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    let mut runner = TestRunner::new(config(400));
    let outcome = runner.run(
        &(damaged(), proptest::collection::vec(any::<u8>(), 0..60)),
        |(source, bytes)| {
            let compiled = in_time("a definition", || match Draft::parse("t.yaml", &source) {
                Err(problems) => {
                    assert_told(&problems);
                    count("not read");
                    None
                }
                Ok(draft) => match draft.compile(&DESCRIPTORS) {
                    Err(problems) => {
                        assert_told(&problems);
                        count("not sound");
                        None
                    }
                    Ok(compiled) => Some(compiled),
                },
            });
            let Some(compiled) = compiled else { return Ok(()) };
            count("sound");
            // Requests and answers that are anything: a fault perhaps, never a panic.
            let facts = compiled.facts(Identity { id: "s", ..Identity::default() }, &bytes);
            let facts = compiled
                .engine()
                .ids()
                .fold(facts, |facts, step| facts.with_response(step, &bytes));
            for step in compiled.engine().ids() {
                let _ = compiled.prepare_call(step, &facts);
                let _ = compiled.prepare_undo(step, &facts);
            }
            let _ = (compiled.key(&bytes), compiled.reply(&facts));
            Ok(())
        },
    );
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("damaged definitions: {seen:?}");
    for what in ["not read", "not sound", "sound"] {
        assert!(seen.get(what).is_some_and(|count| *count >= 3), "{what} was hardly met: {seen:?}");
    }
}

#[test]
fn a_definition_that_unfolds_or_nests_without_end_is_refused_in_time() {
    let many =
        |count: usize, line: &dyn Fn(usize) -> String| -> String { (0..count).map(line).collect() };
    let head = "saga: t\nversion: 1\nsteps:\n";
    let bombs = [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(100_000),
        "a:\n".to_owned() + &many(2_000, &|depth| format!("{}a:\n", " ".repeat(depth + 1))),
        many(30, &|level| {
            format!("a{level}: &a{level} [*a{0},*a{0},*a{0}]\n", level.saturating_sub(1))
        }),
        format!("{head}  - step: {}\n", "x".repeat(400_000)),
        head.to_owned() + &many(5_000, &|step| format!("  - step: s{step}\n    call: a.b.C/D\n")),
        head.to_owned()
            + &many(200, &|step| {
                let after: Vec<String> = (0..200).map(|other| format!("s{other}")).collect();
                format!("  - step: s{step}\n    call: a.b.C/D\n    after: [{}]\n", after.join(", "))
            }),
        "x".repeat(3_000_000),
        "\n".repeat(500_000),
        format!("saga: {}\n", "\"\\u0041".repeat(50_000)),
    ];
    for (number, bomb) in bombs.iter().enumerate() {
        let refused = in_time(&format!("bomb {number}"), || match Draft::parse("t.yaml", bomb) {
            Ok(draft) => draft.compile(&DESCRIPTORS).err(),
            Err(problems) => Some(problems),
        });
        assert_told(&refused.unwrap_or_default());
    }
}
