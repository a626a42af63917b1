//! A whole mesh in one process, in which everything can go wrong: scripted faults between the orchestrator and its
//! participants, crashes at every append of the journal, time that runs ten times as fast and can be moved on.
//!
//! A definition and its services get "fail at every step" for free: every fault of the rule for answers at every step, in
//! both directions, and a death before and after every append. Each saga must end as the rule says, each key must have one
//! answer, no call may take effect after its undo; what the services have afterwards is the test's own to look at.
//!
//! ```
//! use kit::{Start, Wiring, fail_everywhere};
//! # use proto::stock::v1::{AddStockRequest, UpsertProductRequest, stock_service_client::StockServiceClient};
//! const HOLD: &str = "
//! saga: hold
//! version: 1
//! steps:
//!   - step: freeze
//!     call: sagamesh.stock.v1.StockService/Freeze
//!     with: { order_no: saga.key, lines: \"[{'sku': 'tea', 'quantity': 1}]\" }
//!     undo: sagamesh.stock.v1.StockService/Unfreeze
//!     undo_with: { order_no: saga.key, reason: saga.reason }
//!   - step: sell
//!     pivot: true
//!     call: sagamesh.stock.v1.StockService/Confirm
//!     with: { order_no: saga.key }
//! ";
//! let mesh = Wiring::new().service(stock_svc::open).file("hold.yaml", HOLD).start();
//! # mesh.block_on(async {
//! #     let mut stock = StockServiceClient::new(mesh.service("sagamesh.stock.v1.StockService"));
//! #     let price = Some(proto::facade::v1::Money { currency: "EUR".into(), minor_units: 1 });
//! #     stock.upsert_product(UpsertProductRequest { request_id: "r".into(), sku: "tea".into(), title: "Tea".into(), price,
//! #         on_sale: true }).await.unwrap();
//! #     stock.add_stock(AddStockRequest { request_id: "r".into(), sku: "tea".into(), quantity: 1000 }).await.unwrap();
//! # });
//! let report = fail_everywhere(mesh, "hold", |_, number| Start {
//!     definition: "hold".to_owned(),
//!     key: format!("order-{number}"),
//!     input_json: "{}".to_owned(),
//! });
//! println!("{report}");
//! report.assert_right();
//! ```

#![expect(clippy::expect_used, reason = "a test that cannot begin has failed")]

pub mod books;
pub mod cell;
pub mod crash;
pub mod fault;
pub mod mesh;
pub mod play;
pub mod script;

mod compensations;
mod network;
mod seam;

pub use cell::{Cell, CellOutcome, Report};
pub use crash::{CrashPoint, Side};
pub use fault::{Effect, Fault, Planned, Times};
pub use mesh::{Mesh, Wiring};
pub use play::{Start, fail_everywhere};
pub use script::Script;
