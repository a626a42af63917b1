//! What clients and operators call: `SagaService`, and the methods that sagas serve.

pub mod saga_service;
pub mod served;

mod events;
mod read;
mod sentence;
mod view;
mod watch;
