//! What must not get out: payloads, what goes with a call, and fields marked `debug_redact`.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, Value};
use tonic::Request;
use tracing::Level;

use crate::{
    logged::Logged,
    till::{BUY, Till, buy, collector, parent, span_of},
};

const REDACTED: &str = "MARK-REDACTED";
const METADATA: &str = "MARK-METADATA";
const TOKEN: &str = "MARK-TOKEN";
const PAYLOAD: &str = "MARK-PAYLOAD";

fn purchase(outcome: &str) -> Bytes {
    let mut purchase = DynamicMessage::new(buy().input());
    purchase.set_field_by_name("outcome", Value::String(outcome.to_owned()));
    purchase.set_field_by_name("number", Value::String(REDACTED.to_owned()));
    proto::canonical::encode(purchase).into()
}

fn request(body: Bytes, traceparent: &str) -> Request<Bytes> {
    let mut request = Request::new(body);
    for (name, value) in [
        ("traceparent", traceparent),
        ("x-api-key", METADATA),
        ("authorization", &format!("Bearer {TOKEN}")),
        ("cookie", METADATA),
    ] {
        request.metadata_mut().insert(
            name.parse::<tonic::metadata::AsciiMetadataKey>().unwrap(),
            value.parse().unwrap(),
        );
    }
    request
}

/// Bodies that come to each kind of end, a message that is none among them.
fn bodies() -> Vec<Bytes> {
    let outcomes = [PAYLOAD, "decline", "unknown", "unavailable", "internal", "panic"];
    let cut_short = purchase(PAYLOAD).slice(..20);
    outcomes.map(purchase).into_iter().chain([cut_short]).collect()
}

#[tokio::test]
async fn no_span_and_no_status_has_what_a_call_carries() {
    collector();
    let till = Till::open();
    for body in bodies() {
        let parent = parent();
        let answer = till.ask(BUY, request(body, &parent.sampled)).await;
        let span = format!("{:?}", span_of(&parent.trace_id).await);
        for marker in [REDACTED, METADATA, TOKEN, PAYLOAD] {
            assert!(!span.contains(marker), "{marker} is in {span}");
        }
        let Err(status) = answer else { continue };
        let details = String::from_utf8_lossy(status.details()).into_owned();
        let status = format!("{status:?} {details}");
        for marker in [REDACTED, METADATA, TOKEN, PAYLOAD] {
            assert!(!status.contains(marker), "{marker} is in {status}");
        }
    }
}

#[tokio::test]
async fn no_log_line_has_a_secret_and_only_those_at_debug_level_have_messages() {
    let till = Till::open();
    for (level, markers) in [
        (Level::INFO, &[REDACTED, METADATA, TOKEN, PAYLOAD][..]),
        (Level::TRACE, &[REDACTED, METADATA, TOKEN][..]),
    ] {
        let logged = Logged::at(level);
        for body in bodies() {
            let parent = parent();
            let _ = till.ask(BUY, request(body, &parent.sampled)).await;
        }
        let lines = logged.lines();
        assert!(!lines.is_empty());
        for line in lines.iter().map(ToString::to_string) {
            for marker in markers {
                assert!(!line.contains(marker), "{marker} is in {line}");
            }
        }
    }
}
