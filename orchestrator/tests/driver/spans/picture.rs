//! All that the process' one collector was told of a saga.

use std::collections::HashSet;

use collector::{Kind, Span};
use proto::saga::v1::StartSagaRequest;
use stage::collector;
use tonic::Request;

use crate::test_driver::{Arrived, TestDriver};

/// A request in a trace of its own.
pub(crate) struct Traced<T> {
    pub(crate) request: Request<T>,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

/// The request of a caller whose trace is sampled.
pub(crate) fn sampled<T>(message: T) -> Traced<T> {
    traced(message, true)
}

fn traced<T>(message: T, is_sampled: bool) -> Traced<T> {
    let trace_id = format!("{:032x}", rand::random::<u128>());
    let span_id = format!("{:016x}", rand::random::<u64>());
    let mut request = Request::new(message);
    let traceparent = format!("00-{trace_id}-{span_id}-0{}", u8::from(is_sampled));
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    Traced { request, trace_id, span_id }
}

/// A saga that was started.
pub(crate) struct Started {
    pub(crate) saga_id: String,
    pub(crate) trace_id: String,
    caller: String,
}

pub(crate) async fn start(test_driver: &TestDriver, is_sampled: bool) -> Started {
    collector();
    let request = StartSagaRequest {
        definition: "work".to_owned(),
        key: "k".to_owned(),
        ..StartSagaRequest::default()
    };
    let Traced { request, trace_id, span_id } = traced(request, is_sampled);
    let started = test_driver.sagas().start_saga(request).await.unwrap().into_inner();
    Started { saga_id: started.saga_id, trace_id, caller: span_id }
}

/// What a call says of its place.
pub(crate) fn traceparent(call: &Arrived) -> String {
    call.metadata.get("traceparent").unwrap().to_str().unwrap().to_owned()
}

/// The spans of one saga that has ended, in the order of their beginnings.
#[derive(Debug)]
pub(crate) struct Picture {
    spans: Vec<Span>,
    caller: String,
}

impl Picture {
    /// Waits for the saga's end: its summary is told last.
    pub(crate) async fn of(Started { saga_id, trace_id, caller }: &Started) -> Self {
        let is_of_it =
            |span: &&Span| span.trace_id == *trace_id || span.attribute("saga.id") == *saga_id;
        let mut spans = collector()
            .wait_for(|spans| {
                let of_it: Vec<_> = spans.iter().filter(is_of_it).cloned().collect();
                of_it.iter().any(|span| span.name == "saga.summary").then_some(of_it)
            })
            .await;
        spans.sort_by_key(|span| span.start);
        Self { spans, caller: caller.clone() }
    }

    /// The spans of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The one span of this name.
    pub(crate) fn one(&self, name: &str) -> &Span {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}: {self:#?}");
        all[0]
    }

    /// How many attempts a node that stopped has lost.
    pub(crate) fn lost(&self) -> usize {
        let attempts = self.spans.iter().filter(|span| span.kind == Kind::Client);
        attempts.filter(|attempt| attempt.attribute("error.type") == "worker_lost").count()
    }

    /// The links of a span to others of the picture.
    pub(crate) fn links(&self, span: &Span) -> Vec<(&str, &Span)> {
        let links = self.spans.iter().find(|known| known.id == span.id).unwrap().links.iter();
        let linked = links.map(|link| {
            let to = self.spans.iter().find(|known| known.id == link.span_id);
            (
                link.attributes["saga.link"].as_str(),
                to.expect("it is linked to a span that is told"),
            )
        });
        linked.collect()
    }

    /// Every span is there once, below one that is there, ends after it begins, and is linked to what is there; and so is
    /// the attempt of each call that has come to a participant.
    pub(crate) fn is_whole(&self, arrived: &[String]) {
        let ids: HashSet<_> = self.spans.iter().map(|span| &span.id).collect();
        assert_eq!(ids.len(), self.spans.len(), "a span is told twice: {self:#?}");
        for span in &self.spans {
            if let Some(parent) = &span.parent {
                assert!(ids.contains(parent) || *parent == self.caller, "{span:#?} in {self:#?}");
            }
            assert!(span.start <= span.end, "{span:#?}");
            for link in span.links.iter().filter(|link| link.attributes["saga.link"] != "operator")
            {
                assert!(ids.contains(&link.span_id), "{span:#?} in {self:#?}");
            }
        }
        for traceparent in arrived {
            let is_it =
                |span: &&Span| *traceparent == format!("00-{}-{}-01", span.trace_id, span.id);
            let attempt = self.spans.iter().find(is_it);
            assert!(attempt.is_some(), "{traceparent} in {self:#?}");
        }
    }
}
