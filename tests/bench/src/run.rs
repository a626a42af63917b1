//! A run: a fresh system, a warm-up, the measured time, and whether the work was really done.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use collector::Collector;
use live::measure::{self, Cpu};
use proto::{
    checkout::v1::checkout_service_client::CheckoutServiceClient,
    stock::v1::stock_service_client::StockServiceClient,
};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use crate::{
    arguments::{self, Run, SystemTelemetry, Telemetry, Transport, Workload},
    check,
    child::Process,
    contract::{RunRequest, StepRequest, noop_service_client::NoopServiceClient},
    load::{self, Completion, Measurements, Numbers, Operation},
    probe, report, shop, sold_out, stored,
    system::System,
};

/// Runs once for each number of sagas in flight.
pub(crate) async fn all(run: &Run) -> Result<()> {
    println!("{} over {}, {} s each", run.workload.name(), run.transport.name(), run.seconds);
    report::print_head();
    for in_flight in &run.in_flight {
        for _ in 0..run.rounds {
            for telemetry in &run.telemetry {
                let row = run_once(run, *in_flight, *telemetry).await?;
                row.print();
                if let Some(file) = &run.json {
                    row.append_to(file)?;
                }
            }
        }
    }
    Ok(())
}

/// The processes that a run measures.
pub(crate) struct Parts {
    /// Absent where the system runs in this process.
    pub(crate) system: Option<Process>,
    pub(crate) participant: Option<Process>,
}

/// CPU time of each part.
#[derive(Clone, Copy)]
struct CpuTimes {
    system: Cpu,
    participant: Cpu,
    load: Cpu,
}

impl Parts {
    fn cpu_times(&self) -> Result<CpuTimes> {
        let of = |process: &Option<Process>| process.as_ref().map(Process::cpu).transpose();
        let own = measure::cpu(std::process::id())?;
        Ok(match of(&self.system)? {
            Some(system) => CpuTimes {
                system,
                participant: of(&self.participant)?.unwrap_or_default(),
                load: own,
            },
            None => CpuTimes { system: own, participant: Cpu::default(), load: Cpu::default() },
        })
    }

    fn peak_rss_mb(&self) -> Result<f64> {
        match &self.system {
            Some(system) => system.peak_rss_mb(),
            None => measure::peak_rss_mb(std::process::id()),
        }
    }
}

async fn run_once(run: &Run, in_flight: usize, telemetry: Telemetry) -> Result<report::Row> {
    let collector = (telemetry == Telemetry::Traces).then(Collector::start);
    let otlp = collector.as_ref().map(|collector| collector.address().to_string());
    let system_telemetry = SystemTelemetry { telemetry, otlp };
    std::fs::create_dir_all(&run.data)
        .with_context(|| format!("making the folder {}", run.data.display()))?;
    let folder = tempfile::tempdir_in(&run.data)?;
    let data = folder.path().join("data");
    let before = probe::commits_per_s(folder.path())?;

    let stored = stored::fill(run, &data).await?;
    let (mut parts, mut inside) = (Parts { system: None, participant: None }, None);
    let operation = match run.transport {
        Transport::Grpc => {
            parts = start(run, &data, system_telemetry)?;
            let system = parts.system.as_ref().context("the system has just been started")?;
            remote_operation(run, system).await?
        }
        Transport::InProcess => {
            let system = System::start(arguments(run, &data, None, system_telemetry)).await?;
            let operation = in_process_operation(run, &system).await?;
            inside = Some(system);
            operation
        }
    };
    let calls_per_s = match &parts.participant {
        Some(participant) => Some(bare_calls(participant, in_flight).await?),
        None => None,
    };
    let numbers = Arc::new(Numbers::default());
    let time = Duration::from_secs(run.seconds);
    let warming = generate_load(run, &operation, &numbers, in_flight, time / 5)
        .await
        .context("warming up")?;
    let (cpu_times, disk, warm) =
        (parts.cpu_times()?, measure::disk_bytes(&data)?, numbers.given());
    let seen = generate_load(run, &operation, &numbers, in_flight, time).await?;
    let after = parts.cpu_times()?;
    let disk = measure::disk_bytes(&data)?.saturating_sub(disk);
    let peak_rss_mb = parts.peak_rss_mb()?;
    drop(operation);
    let commits = match (inside, parts.system.take()) {
        (Some(system), _) => {
            let commits = system.commits();
            system.stop().await?;
            commits
        }
        (None, Some(system)) => system.stop()?.parse()?,
        (None, None) => bail!("nothing was measured"),
    };
    drop(parts);
    let done = numbers.given() - warming.refused - seen.refused;
    let removes = run.keep_finished.is_some();
    let removed = check::all(&data, run.workload, stored + done, removes).await?;
    stored::print_old_rows(run, &data).await?;
    let measured = numbers.given() - warm;
    let per_saga = |cpu_times: Duration| cpu_times.as_secs_f64() * 1e6 / measured.max(1) as f64;
    let cpu = [
        per_saga(after.system.since(cpu_times.system)),
        per_saga(after.participant.since(cpu_times.participant)),
        per_saga(after.load.since(cpu_times.load)),
    ];
    let Measurements { sagas, refused, elapsed, latency } = seen;
    let quantile = |at: f64| latency.value_at_quantile(at) as f64 / 1e3;
    Ok(report::Row {
        workload: run.workload.name(),
        transport: run.transport.name(),
        in_flight,
        telemetry: telemetry.name(),
        steps: (run.workload == Workload::Noop).then_some(run.steps),
        payload: run.payload,
        stored: run.stored,
        removed: removes.then_some(removed),
        rate: run.rate,
        sagas,
        refused,
        sagas_per_s: sagas as f64 / elapsed.as_secs_f64(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        p99_9_ms: quantile(0.999),
        cpu_us_per_saga: cpu.iter().sum(),
        cpu_us_orchestrator: cpu[0],
        cpu_us_participants: cpu[1],
        cpu_us_load: cpu[2],
        peak_rss_mb,
        flushes_per_saga: commits as f64 / done.max(1) as f64,
        disk_bytes_per_saga: disk as f64 / measured.max(1) as f64,
        calls_per_s,
        commits_per_s_before: before,
        commits_per_s_after: probe::commits_per_s(folder.path())?,
    })
}

/// Calls under way at most where they are made with no saga around them.
const BARE_CALLS: usize = 512;

/// Calls a second that the participant answers with no saga around them.
async fn bare_calls(participant: &Process, in_flight: usize) -> Result<f64> {
    let client = NoopServiceClient::new(channel(&participant.addresses[0])?);
    let operation: Operation = Arc::new(move |_| {
        let mut client = client.clone();
        Box::pin(async move {
            client.step(StepRequest::default()).await?;
            Ok(Completion::Ended)
        })
    });
    let seen = load::closed(
        &operation,
        &Arc::default(),
        in_flight.min(BARE_CALLS),
        Duration::from_secs(1),
    )
    .await?;
    Ok(seen.sagas as f64 / seen.elapsed.as_secs_f64())
}

async fn generate_load(
    run: &Run,
    operation: &Operation,
    numbers: &Arc<Numbers>,
    in_flight: usize,
    time: Duration,
) -> Result<Measurements> {
    match run.rate {
        None => load::closed(operation, numbers, in_flight, time).await,
        Some(rate) => load::open(operation, numbers, rate, in_flight, time).await,
    }
}

/// Starts the system, and the participant where the workload has one of its own.
fn start(run: &Run, data: &Path, telemetry: SystemTelemetry) -> Result<Parts> {
    let participant = match run.workload {
        Workload::Noop => Some(Process::start(&["participant"])?),
        Workload::PlaceOrder | Workload::Decline | Workload::SoldOut => None,
    };
    let address = participant.as_ref().map(|process| process.addresses[0].clone());
    Ok(Parts { system: Some(system(arguments(run, data, address, telemetry))?), participant })
}

pub(crate) fn arguments(
    run: &Run,
    data: &Path,
    participant: Option<String>,
    telemetry: SystemTelemetry,
) -> arguments::System {
    let Run { workload, steps, max_running, keep_finished, keep_inbox, .. } = *run;
    let data = data.to_owned();
    arguments::System {
        workload,
        data,
        steps,
        max_running,
        participant,
        keep_finished,
        keep_inbox,
        telemetry,
    }
}

/// Starts a system in a process of its own.
pub(crate) fn system(arguments: arguments::System) -> Result<Process> {
    let arguments::System { workload, data, steps, max_running, participant, telemetry, .. } =
        &arguments;
    let data = data.to_str().context("the folder's name is text")?;
    let (steps, max_running) = (steps.to_string(), max_running.to_string());
    let finished = arguments.keep_finished.map(|keep| ("--keep-finished", keep.to_string()));
    let inbox = arguments.keep_inbox.map(|keep| ("--keep-inbox", keep.to_string()));
    let keeps: Vec<(&str, String)> = finished.into_iter().chain(inbox).collect();
    let mut arguments = vec!["system", "--workload", workload.name(), "--data", data];
    arguments.extend(["--steps", &steps, "--max-running", &max_running]);
    arguments.extend(["--telemetry", telemetry.telemetry.name()]);
    if let Some(collector) = &telemetry.otlp {
        arguments.extend(["--otlp", collector]);
    }
    if let Some(participant) = participant {
        arguments.extend(["--participant", participant]);
    }
    for (option, keep) in &keeps {
        arguments.extend([*option, keep.as_str()]);
    }
    Process::start(&arguments)
}

pub(crate) fn channel(address: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect_lazy())
}

async fn remote_operation(run: &Run, system: &Process) -> Result<Operation> {
    let channels: Vec<Channel> =
        system.addresses.iter().map(|address| channel(address)).collect::<Result<_>>()?;
    match run.workload {
        Workload::Noop => {
            let ways = (0..run.connections.max(1)).map(|_| channel(&system.addresses[0]));
            let clients = ways.map(|way| way.map(NoopServiceClient::new));
            Ok(noop_operation(clients.collect::<Result<_>>()?, run.payload))
        }
        Workload::SoldOut => {
            shop::seed(&channels, Workload::SoldOut).await?;
            sold_out::seed(channels[2].clone()).await?;
            Ok(sold_out::operation(StockServiceClient::new(channels[2].clone())))
        }
        workload => {
            shop::seed(&channels, workload).await?;
            Ok(shop::operation(CheckoutServiceClient::new(channels[0].clone()), workload))
        }
    }
}

pub(crate) async fn in_process_operation(run: &Run, system: &System) -> Result<Operation> {
    let routes = system.routes.clone();
    match run.workload {
        Workload::Noop => Ok(noop_operation(vec![NoopServiceClient::new(routes)], run.payload)),
        // The mesh gives routes only for its orchestrator.
        Workload::SoldOut => bail!("sold-out is measured over gRPC: leave --transport out"),
        workload => {
            let channels: Vec<Channel> =
                system.addresses.iter().map(|address| channel(address)).collect::<Result<_>>()?;
            shop::seed(&channels, workload).await?;
            Ok(shop::operation(CheckoutServiceClient::new(routes), workload))
        }
    }
}

/// The clients take turns.
fn noop_operation<T>(clients: Vec<NoopServiceClient<T>>, payload: usize) -> Operation
where
    T: tonic::client::GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
    T::Future: Send,
    T::Error: Into<tonic::codegen::StdError>,
    T::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <T::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    Arc::new(move |number| {
        let turn = usize::try_from(number).unwrap_or_default() % clients.len();
        let mut client = clients[turn].clone();
        Box::pin(async move {
            let request = RunRequest { token: number.to_string(), payload: vec![0x61; payload] };
            match client.run(request).await {
                Ok(_) => Ok(Completion::Ended),
                Err(status) if status.code() == Code::ResourceExhausted => Ok(Completion::Refused),
                Err(status) => bail!("a saga failed: {status}"),
            }
        })
    })
}
