//! A participant in Python, with no Sagamesh code in it, driven by a definition.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use proto::saga::v1::{Saga, SagaState, StartSagaRequest, StepState};
use tests::{Mesh, Wiring, channel};

/// The example's process; killed when the story ends, however it ends.
struct Hotel {
    process: Child,
    address: String,
}

impl Drop for Hotel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn hotel() -> Hotel {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin/python");
    assert!(python.exists(), "the example's Python is missing: `cargo xtask test` prepares it");
    let mut process = Command::new(python)
        .args(["hotel.py", "0"])
        .current_dir(root().join("examples/hotel-python"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    Hotel { process, address }
}

async fn book(mesh: &Mesh, key: &str, nights: u32) -> Saga {
    let start = StartSagaRequest {
        definition: "book-room".to_owned(),
        version: 0,
        key: key.to_owned(),
        input_json: format!(r#"{{"guest": "ada", "nights": {nights}}}"#),
    };
    let started = mesh.sagas().start_saga(start).await.unwrap().into_inner();
    mesh.ended(&started.saga_id).await
}

/// How many rooms the hotel says are taken: field 1 of its answer, a varint.
async fn taken(hotel: &Hotel) -> u8 {
    let mut client = tonic::client::Grpc::new(channel(hotel.address.parse().unwrap()));
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/hotel.v1.HotelService/CountRooms");
    let answer: Bytes = client
        .unary(tonic::Request::new(Bytes::new()), path, facade::codec::Raw)
        .await
        .unwrap()
        .into_inner();
    answer.get(1).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_in_python_is_booked_and_a_booking_that_cannot_be_paid_is_released() {
    let hotel = hotel();
    let sagas = root().join("examples/hotel-python/sagas");
    let mesh = Wiring::default()
        .with_sagas(&sagas)
        .with_participant("hotel.v1.HotelService", &hotel.address)
        .start()
        .await;
    let booked = book(&mesh, "k-1", 2).await;
    assert_eq!(booked.state(), SagaState::Succeeded, "{booked:?}");
    assert_eq!(taken(&hotel).await, 1);

    let refused = book(&mesh, "k-2", 5).await;
    assert_eq!(refused.state(), SagaState::Compensated, "{refused:?}");
    assert_eq!(refused.reason, "FAILED_PRECONDITION");
    assert_eq!(refused.steps[0].state(), StepState::Undone);
    assert_eq!(taken(&hotel).await, 1, "the room of the booking that was refused is still taken");

    // With its definition registered, the mesh starts also while the hotel is down.
    drop(hotel);
    let folder = mesh.stop().await;
    Wiring::default()
        .on(folder)
        .with_sagas(&sagas)
        .with_participant("hotel.v1.HotelService", "127.0.0.1:1")
        .start()
        .await;
}
