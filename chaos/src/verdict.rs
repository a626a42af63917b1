//! Whether all that was said still holds.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use clock::{Clock, Timestamp};
use futures::{StreamExt, TryStreamExt, stream};
use proto::{
    order::v1::{GetOrderRequest, order_service_client::OrderServiceClient},
    saga::v1::{ListSagasRequest, SagaState, saga_service_client::SagaServiceClient},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use testkit::books;
use tonic::transport::Channel;

use crate::{
    client::{Ask, Asked, Told, ask},
    process::Process,
};

/// How long the sagas are given to end after the last start.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const AT_ONCE: usize = 16;

/// Waits until no saga is living.
pub(crate) async fn settle(process: &Process, clock: &Clock) -> Result<()> {
    let mut sagas = SagaServiceClient::new(process.channel(0)?);
    let give_up = clock.now().after(PATIENCE);
    loop {
        let states = vec![SagaState::Running.into(), SagaState::Compensating.into()];
        let request = ListSagasRequest { states, page_size: 1, ..ListSagasRequest::default() };
        let living = sagas.list_sagas(request).await?.into_inner().sagas;
        let Some(saga) = living.first() else { return Ok(()) };
        ensure!(clock.now() < give_up, "a saga does not end: {saga:?}");
        clock.sleep(LOOK_AGAIN).await;
    }
}

/// How often each answer was given.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<String, u64>);

impl Answers {
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.0.iter().map(|(code, count)| format!("{count} {code}")).collect();
        formatter.write_str(&counts.join(", "))
    }
}

/// Asks everything once more: what was answered must be answered the same, and what was not must be answered now.
pub(crate) async fn ask_again(process: &Process, asked: Vec<Asked>) -> Result<Answers> {
    let (checkout, orders) = (process.channel(0)?, process.channel(1)?);
    let again = asked.into_iter().map(|asked| one(checkout.clone(), orders.clone(), asked));
    let codes: Vec<String> = stream::iter(again).buffer_unordered(AT_ONCE).try_collect().await?;
    let mut answers = Answers::default();
    for code in codes {
        *answers.0.entry(code).or_default() += 1;
    }
    Ok(answers)
}

async fn one(checkout: Channel, orders: Channel, asked: Asked) -> Result<String> {
    let now = ask(checkout, &asked.ask)
        .await
        .with_context(|| format!("asking again: {:?}", asked.ask))?;
    if let Some(first) = &asked.told {
        ensure!(*first == now, "it was answered {first:?} and is now {now:?}");
    }
    if let (Ask::Place(request), Told::Placed(placed)) = (&asked.ask, &now)
        && placed.result.as_ref().is_some_and(|result| result.success)
    {
        let mut orders = OrderServiceClient::new(orders);
        let request_order = GetOrderRequest { order_no: placed.order_no.clone() };
        let order = orders.get_order(request_order).await?.into_inner().order;
        let order = order.with_context(|| format!("the order {} is gone", placed.order_no))?;
        ensure!(order.user_id == request.user_id, "the order {} is another's", placed.order_no);
        ensure!(order.saga_id == placed.saga_id, "the order {} is another saga's", placed.order_no);
    }
    Ok(now.code().to_owned())
}

/// What the databases say of the run.
#[derive(Debug)]
pub(crate) struct Report {
    kills: usize,
    started: u64,
    succeeded: u64,
    compensated: u64,
    resumed: u64,
    /// Milliseconds from a start of the process to the first record of a saga that it had taken up, for each start that
    /// found one.
    first_moved: Vec<u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, started, succeeded, compensated, resumed, .. } = self;
        write!(
            formatter,
            "{kills} kills; {started} sagas started, {succeeded} succeeded, {compensated} compensated; sagas were \
             resumed {resumed} times"
        )?;
        let mut moved = self.first_moved.clone();
        moved.sort_unstable();
        match (moved.get(moved.len() / 2), moved.last()) {
            (Some(median), Some(longest)) => write!(
                formatter,
                "; the first resumed saga moved {median} ms after the start (median of {}, {longest} ms at most)",
                moved.len()
            ),
            _ => Ok(()),
        }
    }
}

/// Reads the books, which must add up, with no saga left that is living or needs a person.
pub(crate) async fn read(folder: &Path, starts: &[Timestamp]) -> Result<Report> {
    let data = folder.join("data");
    let books = books::read(&data).await?;
    ensure!(books.wrong.is_empty(), "the books do not add up:\n{}", books.wrong.join("\n"));
    ensure!(books.living == 0, "{} sagas are still living", books.living);
    ensure!(books.needy == 0, "{} sagas need a person", books.needy);
    let options =
        SqliteConnectOptions::new().filename(data.join("orchestrator.db")).read_only(true);
    let mut journal = SqliteConnection::connect_with(&options).await?;
    let report = figures(&mut journal, starts).await;
    journal.close().await?;
    report
}

async fn figures(journal: &mut SqliteConnection, starts: &[Timestamp]) -> Result<Report> {
    let count = async |journal: &mut SqliteConnection, query: &'static str| -> Result<u64> {
        let count: i64 = sqlx::query_scalar(query).fetch_one(journal).await?;
        Ok(u64::try_from(count)?)
    };
    // A record's kind is its first field: 9 says that a node has taken the saga up.
    let taken_up = "select count(*) from event where substr(record, 1, 2) = x'0809'";
    let mut first_moved = Vec::new();
    for (start, next) in starts.iter().zip(starts.iter().skip(1).chain([&Timestamp(u64::MAX)])) {
        let query = "select min(later.at) from event as recovered join event as later
                     on later.saga_id = recovered.saga_id and later.seq > recovered.seq
                     where substr(recovered.record, 1, 2) = x'0809' and recovered.at >= $1 and recovered.at < $2";
        let moved: Option<i64> = sqlx::query_scalar(query)
            .bind(i64::try_from(start.0)?)
            .bind(i64::try_from(next.0).unwrap_or(i64::MAX))
            .fetch_one(&mut *journal)
            .await?;
        let moved = moved.and_then(|at| u64::try_from(at).ok());
        first_moved.extend(moved.map(|at| at.saturating_sub(start.0)));
    }
    Ok(Report {
        kills: starts.len(),
        started: count(journal, "select count(*) from saga").await?,
        succeeded: count(journal, "select count(*) from saga where state = 'SUCCEEDED'").await?,
        compensated: count(journal, "select count(*) from saga where state = 'COMPENSATED'")
            .await?,
        resumed: count(journal, taken_up).await?,
        first_moved,
    })
}
