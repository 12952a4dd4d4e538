//! gzip on several threads: one member of independently compressed blocks.
//!
//! Each block of 1 MiB is deflated with the last 32 KiB before it as dictionary and ends on a
//! byte (sync flush), so the blocks are simply put behind each other. A block that does not
//! shrink in a probe is stored.
//!
//! Invariant: the bytes depend on the input and the level only. RFC 1951, RFC 1952.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Input bytes per block.
const BLOCK: usize = 1 << 20;
/// Deflate's window: what a block may refer back to.
const WINDOW: usize = 32 * 1024;
/// Input bytes per sample of the probe.
const SAMPLE: usize = 8 * 1024;
/// Longest stored block of deflate.
const STORED: usize = 0xFFFF;
/// More threads would only take memory: each holds about 4 MiB.
const MAX_THREADS: usize = 12;
/// Deflate, no flags, no time, no extra flags, made on Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// A block on its way to a thread.
struct Job {
    input: Vec<u8>,
    dictionary: Vec<u8>,
    last: bool,
}

struct Worker {
    jobs: SyncSender<Job>,
    blocks: Receiver<io::Result<Vec<u8>>>,
}

/// Compresses to `W`.
pub(crate) struct Gzip<W: Write> {
    out: W,
    level: u32,
    threads: usize,
    workers: Vec<Worker>,
    /// Indices of the workers whose answers are awaited, in the order of the blocks.
    awaited: VecDeque<usize>,
    next: usize,
    pending: Vec<u8>,
    dictionary: Vec<u8>,
    crc: Crc,
    started: bool,
}

impl<W: Write> Gzip<W> {
    pub(crate) fn new(out: W, level: u32, threads: usize) -> Self {
        Self {
            out,
            level,
            threads: threads.clamp(1, MAX_THREADS),
            workers: Vec::new(),
            awaited: VecDeque::new(),
            next: 0,
            pending: Vec::new(),
            dictionary: Vec::new(),
            crc: Crc::new(),
            started: false,
        }
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        let input = std::mem::take(&mut self.pending);
        let job = self.job(input, true);
        while !self.awaited.is_empty() {
            self.receive()?;
        }
        self.start()?;
        let block = Deflater::new(self.level).block(&job)?;
        self.out.write_all(&block)?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        self.out.write_all(&self.crc.amount().to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn job(&mut self, input: Vec<u8>, last: bool) -> Job {
        self.crc.update(&input);
        let tail = input.len().saturating_sub(WINDOW);
        let dictionary = std::mem::replace(&mut self.dictionary, input[tail..].to_vec());
        Job {
            input,
            dictionary,
            last,
        }
    }

    /// Hands the pending block to a thread; waits for the oldest answer when all are busy.
    fn submit(&mut self) -> io::Result<()> {
        let input = std::mem::replace(&mut self.pending, Vec::with_capacity(BLOCK));
        let job = self.job(input, false);
        if self.awaited.len() == 2 * self.threads {
            self.receive()?;
        }
        if self.workers.len() < self.threads && self.next == self.workers.len() {
            self.workers.push(Worker::spawn(self.level)?);
        }
        self.workers[self.next].jobs.send(job).map_err(|_| gone())?;
        self.awaited.push_back(self.next);
        self.next = (self.next + 1) % self.threads;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        self.start()?;
        if let Some(worker) = self.awaited.pop_front() {
            let block = self.workers[worker].blocks.recv().map_err(|_| gone())??;
            self.out.write_all(&block)?;
        }
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            self.out.write_all(&HEADER)?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..count]);
        if self.pending.len() == BLOCK {
            self.submit()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Worker {
    /// A thread that ends when its `jobs` are dropped.
    fn spawn(level: u32) -> io::Result<Self> {
        let (jobs, todo) = sync_channel::<Job>(2);
        let (done, blocks) = sync_channel(2);
        thread::Builder::new()
            .name("gzip".to_owned())
            .spawn(move || {
                let mut deflater = Deflater::new(level);
                for job in todo {
                    if done.send(deflater.block(&job)).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { jobs, blocks })
    }
}

fn gone() -> io::Error {
    io::Error::other("a compression thread has died")
}

/// Compresses single blocks.
struct Deflater {
    deflate: Compress,
    probe: Compress,
}

impl Deflater {
    fn new(level: u32) -> Self {
        Self {
            deflate: Compress::new(Compression::new(level), false),
            probe: Compress::new(Compression::fast(), false),
        }
    }

    fn block(&mut self, job: &Job) -> io::Result<Vec<u8>> {
        if self.is_incompressible(&job.input)? {
            return Ok(stored(&job.input, job.last));
        }
        self.deflate.reset();
        if !job.dictionary.is_empty() {
            self.deflate
                .set_dictionary(&job.dictionary)
                .map_err(io::Error::other)?;
        }
        let flush = if job.last {
            FlushCompress::Finish
        } else {
            FlushCompress::Sync
        };
        deflate(&mut self.deflate, &job.input, flush)
    }

    /// Judges by three samples; short blocks are always compressed.
    fn is_incompressible(&mut self, input: &[u8]) -> io::Result<bool> {
        if input.len() < 16 * SAMPLE {
            return Ok(false);
        }
        let mut compressed = 0;
        for start in [0, input.len() / 2, input.len() - SAMPLE] {
            self.probe.reset();
            let sample = &input[start..start + SAMPLE];
            compressed += deflate(&mut self.probe, sample, FlushCompress::Finish)?.len();
        }
        Ok(compressed >= 3 * SAMPLE * 98 / 100)
    }
}

/// All of `input`, with nothing left inside of `state`.
fn deflate(state: &mut Compress, input: &[u8], flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(input.len() / 2 + 1024);
    let before = state.total_in();
    loop {
        let used = usize::try_from(state.total_in() - before).expect("at most a block");
        let status = state.compress_vec(&input[used..], &mut out, flush)?;
        let used = usize::try_from(state.total_in() - before).expect("at most a block");
        let complete = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // Room is left: everything that was pending has come out.
            _ => used == input.len() && out.len() < out.capacity(),
        };
        if complete {
            return Ok(out);
        }
        out.reserve(input.len() / 4 + 1024);
    }
}

/// `input` as stored blocks. RFC 1951, 3.2.4.
fn stored(input: &[u8], last: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len() + 5 * (input.len() / STORED + 1));
    let mut chunks = input.chunks(STORED).peekable();
    while let Some(chunk) = chunks.next() {
        let size = u16::try_from(chunk.len()).expect("chunks of at most 65,535 bytes");
        out.push(u8::from(last && chunks.peek().is_none()));
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&(!size).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out
}
