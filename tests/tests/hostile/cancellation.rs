//! Callers who go away: every RPC of every service, at any instant of its call.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clock::Clock;
use futures::{future::join_all, poll};
use prost::Message;
use prost_reflect::{DynamicMessage, Value};
use proto::order::v1::{ListOrdersRequest, OrderState};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use tests::{
    Mesh, Wiring,
    shop::{code, order},
};
use tonic::metadata::MetadataMap;

use crate::{
    books, errand, panics,
    rpc::{self, Lines, Rpc},
    seed, sound,
};

/// Calls in all.
const CALLS: usize = 10_000;
const CONCURRENT_CALLS: usize = 32;
/// Money and points of each member at the start.
const INITIAL_BALANCE: i64 = 1_000_000;
const BUYERS: usize = 4;

/// What the storm has to work with.
struct World {
    mesh: Mesh,
    lines: Lines,
    /// Orders that were placed and paid.
    placed: Vec<String>,
    /// Orders that were made by a step alone.
    made: Vec<String>,
    /// An order that nothing may touch: errands wait for it.
    waits: String,
    errands: Vec<String>,
}

async fn world() -> (World, tempfile::TempDir) {
    panics::watch();
    let sagas = tempfile::tempdir().unwrap();
    errand::define(sagas.path());
    // Some steps are called without a saga.
    let mesh = Wiring::default().damaged().with_sagas(sagas.path()).start().await;
    mesh.open_shop().await;
    mesh.add_goods("leaf", 100, 1_000_000).await;
    mesh.add_goods("cup", 100, 1_000_000).await;
    for number in 0..BUYERS {
        mesh.add_member(&format!("buyer{number}"), INITIAL_BALANCE, INITIAL_BALANCE).await;
        mesh.add_member(&format!("member{number}"), INITIAL_BALANCE, INITIAL_BALANCE).await;
    }
    let (mut placed, mut made) = (Vec::new(), Vec::new());
    for number in 0..16 {
        let buyer = format!("buyer{}", number % BUYERS);
        let request = order(&format!("before-{number}"), &buyer, "leaf", 1);
        placed.push(mesh.place_successfully(request).await.order_no);
        let user = format!("member{}", number % BUYERS);
        made.push(errand::order_that_waits(&mesh, &format!("made-{number}"), &user).await.order_no);
    }
    let waits = errand::order_that_waits(&mesh, "waits", "ada").await.order_no;
    let lines = Lines::to(&mesh);
    (World { mesh, lines, placed, made, waits, errands: Vec::new() }, sagas)
}

impl World {
    async fn start_errands(&mut self) {
        for number in 0..40 {
            let start = errand::start(&format!("first-{number}"), &self.waits);
            let started = self.mesh.sagas().start_saga(start).await.unwrap().into_inner();
            self.errands.push(started.saga_id);
        }
    }

    /// A request that does something, and the metadata it comes with.
    fn request(&self, rpc: &Rpc, rng: &mut StdRng) -> (Vec<u8>, MetadataMap) {
        let mut message = sound::message(&rpc.input);
        self.fill(rpc, &mut message, rng);
        let saga = format!("storm-{}", rng.random_range(0..200));
        // An undo has its call's step, so that the two meet.
        let (step, direction) = match (rpc.service.as_str(), rpc.name.as_str()) {
            ("sagamesh.order.v1.OrderService", "CancelOrder") => ("CreateOrder", "undo"),
            (_, "AbandonCancel") => ("BeginCancel", "undo"),
            (_, "Unfreeze") => ("Freeze", "undo"),
            ("sagamesh.points.v1.PointsService", "Refund") if rng.random() => ("Deduct", "undo"),
            ("sagamesh.payment.v1.PaymentService", "Refund") if rng.random() => ("Charge", "undo"),
            (_, name) => (name, "forward"),
        };
        let metadata = rpc::step(&saga, step, direction);
        (message.encode_to_vec(), metadata)
    }

    fn fill(&self, rpc: &Rpc, message: &mut DynamicMessage, rng: &mut StdRng) {
        let checkout = rpc.service.ends_with("CheckoutService");
        let shops =
            checkout || matches!(rpc.name.as_str(), "ShipOrder" | "CompleteOrder" | "GetOrder");
        let some = |all: &[String], rng: &mut StdRng| all[rng.random_range(0..all.len())].clone();
        for field in rpc.input.fields() {
            let text = match field.name() {
                "user_id" if checkout => format!("buyer{}", rng.random_range(0..BUYERS)),
                "user_id" => format!("member{}", rng.random_range(0..BUYERS)),
                "sku" => "cup".to_owned(),
                "order_no" if shops => some(&self.placed, rng),
                "order_no" if rpc.service.ends_with("OrderService") => some(&self.made, rng),
                "order_no" => format!("D-{}", rng.random_range(0..200)),
                "request_id" | "submit_token" | "key" => format!("storm-{}", rng.next_u64()),
                "saga_id" => some(&self.errands, rng),
                "step" => ["look", "wait", "none"][rng.random_range(0..3)].to_owned(),
                // The others start it.
                "name" if rpc.name.ends_with("rchiveDefinition") => "nobody".to_owned(),
                "definition" | "name" => "errand".to_owned(),
                "input_json" => format!("{{\"order_no\": \"{}\"}}", self.waits),
                "points" if checkout => {
                    message.set_field(&field, Value::I64(rng.random_range(0..50)));
                    continue;
                }
                "lines" | "items" => {
                    let sku = if checkout { "leaf" } else { "cup" };
                    let entries = message.get_field_mut(&field).as_list_mut().unwrap();
                    entries[0]
                        .as_message_mut()
                        .unwrap()
                        .set_field_by_name("sku", Value::String(sku.to_owned()));
                    continue;
                }
                _ => continue,
            };
            // A filter that finds something, or everything.
            if rpc.name == "ListSagas" && rng.random_bool(0.5) {
                message.clear_field(&field);
            } else {
                message.set_field(&field, Value::String(text));
            }
        }
    }

    /// Calls each RPC once, so that every connection is open; and fails where one is stuck.
    async fn call_each(&self, rng: &mut StdRng) {
        let clock = Clock::system();
        for rpc in rpc::every() {
            if rpc.name == "WaitSaga" || rpc.name == "StartSaga" {
                continue;
            }
            let (body, metadata) = self.request(&rpc, rng);
            let answered =
                clock.timeout(Duration::from_secs(10), self.lines.call(&rpc, body, metadata)).await;
            rpc::callers_own_fault(
                &rpc,
                "a quiet call",
                &answered.expect("the connection is stuck"),
            );
        }
    }
}

/// What became of the calls.
#[derive(Default)]
struct Outcomes {
    cut: AtomicUsize,
    answered: AtomicUsize,
    cut_by_rpc: Mutex<BTreeMap<String, usize>>,
}

/// Goes away after a random number of turns of the scheduler, or of milliseconds: most calls take less than one.
async fn cut<T>(call: impl Future<Output = T>, rng: &mut StdRng) -> Option<T> {
    let mut call = pin!(call);
    if rng.random_bool(0.4) {
        let limit = Duration::from_millis(rng.random_range(1..60));
        return Clock::system().timeout(limit, call).await.ok();
    }
    let most = 1_u32 << rng.random_range(0..10);
    for _ in 0..rng.random_range(0..most) {
        if let std::task::Poll::Ready(answer) = poll!(&mut call) {
            return Some(answer);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Each client is a task of its own: they are cut off while the others run.
async fn storm(world: &Arc<World>, seed: u64) -> Arc<Outcomes> {
    let (next, outcomes) = (Arc::new(AtomicUsize::new(0)), Arc::<Outcomes>::default());
    let clients = (0..CONCURRENT_CALLS).map(|_| {
        let (world, next, outcomes) = (Arc::clone(world), Arc::clone(&next), Arc::clone(&outcomes));
        tokio::spawn(async move {
            let rpcs = rpc::every();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= seed::times(CALLS) {
                    break;
                }
                let mut rng = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
                one_call(&world, &rpcs[number % rpcs.len()], &mut rng, &outcomes).await;
            }
        })
    });
    join_all(clients).await.into_iter().for_each(Result::unwrap);
    outcomes
}

async fn one_call(world: &World, rpc: &Rpc, rng: &mut StdRng, outcomes: &Outcomes) {
    let (body, metadata) = world.request(rpc, rng);
    match cut(world.lines.call(rpc, body, metadata), rng).await {
        Some(answer) => {
            rpc::callers_own_fault(rpc, "a call in the storm", &answer);
            outcomes.answered.fetch_add(1, Ordering::Relaxed);
        }
        None => {
            outcomes.cut.fetch_add(1, Ordering::Relaxed);
            let mut cut = outcomes.cut_by_rpc.lock().unwrap_or_else(PoisonError::into_inner);
            *cut.entry(rpc.path.clone()).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_its_caller_goes_away_a_call_has_its_whole_effect_or_none() {
    let (mut world, _sagas) = world().await;
    let mut rng = seed::rng("cancellation");
    world.errands.push("nobody".to_owned());
    world.call_each(&mut rng).await;
    errand::end_all(&world.mesh).await;
    let clock = Clock::system();
    clock.sleep(Duration::from_millis(300)).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks_before = metrics.num_alive_tasks();

    world.errands.clear();
    world.start_errands().await;
    let world = Arc::new(world);
    let outcomes = storm(&world, rng.next_u64()).await;
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (cut, answered) = (count(&outcomes.cut), count(&outcomes.answered));
    println!("cancellation: {cut} calls cut off, {answered} answered first");
    assert!(cut * 10 > CALLS && answered * 20 > CALLS, "{cut} cut off, {answered} answered");
    let by_rpc = outcomes.cut_by_rpc.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(by_rpc.len(), rpc::every().len(), "an RPC was never cut off: {by_rpc:?}");

    world.call_each(&mut rng).await;
    errand::end_all(&world.mesh).await;
    assert_all_or_nothing(&world).await;
    books::assert_sound(world.mesh.data()).await;
    panics::none();
    let mut tasks_after = metrics.num_alive_tasks();
    for _ in 0..100 {
        if tasks_after <= tasks_before {
            break;
        }
        clock.sleep(Duration::from_millis(100)).await;
        tasks_after = metrics.num_alive_tasks();
    }
    println!("cancellation: {tasks_before} tasks before, {tasks_after} after");
    assert!(tasks_after <= tasks_before, "{tasks_before} tasks before, {tasks_after} after");
}

/// The buyers' money, points and goods are where their orders say.
async fn assert_all_or_nothing(world: &World) {
    let (mut sold, mut orders) = (0, 0);
    let users = (0..BUYERS).map(|number| async move {
        let user_id = format!("buyer{number}");
        let request =
            ListOrdersRequest { user_id: user_id.clone(), page_size: 1000, ..Default::default() };
        let orders = world.mesh.orders().list_orders(request).await.unwrap().into_inner().orders;
        (user_id, orders)
    });
    for (user, list) in join_all(users).await {
        assert!(list.len() < 1000, "the list is one page");
        let (mut money, mut points) = (0, 0);
        for order in &list {
            let keeps = match order.state() {
                OrderState::Paid | OrderState::Shipped | OrderState::Completed => true,
                OrderState::Cancelled | OrderState::Refunded | OrderState::Returned => false,
                other => panic!("an order ended {other:?}: {order:?}"),
            };
            if keeps {
                money += order.paid.as_ref().map_or(0, |paid| paid.minor_units);
                points += order.points;
                sold += order.lines.iter().map(|line| line.quantity).sum::<i64>();
            }
        }
        assert_eq!(world.mesh.wallet(&user).await, INITIAL_BALANCE - money, "the wallet of {user}");
        assert_eq!(
            world.mesh.points_of(&user).await,
            INITIAL_BALANCE - points,
            "the points of {user}"
        );
        orders += list.len();
    }
    let leaf = world.mesh.units("leaf").await;
    assert_eq!((leaf.frozen, leaf.sold), (0, sold), "{orders} orders");
    println!("cancellation: {orders} orders, {sold} units sold");
    let again = world.mesh.place(order("after", "buyer0", "leaf", 1)).await;
    assert_eq!(code(again.result.as_ref()), "OK");
}
