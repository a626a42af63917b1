//! Each role in a process of its own, by its config file.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Stdio},
};

use crate::{Shop, port_base, refused, sagamesh};

const SERVICES: [(&str, &str); 4] = [
    ("order", "sagamesh.order.v1.OrderService"),
    ("stock", "sagamesh.stock.v1.StockService"),
    ("points", "sagamesh.points.v1.PointsService"),
    ("payment", "sagamesh.payment.v1.PaymentService"),
];

/// A role that runs; killed when the test ends, however it ends.
struct Role {
    child: Child,
    admin: SocketAddr,
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Role {
    /// Starts a role and waits until it serves.
    fn start(name: &str, folder: &Path, grpc: u16, rest: &str) -> Self {
        Self::start_with(name, folder, grpc, rest, &[])
    }

    fn start_with(name: &str, folder: &Path, grpc: u16, rest: &str, flags: &[&str]) -> Self {
        // The port was found free, and is taken again at once.
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = folder.join(format!("{name}.yaml"));
        let data = folder.join(name);
        let text = format!(
            "listen: {{grpc: 127.0.0.1:{grpc}, admin: {admin}}}\ndatabase: {{folder: {}}}\n{rest}",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = sagamesh(&[name, "--config"])
            .arg(&config)
            .args(flags)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        while !log.contains("serv") {
            assert!(said.read_line(&mut log).unwrap() > 0, "{name} ended before it served: {log}");
        }
        // The output is read to its end, or the process would block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, admin }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.admin)
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Stops it as SIGTERM does; whether it ended well.
    fn stop(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(
            std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success()
        );
        self.child.wait().unwrap().success()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_roles_in_five_processes_place_an_order_are_ready_and_stop_well() {
    let folder = tempfile::tempdir().unwrap();
    let base = port_base();
    let mut participants = String::from("participants:\n");
    let mut roles = Vec::new();
    for ((name, service), port) in SERVICES.iter().zip(base + 1..) {
        roles.push(Role::start(name, folder.path(), port, "retention: {keep_inbox: 90d}\n"));
        participants
            .push_str(&format!("  {service}: {{address: '127.0.0.1:{port}', in_flight: 8}}\n"));
    }
    let rest = format!("{participants}definitions: {{bundles: [shop]}}\n");
    roles.push(Role::start("orchestrator", folder.path(), base, &rest));
    let shop = Shop { base };
    shop.open().await;
    shop.place("over-the-network").await.expect("the order is placed");
    for role in &roles {
        assert!(role.get("/livez").starts_with("HTTP/1.1 200"), "{}", role.get("/livez"));
        assert!(role.get("/readyz").starts_with("HTTP/1.1 200"), "{}", role.get("/readyz"));
    }
    while let Some(role) = roles.pop() {
        assert!(role.stop());
    }
}

/// What was written down beside its database is all that a role has to compare it with.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_whose_database_went_back_or_is_missing_does_not_start_unless_it_is_told_to() {
    type Damage = (&'static str, fn(&Path));
    let damage: [Damage; 2] = [
        ("went back by 2 transactions", |data| {
            std::fs::remove_file(data.join("stock.db-wal")).unwrap();
        }),
        ("is empty or was missing", |data| {
            std::fs::remove_file(data.join("stock.db")).unwrap();
        }),
    ];
    for (says, damage) in damage {
        let folder = tempfile::tempdir().unwrap();
        let base = port_base();
        let role = Role::start("stock", folder.path(), base + 2, "");
        Shop { base }.add_tea().await;
        drop(role);
        damage(&folder.path().join("stock"));
        let file = folder.path().join("stock.yaml");
        for _ in 0..2 {
            let output = sagamesh(&["stock", "--config"]).arg(&file).output().unwrap();
            let text = refused(&output);
            assert!(text.contains(says) && text.contains("stock.db.lock"), "{text}");
            assert!(text.contains("--accept-loss"), "{text}");
        }
        let accepted = Role::start_with("stock", folder.path(), base + 2, "", &["--accept-loss"]);
        // Killed, twice, and started again unharmed.
        drop(accepted);
        let role = Role::start("stock", folder.path(), base + 2, "");
        Shop { base }.add_tea().await;
        drop(role);
        drop(Role::start("stock", folder.path(), base + 2, ""));
    }
}

#[test]
fn a_wrong_setting_ends_a_role_with_a_sentence_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stock.yaml");
    std::fs::write(&file, "retention: {keep_inbox: 1s}\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in
        [&["stock", "--config", file][..], &["config", "check", "stock", "--config", file]]
    {
        let told = refused(&sagamesh(arguments).output().unwrap());
        assert!(told.contains("retention.keep_inbox") && told.contains("24h"), "{told}");
    }
    let mut of_environment = sagamesh(&["dev", "--port-base", "0", "--data"]);
    of_environment.arg(folder.path()).env("SAGAMESH__LIMITS__MAX_RUNNING", "many");
    let output = of_environment.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("limits.max_running (SAGAMESH__LIMITS__MAX_RUNNING)"), "{told}");
}

#[test]
fn a_flag_that_makes_no_sense_is_told_by_the_setting_that_it_sets() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = [
        (["--port-base", "65531"], "listen.port_base (--port-base): it leaves no room"),
        (["--keep-keys", "1h"], "retention.keep_keys (--keep-keys): 1h is too short"),
        (["--log", "a=b=c"], "log.filter (--log): the log filter"),
        (["--participant", "hotel.v1.Hotel=nowhere"], "it names no port; write HOST:PORT"),
    ];
    for (flag, told) in wrong {
        let output = sagamesh(&["dev", "--data"]).arg(folder.path()).args(flag).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag:?}: {said}");
        assert!(said.contains(told), "{flag:?}: {said}");
    }
}

#[test]
fn limits_of_a_participant_that_make_no_sense_are_told_by_their_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orchestrator.yaml");
    let wrong = [
        ("max_calls: 8", "participants.a.v1.B", "max_calls is in_flight now"),
        ("in_flight: 0", "participants.a.v1.B.in_flight", "nonzero"),
        ("rate: 0", "participants.a.v1.B.rate", "nonzero"),
        ("rate: 1.5", "participants.a.v1.B.rate", "1.5"),
    ];
    for (limit, setting, why) in wrong {
        let participant = format!("participants: {{a.v1.B: {{address: 'b:1', {limit}}}}}\n");
        std::fs::write(&file, participant).unwrap();
        let mut check = sagamesh(&["config", "check", "orchestrator", "--config"]);
        let told = refused(&check.arg(&file).output().unwrap());
        assert!(told.contains(setting) && told.contains(why), "{limit}: {told}");
    }
}

#[test]
fn settings_are_shown_with_where_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orchestrator.yaml");
    std::fs::write(&file, "participants: {a.v1.B: 'b:1'}\nlimits: {max_running: 5}\n").unwrap();
    let mut show = sagamesh(&["config", "show", "orchestrator", "-o", "json", "--config"]);
    show.arg(&file).env("SAGAMESH__LIMITS__MAX_RUNNING", "7");
    let shown = show.output().unwrap();
    let settings: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let find = |path: &str| {
        let all = settings.as_array().unwrap().iter();
        let found = all.clone().find(|setting| setting["path"] == path).expect(path);
        (found["value"].clone(), found["origin"].clone())
    };
    let from_file = || file.to_str().unwrap().into();
    assert_eq!(find("limits.max_running"), ("7".into(), "SAGAMESH__LIMITS__MAX_RUNNING".into()));
    assert_eq!(find("participants.a.v1.B.address"), ("b:1".into(), from_file()));
    assert_eq!(find("participants.a.v1.B.max_connections"), ("4".into(), "default".into()));
    assert_eq!(find("participants.a.v1.B.in_flight"), ("64".into(), "default".into()));
    assert_eq!(find("retention.keep_keys"), ("7d".into(), "default".into()));
}

#[test]
fn the_reference_in_the_documents_is_the_one_that_the_program_writes() {
    let written = sagamesh(&["config", "reference"]).output().unwrap();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
    assert_eq!(
        String::from_utf8(written.stdout).unwrap(),
        std::fs::read_to_string(kept).unwrap(),
        "write it anew: cargo run -- config reference > docs/settings.md"
    );
}
