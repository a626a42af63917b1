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

/// One token's story.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// The first answer that came.
    pub(crate) answer: Option<Answer>,
    /// Whether it came while the mesh was being killed, and not only at the end.
    pub(crate) under_fire: bool,
    /// How many further answers came, each equal to the first.
    pub(crate) repeats: u64,
}

impl Asked {
    pub(crate) fn new(request: Request) -> Self {
        Self { request, answer: None, under_fire: false, repeats: 0 }
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
pub(crate) fn acknowledged(asked: &[Asked]) -> u64 {
    count(asked, |asked| asked.under_fire)
}

/// Answers that were given again, equal.
pub(crate) fn repeated(asked: &[Asked]) -> u64 {
    asked.iter().map(|asked| asked.repeats).sum()
}

fn count(asked: &[Asked], is: impl Fn(&Asked) -> bool) -> u64 {
    asked.iter().filter(|asked| is(asked)).count() as u64
}

/// The load in two lines.
pub(crate) fn summary(asked: &[Asked]) -> String {
    let placed = |asked: &Asked| matches!(asked.request, Request::Place(_));
    let ok = |asked: &Asked| asked.answer.as_ref().is_some_and(Answer::is_ok);
    let places = count(asked, placed);
    let orders = count(asked, |asked| placed(asked) && ok(asked));
    let cancels = count(asked, |asked| !placed(asked));
    let cancelled = count(asked, |asked| !placed(asked) && ok(asked));
    format!(
        "  {places} orders asked for, {orders} placed; {cancels} cancels asked for, {cancelled} done\n  \
         {} answered while the mesh was being killed, {} answers repeated and equal",
        acknowledged(asked),
        repeated(asked)
    )
}
