//! The checker over a journal, by a clock that stands still, and the webhook against servers that behave and do not.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use clock::{Clock, ManualTime, Timestamp};
use metrics::exposition::Exposition;
use saga::{Compensation, CompensationEnd, Event, Outcome, Reason, Record, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{webhook::Delivery, *};
use crate::{
    config::Webhook,
    journal::{
        Change, Definition, Header, Journal, Link, Number, Standing, Started, Wanted, record,
        tables::Tables,
    },
};

const MINUTE: Duration = Duration::from_mins(1);
const START: Timestamp = Timestamp(1_800_000_000_000);
const MARKER: &str = "s3cr3t";

/// A journal that a checker looks at.
struct Watched {
    journal: Arc<Tables>,
    clock: Clock,
    time: ManualTime,
    registry: Registry,
    /// How many sagas have been started.
    started: u64,
    _folder: tempfile::TempDir,
}

/// A saga that turned back.
struct Saga {
    number: Number,
    began_at: saga::Timestamp,
    seq: u64,
}

impl Watched {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, time) = Clock::manual(START);
        let journal = Arc::new(open(folder.path(), &clock).await);
        let registry = Registry::new();
        Self { journal, clock, time, registry, started: 0, _folder: folder }
    }

    fn checker(&self, settings: Alarms, outbox: Option<Outbox>) -> Checker {
        let journal = Arc::clone(&self.journal) as journal::Shared;
        Checker::new(self.clock.clone(), journal, settings, outbox, &self.registry)
    }

    fn webhook(&self, url: &str) -> (Outbox, Delivery) {
        let webhook: Webhook = serde_json::from_value(url.into()).unwrap();
        webhook::open(webhook, self.clock.clone(), "node".to_owned(), Counted::new(&self.registry))
    }

    /// Starts a saga, which turns back now.
    async fn turn_back(&mut self) -> Saga {
        self.started += 1;
        let saga_id = format!("s{:03}", self.started);
        let now = self.clock.now();
        let header = Header {
            saga_id: saga_id.clone(),
            definition_hash: "h".to_owned(),
            definition: "place-order".to_owned(),
            version: 1,
            key: saga_id,
            request: Bytes::new(),
            trace: String::new(),
            deadline: now,
            created_at: now,
        };
        let (_caller, wanted) = Wanted::by_caller();
        let started = self.journal.start(header, Vec::new(), None, wanted).await.unwrap();
        let Started::New(number) = started else { panic!("{started:?}") };
        let mut saga = Saga { number, began_at: saga::Timestamp(now.0), seq: 0 };
        self.stands(&mut saga, Status::Compensating).await;
        saga
    }

    async fn stands(&self, saga: &mut Saga, status: Status) {
        let event = Event::Parked { step: None, reason: Reason::new("NO", "no") };
        self.append(saga, event, status, None).await;
    }

    async fn end(&self, mut saga: Saga, end: CompensationEnd) {
        let (event, status) = match end {
            CompensationEnd::Succeeded => (
                Event::Finished { outcome: Outcome::Compensated, reply: Bytes::new() },
                Status::Compensated,
            ),
            CompensationEnd::Failed => {
                (Event::Resolved { reason: "settled".to_owned() }, Status::Resolved)
            }
        };
        self.append(&mut saga, event, status, Some(end)).await;
    }

    async fn append(
        &self,
        saga: &mut Saga,
        event: Event,
        status: Status,
        end: Option<CompensationEnd>,
    ) {
        let at = saga::Timestamp(self.clock.now().0);
        let record = Record { seq: saga.seq, at, event };
        saga.seq += 1;
        let (entries, _) = record::encode_all(&[record], Link([0; 16]));
        let standing = Standing { status, why: None };
        let compensation = Some(Compensation { began_at: saga.began_at, end });
        let change = Change { standing, compensation };
        self.journal.append(saga.number, entries, Some(change)).await.unwrap();
    }

    async fn ends(&mut self, many: usize, end: CompensationEnd) {
        for _ in 0..many {
            let saga = self.turn_back().await;
            self.end(saga, end).await;
        }
    }

    fn metric(&self, name: &str, label: (&str, &str)) -> f64 {
        let scraped = Exposition::parse(&self.registry.encode()).unwrap();
        scraped.value(name, &[label]).unwrap()
    }

    /// The alarms that hold, by the metric.
    fn holding(&self) -> Vec<&'static str> {
        let names = Alarm::ALL.map(Alarm::name).into_iter();
        names.filter(|name| self.metric("saga_alarm", ("alarm", name)) == 1.0).collect()
    }

    fn posts(&self, result: &str) -> f64 {
        self.metric("sagamesh_alarm_posts_total", ("result", result))
    }

    /// Waits until so many posts came to this.
    async fn posted(&self, result: &str, many: f64) {
        while self.posts(result) < many {
            tokio::task::yield_now().await;
        }
    }
}

async fn open(folder: &Path, clock: &Clock) -> Tables {
    let journal = Tables::open(&folder.join("journal.db"), clock).await.unwrap();
    let definition = Definition {
        hash: "h".to_owned(),
        name: "place-order".to_owned(),
        version: 1,
        source: String::new(),
        file: String::new(),
        descriptors: Bytes::new(),
        registered_at: START,
        archived: None,
        change: 0,
    };
    journal.register(definition).await.unwrap();
    journal
}

/// What was told since the last look: each alarm's name with `+` where it holds.
async fn told(checker: &mut Checker, delivery: &mut Delivery) -> Vec<String> {
    checker.check().await.unwrap();
    let mut told = Vec::new();
    while let Some(notice) = delivery.next_waiting() {
        let sign = if notice.state == notice::State::Firing { '+' } else { '-' };
        told.push(format!("{sign}{}", notice.reading.alarm.name()));
    }
    told
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn three_stuck_undos_are_told_at_the_next_look_as_slow_after_five_minutes_and_as_over_in_the_end()
 {
    let mut watched = Watched::new().await;
    let (outbox, mut delivery) = watched.webhook("http://nowhere/");
    let mut checker = watched.checker(Alarms::default(), Some(outbox));
    assert_eq!(told(&mut checker, &mut delivery).await, NOTHING);
    assert!(watched.holding().is_empty());
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut saga = watched.turn_back().await;
        watched.stands(&mut saga, Status::Attention).await;
        stuck.push(saga);
    }
    assert_eq!(told(&mut checker, &mut delivery).await, ["+compensation_stuck"]);
    assert_eq!(watched.holding(), ["compensation_stuck"]);
    for _ in 0..5 {
        watched.time.advance(MINUTE);
        assert_eq!(told(&mut checker, &mut delivery).await, NOTHING);
    }
    watched.time.advance(MINUTE);
    assert_eq!(told(&mut checker, &mut delivery).await, ["+compensation_slow"]);
    assert_eq!(watched.holding(), ["compensation_stuck", "compensation_slow"]);
    watched.time.advance(54 * MINUTE);
    assert_eq!(told(&mut checker, &mut delivery).await, ["+compensation_stuck"], "an hour after");
    let settled = watched.clock.now();
    for saga in stuck {
        watched.end(saga, CompensationEnd::Failed).await;
    }
    assert_eq!(told(&mut checker, &mut delivery).await, ["-compensation_stuck"]);
    assert_eq!(watched.holding(), ["compensation_slow"], "one of the last hour took so long");
    watched.time.advance(6 * MINUTE);
    assert_eq!(told(&mut checker, &mut delivery).await, ["+compensation_slow"], "an hour after");
    watched.time.advance(Duration::from_hours(1) - watched.clock.now().since(settled));
    assert_eq!(told(&mut checker, &mut delivery).await, NOTHING);
    watched.time.advance(Duration::from_millis(1));
    assert_eq!(told(&mut checker, &mut delivery).await, ["-compensation_slow"]);
    assert!(watched.holding().is_empty());
}

#[tokio::test]
async fn too_few_successes_are_told_once_there_are_enough_to_judge_by() {
    let mut watched = Watched::new().await;
    let (outbox, mut delivery) = watched.webhook("http://nowhere/");
    let mut checker = watched.checker(Alarms::default(), Some(outbox));
    watched.ends(7, CompensationEnd::Succeeded).await;
    watched.ends(2, CompensationEnd::Failed).await;
    assert_eq!(told(&mut checker, &mut delivery).await, NOTHING, "two of nine, at night");
    watched.ends(1, CompensationEnd::Succeeded).await;
    assert_eq!(told(&mut checker, &mut delivery).await, ["+compensation_success"]);
    watched.ends(10, CompensationEnd::Succeeded).await;
    assert_eq!(told(&mut checker, &mut delivery).await, ["-compensation_success"], "18 of 20");
    watched.ends(1, CompensationEnd::Failed).await;
    assert_eq!(told(&mut checker, &mut delivery).await, ["+compensation_success"], "18 of 21");
    watched.time.advance(61 * MINUTE);
    assert_eq!(told(&mut checker, &mut delivery).await, ["-compensation_success"], "none is left");
}

#[tokio::test]
async fn every_saga_in_attention_is_of_the_backlog_also_one_that_goes_forward_or_stands_aside() {
    let mut watched = Watched::new().await;
    let (outbox, mut delivery) = watched.webhook("http://nowhere/");
    let settings = Alarms { backlog_above: 2, ..Alarms::default() };
    let mut checker = watched.checker(settings, Some(outbox));
    let mut undoing = watched.turn_back().await;
    watched.stands(&mut undoing, Status::Attention).await;
    let aside = watched.turn_back().await;
    let why = Reason::new("ENGINE_FAILED", "x");
    watched.journal.set_aside("s002", why).await.unwrap();
    assert_eq!(told(&mut checker, &mut delivery).await, ["+compensation_stuck"]);
    let forward = watched.turn_back().await;
    watched.end(forward, CompensationEnd::Succeeded).await;
    let mut forward = watched.turn_back().await;
    watched.stands(&mut forward, Status::Attention).await;
    assert_eq!(told(&mut checker, &mut delivery).await, ["+manual_backlog"]);
    assert_eq!(aside.seq, 1);
}

#[tokio::test]
async fn what_still_holds_is_told_again_by_a_process_that_starts_and_looks_every_minute() {
    let mut watched = Watched::new().await;
    let mut saga = watched.turn_back().await;
    watched.stands(&mut saga, Status::Attention).await;
    let mut before = watched.checker(Alarms::default(), None);
    before.check().await.unwrap();
    drop(before);

    let (outbox, mut delivery) = watched.webhook("http://nowhere/");
    let running = tokio::spawn(watched.checker(Alarms::default(), Some(outbox)).run());
    let first = delivery.next().await.unwrap();
    assert_eq!(first.reading.alarm, Alarm::CompensationStuck);
    assert_eq!(first.since, START);
    watched.end(saga, CompensationEnd::Failed).await;
    watched.time.advance_to_next().await;
    let over = delivery.next().await.unwrap();
    assert_eq!((over.state, over.at), (notice::State::Resolved, START.after(MINUTE)));
    running.abort();
}

/// What a server does with one request.
#[derive(Clone, Copy)]
enum Answer {
    Says(&'static str),
    Nothing,
    HangsUp,
    IsNoHttp,
}

/// A server that answers one request after the other so, and gives them to the test.
async fn server(answers: Vec<Answer>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            requests.send(read_request(&mut stream).await).unwrap();
            let text = match answer {
                Answer::Says(status) => format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"),
                Answer::IsNoHttp => "220 smtp.example ESMTP\r\n".to_owned(),
                Answer::HangsUp => continue,
                Answer::Nothing => {
                    kept.push(stream);
                    continue;
                }
            };
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    (address, received)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text.into_owned();
            }
        }
        assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the request is cut off");
    }
}

/// A checker that finds a stuck undo, beside what posts to this address.
async fn stuck(watched: &mut Watched, address: SocketAddr) -> (Checker, Saga) {
    let (outbox, delivery) = watched.webhook(&format!("http://{address}/hooks/{MARKER}?a=b"));
    tokio::spawn(delivery.run());
    let mut saga = watched.turn_back().await;
    watched.stands(&mut saga, Status::Attention).await;
    (watched.checker(Alarms::default(), Some(outbox)), saga)
}

#[tokio::test]
async fn the_webhook_gets_an_alarm_and_its_end_as_json() {
    let mut watched = Watched::new().await;
    let (address, mut received) =
        server(vec![Answer::Says("200 OK"), Answer::Says("204 No Content")]).await;
    let (mut checker, saga) = stuck(&mut watched, address).await;
    checker.check().await.unwrap();
    let request = received.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("POST /hooks/{MARKER}?a=b HTTP/1.1\r\n")), "{head}");
    assert!(head.contains(&format!("host: {address}")), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["alarm"], "compensation_stuck");
    assert_eq!((&body["state"], &body["value"]), (&"firing".into(), &1.into()));
    assert_eq!(body["definitions"]["place-order"], 1);
    watched.posted("sent", 1.0).await;
    watched.end(saga, CompensationEnd::Failed).await;
    checker.check().await.unwrap();
    assert!(received.recv().await.unwrap().contains("\"resolved\""));
    watched.posted("sent", 2.0).await;
    assert_eq!((watched.posts("failed"), watched.posts("lost")), (0.0, 0.0));
}

#[tokio::test]
async fn what_is_not_taken_is_posted_again_until_it_is() {
    let mut watched = Watched::new().await;
    let answers =
        vec![Answer::Says("500 Oops"), Answer::HangsUp, Answer::IsNoHttp, Answer::Says("200 OK")];
    let (address, mut received) = server(answers).await;
    let (mut checker, _saga) = stuck(&mut watched, address).await;
    checker.check().await.unwrap();
    let first = received.recv().await.unwrap();
    for failed in [1.0, 2.0, 3.0] {
        watched.posted("failed", failed).await;
        watched.time.advance_to_next().await;
        assert_eq!(received.recv().await.unwrap(), first, "the same again");
    }
    watched.posted("sent", 1.0).await;
    assert_eq!(watched.posts("lost"), 0.0);
}

#[tokio::test]
async fn a_webhook_that_is_silent_or_away_holds_nobody_up_and_what_it_misses_is_counted() {
    let mut watched = Watched::new().await;
    let (address, mut received) = server(vec![Answer::Nothing]).await;
    let (mut checker, mut saga) = stuck(&mut watched, address).await;
    checker.check().await.unwrap();
    received.recv().await.unwrap();
    // It has the request and says nothing: the checker goes on, and its alarms wait in line until there is no room.
    for turn in 0..70 {
        let status = if turn % 2 == 0 { Status::Compensating } else { Status::Attention };
        watched.stands(&mut saga, status).await;
        checker.check().await.unwrap();
    }
    assert_eq!(watched.posts("lost"), 6.0);
    watched.time.advance_to_next().await;
    watched.posted("failed", 1.0).await;
}

#[tokio::test]
async fn an_alarm_that_nobody_takes_is_given_up_and_the_url_is_told_nowhere() {
    let mut watched = Watched::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (mut checker, _saga) = stuck(&mut watched, address).await;
    checker.check().await.unwrap();
    for failed in [1.0, 2.0, 3.0] {
        watched.posted("failed", failed).await;
        watched.time.advance_to_next().await;
    }
    watched.posted("lost", 1.0).await;
    assert_eq!((watched.posts("failed"), watched.posts("sent")), (4.0, 0.0));

    let (_, delivery) = watched.webhook(&format!("http://{address}/{MARKER}"));
    let why = delivery.attempt(Bytes::new()).await.unwrap_err();
    assert!(why.contains("nothing answers there") && !why.contains(MARKER), "{why}");
}
