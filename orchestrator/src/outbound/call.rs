//! One attempt of a step's call or undo.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use facade::{
    Trace,
    caller::{CallError, NotSent, Obstacle, never_indexed},
};
use http::{HeaderMap, HeaderName, HeaderValue, header::InvalidHeaderValue};
use participant::{
    Key,
    key::{SAGA_DIRECTION, SAGA_ID, SAGA_STEP},
};
use prost_reflect::MessageDescriptor;
use proto::facade::v1::Reason as Registered;
use saga::{Answer, Direction, Reason};
use tonic::Code;

use super::{
    Judge, Participant, Participants,
    classify::{self, CallResult},
    limiter::{self, Timing},
};
use crate::metrics::AttemptTimes;
use definition::{Overrides, Target, UnknownField};

static SAGA_ATTEMPT: HeaderName = HeaderName::from_static("saga-attempt");
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The message of an attempt that fell due behind the deadline of its saga.
const TOO_LATE_MESSAGE: &str = "the saga's deadline passed before the call was sent";

/// The field of a response in which a business decides.
const RESULT: &str = "result";

/// How many headers a call has: ours, the trace's, and those that gRPC adds.
const HEADER_CAPACITY: usize = 12;

/// The least time that an attempt gets, however soon the saga's deadline is.
const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(100);

/// How long an attempt waits for a stream. After that its saga shows why it does not go on, and the attempt is made again.
const MAX_STREAM_WAIT: Duration = Duration::from_secs(30);

/// One attempt: what is sent where, and under which key.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The saga that makes it.
    pub saga_id: &'a str,
    /// The step.
    pub step: &'a str,
    /// Forward, or undo.
    pub direction: Direction,
    /// Which attempt of this direction it is, from 1. Never part of the key.
    pub number: u32,
    /// The method.
    pub target: &'a Target,
    /// The encoded request.
    pub request: Bytes,
    /// How long the answer is waited for, from when the call is made.
    pub timeout: Duration,
    /// From when on it is not sent any more.
    pub send_by: Option<Timestamp>,
    /// When the saga turns back whatever this attempt comes to: it is not waited for beyond that.
    pub cut_off: Option<Timestamp>,
    /// How the definition reads this participant's answers.
    pub overrides: &'a Overrides,
    /// What goes with it by the definition; it has no name of ours.
    pub metadata: HeaderMap,
    /// What the definition says of the responses.
    pub judge: Option<Judge<'a>>,
    /// A reading call before an undo. It has no key, and names no step: it has no effect that could be kept under them.
    pub is_lookup: bool,
    /// Where its times are kept.
    pub(crate) times: AttemptTimes,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// To its saga.
    pub answer: Answer,
    /// To gRPC; `None` where it was not sent.
    pub status: Option<Code>,
}

impl CallOutcome {
    fn without_a_call(answer: Answer) -> Self {
        Self { answer, status: None }
    }
}

impl Attempt<'_> {
    /// Makes the attempt, once the participant's limits let it begin and there is a stream for it. One that still waits for
    /// that when it is `withdrawn` is not made.
    pub async fn make(
        self,
        participants: &Participants,
        trace: &Trace,
        withdrawn: impl Future<Output = ()>,
    ) -> CallOutcome {
        let Some(participant) = participants.find(&self.target.service) else {
            let why = no_participant(&self.target.service);
            return self.not_sent(NotSent::new(Obstacle::NoPeer, why));
        };
        let traffic = participant.traffic();
        let made = self.make_with(&participant, participants.clock(), trace, withdrawn).await;
        traffic.ended(&made.answer);
        made
    }

    async fn make_with(
        mut self,
        participant: &Participant,
        clock: &Clock,
        trace: &Trace,
        withdrawn: impl Future<Output = ()>,
    ) -> CallOutcome {
        let times = std::mem::take(&mut self.times);
        let headers = match self.headers(participant) {
            Ok(headers) => headers,
            Err(why) => {
                let reason = Reason::new(Registered::Internal.code(), why);
                return CallOutcome::without_a_call(Answer::Unusable(reason));
            }
        };
        let withdrawal = || self.not_sent(withdrawn_in_line());
        let mut withdrawn = pin!(withdrawn);
        let waiting = times.wait(clock);
        let mut permit = tokio::select! {
            biased;
            permit = participant.limiter().enter(self.saga_id, self.step, self.direction) => permit,
            () = &mut withdrawn => return withdrawal(),
        };
        let client = participant.client();
        if self.send_by.is_some_and(|send_by| send_by <= clock.now()) {
            return self.not_sent(NotSent::new(Obstacle::Withdrawn, TOO_LATE_MESSAGE));
        }
        let remaining = time_until(self.cut_off, clock);
        let max_wait = MAX_STREAM_WAIT.min(time_until(self.send_by, clock));
        let mut call = facade::caller::Outgoing {
            path: self.target.path.clone(),
            request: self.request.clone(),
            headers,
            trace,
            limit: self.timeout.min(remaining),
            descriptor: &self.target.descriptor,
        };
        let stream = tokio::select! {
            biased;
            stream = permit.stream(client.stream(&call, max_wait)) => stream,
            () = withdrawn => return withdrawal(),
        };
        drop(waiting);
        let mut timing = Timing { limit: self.timeout, is_cut_short: false };
        let result = match stream {
            Ok(stream) => {
                timing = self.timing(clock);
                call.limit = timing.limit;
                let (timer, moved) = (clock.timer(), stream.moved());
                let result = permit.answer(client.unary(stream, call), moved).await;
                if !matches!(result, Err(CallError::NotSent(_))) {
                    times.answered(timer.elapsed());
                }
                result
            }
            Err(not_sent) => Err(not_sent.into()),
        };
        let error = result.as_ref().err().cloned();
        let status = match &error {
            None => Some(Code::Ok),
            Some(CallError::Status(status)) => Some(status.code()),
            Some(CallError::NotSent(_)) => None,
        };
        participant.traffic().reached(error.as_ref(), timing);
        let answer = self.read_now(result, participant, clock).await;
        permit.end(limiter::signal(error.as_ref(), &answer, &self.target.path, timing));
        CallOutcome { answer, status }
    }

    /// How long the answer is waited for, from now.
    fn timing(&self, clock: &Clock) -> Timing {
        let limit = self.timeout.min(time_until(self.cut_off, clock));
        Timing { limit, is_cut_short: limit < self.timeout }
    }

    fn not_sent(&self, why: NotSent) -> CallOutcome {
        CallOutcome::without_a_call(self.read_as(&self.target.output, Err(why.into())))
    }

    /// Reads an answer by what the participant says of it now, where that differs in what decides.
    async fn read_now(
        &self,
        result: CallResult,
        participant: &Participant,
        clock: &Clock,
    ) -> Answer {
        let current = match &result {
            Ok(response) => self.current_output(response, participant, clock).await,
            Err(_) => None,
        };
        self.read_as(current.as_ref().unwrap_or(&self.target.output), result)
    }

    fn read_as(&self, output: &MessageDescriptor, result: CallResult) -> Answer {
        if self.is_lookup && classify::is_not_found(&result) {
            return Answer::NothingToUndo;
        }
        classify::read(result, output, self.direction, self.overrides, self.judge)
    }

    /// How the participant describes a response now whose `result`, which decides, was not there when the definition was
    /// registered.
    async fn current_output(
        &self,
        response: &Bytes,
        participant: &Participant,
        clock: &Clock,
    ) -> Option<MessageDescriptor> {
        let (output, contract) = (&self.target.output, participant.contract()?);
        let unknown = definition::unknown_fields(output, response);
        let is_known = !unknown.iter().any(|field| field.message == output.full_name());
        if is_known {
            if !unknown.is_empty() {
                contract.notice(clock, unknown);
            }
            return None;
        }
        // Boxed, because hardly a call needs the memory of this future.
        let current = Box::pin(contract.explain(clock, output.full_name(), &unknown)).await?;
        let result = current.get_field_by_name(RESULT)?.number();
        let has_come =
            |field: &UnknownField| field.message == output.full_name() && field.number == result;
        unknown.iter().any(has_come).then_some(current)
    }

    /// Our own entries stand whatever else goes with the call; a step's stand over its participant's.
    fn headers(&mut self, participant: &Participant) -> Result<HeaderMap, String> {
        let direction = match self.direction {
            Direction::Forward => participant::Direction::Forward,
            Direction::Undo => participant::Direction::Undo,
        };
        let key =
            Key::step(self.saga_id, self.step, direction).map_err(|error| error.to_string())?;
        let invalid = |error: InvalidHeaderValue| error.to_string();
        let saga_id = HeaderValue::from_str(self.saga_id).map_err(invalid)?;
        let key = HeaderValue::try_from(key.text()).map_err(invalid)?;
        let mut headers = HeaderMap::with_capacity(HEADER_CAPACITY);
        if let Some(metadata) = participant.metadata() {
            headers.extend(HeaderMap::clone(&metadata));
        }
        headers.extend(std::mem::take(&mut self.metadata));
        if self.is_lookup {
            return Ok(headers);
        }
        headers.insert(&SAGA_ID, never_indexed(saga_id));
        headers.insert(&SAGA_STEP, HeaderValue::from_str(self.step).map_err(invalid)?);
        headers.insert(&SAGA_DIRECTION, HeaderValue::from_static(direction.as_str()));
        headers.insert(&SAGA_ATTEMPT, HeaderValue::from(self.number));
        headers.insert(&IDEMPOTENCY_KEY, never_indexed(key));
        Ok(headers)
    }
}

/// How long an attempt may take that ends at `instant`.
fn time_until(instant: Option<Timestamp>, clock: &Clock) -> Duration {
    match instant {
        Some(instant) => instant.since(clock.now()).max(MIN_ATTEMPT_TIMEOUT),
        None => Duration::MAX,
    }
}

/// Of an attempt that was withdrawn while it waited in line.
fn withdrawn_in_line() -> NotSent {
    let why = "the call was in line when the saga turned back or was held, or the node stopped";
    NotSent::new(Obstacle::Withdrawn, why)
}

/// The message where no participant serves a service, with the cure.
fn no_participant(service: &str) -> String {
    format!(
        "no participant is configured for {service}: name its address with --participant {service}=ADDRESS"
    )
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::Ready, task::Poll};

    use facade::{
        caller::{Outgoing, Stream},
        dial::Peer,
    };
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;
    use tonic::{
        Status,
        body::Body,
        codegen::Service,
        server::NamedService,
        service::Routes,
        transport::{Server, server::TcpIncoming},
    };

    use super::*;
    use crate::outbound::CallLimits;

    const SERVICE: &str = "sagamesh.stock.v1.StockService";

    fn target() -> Target {
        let service = proto::descriptors().get_service_by_name(SERVICE).unwrap();
        let descriptor = service.methods().find(|method| method.name() == "Freeze").unwrap();
        Target {
            service: SERVICE.to_owned(),
            method: "Freeze".to_owned(),
            path: format!("/{SERVICE}/Freeze").parse().unwrap(),
            output: descriptor.output(),
            descriptor,
        }
    }

    /// Tells how long each caller waits, and answers at once.
    #[derive(Clone)]
    struct Timeouts(mpsc::UnboundedSender<String>);

    impl NamedService for Timeouts {
        const NAME: &'static str = SERVICE;
    }

    impl Service<http::Request<Body>> for Timeouts {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let timeout = request.headers()["grpc-timeout"].to_str().unwrap().to_owned();
            self.0.send(timeout).unwrap();
            std::future::ready(Ok(Status::unavailable("as the test says").into_http()))
        }
    }

    /// A participant that takes one call at once on a connection.
    async fn narrow(clock: &Clock) -> (Participants, String) {
        serving(clock, Routes::default()).await
    }

    async fn serving(clock: &Clock, routes: Routes) -> (Participants, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut server = Server::builder().max_concurrent_streams(1);
        let serving = server.add_routes(routes);
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        let participants = Participants::new(clock.clone());
        let peer = Peer::at(address.parse().unwrap());
        participants.add_peer(SERVICE, &peer, CallLimits::default());
        (participants, address)
    }

    async fn take(participants: &Participants, target: &Target) -> Stream {
        let call = Outgoing {
            path: target.path.clone(),
            request: Bytes::new(),
            headers: HeaderMap::new(),
            trace: &Trace::start(),
            limit: Duration::from_mins(1),
            descriptor: &target.descriptor,
        };
        let participant = participants.find(SERVICE).unwrap();
        participant.client().stream(&call, Duration::from_mins(1)).await.unwrap()
    }

    fn attempt<'a>(target: &'a Target, overrides: &'a Overrides) -> Attempt<'a> {
        Attempt {
            saga_id: "01a2205b-70a4-7369-9f14-501076fe2d60",
            step: "freeze",
            direction: Direction::Forward,
            number: 1,
            target,
            request: Bytes::new(),
            timeout: Duration::from_secs(5),
            send_by: None,
            cut_off: None,
            overrides,
            metadata: HeaderMap::new(),
            judge: None,
            is_lookup: false,
            times: AttemptTimes::default(),
        }
    }

    #[tokio::test]
    async fn an_attempt_that_gets_no_stream_is_not_sent_and_names_the_peers_limit_after_a_while() {
        let (clock, time) = Clock::manual(Timestamp(0));
        let (participants, address) = narrow(&clock).await;
        let (target, overrides, trace) = (target(), Overrides::default(), Trace::start());
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(take(&participants, &target).await);
        }
        let withdrawn = CancellationToken::new();
        let in_line =
            attempt(&target, &overrides).make(&participants, &trace, withdrawn.cancelled());
        let (CallOutcome { answer, status }, ()) = tokio::join!(in_line, async {
            // The attempt's own limit passes, and then the rest of the time that it may wait for a stream.
            time.advance_to_next().await;
            tokio::task::yield_now().await;
            time.advance_to_next().await;
        });
        assert_eq!((clock.now(), status), (Timestamp(30_000), None));
        let Answer::NotSent(reason) = answer else { panic!("{answer:?}") };
        assert_eq!(reason.code, "NOT_SENT");
        let limit = format!("{address} takes 4 at once (connections: 4)");
        assert!(reason.message.contains(&limit), "{reason}");
    }

    #[tokio::test]
    async fn an_attempt_in_line_is_not_sent_any_more_at_the_sagas_deadline() {
        let (clock, time) = Clock::manual(Timestamp(0));
        let (participants, _) = narrow(&clock).await;
        let (target, overrides, trace) = (target(), Overrides::default(), Trace::start());
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(take(&participants, &target).await);
        }
        let withdrawn = CancellationToken::new();
        let hurried = Attempt { send_by: Some(Timestamp(2_000)), ..attempt(&target, &overrides) };
        let in_line = hurried.make(&participants, &trace, withdrawn.cancelled());
        let (CallOutcome { answer, status }, ()) = tokio::join!(in_line, time.advance_to_next());
        assert_eq!(clock.now(), Timestamp(2_000));
        assert!(matches!(answer, Answer::NotSent(_)), "{answer:?}");
        assert_eq!(status, None);
    }

    #[tokio::test]
    async fn an_attempt_behind_the_deadline_of_its_saga_is_not_sent() {
        let (clock, _) = Clock::manual(Timestamp(2_000));
        let (told, mut timeouts) = mpsc::unbounded_channel();
        let (participants, _) = serving(&clock, Routes::new(Timeouts(told))).await;
        let (target, overrides, trace) = (target(), Overrides::default(), Trace::start());
        for (send_by, is_sent) in [(Some(Timestamp(2_000)), false), (Some(Timestamp(2_001)), true)]
        {
            let late = Attempt { send_by, ..attempt(&target, &overrides) };
            let made = late.make(&participants, &trace, std::future::pending()).await;
            assert_eq!(matches!(made.answer, Answer::NotSent(_)), !is_sent, "{made:?}");
            assert_eq!(made.status, is_sent.then_some(Code::Unavailable));
            assert_eq!(timeouts.try_recv().is_ok(), is_sent);
        }
    }

    #[tokio::test]
    async fn a_participant_that_is_not_there_is_not_sent_to_and_its_address_is_told() {
        let (clock, _) = Clock::manual(Timestamp(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let participants = Participants::new(clock);
        let (target, overrides, trace) = (target(), Overrides::default(), Trace::start());
        let nobody = attempt(&target, &overrides);
        let CallOutcome { answer, .. } =
            nobody.make(&participants, &trace, std::future::pending()).await;
        let Answer::NotSent(reason) = answer else { panic!("{answer:?}") };
        assert!(reason.message.contains("--participant"), "{reason}");

        participants.add_peer(SERVICE, &Peer::at(address.parse().unwrap()), CallLimits::default());
        let refused = attempt(&target, &overrides);
        let CallOutcome { answer, status } =
            refused.make(&participants, &trace, std::future::pending()).await;
        assert_eq!(status, None);
        let Answer::NotSent(reason) = answer else { panic!("{answer:?}") };
        assert!(reason.message.starts_with(&format!("{address}: Connection refused")), "{reason}");
    }

    #[tokio::test]
    async fn an_attempt_that_was_in_line_has_its_own_limit_from_then_on_and_not_beyond_the_deadline()
     {
        for (cut_off, timeout) in [(Some(Timestamp(2_000)), "500000u"), (None, "5000000u")] {
            let (clock, time) = Clock::manual(Timestamp(0));
            let (told, mut timeouts) = mpsc::unbounded_channel();
            let (participants, _) = serving(&clock, Routes::new(Timeouts(told))).await;
            let (target, overrides, trace) = (target(), Overrides::default(), Trace::start());
            let mut taken = Vec::new();
            for _ in 0..4 {
                taken.push(take(&participants, &target).await);
            }
            let withdrawn = CancellationToken::new();
            let attempt = Attempt { send_by: cut_off, cut_off, ..attempt(&target, &overrides) };
            let (CallOutcome { answer, status }, ()) =
                tokio::join!(attempt.make(&participants, &trace, withdrawn.cancelled()), async {
                    time.advance(Duration::from_millis(1_500));
                    taken.pop();
                });
            assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
            assert_eq!(status, Some(Code::Unavailable));
            assert_eq!(timeouts.recv().await.unwrap(), timeout);
        }
    }
}
