//! Log lines on their way to standard error: a bounded queue, and a thread that writes what is in it.
//!
//! Who reads standard error may read slowly or not at all, and a full pipe holds up whoever writes into it. So only the
//! thread here writes: a line that finds no room in the queue is dropped and counted, and nobody waits.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use super::cut;

/// Lines and bytes that wait to be written.
const QUEUE_LINES: usize = 4_096;
const QUEUE_BYTES: usize = 2 << 20;
/// How often it is looked whether standard error takes more, where it does not wait by itself, and whether the queue is
/// empty.
const POLL: Duration = Duration::from_millis(5);

/// The way into the queue, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes of lines that are not written yet.
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Queue {
    /// Begins to write to standard error.
    ///
    /// # Errors
    /// When there is no standard error, or no thread can be started.
    pub(super) fn to_stderr() -> Result<Self, io::Error> {
        // A file of its own: whoever writes through the library's handle would hold its lock.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Self::to(stderr)
    }

    fn to(output: impl Write + Send + 'static) -> Result<Self, io::Error> {
        let (lines, receiver) = sync_channel(QUEUE_LINES);
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(output, &receiver, &counted))?;
        Ok(Self { lines, counts })
    }

    fn push(&self, line: Vec<u8>) {
        let bytes = line.len();
        let waiting = self.counts.waiting.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > QUEUE_BYTES || self.lines.try_send(line).is_err() {
            self.counts.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that found no room, since the process began.
    pub(super) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, for `limit` at most.
    pub(super) fn flush(&self, limit: Duration) {
        let mut left = limit;
        while self.counts.waiting.load(Ordering::Relaxed) > 0 && !left.is_zero() {
            thread::sleep(POLL.min(left));
            left = left.saturating_sub(POLL);
        }
    }
}

/// Writes lines until there is nobody left who has any.
fn run(mut output: impl Write, lines: &Receiver<Vec<u8>>, counts: &Counts) {
    let mut told = 0;
    while let Ok(line) = lines.recv() {
        if write(&mut output, &line).is_err() {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
            told += 1;
        }
        counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
        let dropped = counts.dropped.load(Ordering::Relaxed);
        if dropped > told {
            // It goes through the queue like every line, which has room for it again.
            tracing::warn!(
                lines = dropped - told,
                "log lines were dropped: standard error was not read"
            );
            told = dropped;
        }
    }
}

/// Writes a whole line, also into a pipe that does not wait because another process has set it so.
fn write(output: &mut impl Write, mut line: &[u8]) -> Result<(), io::Error> {
    while !line.is_empty() {
        match output.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(POLL),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Puts what it is given into the queue: the subscriber writes each line at once.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> Result<usize, io::Error> {
        self.push(cut::line(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<(), io::Error> {
        Ok(())
    }
}

impl<'q> MakeWriter<'q> for Queue {
    type Writer = &'q Self;

    fn make_writer(&'q self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read},
        sync::mpsc,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Takes what is written only when it is told to.
    struct Gate(Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, io::Error> {
            self.0.recv().map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            self.1.send(bytes.to_vec()).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<(), io::Error> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_an_output_that_takes_nothing_and_what_finds_no_room_is_counted() {
        let (open, gate) = mpsc::channel();
        let (seen, written) = mpsc::channel();
        let queue = Queue::to(Gate(gate, seen)).unwrap();
        for number in 0..QUEUE_LINES + 100 {
            (&queue).write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        // The thread may hold one line beside those in the queue.
        let dropped = queue.dropped();
        assert!((99..=100).contains(&dropped), "{dropped}");
        queue.flush(POLL);
        for _ in 0..QUEUE_LINES + 1 {
            open.send(()).unwrap();
        }
        assert_eq!(written.recv_timeout(LIMIT).unwrap(), b"0\n");
        assert_eq!(written.recv_timeout(LIMIT).unwrap(), b"1\n");
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_too() {
        let (_open, gate) = mpsc::channel();
        let queue = Queue::to(Gate(gate, mpsc::channel().0)).unwrap();
        let line = vec![b'x'; 10_000];
        for _ in 0..QUEUE_BYTES / line.len() + 50 {
            queue.push(line.clone());
        }
        assert_eq!(queue.dropped(), 50);
        assert!(queue.counts.waiting.load(Ordering::Relaxed) <= QUEUE_BYTES);
    }

    #[test]
    fn what_is_written_comes_out_in_order_and_a_flush_waits_for_it() {
        let (reader, writer) = io::pipe().unwrap();
        let queue = Queue::to(writer).unwrap();
        for number in 0..100 {
            (&queue).write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        queue.flush(LIMIT);
        drop(queue);
        let lines: Vec<String> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_output_that_is_gone_costs_its_lines_and_nothing_else() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let queue = Queue::to(writer).unwrap();
        (&queue).write_all(b"lost\n").unwrap();
        queue.flush(LIMIT);
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn a_pipe_that_is_full_takes_the_rest_of_a_line_when_it_is_read_again() {
        let (mut reader, writer) = io::pipe().unwrap();
        let queue = Queue::to(writer).unwrap();
        let line = vec![b'x'; 1 << 20];
        queue.push(line.clone());
        queue.flush(POLL);
        let mut read = vec![0; line.len()];
        reader.read_exact(&mut read).unwrap();
        assert!(read == line);
    }
}
