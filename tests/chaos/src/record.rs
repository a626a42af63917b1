//! What was asked under each token, and what was answered: held against the system to the end.

use proto::{
    checkout::v1::{
        CancelOrderRequest, CancelOrderResponse, PlaceOrderRequest, PlaceOrderResponse,
    },
    facade::v1::ResultInfo,
};

/// A request. It is sent again unchanged, so its token always means the same.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Place(PlaceOrderRequest),
    Cancel(CancelOrderRequest),
}

/// An answer, whole: a repeat must be equal to the last field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Place(PlaceOrderResponse),
    Cancel(CancelOrderResponse),
}

impl Answer {
    fn result(&self) -> Option<&ResultInfo> {
        match self {
            Self::Place(response) => response.result.as_ref(),
            Self::Cancel(response) => response.result.as_ref(),
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.result().is_some_and(|result| result.success)
    }
}

/// What was requested under one token, and how it was answered.
#[derive(Clone, Debug)]
pub(crate) struct RequestRecord {
    pub(crate) request: Request,
    /// The first answer that came.
    pub(crate) answer: Option<Answer>,
    /// Whether it came while processes were still being killed, and not only at the end.
    pub(crate) during_kills: bool,
    /// How many further answers came, each equal to the first.
    pub(crate) repeats: u64,
}

impl RequestRecord {
    pub(crate) fn new(request: Request) -> Self {
        Self { request, answer: None, during_kills: false, repeats: 0 }
    }

    /// Takes an answer; gives what is wrong with it.
    pub(crate) fn take(&mut self, answer: Answer) -> Option<String> {
        match &self.answer {
            None => self.answer = Some(answer),
            Some(first) if *first == answer => self.repeats += 1,
            Some(first) => {
                return Some(format!(
                    "a repeat of {:?} was answered {answer:?}, the first time {first:?}",
                    self.request
                ));
            }
        }
        None
    }
}

/// Answers given while the mesh was being killed.
pub(crate) fn acknowledged(records: &[RequestRecord]) -> u64 {
    count(records, |record| record.during_kills)
}

/// Answers that were given again, equal.
pub(crate) fn repeated(records: &[RequestRecord]) -> u64 {
    records.iter().map(|record| record.repeats).sum()
}

fn count(records: &[RequestRecord], is: impl Fn(&RequestRecord) -> bool) -> u64 {
    records.iter().filter(|record| is(record)).count() as u64
}

/// The load in two lines.
pub(crate) fn summary(records: &[RequestRecord]) -> String {
    let placed = |record: &RequestRecord| matches!(record.request, Request::Place(_));
    let ok = |record: &RequestRecord| record.answer.as_ref().is_some_and(Answer::is_ok);
    let places = count(records, placed);
    let orders = count(records, |record| placed(record) && ok(record));
    let cancels = count(records, |record| !placed(record));
    let cancelled = count(records, |record| !placed(record) && ok(record));
    format!(
        "  {places} orders asked for, {orders} placed; {cancels} cancels asked for, {cancelled} done\n  \
         {} answered while the mesh was being killed, {} answers repeated and equal",
        acknowledged(records),
        repeated(records)
    )
}
