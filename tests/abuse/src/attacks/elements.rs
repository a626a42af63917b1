//! One request that is as much work as 4 MiB can be.

use std::sync::Arc;

use anyhow::Result;
use proto::{
    checkout::v1::{Line, PlaceOrderRequest},
    stock::v1::FreezeRequest,
};

use super::sagas;
use crate::{orders::USER, target::Target};

/// Requests one after the other; what they are answered is the same each time.
const REQUESTS: usize = 5;

/// Two bytes each make 4 MB, a little less than a message may have.
fn many(target: &Target) -> usize {
    target.count(2_000_000, 400_000)
}

/// Lists of empty messages: to the orchestrator, and to a service.
pub(crate) async fn empty(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    let mut answers = Vec::new();
    for _ in 0..REQUESTS {
        let order = PlaceOrderRequest {
            submit_token: "elements".to_owned(),
            user_id: USER.to_owned(),
            lines: vec![Line::default(); many(&target)],
            points: 0,
        };
        let answer = target.clients.checkout.clone().place_order(order).await;
        answers.push(answer.err().map(|status| status.code()));
        let freeze =
            FreezeRequest { lines: vec![Default::default(); many(&target)], ..Default::default() };
        let answer = target.clients.stock.clone().freeze(freeze).await;
        answers.push(answer.err().map(|status| status.code()));
    }
    target.note(format!("{} requests, answered {answers:?}", answers.len()));
    Ok(())
}

/// A list of numbers in the JSON that a saga is started with.
pub(crate) async fn json(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    let numbers = "0,".repeat(many(&target) - 1);
    let mut refused = Vec::new();
    for number in 0..REQUESTS {
        let input = format!("{{\"numbers\": [{numbers}0]}}");
        let started = sagas::start(&target, &format!("json-{number}"), &input).await;
        refused.extend(started.err().map(|status| status.code()));
    }
    target.note(format!("{REQUESTS} sagas, refused with {refused:?}"));
    Ok(())
}
