//! Durations and instants at the ends of their range.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use proto::saga::v1::{ListSagasRequest, WaitSagaRequest};
use tonic::Code;

use super::sagas;
use crate::target::Target;

const SECONDS: [i64; 8] =
    [i64::MIN, -315_576_000_001, -1, 0, 1, 253_402_300_800, 315_576_000_001, i64::MAX];
const NANOS: [i32; 5] = [i32::MIN, -1, 0, 1_000_000_000, i32::MAX];
/// A wait that is taken as it is asked for is not waited out.
const WAIT_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) async fn run(target: Arc<Target>) -> Result<()> {
    let id = sagas::start_one(&target).await?;
    target.start_measuring();
    let mut asked = 0;
    for seconds in SECONDS {
        for nanos in NANOS {
            let timeout = Some(prost_types::Duration { seconds, nanos });
            let wait = WaitSagaRequest { saga_id: id.clone(), timeout, ..Default::default() };
            let mut sagas = target.clients.sagas.clone();
            let waited = target.clock.timeout(WAIT_TIMEOUT, sagas.wait_saga(wait)).await;
            judge(&target, "WaitSaga", seconds, nanos, waited.ok().and_then(Result::err));
            let at = Some(prost_types::Timestamp { seconds, nanos });
            let after = ListSagasRequest { started_after: at, ..Default::default() };
            let before = ListSagasRequest { started_before: at, ..Default::default() };
            for list in [after, before] {
                judge(&target, "ListSagas", seconds, nanos, sagas.list_sagas(list).await.err());
            }
            asked += 3;
        }
    }
    target.note(format!("{asked} requests"));
    Ok(())
}

/// Whatever is asked for, it is the caller who is told that it makes no sense.
fn judge(target: &Target, method: &str, seconds: i64, nanos: i32, status: Option<tonic::Status>) {
    let Some(status) = status else { return };
    if status.code() != Code::InvalidArgument {
        target.violation(format!(
            "{method} of {seconds} s {nanos} ns is answered {:?}",
            status.code()
        ));
    }
}
