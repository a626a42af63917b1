//! What is counted of compensations, against a look at each saga.

use std::{collections::BTreeMap, path::Path, time::Duration};

use clock::Timestamp;
use orchestrator::journal::{
    Change, Compensations, Entry, Journal, Link, NamedCause, Number, Standing, Started, Wanted,
    Window,
    compensations::{Counts, Oldest, Slowest},
    record,
    tables::Tables,
};
use proptest::prelude::*;
use saga::{
    Cause, Compensation, CompensationEnd, Event, Outcome, Reason, Record, Status, StepId, TimeRules,
};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{header, lists::plans, open};

const DAY: u64 = 86_400_000;

/// What becomes of a saga after its first record.
#[derive(Clone, Debug)]
struct Fate {
    definition: &'static str,
    /// Whether an operator turned it back.
    cancelled: bool,
    turns_back_at: u64,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// It went forward and succeeded: nothing is to be counted.
    NeverTurnedBack,
    Stands(Status),
    StandsAside,
    Ends(u64, How),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Compensated,
    CompensatedByHand,
    Resolved,
    ResolvedAside,
}

impl How {
    fn end(self) -> CompensationEnd {
        match self {
            Self::Compensated => CompensationEnd::Succeeded,
            Self::CompensatedByHand | Self::Resolved | Self::ResolvedAside => {
                CompensationEnd::Failed
            }
        }
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    // Some lie within one second, some within one day, some far apart; many end at the edge of a span.
    let lasting =
        prop_oneof![0_u64..50, 0_u64..5_000, 0_u64..400_000, (0_u64..3).prop_map(|n| n * 60_000)];
    let instants = prop_oneof![
        5 * DAY..5 * DAY + 2_000,
        5 * DAY..6 * DAY,
        DAY..9 * DAY,
        (1_u64..200).prop_map(|hours| hours * 3_600_000),
    ];
    let how = prop_oneof![
        5 => Just(How::Compensated),
        1 => Just(How::CompensatedByHand),
        1 => Just(How::Resolved),
        1 => Just(How::ResolvedAside),
    ];
    let then = prop_oneof![
        1 => Just((Then::NeverTurnedBack, 0)),
        1 => Just((Then::Stands(Status::Compensating), 0)),
        2 => Just((Then::Stands(Status::Attention), 0)),
        1 => Just((Then::Stands(Status::Paused), 0)),
        1 => Just((Then::StandsAside, 0)),
        8 => (how, lasting).prop_map(|(how, lasting)| (Then::Ends(0, how), lasting)),
    ];
    let fate = (prop_oneof![Just("d"), Just("e")], any::<bool>(), instants, then);
    proptest::collection::vec(fate, 1..40).prop_map(|fates| {
        let fates = fates.into_iter().zip(0..).map(
            |((definition, cancelled, turns_back_at, (then, lasting)), number)| Fate {
                definition,
                cancelled,
                turns_back_at,
                then: match then {
                    // None takes as long as another, so that it is certain which took longest.
                    Then::Ends(_, how) => Then::Ends(turns_back_at + lasting * 64 + number, how),
                    then => then,
                },
            },
        );
        fates.collect()
    })
}

fn windows() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let from = prop_oneof![5 * DAY..5 * DAY + 3_000, 5 * DAY..6 * DAY, 0..10 * DAY];
    let length =
        prop_oneof![1_u64..50, 1_u64..100_000, 1..9 * DAY, (1_u64..9).prop_map(|n| n * DAY)];
    proptest::collection::vec((from, length), 20)
}

fn saga_id(number: usize) -> String {
    format!("s{number:03}")
}

/// A saga as it is written down, one append for each change of its state.
struct Writer<'j> {
    journal: &'j Tables,
    number: Number,
    seq: u64,
    link: Link,
}

impl Writer<'_> {
    async fn append(
        &mut self,
        at: u64,
        events: Vec<Event>,
        status: Status,
        compensation: Option<Compensation>,
    ) {
        let (entries, link) = encode(at, self.seq, events, self.link);
        self.seq += u64::try_from(entries.len()).unwrap();
        self.link = link;
        let why = NamedCause { reason: Reason::new("NO", "no"), step: String::new() };
        let standing = Standing { status, why: Some(why) };
        let change = Change { standing, compensation };
        self.journal.append(self.number, entries, Some(change)).await.unwrap();
    }
}

fn encode(at: u64, seq: u64, events: Vec<Event>, link: Link) -> (Vec<Entry>, Link) {
    let records: Vec<Record> = (seq..)
        .zip(events)
        .map(|(seq, event)| Record { seq, at: saga::Timestamp(at), event })
        .collect();
    record::encode_all(&records, link)
}

async fn write(journal: &Tables, number: usize, fate: &Fate) {
    let saga_id = saga_id(number);
    let header = orchestrator::journal::Header {
        definition: fate.definition.to_owned(),
        ..header(&saga_id, &saga_id, b"r")
    };
    let deadline = saga::Timestamp(90);
    let step = StepId(0);
    let begun = vec![
        Event::Started { deadline, rules: TimeRules::CURRENT },
        Event::CallIntended { step, request: "r".into() },
    ];
    let (entries, link) = encode(10, 0, begun, Link::root(&header));
    let (_caller, wanted) = Wanted::by_caller();
    let started = journal.start(header, entries, None, wanted).await.unwrap();
    let Started::New(number) = started else { panic!("{started:?}") };
    let mut writer = Writer { journal, number, seq: 2, link };
    // A step that an operator skips going forward is no undo that is done by hand.
    let skip = |step| Event::SkippedByHand { step, reason: "by hand".to_owned() };
    writer.append(20, vec![skip(StepId(1))], Status::Running, None).await;
    let began_at = saga::Timestamp(fate.turns_back_at);
    let turned_back = match fate.cancelled {
        true => Event::Cancelled { reason: "the customer called".to_owned() },
        false => {
            Event::TurnedBack { cause: Cause { step: Some(step), reason: Reason::new("NO", "no") } }
        }
    };
    let under_way = Some(Compensation { began_at, end: None });
    match fate.then {
        Then::NeverTurnedBack => {
            let outcome = Outcome::Succeeded;
            let finished = Event::Finished { outcome, reply: "".into() };
            writer.append(fate.turns_back_at, vec![finished], Status::Succeeded, None).await;
        }
        Then::Stands(status) => {
            writer.append(began_at.0, vec![turned_back], Status::Compensating, under_way).await;
            let parked = Event::Parked { step: Some(step), reason: Reason::new("NO", "no") };
            writer.append(began_at.0 + 5, vec![parked], status, under_way).await;
        }
        Then::StandsAside | Then::Ends(_, How::ResolvedAside) => {
            writer.append(began_at.0, vec![turned_back], Status::Compensating, under_way).await;
            journal.set_aside(&saga_id, Reason::new("ENGINE_FAILED", "x")).await.unwrap();
            if let Then::Ends(at, _) = fate.then {
                let why = Reason::new("RESOLVED_BY_OPERATOR", "settled");
                assert!(journal.close_aside(&saga_id, why, Timestamp(at)).await.unwrap());
            }
        }
        Then::Ends(at, how) => {
            let ended = Some(Compensation { began_at, end: Some(how.end()) });
            let finished = || Event::Finished { outcome: Outcome::Compensated, reply: "".into() };
            let (last, status) = match how {
                How::CompensatedByHand => (vec![skip(step), finished()], Status::Compensated),
                How::Resolved => {
                    (vec![Event::Resolved { reason: "settled".to_owned() }], Status::Resolved)
                }
                _ => (vec![finished()], Status::Compensated),
            };
            match at == began_at.0 {
                // All of it is in one append.
                true => writer.append(at, [vec![turned_back], last].concat(), status, ended).await,
                false => {
                    let turned_back = vec![turned_back];
                    writer.append(began_at.0, turned_back, Status::Compensating, under_way).await;
                    writer.append(at, last, status, ended).await;
                }
            }
        }
    }
}

/// A look at each saga.
fn looked_at(fates: &[Fate], window: Window, definition: &str) -> Compensations {
    let mut found: BTreeMap<String, Counts> = BTreeMap::new();
    for (number, fate) in fates.iter().enumerate() {
        let began_at = Timestamp(fate.turns_back_at);
        let counts = match fate.then {
            Then::NeverTurnedBack => continue,
            Then::Ends(at, how) => {
                if !(window.from.0..window.to.0).contains(&at) {
                    continue;
                }
                let succeeded = how.end() == CompensationEnd::Succeeded;
                let lasted = Duration::from_millis(at - began_at.0);
                Counts {
                    succeeded: succeeded.into(),
                    failed: (!succeeded).into(),
                    slowest: Some(Slowest { lasted, saga_id: saga_id(number) }),
                    ..Counts::default()
                }
            }
            Then::Stands(_) | Then::StandsAside => {
                if began_at >= window.to {
                    continue;
                }
                let needs_person =
                    matches!(fate.then, Then::StandsAside | Then::Stands(Status::Attention));
                let oldest = Some(Oldest { began_at, saga_id: saga_id(number) });
                Counts { manual: needs_person.into(), oldest, ..Counts::default() }
            }
        };
        if definition.is_empty() || definition == fate.definition {
            found.entry(fate.definition.to_owned()).or_default().add(counts);
        }
    }
    Compensations(found)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(stage::damage::config(24))]

    #[test]
    fn any_window_of_any_journal_has_what_a_look_at_each_saga_would_find(
        fates in fates(),
        windows in windows(),
    ) {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let journal = open(folder.path()).await;
            for (number, fate) in fates.iter().enumerate() {
                write(&journal, number, fate).await;
            }
            for (from, length) in windows {
                let window = Window { from: Timestamp(from), to: Timestamp(from + length) };
                for definition in ["", "d", "e", "none"] {
                    let found = journal.compensations(window, definition).await.unwrap();
                    assert_eq!(found, looked_at(&fates, window, definition), "{window:?}");
                }
            }
            journal.database().close().await;
        });
    }

    #[test]
    fn a_journal_of_before_is_counted_as_if_it_had_been_counted_from_the_start(fates in fates()) {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let journal = open(folder.path()).await;
            for (number, fate) in fates.iter().enumerate() {
                write(&journal, number, fate).await;
            }
            journal.database().close().await;
            let counted = rows(folder.path()).await;
            uncount(folder.path()).await;
            open(folder.path()).await.database().close().await;
            assert_eq!(rows(folder.path()).await, counted);
        });
    }
}

async fn file(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("journal.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// What the journal has of compensations, a line a row.
async fn rows(folder: &Path) -> Vec<String> {
    const ROWS: &str = "
        select concat_ws(' ', 'under way', saga, definition, began_at) from compensation
        union all
        select concat_ws(' ', span, start, definition, succeeded, failed, slowest, slowest_saga) from compensation_count
        order by 1";
    let mut file = file(folder).await;
    let rows = sqlx::query(ROWS).fetch_all(&mut file).await.unwrap();
    file.close().await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Makes the journal one that was written before compensations were counted.
async fn uncount(folder: &Path) {
    const UNCOUNT: &str = "
        drop table compensation;
        drop table compensation_count;
        delete from _sqlx_migrations where version = 5";
    let mut file = file(folder).await;
    sqlx::raw_sql(UNCOUNT).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
}

#[tokio::test]
async fn what_is_counted_is_removed_when_it_is_old_and_what_is_under_way_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).await;
    let fate =
        |turns_back_at, then| Fate { definition: "d", cancelled: false, turns_back_at, then };
    let ends = |at| Then::Ends(at, How::Compensated);
    let fates = [
        fate(DAY, ends(DAY + 7)),
        fate(3 * DAY, ends(3 * DAY + 7)),
        fate(DAY, Then::Stands(Status::Compensating)),
    ];
    for (number, fate) in fates.iter().enumerate() {
        write(&journal, number, fate).await;
    }
    let before = Timestamp(3 * DAY);
    let mut removed = 0;
    loop {
        match journal.remove_compensations(before, 2).await.unwrap() {
            0 => break,
            some => removed += some,
        }
    }
    assert_eq!(removed, 5, "a row of each length");
    let all = Window { from: Timestamp(0), to: Timestamp(9 * DAY) };
    let counts = journal.compensations(all, "").await.unwrap().sum();
    assert_eq!((counts.succeeded, counts.failed), (1, 0));
    assert_eq!(counts.slowest.unwrap().saga_id, saga_id(1));
    assert_eq!(counts.oldest.unwrap().saga_id, saga_id(2));
}

#[tokio::test]
async fn no_count_goes_through_what_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.database().close().await;
    let unfinished = "state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED'";
    let attention = [
        format!(
            "saga indexed by saga_unfinished cross join compensation where {unfinished} and aside_code is null and state = 'ATTENTION'"
        ),
        format!(
            "saga indexed by saga_aside cross join compensation where aside_code is not null and {unfinished}"
        ),
    ];
    let manual = attention.map(|attention| {
        format!("select compensation.definition, count(*) from {attention} and compensation.saga = saga.number group by compensation.definition")
    });
    let statements = [
        "select succeeded from compensation_count where span = 1000 and start >= 5 and start < 9 and ('' = '' or definition = '')",
        "select saga.id from compensation join saga on saga.number = compensation.saga where compensation.definition = 'd' and began_at = 7 order by saga.id limit 1",
        "select compensation.saga from compensation join saga on saga.number = compensation.saga where saga.id = 's'",
        "select start from compensation_count where span = 1 and start < 9 order by start limit 9",
        &manual[0],
        &manual[1],
    ];
    for plan in plans(folder.path(), &statements).await {
        assert!(!plan.contains("SCAN compensation"), "{plan}");
        assert!(!plan.contains("SCAN saga") || plan.contains("INDEX saga_aside"), "{plan}");
    }
}
