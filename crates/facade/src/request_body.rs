//! The body of a request, put together message by message before anybody decodes it: what it holds grows with what has
//! arrived and is taken from the budget, whatever size a message announces.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Waker, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use clock::Clock;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use proto::facade::v1::Reason;
use tonic::{Code, Status, service::AxumBody};

use crate::{
    Failure,
    budget::{Lease, Spent},
    context::Context,
    dispatch::MaxSize,
    status::StatusDetails,
};

/// Before each message: whether it is compressed, and how long it is.
const HEAD: usize = 5;
/// What is made room for at first where a message comes in pieces.
const FIRST_PIECE: usize = 1024;

type PolledFrame = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// Hands a message on when all of it has come.
pub(crate) struct RequestBody {
    body: AxumBody,
    context: Arc<Context>,
    clock: Clock,
    max_size: MaxSize,
    /// A second message is refused.
    only_one: bool,
    messages: usize,
    /// What has come of the message that is not whole yet.
    pieces: BytesMut,
    /// Of a call over a connection: what `pieces` takes up, and then the message.
    lease: Option<Lease>,
    /// Made when there is something to wait for.
    late: Option<BoxFuture<'static, ()>>,
}

/// Why a body is not read on.
#[derive(Debug)]
pub(crate) enum Refused {
    TooLarge { announced: usize, max_size: MaxSize },
    Late(Duration),
    SecondMessage,
    Spent(Spent),
}

impl RequestBody {
    pub(crate) fn new(
        body: AxumBody,
        context: Arc<Context>,
        clock: Clock,
        max_size: MaxSize,
        only_one: bool,
    ) -> Self {
        let lease = context.account().map(|account| account.lease_for_request());
        let (messages, pieces, late) = (0, BytesMut::new(), None);
        Self { body, context, clock, max_size, only_one, messages, pieces, lease, late }
    }

    /// Takes what has come. Gives what is whole of it.
    fn take(&mut self, data: Bytes) -> Result<Option<Bytes>, Refused> {
        if self.pieces.is_empty() && self.whole(&data)? == data.len() {
            // As most messages come: in one piece, which needs no copy.
            self.hold(data.len())?;
            return Ok(Some(data));
        }
        self.gather(&data)?;
        let whole = self.whole(&self.pieces)?;
        if whole == 0 {
            return Ok(None);
        }
        let message = self.pieces.split_to(whole).freeze();
        // The rest is of another message: on a memory of its own, so that the first is not kept for it.
        self.pieces = BytesMut::from(self.pieces.as_ref());
        Ok(Some(message))
    }

    /// How many bytes of these are whole messages.
    fn whole(&self, bytes: &[u8]) -> Result<usize, Refused> {
        let (mut whole, mut messages) = (0, self.messages);
        while let Some((head, rest)) = bytes[whole..].split_at_checked(HEAD) {
            if self.only_one && messages > 0 {
                return Err(Refused::SecondMessage);
            }
            let announced = announced(head);
            if announced > self.max_size.bytes {
                return Err(Refused::TooLarge { announced, max_size: self.max_size });
            }
            if rest.len() < announced {
                break;
            }
            whole += HEAD + announced;
            messages += 1;
        }
        Ok(whole)
    }

    /// Adds to the pieces. Their room is doubled when it is used up, and never more than the message needs.
    fn gather(&mut self, data: &[u8]) -> Result<(), Refused> {
        let wanted = self.pieces.len() + data.len();
        if wanted > self.pieces.capacity() {
            let doubled = (self.pieces.capacity() * 2).max(FIRST_PIECE);
            let room = doubled.min(self.expected(data)).max(wanted);
            self.hold(room - self.pieces.capacity())?;
            let mut pieces = BytesMut::with_capacity(room);
            pieces.extend_from_slice(&self.pieces);
            self.pieces = pieces;
        }
        self.pieces.extend_from_slice(data);
        Ok(())
    }

    /// How many bytes the message has of which the pieces and these are the beginning.
    fn expected(&self, data: &[u8]) -> usize {
        let begun = self.pieces.iter().chain(data).copied();
        let mut head = [0; HEAD];
        head.iter_mut().zip(begun).for_each(|(to, from)| *to = from);
        if self.pieces.len() + data.len() < HEAD { HEAD } else { HEAD + announced(&head) }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Refused> {
        self.lease.as_mut().map_or(Ok(()), |lease| lease.grow(bytes)).map_err(Refused::Spent)
    }

    /// The message goes on to whoever decodes it. What it holds is held until the call is answered; of a stream of messages
    /// only the first, since the next is not read before the one before it has been.
    fn handed_on(&mut self) {
        self.messages += 1;
        self.late = None;
        let Some(account) = self.context.account() else { return };
        let mut next = account.lease_for_request();
        next.grow_in_any_case(self.pieces.capacity());
        if let Some(lease) = self.lease.replace(next) {
            self.context.hold(lease);
        }
    }

    /// Ready when what is waited for has not come in time.
    fn poll_late(&mut self, waker: &mut Waker<'_>) -> Poll<Refused> {
        // Between the messages of a stream nothing is waited for, and what is held is nothing.
        if !self.only_one && self.messages > 0 && self.pieces.is_empty() {
            return Poll::Pending;
        }
        let timeout = self.context.budget().request_limits().body_timeout;
        let late = self.late.get_or_insert_with(|| {
            let clock = self.clock.clone();
            Box::pin(async move { clock.sleep(timeout).await })
        });
        late.as_mut().poll(waker).map(|()| Refused::Late(timeout))
    }

    fn refuse(&self, refused: Refused) -> PolledFrame {
        // Only a stream that has begun ends with this status: else the call is answered by what the context says.
        let status = StatusDetails::of(&Failure::from(&refused)).into_status("");
        self.context.refuse(refused);
        Poll::Ready(Some(Err(status)))
    }
}

fn announced(head: &[u8]) -> usize {
    let mut length = &head[1..HEAD];
    usize::try_from(length.get_u32()).unwrap_or(usize::MAX)
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> PolledFrame {
        let this = self.get_mut();
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(waker) else {
                return match this.poll_late(waker) {
                    Poll::Ready(refused) => this.refuse(refused),
                    Poll::Pending => Poll::Pending,
                };
            };
            let data = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(Status::from_error(error.into()))));
                }
                // It ends within a message, which is for who decodes it to say.
                None if !this.pieces.is_empty() => {
                    let rest = this.pieces.split().freeze();
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
                None => return Poll::Ready(None),
            };
            match this.take(data) {
                Ok(Some(whole)) => {
                    this.handed_on();
                    return Poll::Ready(Some(Ok(Frame::data(whole))));
                }
                Ok(None) => {}
                Err(refused) => return this.refuse(refused),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl From<&Refused> for Failure {
    fn from(refused: &Refused) -> Self {
        match *refused {
            Refused::TooLarge { announced, max_size } => {
                let why = match max_size.by_rules {
                    true => "by the rules of its fields",
                    false => "by limits.requests.max_size",
                };
                let sentence = format!(
                    "the message has {announced} bytes, and the method takes {} {why}",
                    max_size.bytes
                );
                Self::new(Reason::MessageTooLarge, sentence)
            }
            Refused::Late(timeout) => Self::refused(
                Code::DeadlineExceeded,
                Reason::BodyUnreadable,
                format!(
                    "the message did not come within {} s (limits.requests.body_timeout)",
                    timeout.as_secs_f64()
                ),
            ),
            Refused::SecondMessage => Self::refused(
                Code::InvalidArgument,
                Reason::BodyUnreadable,
                "the body has more than one message, and the method takes one",
            ),
            Refused::Spent(spent) => spent.into(),
        }
    }
}
