//! Many at once, again and again, with the interleavings that really happened counted.

use std::collections::BTreeMap;

use futures::future::join_all;
use proto::saga::v1::{EventKind, SagaState, StartSagaRequest, WatchSagaRequest};
use rand::{Rng, rngs::StdRng};
use stage::code_or_status;
use tests::{
    Mesh, Wiring,
    shop::{TEA, code, order},
};
use tonic::{Code, Request};

use crate::{books, panics, rpc, seed};

const CONCURRENT_CALLERS: usize = 64;

/// How often each interleaving happened.
#[derive(Default)]
pub(crate) struct Kinds(BTreeMap<String, usize>);

impl Kinds {
    pub(crate) fn saw(&mut self, kind: impl Into<String>) {
        *self.0.entry(kind.into()).or_default() += 1;
    }

    /// Prints them; fails where it was always the same one, for then nothing has raced.
    pub(crate) fn assert_several(&self, race: &str) {
        println!("{race}: {} kinds of interleaving: {:?}", self.0.len(), self.0);
        assert!(self.0.len() >= 2, "{race}: nothing raced: {:?}", self.0);
    }
}

/// The step that a decline names.
fn step_of(message: &str) -> &str {
    message.split(':').next().unwrap_or_default()
}

/// Of 64 orders at once exactly one wins, and the others are declined with `reason`.
async fn one_wins(
    mesh: &Mesh,
    requests: Vec<proto::checkout::v1::PlaceOrderRequest>,
    reason: &str,
    kinds: &mut Kinds,
) {
    let answers = join_all(requests.into_iter().map(|request| mesh.place(request))).await;
    let mut ids: Vec<&str> = answers.iter().map(|answer| answer.saga_id.as_str()).collect();
    ids.sort_unstable();
    let mut winners = 0;
    for answer in &answers {
        let result = answer.result.as_ref().unwrap();
        match result.code.as_str() {
            "OK" => {
                winners += 1;
                let rank = ids.iter().position(|id| *id == answer.saga_id).unwrap();
                kinds.saw(format!("the {rank}th to start won"));
            }
            code if code == reason => kinds.saw(format!("lost at {}", step_of(&result.message))),
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(winners, 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_sixty_four_gets_the_last_unit() {
    panics::watch();
    let mesh = Mesh::start().await;
    let mut kinds = Kinds::default();
    for racer in 0..CONCURRENT_CALLERS {
        mesh.add_member(&format!("u{racer}"), 0, 100_000).await;
    }
    for round in 0..seed::times(4) {
        let sku = format!("last{round}");
        mesh.add_goods(&sku, 100, 1).await;
        let token = format!("t{round}");
        let requests = (0..CONCURRENT_CALLERS)
            .map(|racer| order(&token, &format!("u{racer}"), &sku, 1))
            .collect();
        one_wins(&mesh, requests, "INSUFFICIENT_STOCK", &mut kinds).await;
        let units = mesh.units(&sku).await;
        assert_eq!((units.available, units.frozen, units.sold), (0, 0, 1));
    }
    kinds.assert_several("the last unit");
    books::assert_sound(mesh.data()).await;
    panics::none();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_sixty_four_gets_the_last_points_and_one_the_last_money() {
    panics::watch();
    let mesh = Mesh::start().await;
    mesh.add_goods("tea", TEA, 1_000_000).await;
    let (mut points, mut money) = (Kinds::default(), Kinds::default());
    for round in 0..seed::times(4) {
        let (pointed, moneyed) = (format!("p{round}"), format!("m{round}"));
        mesh.add_member(&pointed, 100, 1_000_000).await;
        mesh.add_member(&moneyed, 0, TEA + 1).await;
        let all = |user: &str, points: i64| -> Vec<_> {
            let requests =
                (0..CONCURRENT_CALLERS).map(|racer| order(&format!("t{racer}"), user, "tea", 1));
            requests
                .map(|request| proto::checkout::v1::PlaceOrderRequest { points, ..request })
                .collect()
        };
        one_wins(&mesh, all(&pointed, 100), "INSUFFICIENT_POINTS", &mut points).await;
        one_wins(&mesh, all(&moneyed, 0), "INSUFFICIENT_FUNDS", &mut money).await;
        assert_eq!(mesh.points_of(&pointed).await, 0);
        assert_eq!(mesh.wallet(&pointed).await, 1_000_000 - TEA + 100);
        assert_eq!(mesh.wallet(&moneyed).await, 1);
        let sold = i64::try_from(2 * (round + 1)).unwrap();
        let tea = mesh.units("tea").await;
        assert_eq!((tea.frozen, tea.sold), (0, sold));
    }
    points.assert_several("the last points");
    money.assert_several("the last money");
    books::assert_sound(mesh.data()).await;
    panics::none();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_from_thirty_two_clients_is_one_order_and_another_request_under_it_is_refused() {
    panics::watch();
    let mesh = Mesh::start().await;
    mesh.add_goods("tea", 1, 1_000_000).await;
    mesh.add_member("ada", 0, 1_000_000).await;
    let (mut kinds, mut spent) = (Kinds::default(), 0);
    for round in 0..seed::times(12) {
        let racers = (0..32).map(|racer: i64| {
            // Two different requests under one token.
            let quantity = 1 + racer % 2;
            let request = order(&format!("t{round}"), "ada", "tea", quantity);
            let mut checkout = mesh.checkout();
            async move { (quantity, checkout.place_order(request).await) }
        });
        let answers = join_all(racers).await;
        let won: Vec<_> = answers
            .iter()
            .filter_map(|(quantity, answer)| Some((*quantity, answer.as_ref().ok()?.get_ref())))
            .collect();
        let (quantity, first) = won[0];
        assert_eq!(won.len(), 16, "all who sent the same have the same answer");
        assert!(won.iter().all(|one| *one == (quantity, first)), "{won:?}");
        assert_eq!(code(first.result.as_ref()), "OK");
        for (_, answer) in &answers {
            let Err(status) = answer else { continue };
            assert_eq!(
                (status.code(), rpc::reason(status).as_str()),
                (Code::FailedPrecondition, "KEY_REUSED")
            );
        }
        kinds.saw(format!("the request for {quantity} came first"));
        spent += quantity;
    }
    kinds.assert_several("one token, two requests");
    assert_eq!(mesh.wallet("ada").await, 1_000_000 - spent);
    books::assert_sound(mesh.data()).await;
    panics::none();
}

/// Starts a saga that places an order of one unit of tea.
pub(crate) async fn start_placing(mesh: &Mesh, key: &str, points: i64) -> String {
    let input = format!(
        r#"{{"submit_token": "{key}", "user_id": "ada", "lines": [{{"sku": "tea", "quantity": 1}}], "points": {points}}}"#
    );
    let start = StartSagaRequest {
        definition: "place-order".to_owned(),
        version: 0,
        key: String::new(),
        input_json: input,
    };
    mesh.sagas().start_saga(start).await.unwrap().into_inner().saga_id
}

/// Waits until the saga's journal has a record `seq`, or the saga has ended.
async fn recorded(mesh: &Mesh, saga_id: &str, seq: u64) {
    let watch = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
    let mut events = mesh.sagas().watch_saga(watch).await.unwrap().into_inner();
    while let Some(response) = events.message().await.unwrap() {
        if response.event.is_some_and(|event| event.seq >= seq) {
            return;
        }
    }
}

/// Lets others run for a while: from not at all to a few milliseconds.
pub(crate) async fn linger(rng: &mut StdRng, most: usize) {
    for _ in 0..rng.random_range(0..most) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_meets_the_placing_at_every_step_and_stops_it_whole_or_not_at_all() {
    panics::watch();
    let mesh = Mesh::start().await;
    mesh.add_goods("tea", TEA, 1_000_000).await;
    mesh.add_member("ada", 1_000, 1_000_000).await;
    let mut rng = seed::rng("cancel against place");
    let (mut kinds, mut paid) = (Kinds::default(), 0);
    let before = mesh.balances().await;
    for round in 0..seed::times(60) {
        let saga_id = start_placing(&mesh, &format!("t{round}"), 1).await;
        // The cancel is sent after each record in turn.
        recorded(&mesh, &saga_id, round as u64 % 20).await;
        linger(&mut rng, 60).await;
        let cancel = proto::saga::v1::CancelSagaRequest {
            saga_id: saga_id.clone(),
            reason: "a race".to_owned(),
        };
        let cancelled = code_or_status(mesh.sagas().cancel_saga(cancel).await);
        let saga = mesh.ended(&saga_id).await;
        let events = mesh.saga_events(&saga_id).await;
        match (cancelled.as_str(), saga.state()) {
            ("OK", SagaState::Compensated) => {
                assert_eq!(saga.reason, "CANCELLED_BY_OPERATOR");
                let at =
                    events.iter().position(|event| event.kind() == EventKind::Cancelled).unwrap();
                let last = events[..at].iter().rev().find(|event| !event.step.is_empty());
                let met = last.map(|event| format!("{:?} {}", event.kind(), event.step));
                kinds.saw(met.unwrap_or_else(|| "before any step".to_owned()));
            }
            ("FailedPrecondition SAGA_STATE", SagaState::Succeeded) => {
                assert!(events.iter().all(|event| event.kind() != EventKind::Cancelled));
                kinds.saw("too late");
                paid += 1;
            }
            other => panic!("{other:?}: {saga:?}"),
        }
        let now = mesh.balances().await;
        assert_eq!(now.tea.1, 0, "nothing stays frozen");
        assert_eq!(now.wallet, before.wallet - paid * (TEA - 1));
        assert_eq!(now.points, before.points - paid);
    }
    kinds.assert_several("cancel against place");
    assert!(paid > 0, "no cancel ever came too late");
    books::assert_sound(mesh.data()).await;
    panics::none();
}

/// A step's call and its undo, raced by deliveries that come twice, and late ones.
struct Pair {
    name: &'static str,
    call: &'static str,
    undo: &'static str,
    call_body: fn(&str) -> Vec<u8>,
    undo_body: fn(&str) -> Vec<u8>,
}

fn pairs() -> [Pair; 4] {
    use prost::Message;
    use proto::{order, payment, points, stock};
    [
        Pair {
            name: "freeze",
            call: "/sagamesh.stock.v1.StockService/Freeze",
            undo: "/sagamesh.stock.v1.StockService/Unfreeze",
            call_body: |order_no| {
                let lines = vec![stock::v1::Line { sku: "tea".to_owned(), quantity: 3 }];
                stock::v1::FreezeRequest { order_no: order_no.to_owned(), lines }.encode_to_vec()
            },
            undo_body: |order_no| {
                let (order_no, reason) = (order_no.to_owned(), "a race".to_owned());
                stock::v1::UnfreezeRequest { order_no, reason }.encode_to_vec()
            },
        },
        Pair {
            name: "deduct",
            call: "/sagamesh.points.v1.PointsService/Deduct",
            undo: "/sagamesh.points.v1.PointsService/Refund",
            call_body: |order_no| {
                let (user_id, order_no) = ("ada".to_owned(), order_no.to_owned());
                points::v1::DeductRequest { user_id, order_no, points: 7 }.encode_to_vec()
            },
            undo_body: |order_no| {
                let (order_no, reason) = (order_no.to_owned(), "a race".to_owned());
                points::v1::RefundRequest { order_no, reason }.encode_to_vec()
            },
        },
        Pair {
            name: "charge",
            call: "/sagamesh.payment.v1.PaymentService/Charge",
            undo: "/sagamesh.payment.v1.PaymentService/Refund",
            call_body: |order_no| {
                let (user_id, order_no) = ("ada".to_owned(), order_no.to_owned());
                let amount = tests::shop::euros(9);
                payment::v1::ChargeRequest { user_id, order_no, amount }.encode_to_vec()
            },
            undo_body: |order_no| {
                let (order_no, reason) = (order_no.to_owned(), "a race".to_owned());
                payment::v1::RefundRequest { order_no, reason }.encode_to_vec()
            },
        },
        Pair {
            name: "create",
            call: "/sagamesh.order.v1.OrderService/CreateOrder",
            undo: "/sagamesh.order.v1.OrderService/CancelOrder",
            call_body: |_| {
                let price = tests::shop::euros(1);
                let sku = || "tea".to_owned();
                order::v1::CreateOrderRequest {
                    user_id: "ada".to_owned(),
                    items: vec![order::v1::Item { sku: sku(), quantity: 1 }],
                    points: 0,
                    quotes: vec![order::v1::QuotedItem {
                        sku: sku(),
                        found: true,
                        on_sale: true,
                        price,
                        available: 9,
                    }],
                    buyer: Some(order::v1::Buyer {
                        found: true,
                        suspended: false,
                        points_balance: 0,
                    }),
                    submit_token: String::new(),
                }
                .encode_to_vec()
            },
            undo_body: |_| {
                order::v1::CancelOrderRequest { reason: "a race".to_owned() }.encode_to_vec()
            },
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_during_or_after_its_undo_leaves_nothing_behind() {
    panics::watch();
    // The steps belong to no saga.
    let mesh = Wiring::default().damaged().start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    let lines = rpc::Lines::to(&mesh);
    let mut rng = seed::rng("late calls");
    for pair in pairs() {
        let mut kinds = Kinds::default();
        let find = |path: &str| rpc::every().into_iter().find(|rpc| rpc.path == path).unwrap();
        let (call, undo) = (find(pair.call), find(pair.undo));
        for round in 0..seed::times(40) {
            let saga = format!("late-{}-{round}", pair.name);
            let send = |rpc: rpc::Rpc, forward: bool, mut rng: StdRng| {
                let (direction, body) = match forward {
                    true => ("forward", (pair.call_body)(&saga)),
                    false => ("undo", (pair.undo_body)(&saga)),
                };
                let (metadata, lines) = (rpc::step(&saga, pair.name, direction), lines.clone());
                async move {
                    linger(&mut rng, 30).await;
                    let answer = lines.call(&rpc, body, metadata).await.unwrap();
                    rpc::result(&rpc, answer)
                }
            };
            let mut chance = || rand::SeedableRng::seed_from_u64(rng.random());
            let (one, two, back, again) = tokio::join!(
                tokio::spawn(send(call.clone(), true, chance())),
                tokio::spawn(send(call.clone(), true, chance())),
                tokio::spawn(send(undo.clone(), false, chance())),
                tokio::spawn(send(undo.clone(), false, chance())),
            );
            let (one, two, back, again) =
                (one.unwrap(), two.unwrap(), back.unwrap(), again.unwrap());
            assert_eq!(one, two, "a repeat gets the first answer");
            assert_eq!(back, again, "a repeat gets the first answer");
            assert!(back.success || back.code == "NOTHING_TO_UNDO", "{back:?}");
            let late = send(call.clone(), true, chance()).await;
            assert_eq!(late, one, "the late call gets what the first got");
            kinds.saw(match one.code.as_str() {
                "OK" => "the call first",
                "SUPERSEDED" => "the undo first",
                other => panic!("{}: {other}", pair.name),
            });
        }
        kinds.assert_several(pair.name);
    }
    assert_eq!(mesh.balances().await, before);
    let request = proto::order::v1::ListOrdersRequest {
        user_id: "ada".to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    for order in mesh.orders().list_orders(Request::new(request)).await.unwrap().into_inner().orders
    {
        assert_eq!(order.state().as_str_name(), "ORDER_STATE_CANCELLED");
    }
    books::assert_sound(mesh.data()).await;
    panics::none();
}
