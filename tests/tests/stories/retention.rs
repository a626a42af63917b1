//! Sagas that ended long ago are removed. The orders that they placed are not theirs to remove, nor the tokens of those.

use std::time::Duration;

use clock::Clock;
use proto::saga::v1::{GetSagaRequest, PauseSagaRequest};
use tests::{
    Mesh, Wiring,
    shop::{code, order},
};

use crate::operators::waiting_for_payment;

async fn is_known(mesh: &Mesh, saga_id: &str) -> bool {
    let request = GetSagaRequest { saga_id: saga_id.to_owned() };
    let answer = mesh.sagas().get_saga(request).await.unwrap().into_inner();
    match code(answer.result.as_ref()).as_str() {
        "OK" => true,
        "SAGA_UNKNOWN" => false,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_long_ago_is_forgotten_but_its_token_buys_once_and_what_has_not_ended_stays() {
    let (mesh, waiting) = waiting_for_payment().await;
    let pause = PauseSagaRequest { saga_id: waiting.clone(), reason: "for a while".to_owned() };
    mesh.sagas().pause_saga(pause).await.unwrap();
    let folder = mesh.stop().await;

    let mesh = Wiring::default().on(folder).start().await;
    let placed = mesh.place_well(order("t-2", "ada", "tea", 1)).await;
    let folder = mesh.stop().await;

    let mesh = Wiring::default().on(folder).keeping_finished("1ms").start().await;
    let clock = Clock::system();
    let forgotten = async {
        while is_known(&mesh, &placed.saga_id).await {
            clock.sleep(Duration::from_millis(5)).await;
        }
    };
    clock.timeout(Duration::from_secs(20), forgotten).await.expect("the saga is removed");
    assert!(is_known(&mesh, &waiting).await);
    assert_eq!(mesh.order(&placed.order_no).await.saga_id, placed.saga_id);
    let again = mesh.place(order("t-2", "ada", "tea", 1)).await;
    let result = again.result.unwrap();
    assert_eq!(result.code, "ORDER_EXISTS", "the token outlives its saga: {result:?}");
    assert!(result.message.contains(&placed.order_no), "{}", result.message);
    mesh.place_well(order("t-3", "ada", "tea", 1)).await;
}
